//! Strings (section 1.5.4): every field that is one, with everything that is none.

use dockside_mqtt::ReasonCode::MalformedPacket;
use dockside_mqtt::Version::{self, V5, V31, V311};

use crate::{framed, read, refused, wire};

/// Field, version, first byte, what of a body stands before it, what behind it.
#[rustfmt::skip]
const FIELDS: &[(&str, Version, u8, &str, &str)] = &[
    ("[MQTT-3.1.3-4] client identifier", V31, 0x10, "0006 'MQIsdp' 03 02 003c", ""),
    ("[MQTT-3.1.3-4] client identifier", V311, 0x10, "0004 'MQTT' 04 02 003c", ""),
    ("[MQTT-3.1.3-4] client identifier", V5, 0x10, "0004 'MQTT' 05 02 003c 00", ""),
    ("[MQTT-3.1.3-11] will topic", V311, 0x10, "0004 'MQTT' 04 06 003c 0001 'c'", "0001 'x'"),
    ("[MQTT-3.1.3-11] will topic", V5, 0x10, "0004 'MQTT' 05 06 003c 00 0001 'c' 00", "0001 'x'"),
    ("[MQTT-3.1.3-12] user name", V311, 0x10, "0004 'MQTT' 04 82 003c 0001 'c'", ""),
    ("[MQTT-3.1.3-12] user name", V5, 0x10, "0004 'MQTT' 05 c2 003c 00 0001 'c'", "0001 'p'"),
    ("[MQTT-3.3.2-1] topic", V31, 0x30, "", "'x'"),
    ("[MQTT-3.3.2-1] topic", V311, 0x32, "", "0001 'x'"),
    ("[MQTT-3.3.2-1] topic", V5, 0x34, "", "0001 00 'x'"),
    ("[MQTT-3.8.3-1] filter of SUBSCRIBE", V311, 0x82, "0001", "00"),
    ("[MQTT-3.8.3-1] filter of SUBSCRIBE", V5, 0x82, "0001 00 0001 'a' 00", "00"),
    ("[MQTT-3.10.3-1] filter of UNSUBSCRIBE", V311, 0xA2, "0001", ""),
    ("[MQTT-3.10.3-1] filter of UNSUBSCRIBE", V5, 0xA2, "0001 00 0001 'a'", ""),
];

/// Property, first byte, what stands before the block, its identifier and more of it, what behind.
#[rustfmt::skip]
const PROPERTIES: &[(&str, u8, &str, &str, &str, &str)] = &[
    ("[MQTT-3.3.2-19] content type", 0x30, "0001 'a'", "03", "", ""),
    ("[MQTT-3.3.2-13] response topic", 0x30, "0001 'a'", "08", "", ""),
    ("content type of a will", 0x10, "0004 'MQTT' 05 06 003c 00 0001 'c'", "03", "", "0001 'w' 0001 'x'"),
    ("authentication method", 0x10, "0004 'MQTT' 05 02 003c", "15", "", "0001 'c'"),
    ("assigned client identifier", 0x20, "00 00", "12", "", ""),
    ("response information", 0x20, "00 00", "1a", "", ""),
    ("server reference", 0xE0, "00", "1c", "", ""),
    ("reason string", 0x40, "0007 00", "1f", "", ""),
    ("[MQTT-1.5.7-1] name of a user property", 0x30, "0001 'a'", "26", "0001 'v'", ""),
    ("[MQTT-1.5.7-1] value of a user property", 0x30, "0001 'a'", "26 0001 'k'", "", ""),
];

/// What is wrong with the bytes of a string.
const NO_STRINGS: &[(&str, &str)] = &[
    ("[MQTT-1.5.4-2] U+0000 alone", "00"),
    ("[MQTT-1.5.4-2] U+0000 inside", "'a' 00 'b'"),
    ("[MQTT-1.5.4-1] the first surrogate", "eda080"),
    ("[MQTT-1.5.4-1] the last surrogate", "edbfbf"),
    ("[MQTT-1.5.4-1] a pair of surrogates", "eda081 edb080"),
    ("[MQTT-1.5.4-1] above U+10FFFF", "f4908080"),
    ("[MQTT-1.5.4-1] a first byte that there is not", "ff"),
    ("[MQTT-1.5.4-1] a continuation without a first byte", "'a' 80"),
    ("[MQTT-1.5.4-1] a first byte without its continuation", "c3 28"),
    ("[MQTT-1.5.4-1] cut off", "'a' e697"),
    ("[MQTT-1.5.4-1] U+0000 in two bytes", "c080"),
    ("[MQTT-1.5.4-1] a slash in two bytes", "c0af"),
    ("[MQTT-1.5.4-1] a slash in three bytes", "e080af"),
];

/// The least of every length, U+FEFF, which is a character like any other [MQTT-1.5.4-3], and
/// U+FFFF, which should not be sent and is none of the server's business.
const STRINGS: [&str; 7] =
    ["'a'", "c3a4", "e697a5", "f09f9a81", "efbbbf 'a'", "'a' efbbbf", "efbfbf"];

/// Every field with this string: name, version, packet.
fn packets(string: &str) -> Vec<(&'static str, Version, Vec<u8>)> {
    let string = wire(string);
    let string = [&(string.len() as u16).to_be_bytes(), &*string].concat();
    let fields = FIELDS.iter().map(|(name, version, first, before, behind)| {
        let body = [wire(before), string.clone(), wire(behind)].concat();
        (*name, *version, framed(*first, &body))
    });
    let properties = PROPERTIES.iter().map(|(name, first, before, id, more, behind)| {
        let block = [wire(id), string.clone(), wire(more)].concat();
        let body = [wire(before), vec![block.len() as u8], block, wire(behind)].concat();
        (*name, V5, framed(*first, &body))
    });
    fields.chain(properties).collect()
}

#[test]
fn what_is_no_string_is_malformed() {
    for (what, string) in NO_STRINGS {
        for (name, version, bytes) in packets(string) {
            refused(&format!("{name}, {what}"), version, &bytes, MalformedPacket);
        }
    }
}

#[test]
fn strings_are_kept_as_they_are() {
    for string in STRINGS {
        for (name, version, bytes) in packets(string) {
            let packet = read(&bytes, version).unwrap_or_else(|e| panic!("{name}, {string}: {e}"));
            assert_eq!(crate::written(&packet, version), bytes, "{name}, {string}");
        }
    }
}
