//! Odd bytes and odd names: what is legal is done, what is not is refused with its reason.

use dockside_mqtt::packet::{Ack, Codes, Connack, Connect, Packet, Publish, Will};
use dockside_mqtt::property::{Properties, kept};
use dockside_mqtt::{QoS, ReasonCode, Version, codec};

use super::{QUALITIES, serves};
use crate::peer::{TestBroker, VERSIONS, at, connect, id, publish, read};

/// [MQTT-1.5.4-3], section 4.7.3: by publish and by will, for a filter with a wildcard and for one without.
#[tokio::test]
async fn a_topic_may_begin_with_any_character() {
    let broker = TestBroker::start().await;
    for version in VERSIONS {
        let mut all = broker.connect(version, "all").await;
        all.subscribe("#", at(QoS::ExactlyOnce)).await;
        let mut exact = broker.connect(version, "exact").await;
        let mut sender = broker.connect(version, "sender").await;
        for topic in ["é/x", "日本/x", "🚁", "\u{feff}x/y", " /x", "/", "%/x"] {
            exact.subscribe(topic, at(QoS::ExactlyOnce)).await;
            for qos in QUALITIES {
                sender.publish(topic, b"live", qos).await;
                for reader in [&mut all, &mut exact] {
                    let received = reader.receive().await;
                    assert_eq!((&*received.topic, received.qos), (topic, qos));
                }
            }
            let (qos, properties) = (QoS::AtLeastOnce, Properties::EMPTY);
            let will = Will { qos, retain: false, topic, payload: b"gone", properties };
            let asks = Connect { will: Some(will), ..connect(version, "mortal") };
            broker.enter(asks).await.0.vanish();
            for reader in [&mut all, &mut exact] {
                let received = reader.receive().await;
                assert_eq!((&*received.topic, &*received.payload), (topic, &b"gone"[..]));
            }
        }
    }
    serves(&broker, "sender").await;
}

/// What its client calls itself is not a topic; a second connection is a takeover [MQTT-3.1.4-3].
#[tokio::test]
async fn a_client_identifier_may_hold_any_characters() {
    let broker = TestBroker::start().await;
    for name in ["+", "#", "a/b", "$SYS/x", "$share/g/t", "日本", " ", "a+b#/$"] {
        for version in VERSIONS {
            let mut first = broker.connect(version, name).await;
            first.ping().await;
            let mut second = broker.connect(version, name).await;
            first.expect_ended(ReasonCode::SessionTakenOver).await;
            second.expect_nothing().await;
        }
        serves(&broker, name).await;
    }
}

