//! Properties (section 2.2.2.2): the table of the specification a second time, against every packet.

use dockside_mqtt::ReasonCode::{MalformedPacket, ProtocolError};
use dockside_mqtt::property::PropertyId::{self, *};
use dockside_mqtt::property::{Properties, Value};
use dockside_mqtt::{Packet, Version};

use crate::{framed, read, refused, wire, written};

use Value::{Binary, Number, Pair, Text};

/// Name, first byte, and what of a body stands before and behind the properties.
const PLACES: [(&str, u8, &str, &str); 14] = [
    ("CONNECT", 0x10, "0004 'MQTT' 05 02 003c", "0001 'c'"),
    ("will", 0x10, "0004 'MQTT' 05 06 003c 00 0001 'c'", "0001 'w' 0001 'x'"),
    ("CONNACK", 0x20, "00 00", ""),
    ("PUBLISH", 0x30, "0001 'a'", ""),
    ("PUBACK", 0x40, "0007 00", ""),
    ("PUBREC", 0x50, "0007 00", ""),
    ("PUBREL", 0x62, "0007 00", ""),
    ("PUBCOMP", 0x70, "0007 00", ""),
    ("SUBSCRIBE", 0x82, "0001", "0001 'a' 00"),
    ("SUBACK", 0x90, "0001", "00"),
    ("UNSUBSCRIBE", 0xA2, "0001", "0001 'a'"),
    ("UNSUBACK", 0xB0, "0001", "00"),
    ("DISCONNECT", 0xE0, "00", ""),
    ("AUTH", 0xF0, "18", ""),
];

const EVERYWHERE: &str = "CONNECT will CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE \
                          SUBACK UNSUBSCRIBE UNSUBACK DISCONNECT AUTH";
const ANSWERS: &str = "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH";

/// Table 2-4: identifier, one on the wire, what it says, where it may stand.
#[rustfmt::skip]
const TABLE: [(PropertyId, &str, Value<'static>, &str); 27] = [
    (PayloadFormatIndicator, "01 01", Number(1), "PUBLISH will"),
    (MessageExpiryInterval, "02 00000102", Number(258), "PUBLISH will"),
    (ContentType, "03 0002 'ct'", Text("ct"), "PUBLISH will"),
    (ResponseTopic, "08 0003 'a/b'", Text("a/b"), "PUBLISH will"),
    (CorrelationData, "09 0002 00ff", Binary(b"\0\xff"), "PUBLISH will"),
    (SubscriptionIdentifier, "0b 8001", Number(128), "PUBLISH SUBSCRIBE"),
    (SessionExpiryInterval, "11 ffffffff", Number(u32::MAX), "CONNECT CONNACK DISCONNECT"),
    (AssignedClientIdentifier, "12 0001 'c'", Text("c"), "CONNACK"),
    (ServerKeepAlive, "13 0000", Number(0), "CONNACK"),
    (AuthenticationMethod, "15 0001 'm'", Text("m"), "CONNECT CONNACK AUTH"),
    (AuthenticationData, "16 0000", Binary(b""), "CONNECT CONNACK AUTH"),
    (RequestProblemInformation, "17 00", Number(0), "CONNECT"),
    (WillDelayInterval, "18 00000005", Number(5), "will"),
    (RequestResponseInformation, "19 01", Number(1), "CONNECT"),
    (ResponseInformation, "1a 0001 'r'", Text("r"), "CONNACK"),
    (ServerReference, "1c 0001 's'", Text("s"), "CONNACK DISCONNECT"),
    (ReasonString, "1f 0003 efbbbf", Text("\u{feff}"), ANSWERS),
    (ReceiveMaximum, "21 ffff", Number(65_535), "CONNECT CONNACK"),
    (TopicAliasMaximum, "22 0000", Number(0), "CONNECT CONNACK"),
    (TopicAlias, "23 0001", Number(1), "PUBLISH"),
    (MaximumQos, "24 01", Number(1), "CONNACK"),
    (RetainAvailable, "25 00", Number(0), "CONNACK"),
    (UserProperty, "26 0001 'k' 0000", Pair("k", ""), EVERYWHERE),
    (MaximumPacketSize, "27 00000001", Number(1), "CONNECT CONNACK"),
    (WildcardSubscriptionAvailable, "28 01", Number(1), "CONNACK"),
    (SubscriptionIdentifiersAvailable, "29 00", Number(0), "CONNACK"),
    (SharedSubscriptionAvailable, "2a 01", Number(1), "CONNACK"),
];

/// A packet with these properties, under a length of theirs that says `length`. An AUTH gets the
/// method that it must have, in front.
fn with_length(place: &str, length: usize, block: &[u8]) -> Vec<u8> {
    let (_, first, before, behind) = PLACES.into_iter().find(|(name, ..)| *name == place).unwrap();
    let method = if place == "AUTH" { wire("15 0001 'm'") } else { Vec::new() };
    let length = (method.len() + length) as u8;
    let body = [&*wire(before), &[length], &*method, block, &*wire(behind)].concat();
    framed(first, &body)
}

fn with(place: &str, block: &[u8]) -> Vec<u8> {
    with_length(place, block.len(), block)
}

fn properties<'a>(place: &str, packet: &Packet<'a>) -> Properties<'a> {
    match packet {
        Packet::Connect(p) if place == "will" => p.will.unwrap().properties,
        Packet::Connect(p) => p.properties,
        Packet::Connack(p) => p.properties,
        Packet::Publish(p) => p.properties,
        Packet::Puback(p) | Packet::Pubrec(p) | Packet::Pubrel(p) | Packet::Pubcomp(p) => {
            p.properties
        }
        Packet::Subscribe(p) => p.properties,
        Packet::Suback(p) | Packet::Unsuback(p) => p.properties,
        Packet::Unsubscribe(p) => p.properties,
        Packet::Disconnect(p) => p.properties,
        Packet::Auth(p) => p.properties,
        Packet::Pingreq | Packet::Pingresp => panic!("no place for properties"),
    }
}

