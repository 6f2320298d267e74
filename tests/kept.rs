//! What was acknowledged is there again after a restart (README, "What an acknowledgement means").

use std::path::Path;

use dockside::config::Config;
use dockside_mqtt::packet::{Ack, Packet, Publish};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, ReasonCode, Version};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::peer::{Peer, TestBroker, VERSIONS, at, id, publish, read};
use crate::restarts::with_will;
use crate::sessions::leave;

pub(crate) const EVENTS: &str = "thing/product/SIMDOCK3000001/events";

pub(crate) fn event(tid: &str) -> Vec<u8> {
    format!(
        r#"{{"bid":"b","tid":"{tid}","method":"flighttask_progress","need_reply":1,"timestamp":1747224838227,"data":{{"output":{{"ext":{{"flight_id":"f"}},"progress":{{"current_step":19,"percent":42}},"status":"in_progress"}},"result":0}}}}"#
    )
    .into_bytes()
}

/// A broker whose data outlives it.
pub(crate) async fn start(dir: &Path) -> TestBroker {
    let in_dir = |config: &mut Config| config.data.dir = dir.join("data");
    TestBroker::start_with(in_dir).await
}

/// The rows that a query finds, as texts.
pub(crate) fn rows(dir: &Path, sql: &str) -> Vec<String> {
    let connection = Connection::open(dockside_store::file(&dir.join("data"))).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

async fn session(broker: &TestBroker, version: Version) -> (Peer, bool) {
    broker.session(version, "a", 3600).await
}

#[tokio::test]
async fn what_waits_for_a_session_survives_a_restart_in_its_order() {
    for version in VERSIONS {
        let dir = TempDir::new().unwrap();
        let broker = start(dir.path()).await;
        let (mut peer, _) = session(&broker, version).await;
        peer.subscribe("t/#", at(QoS::ExactlyOnce)).await;
        peer.vanish();
        let mut sender = broker.connect(version, "s").await;
        for n in 0..600 {
            let qos = if n % 3 == 0 { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
            sender.publish("t/x", n.to_string().as_bytes(), qos).await;
        }
        sender.publish("other", b"x", QoS::AtLeastOnce).await;
        broker.stop().await;
        let found = rows(dir.path(), "SELECT count(*) || ' of ' || min(topic) FROM message");
        assert_eq!(found, ["600 of t/x"], "nothing is kept for nobody");

        let broker = start(dir.path()).await;
        let mut sender = broker.connect(version, "s").await;
        sender.publish("t/x", b"600", QoS::AtLeastOnce).await;
        let (mut peer, present) = session(&broker, version).await;
        assert!(present);
        sender.publish("t/x", b"601", QoS::AtLeastOnce).await;
        let expected: Vec<_> = (0..602).map(|n| n.to_string()).collect();
        assert_eq!(peer.receive_payloads(602).await, expected);
        peer.expect_nothing().await;
        peer.vanish();
        broker.stop().await;
        assert_eq!(rows(dir.path(), "SELECT count(*) || '' FROM message"), ["0"], "acknowledged");
        assert_eq!(rows(dir.path(), "SELECT count(*) || '' FROM outgoing"), ["0"]);
    }
}

/// [MQTT-4.4.0-1] across a restart, in both directions.
#[tokio::test]
async fn exchanges_go_on_after_a_restart() {
    for version in VERSIONS {
        let dir = TempDir::new().unwrap();
        let broker = start(dir.path()).await;
        let (mut peer, _) = session(&broker, version).await;
        peer.subscribe("t", at(QoS::ExactlyOnce)).await;
        let mut sender = broker.connect(version, "s").await;
        for (payload, qos) in
            [("1", QoS::AtLeastOnce), ("2", QoS::ExactlyOnce), ("3", QoS::ExactlyOnce)]
        {
            sender.publish("t", payload.as_bytes(), qos).await;
        }
        let first =
            [peer.receive_only().await, peer.receive_only().await, peer.receive_only().await];
        let received = first[1].packet_id.unwrap();
        peer.send(&Packet::Pubrec(Ack::new(received, ReasonCode::Success))).await;
        peer.expect(Packet::Pubrel(Ack::new(received, ReasonCode::Success))).await;
        // Its own: received by the broker, not released.
        let own = publish("u", b"x", QoS::ExactlyOnce, 5);
        peer.send(&Packet::Publish(own)).await;
        peer.expect(Packet::Pubrec(Ack::new(id(5), ReasonCode::Success))).await;
        let (mut reader, _) = broker.session(version, "reader", 3600).await;
        reader.subscribe("u", at(QoS::AtLeastOnce)).await;
        broker.stop().await;

        let broker = start(dir.path()).await;
        let (mut peer, present) = session(&broker, version).await;
        assert!(present);
        let again = peer.receive().await;
        assert!(again.dup && again.payload == b"1" && again.packet_id == first[0].packet_id);
        peer.expect(Packet::Pubrel(Ack::new(received, ReasonCode::Success))).await;
        peer.send(&Packet::Pubcomp(Ack::new(received, ReasonCode::Success))).await;
        let again = peer.receive().await;
        assert!(again.dup && again.payload == b"3" && again.packet_id == first[2].packet_id);
        let again = Publish { dup: true, ..publish("u", b"x", QoS::ExactlyOnce, 5) };
        peer.send(&Packet::Publish(again)).await;
        peer.expect(Packet::Pubrec(Ack::new(id(5), ReasonCode::Success))).await;
        peer.send(&Packet::Pubrel(Ack::new(id(5), ReasonCode::Success))).await;
        peer.expect(Packet::Pubcomp(Ack::new(id(5), ReasonCode::Success))).await;
        peer.expect_nothing().await;
        let (mut reader, _) = broker.session(version, "reader", 3600).await;
        reader.expect_nothing().await;
        broker.stop().await;
    }
}

#[tokio::test]
async fn retained_messages_are_the_last_acknowledged_ones() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let mut sender = broker.connect(Version::V5, "s").await;
    for (topic, payload, retain) in [
        ("r/1", "a", true),
        ("r/1", "b", true),
        ("r/2", "c", true),
        ("r/2", "", true),
        ("r/3", "d", false),
    ] {
        let message = publish(topic, payload.as_bytes(), QoS::AtLeastOnce, 3);
        sender.send(&Packet::Publish(Publish { retain, ..message })).await;
        sender.expect(Packet::Puback(Ack::new(id(3), ReasonCode::Success))).await;
    }
    broker.stop().await;
    assert_eq!(rows(dir.path(), "SELECT topic FROM message"), ["r/1"], "nothing else is left");
    let broker = start(dir.path()).await;
    let mut reader = broker.connect(Version::V5, "reader").await;
    reader.subscribe("r/#", at(QoS::AtLeastOnce)).await;
    let retained = reader.receive().await;
    assert_eq!((&*retained.topic, &*retained.payload, retained.retain), ("r/1", &b"b"[..], true));
    reader.expect_nothing().await;
}

#[tokio::test]
async fn a_session_that_has_ended_stays_so_and_subscriptions_are_what_they_were() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    for name in ["ended", "expired", "a"] {
        let (mut peer, _) = broker.session(Version::V5, name, 100).await;
        peer.subscribe("t/1", at(QoS::AtLeastOnce)).await;
        peer.subscribe("t/2", at(QoS::AtLeastOnce)).await;
        let packet = dockside_mqtt::packet::Unsubscribe {
            packet_id: id(4),
            properties: Properties::EMPTY,
            filters: vec!["t/1"],
        };
        peer.send(&Packet::Unsubscribe(packet)).await;
        assert!(matches!(read(&peer.packet().await, Version::V5), Packet::Unsuback(_)));
    }
    broker.connect(Version::V5, "ended").await;
    broker.stop().await;
    let broker = start(dir.path()).await;
    broker.pass(50);
    assert!(!broker.session(Version::V5, "ended", 0).await.1);
    let (mut peer, present) = broker.session(Version::V5, "a", 100).await;
    assert!(present);
    peer.publish("t/1", b"1", QoS::AtLeastOnce).await;
    peer.publish("t/2", b"2", QoS::AtLeastOnce).await;
    assert_eq!(peer.receive_payloads(1).await, ["2"]);
    broker.pass(200);
    assert!(!broker.session(Version::V5, "expired", 0).await.1);
}

