//! The fixed header: first byte and remaining length (section 2.1), and packet identifiers.

use dockside_mqtt::ReasonCode::{MalformedPacket, PacketTooLarge};
use dockside_mqtt::Version::{V5, V31, V311};
use dockside_mqtt::codec::{MAX_PACKET, MAX_REMAINING_LENGTH, split};
use dockside_mqtt::{Packet, PacketId};

use crate::{Broken, MAXIMUM, framed, good, read};

#[rustfmt::skip]
pub(crate) const BROKEN: &[Broken] = &[
    ("a remaining length of five bytes", V5, "c0 80 80 80 80 00", MalformedPacket),
    ("a remaining length of five bytes", V311, "c0 ff ff ff ff 01", MalformedPacket),
    ("a remaining length without an end", V311, "c0 80 80 80 80", MalformedPacket),
    ("[MQTT-1.5.5-1] a length of two bytes for 0", V5, "c0 80 00", MalformedPacket),
    ("[MQTT-1.5.5-1] a length of four bytes for 3", V5, "40 83 80 80 00  0007  00", MalformedPacket),
    ("[MQTT-1.5.5-1] a length of two bytes in CONNECT", V5, "10 8e 00  0004 'MQTT' 05  02  003c  00  0001 'c'", MalformedPacket),
    ("larger than the limit, said in its header", V5, "30 ff ff ff 7f", PacketTooLarge),
    ("[MQTT-2.2.1-3] PUBLISH with identifier 0", V5, "32 06  0001 'a'  0000  00", MalformedPacket),
    ("[MQTT-2.2.1-3] SUBSCRIBE with identifier 0", V5, "82 07  0000  00  0001 'a' 00", MalformedPacket),
    ("[MQTT-2.2.1-3] UNSUBSCRIBE with identifier 0", V5, "a2 06  0000  00  0001 'a'", MalformedPacket),
    ("[MQTT-2.3.1-1] PUBLISH with identifier 0", V311, "34 05  0001 'a'  0000", MalformedPacket),
    ("[MQTT-2.3.1-1] SUBSCRIBE with identifier 0", V311, "82 06  0000  0001 'a' 00", MalformedPacket),
    ("[MQTT-2.3.1-1] UNSUBSCRIBE with identifier 0", V311, "a2 05  0000  0001 'a'", MalformedPacket),
    ("section 2.2.1: PUBACK with identifier 0", V5, "40 02  0000", MalformedPacket),
    ("section 2.2.1: PUBREC with identifier 0", V5, "50 02  0000", MalformedPacket),
    ("section 2.2.1: PUBREL with identifier 0", V5, "62 02  0000", MalformedPacket),
    ("section 2.2.1: PUBCOMP with identifier 0", V311, "70 02  0000", MalformedPacket),
    ("section 2.2.1: SUBACK with identifier 0", V5, "90 04  0000  00  00", MalformedPacket),
    ("section 2.2.1: UNSUBACK with identifier 0", V311, "b0 02  0000", MalformedPacket),
    ("a type of 5.0: AUTH", V311, "f0 00", MalformedPacket),
    ("a type of 5.0: AUTH", V31, "f0 00", MalformedPacket),
    ("the reserved type 0", V5, "00 00", MalformedPacket),
    ("the reserved type 0, at its first byte", V311, "00", MalformedPacket),
];

/// Every first byte: the bits of table 2-2 and no others [MQTT-2.1.3-1] [MQTT-2.2.2-2]
/// [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1] [MQTT-3.15.1-1]; a PUBLISH has no
/// QoS 3 [MQTT-3.3.1-4] and no DUP with QoS 0 [MQTT-3.3.1-2].
#[test]
fn flags_are_those_of_the_table() {
    for row in good() {
        let (frame, _) = split(&row.bytes, MAXIMUM).unwrap().unwrap();
        let kind = frame.first & 0xF0;
        for flags in 0..16u8 {
            let allowed = match kind {
                // Another QoS is another packet; what is asked here is which are packets.
                0x30 => [0, 1, 2, 3, 4, 5, 10, 11, 12, 13].contains(&flags),
                0x60 | 0x80 | 0xA0 => flags == 2 || (row.version == V31 && flags == 10),
                _ => flags == 0,
            };
            let body =
                if kind == 0x30 { publish_body(flags, row.version == V5) } else { frame.body };
            let bytes = framed(kind | flags, body);
            let result = read(&bytes, row.version).map_err(|e| e.reason);
            let name = format!("{}, {:?}, flags {flags:04b}", row.name, row.version);
            if allowed {
                assert!(result.is_ok(), "{name}: {result:?}");
            } else {
                assert_eq!(result, Err(MalformedPacket), "{name}");
            }
        }
    }
}

/// A topic, with QoS an identifier, in 5.0 no properties.
fn publish_body(flags: u8, v5: bool) -> &'static [u8] {
    match (flags & 0b110 != 0, v5) {
        (false, false) => b"\0\x01a",
        (false, true) => b"\0\x01a\0",
        (true, false) => b"\0\x01a\0\x01",
        (true, true) => b"\0\x01a\0\x01\0",
    }
}

/// A wrong first byte is refused at once: nobody is read for whose length cannot be trusted.
#[test]
fn a_first_byte_is_judged_before_its_length() {
    for first in [0x00, 0x0F, 0x11, 0x36, 0x60, 0x80, 0xA0, 0xC1, 0xF8] {
        assert_eq!(
            split(&[first], MAXIMUM).map_err(|e| e.reason),
            Err(MalformedPacket),
            "{first:x}"
        );
    }
}

/// Table 2-1: where a length takes one more byte.
#[test]
fn remaining_lengths_of_one_to_four_bytes() {
    for (length, header) in
        [(0x7F, 2), (0x80, 3), (0x3FFF, 3), (0x4000, 4), (0x1F_FFFF, 4), (0x20_0000, 5)]
    {
        let mut body = b"\0\x01a".to_vec();
        body.resize(length, 0xA5);
        let bytes = framed(0x30, &body);
        assert_eq!(bytes.len(), header + length);
        let packet = read(&bytes, V311).unwrap();
        assert_eq!(crate::written(&packet, V311), bytes);
    }
    let largest = b"\x30\xff\xff\xff\x7f";
    assert_eq!(split(largest, MAX_PACKET), Ok(None), "{MAX_REMAINING_LENGTH} can be expressed");
}

/// The limit counts the fixed header (section 3.1.2.11.4).
#[test]
fn a_packet_may_be_as_large_as_the_limit() {
    let bytes = b"\x40\x02\0\x07";
    assert!(split(bytes, 4).unwrap().is_some());
    assert_eq!(split(bytes, 3).unwrap_err().reason, PacketTooLarge);
    assert_eq!(
        split(&bytes[..2], 3).unwrap_err().reason,
        PacketTooLarge,
        "before its body is here"
    );
}

/// The first of several packets, and where the next one begins.
#[test]
fn packets_follow_each_other() {
    let mut bytes: &[u8] = b"\xc0\0\x40\x02\0\x07\xd0";
    let (_, used) = split(bytes, MAXIMUM).unwrap().unwrap();
    assert_eq!(read(&bytes[..used], V5), Ok(Packet::Pingreq));
    bytes = &bytes[used..];
    let (_, used) = split(bytes, MAXIMUM).unwrap().unwrap();
    let Ok(Packet::Puback(ack)) = read(&bytes[..used], V5) else { panic!("no PUBACK") };
    assert_eq!(ack.packet_id, PacketId::new(7).unwrap());
    assert_eq!(split(&bytes[used..], MAXIMUM), Ok(None));
}
