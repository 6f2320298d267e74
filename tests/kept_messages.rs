//! Messages that wait for a session that is kept, or for nobody: what they are after a restart.

use dockside_mqtt::packet::{Ack, Packet, Publish, SubscriptionOptions, Unsubscribe};
use dockside_mqtt::property::{self, Properties, PropertyId, PropertyList, Value};
use dockside_mqtt::{QoS, ReasonCode, Version};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::kept::{EVENTS, copy_of_running, event, rows, start};
use crate::peer::{Peer, Received, TestBroker, VERSIONS, at, id, publish, read};
use crate::sessions::leave;

/// Publishes with properties, and has the PUBACK.
async fn publish_retained(sender: &mut Peer, topic: &str, payload: &[u8], list: &PropertyList) {
    let properties = list.as_properties();
    let message = publish(topic, payload, QoS::AtLeastOnce, 3);
    sender.send(&Packet::Publish(Publish { retain: true, properties, ..message })).await;
    sender.expect(Packet::Puback(Ack::new(id(3), ReasonCode::Success))).await;
}

/// Without the number of seconds that are left, and that.
fn without_expiry(received: &Received) -> (Vec<(PropertyId, String)>, u32) {
    let mut left = 0;
    let mut others = Vec::new();
    for property in property::kept(&received.properties).iter() {
        match (property.id, property.value) {
            (PropertyId::MessageExpiryInterval, Value::Number(n)) => left = n,
            (id, value) => others.push((id, format!("{value:?}"))),
        }
    }
    (others, left)
}

#[tokio::test]
async fn a_message_is_after_a_restart_what_it_was() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let (mut peer, _) = broker.session(Version::V5, "a", 3600).await;
    let mut seven = PropertyList::new();
    seven.number(PropertyId::SubscriptionIdentifier, 7);
    let options = SubscriptionOptions { retain_as_published: true, ..at(QoS::AtLeastOnce) };
    peer.subscribe_all(&[("t/#", options)], seven.as_properties()).await;
    leave(peer).await;
    let mut sender = broker.connect(Version::V5, "s").await;
    let properties = property::kept(b"\x03\0\x04json\x26\0\x03key\0\x05value\x02\0\0\0\x64");
    let message = publish("t/small", b"{}", QoS::AtLeastOnce, 3);
    sender.send(&Packet::Publish(Publish { retain: true, properties, ..message })).await;
    sender.expect(Packet::Puback(Ack::new(id(3), ReasonCode::Success))).await;
    let large: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    sender.publish("t/large", &large, QoS::ExactlyOnce).await;
    broker.stop().await;

    let broker = start(dir.path()).await;
    let (mut peer, present) = broker.session(Version::V5, "a", 3600).await;
    assert!(present);
    let small = peer.receive().await;
    assert_eq!(
        (&*small.topic, &*small.payload, small.qos),
        ("t/small", &b"{}"[..], QoS::AtLeastOnce)
    );
    assert!(small.retain && !small.dup);
    let number = (PropertyId::SubscriptionIdentifier, "Number(7)".to_owned());
    let (properties, left) = without_expiry(&small);
    let json = (PropertyId::ContentType, "Text(\"json\")".to_owned());
    let pair = (PropertyId::UserProperty, "Pair(\"key\", \"value\")".to_owned());
    assert_eq!(properties, [json, pair, number.clone()]);
    assert!((50..=100).contains(&left), "{left}");
    let found = peer.receive().await;
    assert!(found.payload == large, "every byte");
    assert_eq!((&*found.topic, found.qos, found.retain), ("t/large", QoS::AtLeastOnce, false));
    assert_eq!(without_expiry(&found), (vec![number], 0));
    peer.expect_nothing().await;
}