/// Both ways; an identifier in a packet that it is not for is malformed (section 2.2.2.2).
#[test]
fn every_property_stands_where_the_table_says() {
    for (id, raw, value, allowed) in TABLE {
        let raw = wire(raw);
        for (place, ..) in PLACES {
            // An AUTH has its method once already.
            let bytes =
                with(place, if (place, id) == ("AUTH", AuthenticationMethod) { b"" } else { &raw });
            if !allowed.split_whitespace().any(|name| name == place) {
                refused(&format!("{id:?} in {place}"), Version::V5, &bytes, MalformedPacket);
                continue;
            }
            let packet = read(&bytes, Version::V5).unwrap();
            let block = properties(place, &packet);
            let found: Vec<_> = block.iter().filter(|p| p.id == id).collect();
            assert_eq!(found.len(), 1, "{id:?} in {place}");
            assert_eq!((found[0].value, found[0].raw), (value, &*raw), "{id:?} in {place}");
            assert_eq!(written(&packet, Version::V5), bytes, "{id:?} in {place}");
        }
    }
}

/// Only user properties repeat, and the identifiers of several subscriptions in one PUBLISH.
#[test]
fn a_property_given_twice_is_a_protocol_error() {
    for (id, raw, _, allowed) in TABLE {
        for place in allowed.split_whitespace() {
            let bytes = with(place, &wire(raw).repeat(2));
            let repeats = id == UserProperty || (id, place) == (SubscriptionIdentifier, "PUBLISH");
            if repeats {
                assert!(read(&bytes, Version::V5).is_ok(), "{id:?} in {place}");
            } else {
                refused(&format!("{id:?} twice in {place}"), Version::V5, &bytes, ProtocolError);
            }
        }
    }
}

