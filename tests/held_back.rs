//! What waits for the store, and what does not: every step of a session that is kept.

use dockside_broker::config::Durability;
use dockside_mqtt::packet::{
    Ack, Codes, Connack, Connect, Packet, Publish, Subscribe, Unsubscribe,
};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::kept::start;
use crate::kept_failures::hold;
use crate::peer::{Peer, TestBroker, VERSIONS, at, connect, id, publish, read};

fn ok(n: u16) -> Ack<'static> {
    Ack::new(id(n), ReasonCode::Success)
}

/// Lets the store work again.
fn release(lock: &Connection) {
    lock.execute_batch("ROLLBACK").unwrap();
}

/// At the level `memory` nobody waits for the store, and nothing is lost while the broker runs.
#[tokio::test]
async fn without_durability_answers_do_not_wait() {
    let dir = TempDir::new().unwrap();
    let broker = TestBroker::start_with(|config| {
        config.data.dir = dir.path().join("data");
        config.store.durability = Durability::Memory;
    })
    .await;
    let (mut durable, _) = broker.session(Version::V5, "durable", 3600).await;
    durable.subscribe("kept", at(QoS::ExactlyOnce)).await;
    let mut other = broker.connect(Version::V5, "other").await;
    let mut sender = broker.connect(Version::V5, "s").await;
    let lock = hold(&dir);
    for n in 0..10 {
        let qos = if n % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        sender.publish("kept", n.to_string().as_bytes(), qos).await;
    }
    // By then the writer has tried.
    other.fence().await;
    release(&lock);
    let expected: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(durable.receive_payloads(10).await, expected);
    durable.expect_nothing().await;
}

/// The receive maximum bounds what waits for the store.
#[tokio::test]
async fn answers_that_wait_count_for_the_receive_maximum() {
    let dir = TempDir::new().unwrap();
    let broker = start_with_receive_maximum(&dir, 3).await;
    let (mut durable, _) = broker.session(Version::V5, "durable", 3600).await;
    durable.subscribe("kept", at(QoS::AtLeastOnce)).await;
    let mut other = broker.connect(Version::V5, "other").await;
    let mut sender = broker.connect(Version::V5, "s").await;
    let lock = hold(&dir);
    for n in 1..=3 {
        sender.send(&Packet::Publish(publish("kept", b"x", QoS::AtLeastOnce, n))).await;
    }
    other.fence().await;
    sender.ping().await;
    sender.send(&Packet::Publish(publish("kept", b"x", QoS::AtLeastOnce, 4))).await;
    sender.expect_ended(ReasonCode::ReceiveMaximumExceeded).await;
    release(&lock);
}

