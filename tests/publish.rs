//! PUBLISH in all qualities, both ways (MQTT 5.0 sections 3.3 to 3.7, 4.3).

use dockside_mqtt::packet::{Ack, Connect, Packet, Publish};
use dockside_mqtt::property::{PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version};

use crate::peer::{TestBroker, VERSIONS, at, connect, id, publish};

const QUALITIES: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// [MQTT-4.3.2-5] [MQTT-4.3.3-12] [MQTT-3.3.4-1] [MQTT-4.3.1-1] [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.3-1] [MQTT-4.3.3-2]
///
/// The QoS of a delivery is the lesser of publish and subscription.
#[tokio::test]
async fn every_quality_to_every_quality_in_every_version() {
    let broker = TestBroker::start().await;
    for from in VERSIONS {
        for to in VERSIONS {
            let mut sender = broker.connect(from, "sender").await;
            let mut receiver = broker.connect(to, "receiver").await;
            for subscribed in QUALITIES {
                receiver.subscribe("a/b", at(subscribed)).await;
                for published in QUALITIES {
                    let payload = format!("{published:?} to {subscribed:?}");
                    sender.publish("a/b", payload.as_bytes(), published).await;
                    let received = receiver.receive().await;
                    assert_eq!(received.payload, payload.as_bytes());
                    assert_eq!(received.qos, published.min(subscribed));
                    assert!(!received.retain);
                }
            }
        }
    }
}

/// [MQTT-4.3.3-10]
#[tokio::test]
async fn a_repeated_qos_2_message_is_delivered_once() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut receiver = broker.connect(version, "receiver").await;
        receiver.subscribe("t", at(QoS::ExactlyOnce)).await;
        let mut sender = broker.connect(version, "sender").await;
        let message = publish("t", b"once", QoS::ExactlyOnce, 5);
        let again = Publish { dup: true, ..message };
        let ok = |id| Ack::new(id, ReasonCode::Success);
        for packet in [message, again, again] {
            sender.send(&Packet::Publish(packet)).await;
            sender.expect(Packet::Pubrec(ok(id(5)))).await;
        }
        sender.send(&Packet::Pubrel(ok(id(5)))).await;
        sender.expect(Packet::Pubcomp(ok(id(5)))).await;
        // Released: 5.0 hears that nothing is known of it any more.
        sender.send(&Packet::Pubrel(ok(id(5)))).await;
        sender.expect(Packet::Pubcomp(Ack::new(id(5), ReasonCode::PacketIdentifierNotFound))).await;
        let received = receiver.receive().await;
        // [MQTT-3.3.1-3]
        assert_eq!((&*received.payload, received.dup), (&b"once"[..], false));
        receiver.expect_nothing().await;
    }
}

/// [MQTT-2.2.1-5]
#[tokio::test]
async fn acknowledgements_of_nothing_are_taken() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut peer = broker.connect(version, "a").await;
        let ok = |id| Ack::new(id, ReasonCode::Success);
        peer.send(&Packet::Puback(ok(id(3)))).await;
        peer.send(&Packet::Pubcomp(ok(id(3)))).await;
        peer.send(&Packet::Pubrec(ok(id(3)))).await;
        peer.expect(Packet::Pubrel(Ack::new(id(3), ReasonCode::PacketIdentifierNotFound))).await;
        peer.expect_nothing().await;
    }
}

/// Section 4.9
/// [MQTT-4.3.3-9]: a PUBREC with an error has ended the exchange.
#[tokio::test]
async fn the_identifier_of_a_refused_message_is_free() {
    let broker = TestBroker::start().await;
    let mut peer = broker.connect(Version::V5, "a").await;
    peer.subscribe("t", at(QoS::AtLeastOnce)).await;
    peer.send(&Packet::Publish(publish("$SYS/x", b"", QoS::ExactlyOnce, 5))).await;
    peer.expect(Packet::Pubrec(Ack::new(id(5), ReasonCode::NotAuthorized))).await;
    peer.send(&Packet::Publish(publish("t", b"new", QoS::ExactlyOnce, 5))).await;
    peer.expect(Packet::Pubrec(Ack::new(id(5), ReasonCode::Success))).await;
    assert_eq!(peer.receive().await.payload, b"new");
}

