//! What both ends tell each other about packets: sizes, windows, aliases, keep alives, sentences
//! (MQTT 5.0 sections 3.1.2.11, 3.2.2.3, 4.9).

use dockside_mqtt::packet::{Connect, Packet};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList, Value};
use dockside_mqtt::{QoS, ReasonCode, Version};

use crate::peer::{Peer, TestBroker, at, connect, id, publish, read};

/// Connects in 5.0 with one number in its properties.
async fn with(broker: &TestBroker, property: PropertyId, value: u32) -> Peer {
    let mut list = PropertyList::new();
    list.number(property, value);
    let asks = Connect { properties: list.as_properties(), ..connect(Version::V5, "a") };
    broker.enter(asks).await.0
}

/// The sentence for people in a packet's properties.
fn sentence(properties: Properties<'_>) -> Option<&str> {
    properties.text(PropertyId::ReasonString)
}

/// [MQTT-3.1.2-26] [MQTT-3.3.2-11]: by topic, also under one filter, and no more than it takes.
#[tokio::test]
async fn the_broker_uses_the_aliases_that_a_client_takes() {
    let broker = TestBroker::start().await;
    let mut peer = with(&broker, PropertyId::TopicAliasMaximum, 2).await;
    peer.subscribe("t/#", at(QoS::AtLeastOnce)).await;
    let mut sender = broker.connect(Version::V311, "s").await;
    let mut aliases = std::collections::HashMap::new();
    let mut bare = 0;
    for n in 0..30 {
        let topic = format!("t/{}", n % 3);
        sender.publish(&topic, topic.as_bytes(), QoS::from_bits(n % 2).unwrap()).await;
        let received = peer.receive().await;
        let properties = dockside_mqtt::property::kept(&received.properties);
        let alias = properties.number(PropertyId::TopicAlias);
        let resolved = match alias {
            Some(alias) if received.topic.is_empty() => {
                bare += 1;
                aliases.get(&alias).cloned()
            }
            Some(alias) => {
                assert!((1..=2).contains(&alias));
                aliases.insert(alias, received.topic.clone());
                Some(received.topic)
            }
            None => Some(received.topic),
        };
        assert_eq!(resolved.as_deref(), Some(&*topic), "payload and topic belong together");
        assert_eq!(received.payload, topic.as_bytes());
    }
    assert_eq!(bare, 18, "two of three topics, each but the first time");
}

/// An alias must not make a message too large that is not.
#[tokio::test]
async fn a_message_that_just_fits_is_sent_without_an_alias() {
    let broker = TestBroker::start().await;
    let mut list = PropertyList::new();
    list.number(PropertyId::MaximumPacketSize, 60).number(PropertyId::TopicAliasMaximum, 5);
    let asks = Connect { properties: list.as_properties(), ..connect(Version::V5, "a") };
    let (mut peer, _) = broker.enter(asks).await;
    peer.subscribe("t", at(QoS::AtMostOnce)).await;
    // 60 bytes: 2 of header, 3 of topic, 1 of properties, 54 of payload.
    let payload = [b'x'; 54];
    for _ in 0..2 {
        peer.publish("t", &payload, QoS::AtMostOnce).await;
        assert_eq!(peer.receive().await.payload, payload);
    }
}

/// [MQTT-3.1.2-27]
#[tokio::test]
async fn without_a_word_no_aliases_are_used() {
    let broker = TestBroker::start().await;
    for maximum in [None, Some(0)] {
        let mut peer = match maximum {
            None => broker.connect(Version::V5, "a").await,
            Some(n) => with(&broker, PropertyId::TopicAliasMaximum, n).await,
        };
        peer.subscribe("t", at(QoS::AtMostOnce)).await;
        for _ in 0..2 {
            peer.publish("t", b"x", QoS::AtMostOnce).await;
            let received = peer.receive().await;
            assert_eq!((&*received.topic, received.properties.is_empty()), ("t", true));
        }
    }
}

/// [MQTT-3.1.2-24] [MQTT-3.1.2-25]: too large for one, delivered to the other.
#[tokio::test]
async fn a_message_larger_than_a_client_takes_is_not_sent_to_it() {
    let broker = TestBroker::start().await;
    let mut small = with(&broker, PropertyId::MaximumPacketSize, 60).await;
    let mut large = broker.connect(Version::V5, "b").await;
    let mut sender = broker.connect(Version::V5, "s").await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for peer in [&mut small, &mut large] {
            peer.subscribe("t", at(qos)).await;
        }
        sender.publish("t", &[b'x'; 100], qos).await;
        sender.publish("t", b"small", qos).await;
        assert_eq!(small.receive().await.payload, b"small");
        assert_eq!(large.receive_payloads(2).await[1], "small");
    }
    small.expect_nothing().await;
}

