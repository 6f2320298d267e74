//! The codec against tables of wire bytes: what is a packet, both ways, and what is refused.
//!
//! Bytes are written as people read them: hexadecimal, and text between apostrophes. An id in brackets
//! names the statement that a row or a test proves.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod broken;
mod connect;
mod good_v3;
mod good_v5;
mod headers;
mod properties;
#[path = "../../../fuzz/properties/decode.rs"]
mod property;
mod random;
mod reasons;
mod strings;

use dockside_mqtt::codec::{decode, encode, split};
use dockside_mqtt::{Packet, ProtocolError, ReasonCode, Version};

/// Larger than every packet here.
const MAXIMUM: u32 = 10_000_000;

/// A packet and its bytes.
pub(crate) struct Good {
    pub(crate) name: &'static str,
    pub(crate) version: Version,
    pub(crate) bytes: Vec<u8>,
    pub(crate) packet: Packet<'static>,
    /// Whether `encode` writes another legal form of it.
    pub(crate) decode_only: bool,
}

impl Good {
    pub(crate) fn new(
        name: &'static str,
        version: Version,
        bytes: &str,
        packet: Packet<'static>,
    ) -> Self {
        Self { name, version, bytes: wire(bytes), packet, decode_only: false }
    }

    pub(crate) fn decode_only(self) -> Self {
        Self { decode_only: true, ..self }
    }
}

/// Every good row.
pub(crate) fn good() -> Vec<Good> {
    let mut rows = good_v3::rows();
    rows.extend(good_v5::rows());
    rows
}

/// What is wrong, the version, the bytes, the reason code.
type Broken = (&'static str, Version, &'static str, ReasonCode);

/// Hexadecimal digits, and text between apostrophes.
pub(crate) fn wire(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (part, text) in text.split('\'').enumerate() {
        if part % 2 == 1 {
            bytes.extend_from_slice(text.as_bytes());
            continue;
        }
        let digits: String = text.split_whitespace().collect();
        assert!(digits.len().is_multiple_of(2), "half a byte in {text}");
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        bytes.extend((0..digits.len()).step_by(2).map(byte));
    }
    bytes
}

/// The first byte, the length, and the body.
pub(crate) fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(body);
    bytes
}

/// Reads the one packet that `bytes` are.
pub(crate) fn read(bytes: &[u8], version: Version) -> Result<Packet<'_>, ProtocolError> {
    let (frame, used) = split(bytes, MAXIMUM)?.expect("the whole packet is there");
    assert_eq!(used, bytes.len(), "the length of the packet is not that of its bytes");
    decode(&frame, version)
}

pub(crate) fn written(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, packet, version);
    bytes
}

/// Asserts that the bytes are refused with this reason.
pub(crate) fn refused(name: &str, version: Version, bytes: &[u8], expected: ReasonCode) {
    match read(bytes, version) {
        Ok(packet) => panic!("{name}, {version:?}: {bytes:02x?} was read as {packet:?}"),
        Err(error) => assert_eq!(error.reason, expected, "{name}, {version:?}: {error}"),
    }
}

fn all_refused(rows: &[Broken]) {
    for (name, version, bytes, expected) in rows {
        refused(name, *version, &wire(bytes), *expected);
    }
}

#[test]
fn every_packet_is_its_bytes_and_back() {
    for row in good() {
        let Good { name, version, bytes, packet, decode_only } = row;
        assert_eq!(read(&bytes, version), Ok(packet.clone()), "{name}, {version:?}");
        let again = written(&packet, version);
        if decode_only {
            assert_ne!(again, bytes, "{name}, {version:?} holds both ways");
            assert_eq!(read(&again, version), Ok(packet), "{name}, {version:?}");
        } else {
            assert_eq!(again, bytes, "{name}, {version:?}");
        }
    }
}

/// Cut off in transit a packet is incomplete; cut short under a length that says so it is refused,
/// unless what is left is another packet.
#[test]
fn packets_cut_at_every_byte() {
    for Good { name, version, bytes, packet, decode_only } in good() {
        let (frame, _) = split(&bytes, MAXIMUM).unwrap().unwrap();
        for cut in 0..bytes.len() {
            assert_eq!(split(&bytes[..cut], MAXIMUM), Ok(None), "{name} cut at {cut}");
        }
        for cut in 0..frame.body.len() {
            let short = framed(frame.first, &frame.body[..cut]);
            match read(&short, version) {
                Err(error) => assert!(error.reason.is_error(), "{name} cut at {cut}"),
                Ok(other) => {
                    assert!(open_ended(&packet, version), "{name} cut at {cut}: {other:?}");
                    assert!(decode_only || other != packet, "{name} cut at {cut}");
                    property::check(&short, version);
                }
            }
        }
    }
}

/// Whether a shorter body can be a packet as well: a payload, a list, fields that may be left out.
fn open_ended(packet: &Packet<'_>, version: Version) -> bool {
    match packet {
        // In 3.1 user name and password may be missing in spite of their flags.
        Packet::Connect(connect) => version == Version::V31 && connect.username.is_some(),
        Packet::Connack(_) | Packet::Pingreq | Packet::Pingresp => false,
        Packet::Publish(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::Suback(_) => {
            true
        }
        Packet::Unsuback(_)
        | Packet::Puback(_)
        | Packet::Pubrec(_)
        | Packet::Pubrel(_)
        | Packet::Pubcomp(_)
        | Packet::Disconnect(_)
        | Packet::Auth(_) => version.is_v5(),
    }
}

/// Only a payload may be any bytes: one byte FF more is a field too many, an unknown code or a
/// string without its end.
#[test]
fn bytes_behind_the_end_are_refused() {
    for Good { name, version, bytes, packet, .. } in good() {
        let (frame, _) = split(&bytes, MAXIMUM).unwrap().unwrap();
        let longer = framed(frame.first, &[frame.body, b"\xff"].concat());
        if !matches!(packet, Packet::Publish(_)) {
            refused(name, version, &longer, ReasonCode::MalformedPacket);
        }
    }
}

#[test]
fn malformed_packets_are_refused_with_their_reason() {
    all_refused(connect::BROKEN);
    all_refused(headers::BROKEN);
    all_refused(broken::PUBLISH);
    all_refused(broken::ACKNOWLEDGEMENTS);
    all_refused(broken::SUBSCRIPTIONS);
    all_refused(broken::ENDS);
}