/// The block ends inside a property, or the packet inside the block.
#[test]
fn properties_cut_at_every_byte() {
    for (id, raw, _, allowed) in TABLE {
        let raw = wire(raw);
        for place in allowed.split_whitespace() {
            for cut in 1..raw.len() {
                let name = format!("{id:?} in {place}, cut at {cut}");
                refused(&name, Version::V5, &with(place, &raw[..cut]), MalformedPacket);
            }
            let bytes = with_length(place, 100, &raw);
            refused(
                &format!("{id:?} in {place}, overrunning"),
                Version::V5,
                &bytes,
                MalformedPacket,
            );
        }
    }
}

#[test]
fn unknown_identifiers_are_malformed() {
    let known: Vec<u8> = TABLE.iter().map(|(_, raw, ..)| wire(raw)[0]).collect();
    for id in (0..0x80).filter(|id| !known.contains(id)) {
        for (place, ..) in PLACES {
            // Enough bytes behind it for a value of any type.
            let block = [id, 0, 1, b'a', 0, 1, b'a'];
            refused(
                &format!("{id:x} in {place}"),
                Version::V5,
                &with(place, &block),
                MalformedPacket,
            );
        }
    }
}

/// What is wrong, where, the properties, the reason code.
#[rustfmt::skip]
const VALUES: &[(&str, &str, &str, dockside_mqtt::ReasonCode)] = &[
    ("payload format 2", "PUBLISH", "01 02", ProtocolError),
    ("payload format 255", "will", "01 ff", ProtocolError),
    ("request problem information 2", "CONNECT", "17 02", ProtocolError),
    ("request response information 2", "CONNECT", "19 02", ProtocolError),
    ("maximum QoS 2", "CONNACK", "24 02", ProtocolError),
    ("retain available 2", "CONNACK", "25 02", ProtocolError),
    ("wildcard subscription available 2", "CONNACK", "28 02", ProtocolError),
    ("subscription identifiers available 2", "CONNACK", "29 02", ProtocolError),
    ("shared subscription available 2", "CONNACK", "2a 02", ProtocolError),
    ("receive maximum 0", "CONNECT", "21 0000", ProtocolError),
    ("receive maximum 0", "CONNACK", "21 0000", ProtocolError),
    ("maximum packet size 0", "CONNECT", "27 00000000", ProtocolError),
    ("maximum packet size 0", "CONNACK", "27 00000000", ProtocolError),
    ("subscription identifier 0", "SUBSCRIBE", "0b 00", ProtocolError),
    ("subscription identifier 0", "PUBLISH", "0b 00", ProtocolError),
    ("[MQTT-3.3.2-8] topic alias 0", "PUBLISH", "23 0000", ProtocolError),
    ("two identifiers of one subscription", "SUBSCRIBE", "0b 01 0b 02", ProtocolError),
    ("[MQTT-1.5.5-1] a subscription identifier of two bytes for 1", "SUBSCRIBE", "0b 8100", MalformedPacket),
    ("a subscription identifier of five bytes", "SUBSCRIBE", "0b 8080808001", MalformedPacket),
    ("[MQTT-1.5.5-1] an identifier of two bytes", "PUBLISH", "8100 01", MalformedPacket),
    ("an identifier of five bytes", "PUBLISH", "8180808000", MalformedPacket),
    ("an identifier above 127", "PUBLISH", "8101 00", MalformedPacket),
];

#[test]
fn values_that_no_property_may_have() {
    for (name, place, block, expected) in VALUES {
        refused(&format!("{name} in {place}"), Version::V5, &with(place, &wire(block)), *expected);
    }
}

/// [MQTT-1.5.5-1] holds for the length of the properties too.
#[test]
fn the_length_of_the_properties_is_in_its_shortest_form() {
    for (name, length, expected) in [
        ("two bytes for 0", "8000", MalformedPacket),
        ("four bytes for 0", "80808000", MalformedPacket),
        ("five bytes", "8080808001", MalformedPacket),
        ("without an end", "ff", MalformedPacket),
    ] {
        let body = [wire("0001 'a'"), wire(length)].concat();
        refused(name, Version::V5, &framed(0x30, &body), expected);
    }
}
