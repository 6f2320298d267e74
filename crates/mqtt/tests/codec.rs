//! What the broker writes for its subscribers, and the codec against another implementation. The tables
//! of wire bytes are in `wire`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use dockside_mqtt::codec::{self, decode, encode, split};
use dockside_mqtt::packet::{Packet, PacketId, Publish, QoS, Version};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
use proptest::prelude::*;
use tokio_util::codec::Decoder as _;

fn id(n: u16) -> PacketId {
    PacketId::new(n).unwrap()
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
}
