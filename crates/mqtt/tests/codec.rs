//! The codec against a table of wire bytes, both ways, and against another implementation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use dockside_mqtt::codec::{self, decode, encode, split};
use dockside_mqtt::packet::{
    Ack, Codes, Connack, Connect, Disconnect, Packet, PacketId, Publish, QoS, Subscribe,
    SubscriptionOptions, Unsubscribe, Version, Will,
};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
use dockside_mqtt::reason::ReasonCode;
use proptest::prelude::*;
use tokio_util::codec::Decoder as _;

fn id(n: u16) -> PacketId {
    PacketId::new(n).unwrap()
}

fn connect(version: Version) -> Connect<'static> {
    Connect {
        version,
        clean_start: true,
        keep_alive: 60,
        client_id: "c",
        will: None,
        username: None,
        password: None,
        properties: Properties::EMPTY,
    }
}

fn publish(qos: QoS, packet_id: u16) -> Publish<'static> {
    Publish {
        dup: false,
        qos,
        retain: false,
        packet_id: PacketId::new(packet_id),
        topic: "a/b",
        properties: Properties::EMPTY,
        payload: b"hi",
    }
}

/// Packet and bytes, equal in both directions.
#[rustfmt::skip]
fn table() -> Vec<(Version, Packet<'static>, &'static [u8])> {
    use Version::{V5, V31, V311};
    const NONE: Properties<'static> = Properties::EMPTY;
    let will = Will { qos: QoS::AtLeastOnce, retain: true, topic: "w", payload: b"x", properties: NONE };
    let full = Connect { clean_start: false, will: Some(will), username: Some("u"), password: Some(b"p"), ..connect(V311) };
    let connack = |session_present, reason| Packet::Connack(Connack { session_present, reason, properties: NONE });
    let codes = |reasons: &[ReasonCode]| Codes { packet_id: id(1), properties: NONE, reasons: reasons.to_vec() };
    let subscribe = |filters: &[(&'static str, SubscriptionOptions)]| {
        Packet::Subscribe(Subscribe { packet_id: id(1), properties: NONE, filters: filters.to_vec() })
    };
    let unsubscribe = Unsubscribe { packet_id: id(1), properties: NONE, filters: vec!["a", "b"] };
    let disconnect = |reason| Packet::Disconnect(Disconnect { reason, properties: NONE });
    let all = SubscriptionOptions { qos: QoS::ExactlyOnce, no_local: true, retain_as_published: true, retain_handling: 2 };
    let flags = Publish { dup: true, retain: true, ..publish(QoS::AtLeastOnce, 1) };
    vec![
        (V311, Packet::Connect(Box::new(connect(V311))), b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01c"),
        (V31, Packet::Connect(Box::new(connect(V31))), b"\x10\x0f\0\x06MQIsdp\x03\x02\0\x3c\0\x01c"),
        (V5, Packet::Connect(Box::new(connect(V5))), b"\x10\x0e\0\x04MQTT\x05\x02\0\x3c\0\0\x01c"),
        (V311, Packet::Connect(Box::new(full)), b"\x10\x19\0\x04MQTT\x04\xec\0\x3c\0\x01c\0\x01w\0\x01x\0\x01u\0\x01p"),
        (V311, connack(true, ReasonCode::Success), b"\x20\x02\x01\0"),
        (V311, connack(false, ReasonCode::NotAuthorized), b"\x20\x02\0\x05"),
        (V5, connack(false, ReasonCode::NotAuthorized), b"\x20\x03\0\x87\0"),
        (V311, Packet::Publish(publish(QoS::AtMostOnce, 0)), b"\x30\x07\0\x03a/bhi"),
        (V311, Packet::Publish(publish(QoS::AtLeastOnce, 258)), b"\x32\x09\0\x03a/b\x01\x02hi"),
        (V5, Packet::Publish(publish(QoS::ExactlyOnce, 1)), b"\x34\x0a\0\x03a/b\0\x01\0hi"),
        (V311, Packet::Publish(flags), b"\x3b\x09\0\x03a/b\0\x01hi"),
        (V311, Packet::Puback(Ack::new(id(7), ReasonCode::Success)), b"\x40\x02\0\x07"),
        (V5, Packet::Puback(Ack::new(id(7), ReasonCode::NotAuthorized)), b"\x40\x03\0\x07\x87"),
        (V5, Packet::Pubrec(Ack::new(id(7), ReasonCode::Success)), b"\x50\x02\0\x07"),
        (V5, Packet::Pubrel(Ack::new(id(7), ReasonCode::PacketIdentifierNotFound)), b"\x62\x03\0\x07\x92"),
        (V311, Packet::Pubcomp(Ack::new(id(7), ReasonCode::Success)), b"\x70\x02\0\x07"),
        (V311, subscribe(&[("a/#", SubscriptionOptions::qos(QoS::AtLeastOnce))]), b"\x82\x08\0\x01\0\x03a/#\x01"),
        (V5, subscribe(&[("a", all), ("b", SubscriptionOptions::qos(QoS::AtMostOnce))]), b"\x82\x0b\0\x01\0\0\x01a\x2e\0\x01b\x00"),
        (V311, Packet::Suback(codes(&[ReasonCode::GrantedQos2, ReasonCode::UnspecifiedError])), b"\x90\x04\0\x01\x02\x80"),
        (V5, Packet::Suback(codes(&[ReasonCode::TopicFilterInvalid])), b"\x90\x04\0\x01\0\x8f"),
        (V311, Packet::Unsubscribe(unsubscribe), b"\xa2\x08\0\x01\0\x01a\0\x01b"),
        (V311, Packet::Unsuback(codes(&[])), b"\xb0\x02\0\x01"),
        (V5, Packet::Unsuback(codes(&[ReasonCode::NoSubscriptionExisted])), b"\xb0\x04\0\x01\0\x11"),
        (V311, Packet::Pingreq, b"\xc0\0"),
        (V5, Packet::Pingresp, b"\xd0\0"),
        (V311, disconnect(ReasonCode::Success), b"\xe0\0"),
        (V5, disconnect(ReasonCode::SessionTakenOver), b"\xe0\x01\x8e"),
    ]
}

#[test]
fn every_packet_is_its_bytes_and_back() {
    for (version, packet, bytes) in table() {
        let mut out = Vec::new();
        encode(&mut out, &packet, version);
        assert_eq!(out, bytes, "{packet:?}");
        let (frame, used) = split(bytes, 1000).unwrap().expect("complete");
        assert_eq!(used, bytes.len());
        assert_eq!(decode(&frame, version).unwrap(), packet);
        for cut in 0..bytes.len() {
            assert_eq!(split(&bytes[..cut], 1000), Ok(None), "{packet:?} cut at {cut}");
        }
    }
}

/// What is wrong, the version, the bytes, the reason code.
#[rustfmt::skip]
const MALFORMED: &[(&str, Version, &[u8], ReasonCode)] = {
    use ReasonCode::{MalformedPacket, PacketTooLarge, ProtocolError, UnsupportedProtocolVersion};
    use Version::{V5, V311};
    &[
        ("packet type 0", V311, b"\0\0", MalformedPacket),
        ("AUTH in 3.1.1", V311, b"\xf0\0", MalformedPacket),
        ("QoS 3", V311, b"\x36\x05\0\x01a\0\x01", MalformedPacket),
        ("DUP with QoS 0", V311, b"\x38\x03\0\x01a", MalformedPacket),
        ("flags of SUBSCRIBE", V311, b"\x80\x06\0\x01\0\x01a\0", MalformedPacket),
        ("flags of PUBREL", V5, b"\x60\x02\0\x01", MalformedPacket),
        ("packet identifier 0", V311, b"\x32\x05\0\x01a\0\0", MalformedPacket),
        ("topic longer than the packet", V311, b"\x30\x03\0\x09a", MalformedPacket),
        ("topic is not UTF-8", V311, b"\x30\x04\0\x02\xc3\x28", MalformedPacket),
        ("a surrogate in UTF-8", V311, b"\x30\x05\0\x03\xed\xa0\x80", MalformedPacket),
        ("U+0000 in the topic", V311, b"\x30\x05\0\x03a\0b", MalformedPacket),
        ("length of five bytes", V311, b"\x30\xff\xff\xff\xff\x01", MalformedPacket),
        ("length not in its shortest form", V5, b"\x30\x05\0\x01a\x80\0", MalformedPacket),
        ("larger than the limit", V311, b"\x30\xe8\x07", PacketTooLarge),
        ("PINGREQ with a body", V311, b"\xc0\x01x", MalformedPacket),
        ("PUBACK too long", V311, b"\x40\x03\0\x01\0", MalformedPacket),
        ("SUBSCRIBE without a filter", V311, b"\x82\x02\0\x01", ProtocolError),
        ("UNSUBSCRIBE without a filter", V5, b"\xa2\x03\0\x01\0", ProtocolError),
        ("5.0 options in 3.1.1", V311, b"\x82\x06\0\x01\0\x01a\x04", MalformedPacket),
        ("retain handling 3", V5, b"\x82\x07\0\x01\0\0\x01a\x30", ProtocolError),
        ("reserved subscription options", V5, b"\x82\x07\0\x01\0\0\x01a\x40", MalformedPacket),
        ("DUP of SUBSCRIBE, which only 3.1 has", V311, b"\x8a\x06\0\x01\0\x01a\0", MalformedPacket),
        ("unknown protocol name", V311, b"\x10\x0d\0\x04MQTX\x04\x02\0\x3c\0\x01c", MalformedPacket),
        ("protocol level 6", V311, b"\x10\x0d\0\x04MQTT\x06\x02\0\x3c\0\x01c", UnsupportedProtocolVersion),
        ("reserved connect flag", V311, b"\x10\x0d\0\x04MQTT\x04\x03\0\x3c\0\x01c", MalformedPacket),
        ("will QoS without a will", V311, b"\x10\x0d\0\x04MQTT\x04\x0a\0\x3c\0\x01c", MalformedPacket),
        ("password without user name", V311, b"\x10\x10\0\x04MQTT\x04\x42\0\x3c\0\x01c\0\x01p", MalformedPacket),
        ("bytes behind CONNECT", V311, b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x01cx", MalformedPacket),
        ("unknown property", V5, b"\x30\x05\0\x01a\x01\x7f", MalformedPacket),
        ("property of another packet", V5, b"\x30\x07\0\x01a\x03\x21\0\x01", MalformedPacket),
        ("property twice", V5, b"\x30\x08\0\x01a\x04\x01\0\x01\0", ProtocolError),
        ("topic alias 0", V5, b"\x30\x07\0\x01a\x03\x23\0\0", ProtocolError),
        ("payload format 2", V5, b"\x30\x06\0\x01a\x02\x01\x02", ProtocolError),
        ("properties longer than the packet", V5, b"\x30\x04\0\x01a\x05", MalformedPacket),
        ("unknown reason code", V5, b"\x40\x03\0\x01\x42", MalformedPacket),
    ]
};

#[test]
fn malformed_packets_are_refused_with_their_reason() {
    for (name, version, bytes, expected) in MALFORMED {
        let result = split(bytes, 1000).and_then(|found| {
            let (frame, _) = found.expect(name);
            decode(&frame, *version).map(|packet| format!("{packet:?}"))
        });
        assert_eq!(result.map_err(|e| e.reason), Err(*expected), "{name}");
    }
}

#[test]
fn properties_keep_their_order_and_bytes() {
    let mut list = PropertyList::new();
    list.text(PropertyId::ContentType, "t")
        .number(PropertyId::PayloadFormatIndicator, 0)
        .number(PropertyId::MessageExpiryInterval, 0)
        .number(PropertyId::TopicAlias, 9);
    let packet = Publish { properties: list.as_properties(), ..publish(QoS::AtMostOnce, 0) };
    let mut out = Vec::new();
    encode(&mut out, &Packet::Publish(packet), Version::V5);
    let (frame, _) = split(&out, 1000).unwrap().unwrap();
    let Packet::Publish(read) = decode(&frame, Version::V5).unwrap() else { unreachable!() };
    assert_eq!(read.properties.raw(), list.as_properties().raw());
    let ids: Vec<_> = read.properties.iter().map(|p| p.id).collect();
    assert_eq!(
        ids,
        [
            PropertyId::ContentType,
            PropertyId::PayloadFormatIndicator,
            PropertyId::MessageExpiryInterval,
            PropertyId::TopicAlias
        ]
    );
    assert_eq!(read.properties.number(PropertyId::MessageExpiryInterval), Some(0));
}

#[test]
fn a_message_to_a_subscriber_carries_expiry_and_identifiers() {
    let message = codec::Message {
        alias: None,
        topic: "a",
        properties: Properties::EMPTY,
        payload: b"x",
        expiry: Some(5),
    };
    let mut out = Vec::new();
    let how = (QoS::AtLeastOnce, Some(id(3)));
    codec::publish(&mut out, Version::V5, &message, how, false, &[1, 200]);
    assert_eq!(out, b"\x32\x11\0\x01a\0\x03\x0a\x02\0\0\0\x05\x0b\x01\x0b\xc8\x01x");
    out.clear();
    codec::publish(&mut out, Version::V311, &message, how, true, &[1, 200]);
    assert_eq!(out, b"\x33\x06\0\x01a\0\x03x");
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9/ äßπ日]{1,40}"
}

proptest! {
    /// What we write, rmqtt-codec reads as the same message.
    #[test]
    fn another_implementation_reads_our_publishes(
        topic in text(), payload in proptest::collection::vec(any::<u8>(), 0..300),
        qos in 0u8..3, retain: bool, packet_id in 1u16.., key in text(), value in text(), v5: bool,
    ) {
        let version = if v5 { Version::V5 } else { Version::V311 };
        let qos = QoS::from_bits(qos).unwrap();
        let packet_id = (qos != QoS::AtMostOnce).then(|| id(packet_id));
        let mut block = vec![0x26];
        for part in [&key, &value] {
            block.extend_from_slice(&(part.len() as u16).to_be_bytes());
            block.extend_from_slice(part.as_bytes());
        }
        let properties = if v5 { dockside_mqtt::property::kept(&block) } else { Properties::EMPTY };
        let ours = Publish {
            dup: false, qos, retain, packet_id, topic: &topic, properties, payload: &payload,
        };
        let mut out = Vec::new();
        encode(&mut out, &Packet::Publish(ours), version);

        let (frame, used) = split(&out, 10_000).unwrap().unwrap();
        prop_assert_eq!(used, out.len());
        prop_assert_eq!(decode(&frame, version).unwrap(), Packet::Publish(ours));

        let mut bytes = bytes::BytesMut::from(&out[..]);
        let theirs = if v5 {
            match rmqtt_codec::v5::Codec::new(10_000, 10_000).decode(&mut bytes).unwrap().unwrap().0 {
                rmqtt_codec::v5::Packet::Publish(p) => *p,
                other => panic!("{other:?}"),
            }
        } else {
            match rmqtt_codec::v3::Codec::new(10_000).decode(&mut bytes).unwrap().unwrap().0 {
                rmqtt_codec::v3::Packet::Publish(p) => *p,
                other => panic!("{other:?}"),
            }
        };
        prop_assert_eq!(&theirs.topic[..], &topic[..]);
        prop_assert_eq!(&theirs.payload[..], &payload[..]);
        prop_assert_eq!(theirs.qos.value(), qos.bits());
        prop_assert_eq!(theirs.retain, retain);
        prop_assert_eq!(theirs.packet_id, packet_id);
        if let Some(p) = theirs.properties {
            prop_assert_eq!(&p.user_properties[0].1[..], &value[..]);
        }
    }

    /// No bytes make the decoder panic; what it accepts it can write and read again.
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), v5: bool) {
        let version = if v5 { Version::V5 } else { Version::V311 };
        if let Ok(Some((frame, _))) = split(&bytes, 1000)
            && let Ok(packet) = decode(&frame, version)
        {
            let version = match &packet { Packet::Connect(c) => c.version, _ => version };
            let mut out = Vec::new();
            encode(&mut out, &packet, version);
            let (again, _) = split(&out, 1000).unwrap().unwrap();
            prop_assert_eq!(decode(&again, version).unwrap(), packet);
        }
    }

    /// The same with packets that were good before one byte changed.
    #[test]
    fn mutated_packets_never_panic(pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), to: u8) {
        let table = table();
        let (version, _, bytes) = pick.get(&table);
        let mut bytes = bytes.to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(Some((frame, _))) = split(&bytes, 1000) {
            let _ = decode(&frame, *version);
        }
    }
}