#[tokio::test]
async fn a_message_that_expired_while_the_broker_was_stopped_is_not_delivered() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let (mut peer, _) = broker.session(Version::V5, "a", 3600).await;
    peer.subscribe("t", at(QoS::AtLeastOnce)).await;
    leave(peer).await;
    let mut sender = broker.connect(Version::V5, "s").await;
    let mut hundred = PropertyList::new();
    hundred.number(PropertyId::MessageExpiryInterval, 100);
    publish_retained(&mut sender, "t", b"mortal", &hundred).await;
    sender.publish("t", b"immortal", QoS::AtLeastOnce).await;
    broker.stop().await;
    let file = Connection::open(dockside_store::file(&dir.path().join("data"))).unwrap();
    let sql = "UPDATE message SET expires_ms = 1 WHERE expires_ms IS NOT NULL";
    assert_eq!(file.execute(sql, []), Ok(1));
    drop(file);

    let broker = start(dir.path()).await;
    let (mut peer, _) = broker.session(Version::V5, "a", 3600).await;
    assert_eq!(peer.receive_payloads(1).await, ["immortal"]);
    peer.expect_nothing().await;
    let mut reader = broker.connect(Version::V5, "reader").await;
    reader.subscribe("t", at(QoS::AtLeastOnce)).await;
    reader.expect_nothing().await;
    leave(peer).await;
    broker.stop().await;
    assert_eq!(rows(dir.path(), "SELECT count(*) || '' FROM message"), ["0"], "it is gone");
}

#[tokio::test]
async fn no_local_is_after_a_restart_what_it_was() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let (mut peer, _) = broker.session(Version::V5, "a", 3600).await;
    let options = SubscriptionOptions { no_local: true, ..at(QoS::AtLeastOnce) };
    peer.subscribe_all(&[("t", options)], Properties::EMPTY).await;
    broker.stop().await;
    let broker = start(dir.path()).await;
    let (mut peer, present) = broker.session(Version::V5, "a", 3600).await;
    assert!(present);
    peer.publish("t", b"own", QoS::AtLeastOnce).await;
    let mut other = broker.connect(Version::V5, "other").await;
    other.publish("t", b"another's", QoS::AtLeastOnce).await;
    assert_eq!(peer.receive_payloads(1).await, ["another's"]);
    peer.expect_nothing().await;
}

/// What was accepted for a session is delivered, whatever it subscribes to meanwhile.
#[tokio::test]
async fn what_waits_stays_through_subscribe_and_unsubscribe() {
    for version in VERSIONS {
        let dir = TempDir::new().unwrap();
        let broker = TestBroker::start_with(|config| {
            config.data.dir = dir.path().join("data");
            config.limits.inflight = 1;
        })
        .await;
        let (mut peer, _) = broker.session(version, "a", 3600).await;
        peer.subscribe("t", at(QoS::AtLeastOnce)).await;
        let mut sender = broker.connect(version, "s").await;
        for payload in ["1", "2", "3", "4", "5"] {
            sender.publish("t", payload.as_bytes(), QoS::AtLeastOnce).await;
        }
        let first = peer.receive_only().await;
        assert_eq!(first.payload, b"1");
        peer.subscribe("t", at(QoS::AtLeastOnce)).await;
        let properties = Properties::EMPTY;
        let unsubscribe = Unsubscribe { packet_id: id(4), properties, filters: vec!["t"] };
        peer.send(&Packet::Unsubscribe(unsubscribe)).await;
        assert!(matches!(read(&peer.packet().await, version), Packet::Unsuback(_)));
        sender.publish("t", b"6", QoS::AtLeastOnce).await;
        let killed = TempDir::new().unwrap();
        copy_of_running(dir.path(), killed.path());
        peer.acknowledge(&first).await;
        assert_eq!(peer.receive_payloads(4).await, ["2", "3", "4", "5"]);
        peer.expect_nothing().await;
        leave(peer).await;
        broker.stop().await;
        assert_eq!(rows(dir.path(), "SELECT count(*) || '' FROM queue"), ["0"]);
        // In the store too.
        let broker = start(killed.path()).await;
        let (mut peer, _) = broker.session(version, "a", 3600).await;
        assert_eq!(peer.receive_payloads(5).await, ["1", "2", "3", "4", "5"]);
        peer.expect_nothing().await;
    }
}

