//! What waits for a store that fails is not passed by what must come behind it, and what can never be kept is
//! in nobody's way.

use dockside_mqtt::packet::{Ack, Packet, Publish};
use dockside_mqtt::{QoS, ReasonCode, Version};
use tempfile::TempDir;

use crate::kept::{EVENTS, event, rows, start};
use crate::kept_failures::{file, hold};
use crate::peer::{Received, TestBroker, at, id, publish};

fn payloads(received: Vec<Received>) -> Vec<String> {
    received.into_iter().map(|r| String::from_utf8(r.payload).unwrap()).collect()
}

/// A publisher's messages of one topic keep their order, whether or not somebody keeps them.
#[tokio::test]
async fn nothing_passes_what_is_held_of_its_publisher_and_topic() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let mut plain = broker.connect(Version::V5, "plain").await;
    plain.subscribe("#", at(QoS::AtLeastOnce)).await;
    let mut dock = broker.connect(Version::V5, "dock").await;
    let mut other = broker.connect(Version::V5, "other").await;

    let lock = hold(&dir);
    dock.send(&Packet::Publish(publish(EVENTS, &event("t"), QoS::AtLeastOnce, 1))).await;
    // Nobody keeps this one, and those of retained topics only the first. Each comes alone.
    dock.ping().await;
    dock.send(&Packet::Publish(publish(EVENTS, b"hms", QoS::AtLeastOnce, 2))).await;
    let retained = Publish { retain: true, ..publish("r", b"1", QoS::AtLeastOnce, 3) };
    dock.send(&Packet::Publish(retained)).await;
    dock.ping().await;
    dock.send(&Packet::Publish(publish("r", b"2", QoS::AtLeastOnce, 4))).await;
    // The same topic of another publisher, and another topic of this one.
    other.publish("r", b"other", QoS::AtLeastOnce).await;
    dock.send(&Packet::Publish(publish("free", b"free", QoS::AtLeastOnce, 5))).await;
    dock.ping().await;
    let mut passed = payloads(vec![plain.receive().await, plain.receive().await]);
    passed.sort();
    assert_eq!(passed, ["free", "other"]);
    assert!(plain.receive_until_pong().await.is_empty());

    lock.execute_batch("ROLLBACK").unwrap();
    for n in 1..=5 {
        dock.expect(Packet::Puback(Ack::new(id(n), ReasonCode::Success))).await;
    }
    let event = String::from_utf8(event("t")).unwrap();
    let came = plain.receive_payloads(5).await;
    let order: Vec<_> = came.iter().filter(|p| !p.contains("result\":0}}")).collect();
    let of = |payload: &str| came.iter().position(|p| p == payload).unwrap();
    assert!(of(&event) < of("hms") && of("1") < of("2"), "{order:?}");
    broker.stop().await;
}

/// Makes whatever is kept of one topic fail by itself.
fn poison(broker_dir: &TempDir, topic: &str) {
    let other = rusqlite::Connection::open(file(broker_dir)).unwrap();
    other.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    let sql = format!(
        "CREATE TRIGGER poison BEFORE INSERT ON message WHEN NEW.topic = '{topic}'
         BEGIN SELECT RAISE(ABORT, 'never'); END"
    );
    other.execute_batch(&sql).unwrap();
}

#[tokio::test]
async fn what_can_never_be_kept_is_refused_and_stops_nobody() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let (mut durable, _) = broker.session(Version::V5, "durable", 3600).await;
    durable.subscribe("kept/#", at(QoS::ExactlyOnce)).await;
    poison(&dir, "kept/never");
    let mut good = broker.connect(Version::V5, "good").await;
    for version in [Version::V5, Version::V311] {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut bad = broker.connect(version, "bad").await;
            bad.send(&Packet::Publish(publish("kept/never", b"x", qos, 1))).await;
            // Its answer would stand for the one before it.
            bad.send(&Packet::Publish(publish("kept/yes", b"bad", QoS::AtLeastOnce, 2))).await;
            good.publish("kept/yes", b"good", QoS::AtLeastOnce).await;
            if version == Version::V5 {
                bad.expect_ended(ReasonCode::UnspecifiedError).await;
            } else {
                bad.expect_closed().await;
            }
        }
    }
    good.publish("kept/yes", b"last", QoS::AtLeastOnce).await;
    let mut received = Vec::new();
    while received.last().is_none_or(|payload| payload != "last") {
        received.extend(durable.receive_payloads(1).await);
    }
    assert_eq!(received.iter().filter(|payload| *payload == "good").count(), 4, "{received:?}");
    assert!(received.iter().all(|payload| payload != "x"), "{received:?}");
    broker.stop().await;
    assert_eq!(rows(dir.path(), "SELECT count(*) || '' FROM message"), ["0"]);
}

/// Whoever waits for something else than what it published has nowhere better to go.
#[tokio::test]
async fn only_publishers_are_sent_away_from_a_store_that_fails() {
    let dir = TempDir::new().unwrap();
    let broker = TestBroker::start_with(|config| {
        config.data.dir = dir.path().join("data");
        config.store.stall_timeout_ms = 1;
    })
    .await;
    let (mut durable, _) = broker.session(Version::V5, "durable", 3600).await;
    durable.subscribe("kept/#", at(QoS::ExactlyOnce)).await;
    let mut sender = broker.connect(Version::V5, "s").await;
    let lock = hold(&dir);
    let subscribe = dockside_mqtt::packet::Subscribe {
        packet_id: id(7),
        properties: dockside_mqtt::property::Properties::EMPTY,
        filters: vec![("more", at(QoS::AtLeastOnce))],
    };
    durable.send(&Packet::Subscribe(subscribe)).await;
    // Held behind it, and sent away for it: by then whoever would be is.
    sender.send(&Packet::Publish(publish("kept/1", b"1", QoS::AtLeastOnce, 3))).await;
    sender.expect_ended(ReasonCode::QuotaExceeded).await;
    lock.execute_batch("ROLLBACK").unwrap();
    let suback = durable.packet().await;
    assert!(matches!(crate::peer::read(&suback, Version::V5), Packet::Suback(_)), "{suback:?}");
    assert_eq!(durable.receive_payloads(1).await, ["1"]);
    broker.stop().await;
}