/// A will is kept from CONNECT on: a restart is a lost connection, and its client has some time to
/// come back.
#[tokio::test]
async fn wills_survive_a_restart_unless_their_clients_are_back() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let entries = ["gone", "back", "said-goodbye"];
    for name in entries {
        let mut peer = broker.socket(Version::V5).await;
        assert_eq!(peer.connect(with_will(name)).await, ReasonCode::Success);
        if name == "said-goodbye" {
            leave(peer).await;
        } else {
            // Its connection lasts as long as the broker, which ends without order below.
            std::mem::forget(peer);
        }
    }
    // Whatever was said before is kept by the time that a session that is kept begins.
    broker.session(Version::V5, "fence", 60).await;
    let copy = TempDir::new().unwrap();
    copy_of_running(dir.path(), copy.path());
    broker.stop().await;

    let broker = start(copy.path()).await;
    let mut reader = broker.connect(Version::V5, "reader").await;
    reader.subscribe("w", at(QoS::AtLeastOnce)).await;
    let _back = broker.connect(Version::V5, "back").await;
    reader.expect_nothing().await;
    broker.pass(31);
    assert_eq!(reader.receive_payloads(1).await, ["gone"]);
    reader.expect_nothing().await;
    broker.stop().await;
    assert_eq!(rows(copy.path(), "SELECT count(*) || '' FROM will"), ["0"]);
}