/// A mailbox that is full of what is not stored: what is stored is read from the store.
#[tokio::test]
async fn a_full_mailbox_costs_a_kept_session_no_message_that_is_stored() {
    for version in VERSIONS {
        let broker = TestBroker::start_with(|config| {
            config.limits.inflight = 1;
            config.limits.mailbox_messages = 10;
        })
        .await;
        let (mut peer, _) = broker.session(version, "a", 3600).await;
        peer.subscribe("t", at(QoS::AtLeastOnce)).await;
        let mut sender = broker.connect(version, "s").await;
        for (payloads, qos) in
            [(0..2, QoS::AtLeastOnce), (100..120, QoS::AtMostOnce), (2..7, QoS::AtLeastOnce)]
        {
            for n in payloads {
                sender.publish("t", n.to_string().as_bytes(), qos).await;
            }
        }
        // All of it has been dispatched.
        sender.expect_nothing().await;
        let mut found = Vec::new();
        while found.last().is_none_or(|last| *last != "6") {
            let received = peer.receive().await;
            assert!(!received.dup);
            if received.qos == QoS::AtLeastOnce {
                found.push(String::from_utf8(received.payload).unwrap());
            }
        }
        assert_eq!(found, ["0", "1", "2", "3", "4", "5", "6"]);
        assert!(peer.receive_until_pong().await.iter().all(|m| m.qos == QoS::AtMostOnce));
    }
}

/// 3.1.1 cannot be told that there is no room: the message is delivered, not retained, in the store too.
#[tokio::test]
async fn what_finds_no_room_to_be_retained_is_not_after_a_restart_either() {
    let dir = TempDir::new().unwrap();
    for round in 0..2 {
        let broker = TestBroker::start_with(|config| {
            config.data.dir = dir.path().join("data");
            config.limits.retained_messages = 1;
        })
        .await;
        if round == 0 {
            let mut sender = broker.connect(Version::V311, "s").await;
            for topic in ["a", "b"] {
                publish_retained(&mut sender, topic, b"x", &PropertyList::new()).await;
            }
        }
        let mut reader = broker.connect(Version::V311, "reader").await;
        reader.subscribe("+", at(QoS::AtLeastOnce)).await;
        assert_eq!(reader.receive().await.topic, "a");
        reader.expect_nothing().await;
        broker.stop().await;
        assert_eq!(rows(dir.path(), "SELECT topic FROM retained"), ["a"]);
        assert_eq!(rows(dir.path(), "SELECT topic FROM message"), ["a"]);
    }
}

/// A repetition is the same in every byte; it is answered and passed on, and recorded once.
#[tokio::test]
async fn a_repeated_event_is_passed_on_each_time_and_recorded_once() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let mut application = broker.connect(Version::V5, "application").await;
    application.subscribe(EVENTS, at(QoS::AtLeastOnce)).await;
    let mut dock = broker.connect(Version::V311, "dock").await;
    dock.subscribe("thing/product/SIMDOCK3000001/events_reply", at(QoS::AtLeastOnce)).await;
    let first = event("same");
    let other = String::from_utf8(event("same")).unwrap().replace("42", "43").into_bytes();
    for payload in [&first, &first, &other, &first, &other] {
        dock.publish(EVENTS, payload, QoS::AtLeastOnce).await;
        let reply = String::from_utf8(dock.receive().await.payload).unwrap();
        assert!(reply.contains("same"), "{reply}");
        assert_eq!(application.receive().await.payload, *payload);
    }
    application.expect_nothing().await;
    broker.stop().await;
    let recorded = rows(dir.path(), "SELECT tid || ' ' || percent FROM event ORDER BY id");
    assert_eq!(recorded, ["same 42", "same 43"]);
}