/// 3.1.1 knows no receive maximum: the broker stops reading instead.
#[tokio::test]
async fn reading_pauses_while_too_many_answers_wait() {
    let dir = TempDir::new().unwrap();
    let broker = start_with_receive_maximum(&dir, 3).await;
    let (mut durable, _) = broker.session(Version::V311, "durable", 3600).await;
    durable.subscribe("kept", at(QoS::AtLeastOnce)).await;
    let mut other = broker.connect(Version::V311, "other").await;
    let mut sender = broker.connect(Version::V311, "s").await;
    let lock = hold(&dir);
    for n in 1..=10 {
        sender.send(&Packet::Publish(publish("kept", b"x", QoS::AtLeastOnce, n))).await;
    }
    sender.send(&Packet::Pingreq).await;
    other.fence().await;
    assert!(sender.is_silent(), "not even the answer to PINGREQ");
    release(&lock);
    let mut acknowledged = Vec::new();
    let mut before_pong = None;
    for _ in 0..11 {
        let bytes = sender.packet().await;
        match read(&bytes, Version::V311) {
            Packet::Puback(ack) => acknowledged.push(ack.packet_id.get()),
            Packet::Pingresp => before_pong = Some(acknowledged.len()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(acknowledged, (1..=10).collect::<Vec<_>>());
    // It is read when three answers are left.
    assert!(before_pong >= Some(7), "{before_pong:?}");
}

async fn start_with_receive_maximum(dir: &TempDir, maximum: u16) -> TestBroker {
    TestBroker::start_with(|config| {
        config.data.dir = dir.path().join("data");
        config.limits.receive_maximum = maximum;
    })
    .await
}

/// What QoS 2 promises across a kill: each step is committed before the packet that depends on it.
#[tokio::test]
async fn each_step_of_a_kept_session_waits_for_its_commit() {
    for version in VERSIONS {
        let dir = TempDir::new().unwrap();
        let broker = TestBroker::start_with(|config| {
            config.data.dir = dir.path().join("data");
            config.limits.inflight = 1;
        })
        .await;
        let (mut peer, _) = broker.session(version, "a", 3600).await;
        peer.subscribe("t", at(QoS::ExactlyOnce)).await;
        let mut other = broker.connect(version, "other").await;
        for payload in ["1", "2"] {
            other.publish("t", payload.as_bytes(), QoS::ExactlyOnce).await;
        }
        // The window has room for one; what follows is its end and the beginning of the next.
        peer.expect(Packet::Publish(publish("t", b"1", QoS::ExactlyOnce, 1))).await;
        let own = publish("u", b"x", QoS::ExactlyOnce, 5);
        let next = publish("t", b"2", QoS::ExactlyOnce, 2);
        for (sent, expected) in [
            (Packet::Publish(own), Packet::Pubrec(ok(5))),
            (Packet::Pubrel(ok(5)), Packet::Pubcomp(ok(5))),
            (Packet::Pubrec(ok(1)), Packet::Pubrel(ok(1))),
            (Packet::Pubcomp(ok(1)), Packet::Publish(next)),
        ] {
            let lock = hold(&dir);
            peer.send(&sent).await;
            other.fence().await;
            // Nothing comes before its answer.
            peer.ping().await;
            release(&lock);
            peer.expect(expected).await;
        }
        broker.stop().await;
    }
}

/// The broker reads on behind these when they are answered.
#[tokio::test]
async fn a_subscription_of_a_kept_session_waits_for_its_commit() {
    for version in VERSIONS {
        let dir = TempDir::new().unwrap();
        let broker = start(dir.path()).await;
        let (mut peer, _) = broker.session(version, "a", 3600).await;
        let mut other = broker.connect(version, "other").await;
        let properties = Properties::EMPTY;
        let filters = vec![("t", at(QoS::AtLeastOnce))];
        let subscribe = Subscribe { packet_id: id(3), properties, filters };
        let unsubscribe = Unsubscribe { packet_id: id(4), properties, filters: vec!["t"] };
        let codes = |n, reasons| Codes { packet_id: id(n), properties, reasons };
        let suback = codes(3, vec![ReasonCode::GrantedQos1]);
        let unsuback = codes(4, vec![ReasonCode::Success]);
        for (sent, expected) in [
            (Packet::Subscribe(subscribe), Packet::Suback(suback)),
            (Packet::Unsubscribe(unsubscribe), Packet::Unsuback(unsuback)),
        ] {
            let lock = hold(&dir);
            peer.send(&sent).await;
            other.fence().await;
            assert!(peer.is_silent(), "{expected:?}");
            release(&lock);
            peer.expect(expected).await;
        }
    }
}

/// A CONNECT under which the store changes, and what its CONNACK says of the session.
async fn waits_for_connack(broker: &TestBroker, dir: &TempDir, asks: Connect<'_>, present: bool) {
    let mut other = broker.connect(Version::V5, "other").await;
    let mut peer = broker.socket(asks.version).await;
    let lock = hold(dir);
    peer.send(&Packet::Connect(Box::new(asks))).await;
    other.fence().await;
    assert!(peer.is_silent(), "a CONNACK before the commit");
    release(&lock);
    assert_eq!(session_present(&mut peer).await, present);
}

async fn session_present(peer: &mut Peer) -> bool {
    let bytes = peer.packet().await;
    match read(&bytes, peer.version) {
        Packet::Connack(Connack { session_present, reason: ReasonCode::Success, .. }) => {
            session_present
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_connack_of_a_new_session_waits_for_its_commit() {
    for version in VERSIONS {
        let dir = TempDir::new().unwrap();
        let broker = start(dir.path()).await;
        let list = an_hour();
        let properties = list.as_properties();
        let asks = Connect { clean_start: false, properties, ..connect(version, "a") };
        waits_for_connack(&broker, &dir, asks, false).await;
    }
}

#[tokio::test]
async fn the_connack_of_whoever_takes_a_session_over_waits_for_its_commit() {
    for version in VERSIONS {
        let dir = TempDir::new().unwrap();
        let broker = start(dir.path()).await;
        let (mut first, _) = broker.session(version, "a", 3600).await;
        let list = an_hour();
        let properties = list.as_properties();
        let asks = Connect { clean_start: false, properties, ..connect(version, "a") };
        waits_for_connack(&broker, &dir, asks, true).await;
        first.expect_ended(ReasonCode::SessionTakenOver).await;
    }
}

fn an_hour() -> PropertyList {
    let mut list = PropertyList::new();
    list.number(PropertyId::SessionExpiryInterval, 3600);
    list
}

/// A retained message is kept though nobody is who would wait for it.
#[tokio::test]
async fn a_retained_message_waits_for_its_commit_without_any_session() {
    for version in VERSIONS {
        let dir = TempDir::new().unwrap();
        let broker = start(dir.path()).await;
        let mut other = broker.connect(version, "other").await;
        let mut sender = broker.connect(version, "s").await;
        let lock = hold(&dir);
        let message = publish("r", b"x", QoS::AtLeastOnce, 3);
        sender.send(&Packet::Publish(Publish { retain: true, ..message })).await;
        other.fence().await;
        sender.ping().await;
        release(&lock);
        sender.expect(Packet::Puback(ok(3))).await;
    }
}
#[tokio::test]
async fn the_connack_of_a_clean_start_waits_until_the_session_is_erased() {
    for version in VERSIONS {
        let dir = TempDir::new().unwrap();
        let broker = start(dir.path()).await;
        let (peer, _) = broker.session(version, "a", 3600).await;
        crate::sessions::leave(peer).await;
        waits_for_connack(&broker, &dir, connect(version, "a"), false).await;
    }
}

/// What it costs: the CONNACK said that nothing is left, and after a kill all of it is there.
#[tokio::test]
async fn what_a_clean_start_has_erased_stays_erased_through_a_kill() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let (mut peer, _) = broker.session(Version::V5, "a", 3600).await;
    peer.subscribe("t", at(QoS::AtLeastOnce)).await;
    crate::sessions::leave(peer).await;
    let mut sender = broker.connect(Version::V5, "s").await;
    sender.publish("t", b"old", QoS::AtLeastOnce).await;
    let lock = hold(&dir);
    let mut clean = broker.socket(Version::V5).await;
    clean.send(&Packet::Connect(Box::new(connect(Version::V5, "a")))).await;
    sender.fence().await;
    let was_told = !clean.is_silent();
    let killed = TempDir::new().unwrap();
    crate::kept::copy_of_running(dir.path(), killed.path());
    release(&lock);
    let broker = start(killed.path()).await;
    let (_, present) = broker.session(Version::V5, "a", 3600).await;
    assert!(!(was_told && present), "CONNACK was out, and the session is there after a kill");
}
