//! Reason codes: which packet carries which (sections 2.4, and 3.2 to 3.15 one by one).

use dockside_mqtt::ReasonCode::{MalformedPacket, ProtocolError};
use dockside_mqtt::Version;

use crate::{framed, read, refused, wire};

/// Packet, first byte, what of a body stands before and behind the code, the codes that a client or
/// a server may send in it.
#[rustfmt::skip]
const PACKETS: [(&str, u8, &str, &str, &str); 9] = [
    ("[MQTT-3.2.2-8] CONNACK", 0x20, "00", "00", "00 80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f"),
    ("[MQTT-3.4.2-1] PUBACK", 0x40, "0007", "", "00 10 80 83 87 90 91 97 99"),
    ("section 3.5.2.1: PUBREC", 0x50, "0007", "", "00 10 80 83 87 90 91 97 99"),
    ("section 3.6.2.1: PUBREL", 0x62, "0007", "", "00 92"),
    ("section 3.7.2.1: PUBCOMP", 0x70, "0007", "", "00 92"),
    ("section 3.9.3: SUBACK", 0x90, "0007 00", "", "00 01 02 80 83 87 8f 91 97 9e a1 a2"),
    ("[MQTT-3.11.3-2] UNSUBACK", 0xB0, "0007 00", "", "00 11 80 83 87 8f 91"),
    // 8C stands in table 2-6 only, and not in that of section 3.14.2.1.
    ("[MQTT-3.14.2-1] DISCONNECT", 0xE0, "", "00",
        "00 04 80 81 82 83 87 89 8b 8c 8d 8e 8f 90 93 94 95 96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2"),
    ("[MQTT-3.15.2-1] AUTH", 0xF0, "", "04 15 0001 'm'", "00 18 19"),
];

/// Every code in every packet: those of other packets are a protocol error, all others malformed.
#[test]
fn packets_carry_their_own_reason_codes() {
    let known: Vec<u8> = PACKETS.iter().flat_map(|(.., allowed)| wire(allowed)).collect();
    for (name, first, before, behind, allowed) in PACKETS {
        let allowed = wire(allowed);
        for code in 0..=0xFF {
            let bytes = framed(first, &[wire(before), vec![code], wire(behind)].concat());
            let name = format!("{name}, {code:02x}");
            if allowed.contains(&code) {
                let packet = read(&bytes, Version::V5);
                assert!(packet.is_ok(), "{name}: {packet:?}");
            } else {
                let expected = if known.contains(&code) { ProtocolError } else { MalformedPacket };
                refused(&name, Version::V5, &bytes, expected);
            }
        }
    }
}

/// The second code of a list is read like the first.
#[test]
fn every_code_of_a_list_is_looked_at() {
    for first in [0x90, 0xB0] {
        let list = |code| framed(first, &[0, 7, 0, 0, code]);
        refused("an unknown code", Version::V5, &list(0x42), MalformedPacket);
        refused("a code of DISCONNECT", Version::V5, &list(0x8E), ProtocolError);
    }
}

/// Return codes before 5.0 (3.1.1, sections 3.2.2.3 and 3.9.3).
#[test]
fn return_codes_before_5() {
    for version in [Version::V31, Version::V311] {
        for code in 0..=0xFF {
            let connack = framed(0x20, &[0, code]);
            let suback = framed(0x90, &[0, 7, code]);
            let found = |bytes: &[u8]| read(bytes, version).is_ok();
            assert_eq!(found(&connack), code <= 5, "CONNACK {code:02x}");
            assert_eq!(found(&suback), code <= 2 || code == 0x80, "SUBACK {code:02x}");
            if !found(&connack) {
                refused("CONNACK", version, &connack, MalformedPacket);
            }
            if !found(&suback) {
                refused("SUBACK", version, &suback, MalformedPacket);
            }
        }
    }
}
