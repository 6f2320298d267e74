//! Many topics, filters and clients: each gets its own, and what nobody needs any more is given back.

use std::collections::BTreeSet;

use dockside_broker::config::LiveLog;
use dockside_mqtt::packet::{Codes, Packet, Unsubscribe};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, ReasonCode, Version, codec};

use super::serves;
use crate::peer::{TestBroker, VERSIONS, at, id, publish};

/// Sends a QoS 0 message to each topic, a few hundred a write.
async fn publish_to(sender: &mut crate::peer::Peer, topics: &[String], payload: &[u8]) {
    for some in topics.chunks(500) {
        let mut bytes = Vec::new();
        for topic in some {
            let message = publish(topic, payload, QoS::AtMostOnce, 0);
            codec::encode(&mut bytes, &Packet::Publish(message), sender.version);
        }
        sender.send_bytes(&bytes).await;
    }
}

/// More topics than the broker remembers the routes of, then new filters among them.
#[tokio::test]
async fn twelve_thousand_topics_reach_their_reader_and_new_filters_theirs() {
    let broker = TestBroker::start().await;
    let mut all = broker.connect(Version::V5, "all").await;
    all.subscribe("#", at(QoS::AtMostOnce)).await;
    let mut sender = broker.connect(Version::V311, "sender").await;
    let topics: Vec<_> = (0..12_000).map(|n| format!("many/{n}/x")).collect();
    publish_to(&mut sender, &topics, b"1").await;
    for topic in &topics {
        assert_eq!(all.receive().await.topic, *topic);
    }
    let mut some = broker.connect(Version::V311, "some").await;
    let filters: Vec<_> = (0..1_000).map(|n| format!("many/{}/+", 11 * n)).collect();
    for filters in filters.chunks(100) {
        let filters: Vec<_> = filters.iter().map(|f| (f.as_str(), at(QoS::AtMostOnce))).collect();
        let reasons = some.subscribe_all(&filters, Properties::EMPTY).await;
        assert_eq!(reasons, [ReasonCode::Success; 100]);
    }
    publish_to(&mut sender, &topics, b"2").await;
    for n in 0..1_000 {
        assert_eq!(some.receive().await.topic, topics[11 * n]);
    }
    for topic in &topics {
        assert_eq!(all.receive().await.topic, *topic);
    }
    some.vanish();
    all.expect_nothing().await;
    serves(&broker, "some").await;
}

/// Each is one of the ten that a session may have, but only as long as it lasts.
#[tokio::test]
async fn filters_that_come_and_go_are_given_back() {
    let broker = TestBroker::start_with(|config| {
        config.limits.subscriptions = 10;
        config.limits.subscription_bytes = 1_000;
    })
    .await;
    let properties = Properties::EMPTY;
    for version in VERSIONS {
        let mut peer = broker.connect(version, "a").await;
        for n in 0..1_000 {
            let filters = ["f", "+", "$share/g"].map(|first| format!("{first}/{n}/#"));
            let asked: Vec<_> =
                filters.iter().map(|f| (f.as_str(), at(QoS::AtLeastOnce))).collect();
            let reasons = peer.subscribe_all(&asked, properties).await;
            assert_eq!(reasons, [ReasonCode::GrantedQos1; 3], "{n}");
            let filters = filters.iter().map(String::as_str).collect();
            peer.send(&Packet::Unsubscribe(Unsubscribe { packet_id: id(1), properties, filters }))
                .await;
            let reasons = vec![ReasonCode::Success; 3];
            peer.expect(Packet::Unsuback(Codes { packet_id: id(1), properties, reasons })).await;
        }
        for n in [0, 500, 999] {
            peer.publish(&format!("f/{n}/x"), b"x", QoS::AtLeastOnce).await;
        }
        peer.expect_nothing().await;
    }
}

#[tokio::test]
async fn each_of_a_hundred_clients_gets_its_own() {
    let broker = TestBroker::start().await;
    let mut clients = Vec::new();
    for n in 0..100usize {
        let mut client = broker.connect(VERSIONS[n % 2], &format!("client{n}")).await;
        client.subscribe(&format!("own/{n}"), at(QoS::AtLeastOnce)).await;
        clients.push(client);
    }
    let mut sender = broker.connect(Version::V5, "sender").await;
    for round in 0..3 {
        for n in 0..100 {
            let payload = format!("{round} {n}");
            sender.publish(&format!("own/{n}"), payload.as_bytes(), QoS::AtLeastOnce).await;
        }
    }
    for (n, client) in clients.iter_mut().enumerate() {
        let expected: Vec<_> = (0..3).map(|round| format!("{round} {n}")).collect();
        assert_eq!(client.receive_payloads(3).await, expected);
        client.expect_nothing().await;
    }
}

/// Silent ones take nobody's turn, and are sent away when their time for a CONNECT is over.
#[tokio::test]
async fn clients_that_say_nothing_hold_up_nobody() {
    let broker = TestBroker::start_with(|config| config.mqtt.connect_timeout_ms = 2_000).await;
    let mut silent = Vec::new();
    for n in 0..100 {
        let mut peer = broker.socket(VERSIONS[n % 2]).await;
        if n % 3 == 0 {
            // The beginning of a CONNECT.
            peer.send_bytes(b"\x10\x0d\0\x04MQ").await;
        }
        silent.push(peer);
    }
    serves(&broker, "speaks").await;
    for mut peer in silent {
        peer.expect_closed().await;
    }
    serves(&broker, "speaks").await;
}

/// Far more than the live log holds, for nobody: it is not kept for whoever comes later, and nothing stops.
#[tokio::test]
async fn messages_for_nobody_are_held_by_nobody() {
    let broker = TestBroker::start_with(|config| {
        config.live_log = LiveLog::smallest();
    })
    .await;
    let mut sender = broker.connect(Version::V5, "sender").await;
    let topics: Vec<_> = (0..20_000).map(|n| format!("nobody/{}", n % 7)).collect();
    publish_to(&mut sender, &topics, &[b'x'; 140]).await;
    for n in 0..200 {
        sender.publish("nobody/8", &[n; 1_000], QoS::ExactlyOnce).await;
    }
    let mut late = broker.connect(Version::V311, "late").await;
    late.subscribe("nobody/#", at(QoS::ExactlyOnce)).await;
    late.expect_nothing().await;
    let topics: BTreeSet<_> = topics.into_iter().collect();
    for topic in &topics {
        sender.publish(topic, b"x", QoS::AtLeastOnce).await;
        assert_eq!(late.receive().await.topic, *topic);
    }
    serves(&broker, "sender").await;
}