/// An acknowledgement of the wrong kind is an error (section 4.3); a late one of nothing is not.
#[tokio::test]
async fn acknowledgements_of_the_wrong_kind_end_the_connection() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let mut peer = broker.connect(version, "a").await;
            peer.subscribe("t", at(qos)).await;
            let mut sender = broker.connect(version, "s").await;
            sender.publish("t", b"x", qos).await;
            let ack = Ack::new(peer.receive_only().await.packet_id.unwrap(), ReasonCode::Success);
            peer.send(&match qos {
                QoS::AtLeastOnce => Packet::Pubrec(ack),
                _ => Packet::Puback(ack),
            })
            .await;
            peer.expect_ended(ReasonCode::ProtocolError).await;
        }
    }
}

#[tokio::test]
async fn a_client_never_gets_more_than_its_receive_maximum() {
    let broker = TestBroker::start().await;
    let mut list = PropertyList::new();
    list.number(PropertyId::ReceiveMaximum, 2);
    let mut receiver = broker.socket(Version::V5).await;
    let asks = Connect { properties: list.as_properties(), ..connect(Version::V5, "r") };
    assert_eq!(receiver.connect(asks).await, ReasonCode::Success);
    receiver.subscribe("t", at(QoS::AtLeastOnce)).await;
    let mut sender = broker.connect(Version::V5, "sender").await;
    for n in 0..4u8 {
        sender.publish("t", &[n], QoS::AtLeastOnce).await;
    }
    let message = |n: &'static [u8], id| Packet::Publish(publish("t", n, QoS::AtLeastOnce, id));
    receiver.expect(message(&[0], 1)).await;
    receiver.expect(message(&[1], 2)).await;
    // The others have been dispatched when the sender's own fence has.
    sender.expect_nothing().await;
    receiver.ping().await;
    receiver.send(&Packet::Puback(Ack::new(id(2), ReasonCode::Success))).await;
    receiver.expect(message(&[2], 3)).await;
    receiver.ping().await;
    receiver.send(&Packet::Puback(Ack::new(id(1), ReasonCode::Success))).await;
    receiver.expect(message(&[3], 4)).await;
}

/// [MQTT-3.3.4-7]
/// [MQTT-3.3.4-7]
#[tokio::test]
async fn a_client_beyond_the_granted_receive_maximum_is_disconnected() {
    let broker = TestBroker::start_with(|config| config.limits.receive_maximum = 2).await;
    let mut peer = broker.connect(Version::V5, "a").await;
    for n in [1, 2] {
        peer.send(&Packet::Publish(publish("t", b"", QoS::ExactlyOnce, n))).await;
        peer.expect(Packet::Pubrec(Ack::new(id(n), ReasonCode::Success))).await;
    }
    peer.send(&Packet::Publish(publish("t", b"", QoS::ExactlyOnce, 3))).await;
    peer.expect_ended(ReasonCode::ReceiveMaximumExceeded).await;
    // 3.1.1 has no such limit.
    let mut peer = broker.connect(Version::V311, "b").await;
    for n in 1..=50 {
        peer.send(&Packet::Publish(publish("t", b"", QoS::ExactlyOnce, n))).await;
        peer.expect(Packet::Pubrec(Ack::new(id(n), ReasonCode::Success))).await;
    }
}