/// [MQTT-3.1.2-24] for a packet that is no message: without it the client would wait for ever.
#[tokio::test]
async fn an_answer_larger_than_a_client_takes_ends_the_connection() {
    let broker = TestBroker::start().await;
    let mut peer = with(&broker, PropertyId::MaximumPacketSize, 30).await;
    let qos = at(QoS::AtMostOnce);
    let filters: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    peer.send(&Packet::Subscribe(dockside_mqtt::packet::Subscribe {
        packet_id: id(1),
        properties: Properties::EMPTY,
        filters: filters.iter().map(|filter| (&**filter, qos)).collect(),
    }))
    .await;
    let bytes = peer.packet().await;
    assert!(bytes.len() <= 30);
    let Packet::Disconnect(disconnect) = read(&bytes, Version::V5) else { panic!("{bytes:?}") };
    assert_eq!(
        (disconnect.reason, sentence(disconnect.properties)),
        (ReasonCode::PacketTooLarge, None)
    );
    peer.expect_closed().await;
}

/// Section 4.9: never more unacknowledged messages than the client's receive maximum, whichever is
/// acknowledged first.
#[tokio::test]
async fn the_receive_maximum_of_a_client_holds_and_acknowledgements_come_in_any_order() {
    let broker = TestBroker::start().await;
    let mut peer = with(&broker, PropertyId::ReceiveMaximum, 3).await;
    peer.subscribe("t", at(QoS::ExactlyOnce)).await;
    let mut sender = broker.connect(Version::V5, "s").await;
    for n in 0..12 {
        let qos = QoS::from_bits(1 + n % 2).unwrap();
        sender.publish("t", &[n], qos).await;
    }
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(peer.receive_only().await);
    }
    let mut got: Vec<u8> = held.iter().map(|received| received.payload[0]).collect();
    while got.len() < 12 {
        peer.ping().await;
        let last = held.pop().unwrap();
        peer.acknowledge(&last).await;
        let next = peer.receive_only().await;
        got.push(next.payload[0]);
        held.push(next);
    }
    assert_eq!(got, (0..12).collect::<Vec<u8>>());
}

/// The configured bound holds for clients that set none.
#[tokio::test]
async fn the_configured_inflight_limit_holds() {
    let broker = TestBroker::start_with(|config| config.limits.inflight = 2).await;
    for version in crate::peer::VERSIONS {
        let mut peer = broker.connect(version, "a").await;
        peer.subscribe("t", at(QoS::AtLeastOnce)).await;
        let mut sender = broker.connect(version, "s").await;
        for n in 0..4 {
            sender.publish("t", &[n], QoS::AtLeastOnce).await;
        }
        let first = [peer.receive_only().await, peer.receive_only().await];
        peer.ping().await;
        peer.acknowledge(&first[1]).await;
        assert_eq!(peer.receive_only().await.payload, [2]);
        peer.ping().await;
    }
}

/// [MQTT-3.1.2-21] [MQTT-3.2.2-22]
#[tokio::test]
async fn a_longest_keep_alive_is_told_and_holds() {
    let broker = TestBroker::start_with(|config| config.mqtt.keep_alive_max_s = 60).await;
    for (asked, granted) in [(0, Some(60)), (61, Some(60)), (60, None), (10, None)] {
        let mut peer = broker.socket(Version::V5).await;
        let asks = Connect { keep_alive: asked, ..connect(Version::V5, "a") };
        peer.send(&Packet::Connect(Box::new(asks))).await;
        let bytes = peer.packet().await;
        let Packet::Connack(connack) = read(&bytes, Version::V5) else { panic!("{bytes:?}") };
        assert_eq!(connack.properties.number(PropertyId::ServerKeepAlive), granted, "{asked}");
        broker.pass(u64::from(granted.unwrap_or(asked.into())) * 3 / 2 + 1);
        peer.expect_ended(ReasonCode::KeepAliveTimeout).await;
    }
    // 3.1.1 cannot be told, and is not surprised.
    let mut old = broker.connect(Version::V311, "b").await;
    broker.pass(1_000);
    old.ping().await;
}

/// [MQTT-3.1.2-29] [MQTT-3.4.2-2] [MQTT-3.14.2-3]
#[tokio::test]
async fn what_fails_is_explained_to_who_wants_to_know() {
    let broker = TestBroker::start().await;
    for (wants, explained) in [(None, true), (Some(1), true), (Some(0), false)] {
        let mut peer = match wants {
            None => broker.connect(Version::V5, "a").await,
            Some(n) => with(&broker, PropertyId::RequestProblemInformation, n).await,
        };
        peer.send(&Packet::Publish(publish("$SYS/x", b"", QoS::AtLeastOnce, 1))).await;
        let bytes = peer.packet().await;
        let Packet::Puback(ack) = read(&bytes, Version::V5) else { panic!("{bytes:?}") };
        assert_eq!(ack.reason, ReasonCode::NotAuthorized);
        assert_eq!(sentence(ack.properties).is_some(), explained);
        // A DISCONNECT may always say why.
        peer.send_bytes(&[0xC1, 0]).await;
        let bytes = peer.packet().await;
        let Packet::Disconnect(last) = read(&bytes, Version::V5) else { panic!("{bytes:?}") };
        assert_eq!(sentence(last.properties), Some("reserved bits of the first byte"));
        peer.expect_closed().await;
    }
}