/// What is wrong; first byte, what is before and behind the properties; the reason code.
type Wrong = (&'static str, u8, &'static [u8], &'static [u8], ReasonCode);

/// A packet whose properties, in 5.0, are none: what is before and behind them.
fn packet(version: Version, first: u8, before: &[u8], behind: &[u8]) -> Vec<u8> {
    let none: &[u8] = if version.is_v5() { b"\0" } else { b"" };
    let body = [before, none, behind].concat();
    [&[first, body.len() as u8][..], &body].concat()
}

/// [MQTT-1.5.4-2] [MQTT-2.2.1-3] [MQTT-3.3.1-2] [MQTT-3.3.1-4] [MQTT-3.3.2-2] [MQTT-3.8.1-1]
/// [MQTT-3.10.3-2] [MQTT-4.7.3-1]: nothing of it is acknowledged, and nobody gets it.
#[tokio::test]
async fn what_is_against_the_rules_ends_its_connection_and_reaches_nobody() {
    let broker = TestBroker::start().await;
    let malformed = ReasonCode::MalformedPacket;
    let name = ReasonCode::TopicNameInvalid;
    let protocol = ReasonCode::ProtocolError;
    let rows: [Wrong; 14] = [
        ("a topic with U+0000", 0x30, b"\0\x03a\0b", b"x", malformed),
        ("no UTF-8", 0x30, b"\0\x02\xc3\x28", b"x", malformed),
        ("a topic longer than its packet", 0x30, b"\0\xffa", b"x", malformed),
        ("no topic", 0x30, b"\0\0", b"x", protocol),
        ("a topic with #", 0x30, b"\0\x03x/#", b"x", name),
        ("a topic with +", 0x32, b"\0\x05x/+/y\0\x01", b"x", name),
        ("QoS 1 with identifier 0", 0x32, b"\0\x01t\0\0", b"x", malformed),
        ("QoS 2 with identifier 0", 0x34, b"\0\x01t\0\0", b"x", malformed),
        ("QoS 3", 0x36, b"\0\x01t\0\x01", b"x", malformed),
        ("DUP with QoS 0", 0x38, b"\0\x01t", b"x", malformed),
        ("SUBSCRIBE with wrong flags", 0x80, b"\0\x01", b"\0\x01t\0", malformed),
        ("SUBSCRIBE with identifier 0", 0x82, b"\0\0", b"\0\x01t\0", malformed),
        ("a filter with U+0000", 0x82, b"\0\x01", b"\0\x01\0\0", malformed),
        ("UNSUBSCRIBE of nothing", 0xa2, b"\0\x01", b"", protocol),
    ];
    for version in VERSIONS {
        let mut witness = broker.connect(version, "witness").await;
        witness.subscribe("#", at(QoS::AtMostOnce)).await;
        for (what, first, before, behind, reason) in rows {
            let mut peer = broker.connect(version, what).await;
            peer.send_bytes(&packet(version, first, before, behind)).await;
            peer.expect_ended(reason).await;
        }
        witness.expect_nothing().await;
    }
    serves(&broker, "QoS 3").await;
}

/// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] [MQTT-4.8.2-1] [MQTT-4.7.2-1]: the others of the packet hold.
#[tokio::test]
async fn a_filter_that_is_none_is_refused_and_matches_nothing() {
    let broker = TestBroker::start().await;
    let none = ["a/#/b", "a#", "+a/b", "a/b+", "", "$share/g", "$share//a", "#/"];
    for version in VERSIONS {
        let mut peer = broker.connect(version, "a").await;
        let filters = ["$own/#", "$SYS/#"].into_iter().chain(none);
        let filters: Vec<_> = filters.map(|filter| (filter, at(QoS::AtLeastOnce))).collect();
        let refused = match version {
            Version::V5 => ReasonCode::TopicFilterInvalid,
            _ => ReasonCode::UnspecifiedError,
        };
        let mut expected = vec![ReasonCode::GrantedQos1; 2];
        expected.extend([refused; 8]);
        assert_eq!(peer.subscribe_all(&filters, Properties::EMPTY).await, expected);
        let mut sender = broker.connect(version, "s").await;
        for topic in ["a/x/b", "a", "ab", "a/b", "g", "/"] {
            sender.publish(topic, b"x", QoS::AtLeastOnce).await;
        }
        sender.publish("$own/a/b", b"seen", QoS::AtLeastOnce).await;
        assert_eq!(peer.receive().await.topic, "$own/a/b");
        peer.expect_nothing().await;
    }
}

/// Section 4.13.1: its sender's connection ends, and the same client is let in again.
#[tokio::test]
async fn a_packet_that_only_a_server_sends_is_a_protocol_error() {
    let broker = TestBroker::start().await;
    let properties = Properties::EMPTY;
    let codes = |reason| Codes { packet_id: id(1), properties, reasons: vec![reason] };
    let connack = Connack { session_present: true, reason: ReasonCode::Success, properties };
    for version in VERSIONS {
        for packet in [
            Packet::Connack(connack),
            Packet::Suback(codes(ReasonCode::GrantedQos1)),
            Packet::Unsuback(codes(ReasonCode::Success)),
            Packet::Pingresp,
        ] {
            let mut peer = broker.connect(version, "same").await;
            peer.send(&packet).await;
            peer.expect_ended(ReasonCode::ProtocolError).await;
            // In the same breath with the CONNECT: what came before is answered.
            let mut peer = broker.socket(version).await;
            let mut bytes = Vec::new();
            codec::encode(
                &mut bytes,
                &Packet::Connect(Box::new(connect(version, "same"))),
                version,
            );
            codec::encode(&mut bytes, &packet, version);
            peer.send_bytes(&bytes).await;
            let answer = peer.packet().await;
            let is_in =
                matches!(read(&answer, version), Packet::Connack(c) if !c.reason.is_error());
            assert!(is_in, "{answer:?}");
            peer.expect_ended(ReasonCode::ProtocolError).await;
        }
        serves(&broker, "same").await;
    }
}

/// [MQTT-3.3.2-17]: 3.1.1 has no place for them, live or retained, now or when it comes back.
#[tokio::test]
async fn user_properties_never_reach_a_3_1_1_client() {
    let broker = TestBroker::start().await;
    let raw = b"\x26\0\x01k\0\x01v\x03\0\x04json\x26\0\x01k\0\x01w";
    let mut sender = broker.connect(Version::V5, "sender").await;
    let mut new = broker.connect(Version::V5, "new").await;
    new.subscribe("t", at(QoS::ExactlyOnce)).await;
    let mut old = broker.connect(Version::V311, "old").await;
    old.subscribe("t", at(QoS::ExactlyOnce)).await;
    for retain in [false, true] {
        for qos in QUALITIES {
            let message = Publish { retain, properties: kept(raw), ..publish("t", b"x", qos, 5) };
            sender.send(&Packet::Publish(message)).await;
            let ack = || Ack::new(id(5), ReasonCode::Success);
            match qos {
                QoS::AtMostOnce => {}
                QoS::AtLeastOnce => sender.expect(Packet::Puback(ack())).await,
                QoS::ExactlyOnce => {
                    sender.expect(Packet::Pubrec(ack())).await;
                    sender.send(&Packet::Pubrel(ack())).await;
                    sender.expect(Packet::Pubcomp(ack())).await;
                }
            }
            let received = new.receive().await;
            assert_eq!((received.qos, &*received.properties), (qos, &raw[..]));
            let received = old.receive().await;
            assert_eq!((received.qos, &*received.payload), (qos, &b"x"[..]));
        }
    }
    for _ in 0..3 {
        let mut old = broker.connect(Version::V311, "old").await;
        old.subscribe("t", at(QoS::AtLeastOnce)).await;
        let received = old.receive().await;
        assert_eq!((received.retain, &*received.payload), (true, &b"x"[..]));
        old.expect_nothing().await;
    }
    serves(&broker, "old").await;
}