/// The files as a kill at this instant leaves them.
pub(crate) fn copy_of_running(from: &Path, to: &Path) {
    std::fs::create_dir(to.join("data")).unwrap();
    for name in ["dockside.db", "dockside.db-wal"] {
        std::fs::copy(from.join("data").join(name), to.join("data").join(name)).unwrap();
    }
}

#[tokio::test]
async fn what_waits_in_a_group_survives_a_restart() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let (mut member, _) = session(&broker, Version::V5).await;
    member.subscribe("$share/g/t", at(QoS::AtLeastOnce)).await;
    member.vanish();
    let mut sender = broker.connect(Version::V5, "s").await;
    for n in 0..3 {
        sender.publish("t", n.to_string().as_bytes(), QoS::AtLeastOnce).await;
    }
    broker.stop().await;
    let broker = start(dir.path()).await;
    let mut other = broker.connect(Version::V5, "other").await;
    other.subscribe("$share/g/t", at(QoS::AtLeastOnce)).await;
    assert_eq!(other.receive_payloads(3).await, ["0", "1", "2"]);
    other.ping().await;
    broker.stop().await;
    assert_eq!(rows(dir.path(), "SELECT count(*) || '' FROM queue"), ["0"]);
}

/// An event is in the history before it is answered, once however often it comes.
#[tokio::test]
async fn answered_events_are_in_the_history_once() {
    let dir = TempDir::new().unwrap();
    for round in ["1", "2"] {
        let broker = start(dir.path()).await;
        let mut dock = broker.connect(Version::V311, "dock").await;
        dock.subscribe("thing/product/SIMDOCK3000001/events_reply", at(QoS::AtLeastOnce)).await;
        for tid in ["same", "same", round] {
            dock.publish(EVENTS, &event(tid), QoS::AtLeastOnce).await;
            let reply = dock.receive().await.payload;
            assert!(String::from_utf8(reply).unwrap().contains(tid), "answered every time");
        }
        broker.stop().await;
    }
    let sql = "SELECT tid || ' ' || gateway || ' ' || task || ' ' || status || ' ' || percent FROM event ORDER BY id";
    let expected = ["same", "1", "2"].map(|tid| format!("{tid} SIMDOCK3000001 f in_progress 42"));
    assert_eq!(rows(dir.path(), sql), expected);
    let task = rows(dir.path(), "SELECT gateway || ' ' || task || ' ' || events FROM flight_task");
    assert_eq!(task, ["SIMDOCK3000001 f 3"]);
}

/// A backup of a running broker is what was acknowledged by then, and goes back only where no broker runs.
#[tokio::test]
async fn a_backup_is_what_was_kept_at_that_instant() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let data = dir.path().join("data");
    let copy = dir.path().join("copy.db");
    let mut dock = broker.connect(Version::V5, "dock").await;
    dock.publish(EVENTS, &event("before"), QoS::AtLeastOnce).await;
    dockside_store::backup(&data, &copy).unwrap();
    dock.publish(EVENTS, &event("after"), QoS::AtLeastOnce).await;
    assert!(dockside_store::backup(&data, &copy).is_err(), "nothing is replaced");
    let refused = dockside_store::restore(&data, &copy).unwrap_err().to_string();
    assert!(refused.contains("in use"), "{refused}");
    broker.stop().await;

    let damaged = dir.path().join("damaged.db");
    let mut bytes = std::fs::read(&copy).unwrap();
    bytes[8_192..].fill(7);
    std::fs::write(&damaged, bytes).unwrap();
    let refused = dockside_store::restore(&data, &damaged).unwrap_err().to_string();
    assert!(refused.contains("no sound backup"), "{refused}");
    assert_eq!(rows(dir.path(), "SELECT tid FROM event ORDER BY id"), ["before", "after"]);

    dockside_store::restore(&data, &copy).unwrap();
    assert_eq!(rows(dir.path(), "SELECT tid FROM event"), ["before"]);
    start(dir.path()).await.stop().await;
}