/// [MQTT-3.2.2-19]: CONNACK says why, if that fits.
#[tokio::test]
async fn a_refusal_is_explained_if_the_explanation_fits() {
    let broker = TestBroker::start().await;
    for (maximum, explained) in [(1_000, true), (40, false)] {
        let mut list = PropertyList::new();
        list.number(PropertyId::MaximumPacketSize, maximum)
            .text(PropertyId::AuthenticationMethod, "X");
        let asks = Connect { properties: list.as_properties(), ..connect(Version::V5, "a") };
        let mut peer = broker.socket(Version::V5).await;
        peer.send(&Packet::Connect(Box::new(asks))).await;
        let bytes = peer.packet().await;
        let Packet::Connack(connack) = read(&bytes, Version::V5) else { panic!("{bytes:?}") };
        assert_eq!(connack.reason, ReasonCode::BadAuthenticationMethod);
        assert_eq!(sentence(connack.properties).is_some(), explained, "{maximum}");
        peer.expect_closed().await;
    }
}

/// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-20]
#[tokio::test]
async fn properties_are_passed_on_unaltered_and_in_their_order() {
    let broker = TestBroker::start().await;
    let mut peer = broker.connect(Version::V5, "a").await;
    peer.subscribe("t", at(QoS::ExactlyOnce)).await;
    // User property, correlation data, user property, payload format, response topic, content type.
    let raw = b"\x26\0\x01k\0\x01a\x09\0\x02\0\xff\x26\0\x01k\0\x01b\x01\0\x08\0\x01r\x03\0\x01c";
    let mut sender = broker.connect(Version::V5, "s").await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let properties = dockside_mqtt::property::kept(raw);
        let message = dockside_mqtt::packet::Publish { properties, ..publish("t", b"x", qos, 1) };
        sender.send(&Packet::Publish(message)).await;
        let received = peer.receive().await;
        assert_eq!(received.properties, raw);
        let pairs = dockside_mqtt::property::kept(&received.properties);
        let pairs = pairs.iter().filter(|p| matches!(p.value, Value::Pair(..))).count();
        assert_eq!(pairs, 2);
        if qos != QoS::AtMostOnce {
            sender.packet().await;
        }
        if qos == QoS::ExactlyOnce {
            sender
                .send(&Packet::Pubrel(dockside_mqtt::packet::Ack::new(id(1), ReasonCode::Success)))
                .await;
            sender.packet().await;
        }
    }
}

/// The tree that monitoring tools read, by mosquitto's names.
#[tokio::test]
async fn the_broker_tells_about_itself_under_sys() {
    let broker = TestBroker::start_with(|config| config.mqtt.sys_interval_s = 10).await;
    let mut peer = broker.connect(Version::V311, "a").await;
    peer.subscribe("$SYS/broker/#", at(QoS::AtMostOnce)).await;
    let mut values = std::collections::BTreeMap::new();
    let mut take = |received: crate::peer::Received| {
        values.insert(received.topic, String::from_utf8(received.payload).unwrap());
    };
    for _ in 0..51 {
        take(peer.receive().await);
    }
    broker.pass(11);
    // The count of connected clients has changed since the first time.
    loop {
        let received = peer.receive().await;
        let last = received.topic == "$SYS/broker/load/connections/15min";
        take(received);
        if last {
            break;
        }
    }
    for (topic, value) in [
        ("clients/connected", "1"),
        ("clients/total", "1"),
        ("clients/maximum", "1"),
        ("subscriptions/count", "1"),
        ("retained messages/count", "0"),
        ("publish/messages/dropped", "0"),
    ] {
        assert_eq!(values[&format!("$SYS/broker/{topic}")], value, "{topic}");
    }
    assert!(values["$SYS/broker/version"].starts_with("dockside version "));
    assert!(values["$SYS/broker/uptime"].ends_with(" seconds"));
    assert_ne!(values["$SYS/broker/load/connections/1min"], "0.00");
    // Wildcards at the start do not match it.
    let mut other = broker.connect(Version::V5, "b").await;
    other.subscribe("#", at(QoS::AtMostOnce)).await;
    other.subscribe("+/broker/#", at(QoS::AtMostOnce)).await;
    other.expect_nothing().await;
}

#[tokio::test]
async fn the_tree_can_be_off() {
    let broker = TestBroker::start_with(|config| config.mqtt.sys_interval_s = 0).await;
    let mut peer = broker.connect(Version::V311, "a").await;
    peer.subscribe("$SYS/#", at(QoS::AtMostOnce)).await;
    broker.pass(100);
    peer.expect_nothing().await;
}