/// [MQTT-3.3.2-2] [MQTT-3.3.2-9] [MQTT-3.3.2-14] [MQTT-3.3.4-6]
#[tokio::test]
async fn illegal_publishes_end_the_connection_with_their_reason() {
    let broker = TestBroker::start().await;
    let alias = |n| {
        let mut list = PropertyList::new();
        list.number(PropertyId::TopicAlias, n);
        list
    };
    let mut subscription_id = PropertyList::new();
    subscription_id.number(PropertyId::SubscriptionIdentifier, 1);
    let mut response = PropertyList::new();
    response.text(PropertyId::ResponseTopic, "a/+");
    let plain = publish("t", b"", QoS::AtMostOnce, 0);
    let (unknown, above) = (alias(1), alias(17));
    let with = |list: &'static PropertyList| Publish { properties: list.as_properties(), ..plain };
    // Leaked: a test's own constants.
    let keep = |list: PropertyList| -> &'static PropertyList { Box::leak(Box::new(list)) };
    for (packet, reason) in [
        (Publish { topic: "a/+", ..plain }, ReasonCode::TopicNameInvalid),
        (Publish { topic: "", ..plain }, ReasonCode::ProtocolError),
        (Publish { topic: "", ..with(keep(unknown)) }, ReasonCode::ProtocolError),
        (with(keep(above)), ReasonCode::TopicAliasInvalid),
        (with(keep(subscription_id)), ReasonCode::ProtocolError),
        (with(keep(response)), ReasonCode::ProtocolError),
    ] {
        let mut peer = broker.connect(Version::V5, "a").await;
        peer.send(&Packet::Publish(packet)).await;
        peer.expect_ended(reason).await;
    }
    let mut peer = broker.connect(Version::V311, "a").await;
    peer.send(&Packet::Publish(Publish { topic: "a/#", ..plain })).await;
    peer.expect_ended(ReasonCode::TopicNameInvalid).await;
}

/// [MQTT-3.3.2-12]
#[tokio::test]
async fn a_topic_alias_stands_for_its_topic() {
    let broker = TestBroker::start().await;
    let mut receiver = broker.connect(Version::V5, "r").await;
    receiver.subscribe("#", at(QoS::AtMostOnce)).await;
    let mut sender = broker.connect(Version::V5, "s").await;
    let mut list = PropertyList::new();
    list.text(PropertyId::ContentType, "json").number(PropertyId::TopicAlias, 3);
    let properties = list.as_properties();
    for topic in ["first", "", "second", ""] {
        let message = publish(topic, b"x", QoS::AtLeastOnce, 1);
        sender.send(&Packet::Publish(Publish { properties, ..message })).await;
        sender.expect(Packet::Puback(Ack::new(id(1), ReasonCode::Success))).await;
    }
    for topic in ["first", "first", "second", "second"] {
        let received = receiver.receive().await;
        assert_eq!(received.topic, topic);
        assert_eq!(received.properties, b"\x03\0\x04json", "all but the alias");
    }
}

/// [MQTT-3.3.2-17]
#[tokio::test]
async fn properties_reach_5_0_and_are_left_out_before() {
    let broker = TestBroker::start().await;
    let mut new = broker.connect(Version::V5, "new").await;
    let mut old = broker.connect(Version::V311, "old").await;
    new.subscribe("t", at(QoS::AtMostOnce)).await;
    old.subscribe("t", at(QoS::AtMostOnce)).await;
    let mut list = PropertyList::new();
    list.number(PropertyId::PayloadFormatIndicator, 0)
        .number(PropertyId::MessageExpiryInterval, 100)
        .text(PropertyId::ResponseTopic, "answer");
    let mut sender = broker.connect(Version::V5, "s").await;
    let message = publish("t", b"x", QoS::AtMostOnce, 0);
    let properties = list.as_properties();
    sender.send(&Packet::Publish(Publish { properties, ..message })).await;
    let received = new.receive().await;
    assert_eq!(received.properties, b"\x01\0\x08\0\x06answer\x02\0\0\0\x64");
    assert_eq!(old.receive().await.payload, b"x");
}

/// [MQTT-3.3.2-5]
#[tokio::test]
async fn an_expired_message_is_not_delivered() {
    let broker = TestBroker::start().await;
    let mut receiver = broker.connect(Version::V5, "r").await;
    receiver.subscribe("t", at(QoS::AtMostOnce)).await;
    let mut list = PropertyList::new();
    list.number(PropertyId::MessageExpiryInterval, 0);
    let mut sender = broker.connect(Version::V5, "s").await;
    let message = publish("t", b"late", QoS::AtLeastOnce, 1);
    sender.send(&Packet::Publish(Publish { properties: list.as_properties(), ..message })).await;
    sender.expect(Packet::Puback(Ack::new(id(1), ReasonCode::Success))).await;
    sender.publish("t", b"next", QoS::AtLeastOnce).await;
    assert_eq!(receiver.receive().await.payload, b"next");
}

