//! Packets of 256 bytes of payload, from bytes and to bytes.

use std::hint::black_box;

use dockside_mqtt::codec::{self, MAX_PACKET};
use dockside_mqtt::packet::{Ack, Publish};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{Packet, PacketId, QoS, ReasonCode, Version};

use crate::{Case, Work};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "decode PUBLISH, QoS 0, 3.1.1",
        prepare: || decode(Version::V311, QoS::AtMostOnce),
    },
    Case {
        name: "decode PUBLISH, QoS 1, 3.1.1",
        prepare: || decode(Version::V311, QoS::AtLeastOnce),
    },
    Case {
        name: "decode PUBLISH, QoS 1, 5.0, 4 properties",
        prepare: || decode(Version::V5, QoS::AtLeastOnce),
    },
    Case {
        name: "encode PUBLISH, QoS 1, 3.1.1",
        prepare: || encode(Version::V311, publish(Version::V311, QoS::AtLeastOnce)),
    },
    Case {
        name: "encode PUBLISH, QoS 1, 5.0, 4 properties",
        prepare: || encode(Version::V5, publish(Version::V5, QoS::AtLeastOnce)),
    },
    Case { name: "encode PUBACK, 3.1.1", prepare: || encode(Version::V311, puback()) },
    Case { name: "decode PUBACK, 3.1.1", prepare: decode_puback },
];

const TOPIC: &str = "thing/product/DOCK00000000001/osd";

/// Payload format, content type, and two user properties.
const PROPERTIES: &[u8] =
    b"\x01\x01\x03\x00\x10application/json\x26\x00\x04site\x00\x05north\x26\x00\x03seq\x00\x0242";

const PAYLOAD: [u8; 256] = [b'x'; 256];

/// As a client sends it.
fn bytes(version: Version, qos: QoS) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&(TOPIC.len() as u16).to_be_bytes());
    body.extend_from_slice(TOPIC.as_bytes());
    if qos != QoS::AtMostOnce {
        body.extend_from_slice(&[0, 7]);
    }
    if version.is_v5() {
        body.push(PROPERTIES.len() as u8);
        body.extend_from_slice(PROPERTIES);
    }
    body.extend_from_slice(&PAYLOAD);
    let mut bytes = vec![0x30 | qos.bits() << 1, body.len() as u8 | 0x80, (body.len() >> 7) as u8];
    bytes.extend_from_slice(&body);
    bytes
}

/// The packet at the beginning of these bytes.
fn first(bytes: &[u8], version: Version) -> Packet<'_> {
    let (frame, _) = codec::split(bytes, MAX_PACKET).expect("well-formed").expect("complete");
    codec::decode(&frame, version).expect("well-formed")
}

fn publish(version: Version, qos: QoS) -> Packet<'static> {
    let bytes: &'static [u8] = bytes(version, qos).leak();
    first(bytes, version)
}

fn puback() -> Packet<'static> {
    Packet::Puback(Ack::new(PacketId::MIN, ReasonCode::Success))
}

fn decode(version: Version, qos: QoS) -> Work {
    let bytes = bytes(version, qos);
    assert!(matches!(first(&bytes, version), Packet::Publish(Publish { topic: TOPIC, .. })));
    Box::new(move || {
        black_box(first(black_box(&bytes), version));
    })
}

fn decode_puback() -> Work {
    Box::new(|| {
        black_box(first(black_box(&[0x40, 2, 0, 7]), Version::V311));
    })
}

fn encode(version: Version, packet: Packet<'static>) -> Work {
    if let Packet::Publish(publish) = &packet {
        assert_eq!(publish.properties == Properties::EMPTY, !version.is_v5());
    }
    let mut out = Vec::new();
    Box::new(move || {
        out.clear();
        codec::encode(&mut out, black_box(&packet), version);
        black_box(&out);
    })
}