/// [MQTT-3.3.2-4] and the code of section 3.4.2.1
#[tokio::test]
async fn a_payload_that_lies_about_its_format_is_refused() {
    let broker = TestBroker::start().await;
    let mut list = PropertyList::new();
    list.number(PropertyId::PayloadFormatIndicator, 1);
    let mut peer = broker.connect(Version::V5, "a").await;
    peer.subscribe("t", at(QoS::AtMostOnce)).await;
    let message = publish("t", b"\xff", QoS::AtLeastOnce, 1);
    peer.send(&Packet::Publish(Publish { properties: list.as_properties(), ..message })).await;
    peer.expect(Packet::Puback(Ack::new(id(1), ReasonCode::PayloadFormatInvalid))).await;
    peer.expect_nothing().await;
}

#[tokio::test]
async fn only_the_broker_speaks_under_sys() {
    let broker = TestBroker::start().await;
    let mut peer = broker.connect(Version::V5, "a").await;
    peer.subscribe("$SYS/#", at(QoS::AtMostOnce)).await;
    peer.send(&Packet::Publish(publish("$SYS/fake", b"x", QoS::AtLeastOnce, 1))).await;
    peer.expect(Packet::Puback(Ack::new(id(1), ReasonCode::NotAuthorized))).await;
    let mut old = broker.connect(Version::V311, "b").await;
    old.publish("$SYS/fake", b"x", QoS::AtLeastOnce).await;
    peer.expect_nothing().await;
}

#[tokio::test]
async fn packets_arrive_whole_however_they_are_cut() {
    let broker = TestBroker::start().await;
    let mut receiver = broker.connect(Version::V311, "r").await;
    receiver.subscribe("t", at(QoS::AtMostOnce)).await;
    let mut sender = broker.connect(Version::V311, "s").await;
    for byte in b"\x30\x05\0\x01tab\xc0\0" {
        sender.send_bytes(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    sender.expect(Packet::Pingresp).await;
    assert_eq!(receiver.receive().await.payload, b"ab");
    sender.send_bytes(&b"\x30\x05\0\x01tcd".repeat(100)).await;
    for _ in 0..100 {
        assert_eq!(receiver.receive().await.payload, b"cd");
    }
}

#[tokio::test]
async fn large_messages_pass_and_too_large_ones_end_the_connection() {
    let broker = TestBroker::start().await;
    let large = vec![7; (1 << 20) - 100];
    for version in VERSIONS {
        let mut receiver = broker.connect(version, "r").await;
        receiver.subscribe("t", at(QoS::AtLeastOnce)).await;
        let mut sender = broker.connect(version, "s").await;
        for qos in QUALITIES {
            sender.publish("t", &large, qos).await;
            assert!(receiver.receive().await.payload == large, "every byte");
        }
        // Refused as soon as the length is known.
        sender.send_bytes(b"\x30\xff\xff\xff\x7f").await;
        sender.expect_ended(ReasonCode::PacketTooLarge).await;
    }
}

/// [MQTT-3.1.2-24]
#[tokio::test]
async fn a_client_never_gets_a_packet_larger_than_it_takes() {
    let broker = TestBroker::start().await;
    let mut list = PropertyList::new();
    list.number(PropertyId::MaximumPacketSize, 40);
    let mut receiver = broker.socket(Version::V5).await;
    let asks = Connect { properties: list.as_properties(), ..connect(Version::V5, "r") };
    receiver.connect(asks).await;
    receiver.subscribe("t", at(QoS::AtLeastOnce)).await;
    let mut sender = broker.connect(Version::V5, "s").await;
    sender.publish("t", &[0; 100], QoS::AtLeastOnce).await;
    sender.publish("t", b"fits", QoS::AtLeastOnce).await;
    assert_eq!(receiver.receive().await.payload, b"fits");
}
