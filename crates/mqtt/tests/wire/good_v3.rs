//! Packets of MQTT 3.1 and 3.1.1, which differ in CONNECT only, and where 3.1 lets DUP stand.

use dockside_mqtt::packet::{
    Ack, Codes, Connack, Connect, Disconnect, Publish, Subscribe, SubscriptionOptions, Unsubscribe,
    Will,
};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{Packet, PacketId, QoS, ReasonCode, Version};

use crate::Good;

use Version::{V31, V311};

const NONE: Properties<'static> = Properties::EMPTY;

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
        properties: NONE,
    }
}

fn publish(qos: QoS, packet_id: u16) -> Publish<'static> {
    Publish {
        dup: false,
        qos,
        retain: false,
        packet_id: PacketId::new(packet_id),
        topic: "a/b",
        properties: NONE,
        payload: b"hi",
    }
}

pub(crate) fn rows() -> Vec<Good> {
    let mut rows = connects();
    for version in [V31, V311] {
        rows.extend(connacks(version));
        rows.extend(publishes(version));
        rows.extend(acknowledgements(version));
        rows.extend(subscriptions(version));
        rows.extend(rest(version));
    }
    rows.extend(with_dup());
    rows
}

#[rustfmt::skip]
fn connects() -> Vec<Good> {
    let row = |name, version, bytes, connect| Good::new(name, version, bytes, Packet::Connect(Box::new(connect)));
    let will = Will { qos: QoS::AtLeastOnce, retain: true, topic: "w", payload: b"x", properties: NONE };
    let full = |version| Connect {
        clean_start: false, will: Some(will), username: Some("u"), password: Some(b"p"), ..connect(version)
    };
    let plain_will = Will { qos: QoS::ExactlyOnce, retain: false, payload: b"", ..will };
    vec![
        row("the least of 3.1", V31, "10 0f  0006 'MQIsdp' 03  02  003c  0001 'c'", connect(V31)),
        row("the least of 3.1.1", V311, "10 0d  0004 'MQTT' 04  02  003c  0001 'c'", connect(V311)),
        row("everything of 3.1", V31, "10 1b  0006 'MQIsdp' 03  ec  003c  0001 'c'  0001 'w' 0001 'x'  0001 'u'  0001 'p'", full(V31)),
        row("everything of 3.1.1", V311, "10 19  0004 'MQTT' 04  ec  003c  0001 'c'  0001 'w' 0001 'x'  0001 'u'  0001 'p'", full(V311)),
        row("no client identifier, no keep alive", V311, "10 0c  0004 'MQTT' 04  02  0000  0000",
            Connect { client_id: "", keep_alive: 0, ..connect(V311) }),
        row("a will with QoS 2 and without payload", V311, "10 12  0004 'MQTT' 04  16  003c  0001 'c'  0001 'w' 0000",
            Connect { will: Some(plain_will), ..connect(V311) }),
        row("a user name without a password", V311, "10 10  0004 'MQTT' 04  82  003c  0001 'c'  0001 'u'",
            Connect { username: Some("u"), ..connect(V311) }),
        row("a password that is no text", V311, "10 15  0004 'MQTT' 04  c2  003c  0001 'c'  0001 'u'  0003 ff 00 80",
            Connect { username: Some("u"), password: Some(b"\xff\0\x80"), ..connect(V311) }),
        row("3.1 may lack the password of its flag", V31, "10 12  0006 'MQIsdp' 03  c2  003c  0001 'c'  0001 'u'",
            Connect { username: Some("u"), ..connect(V31) }).decode_only(),
        row("3.1 may lack the user name of its flag", V31, "10 0f  0006 'MQIsdp' 03  82  003c  0001 'c'",
            connect(V31)).decode_only(),
        row("a longer length than needed", V311, "10 8d 00  0004 'MQTT' 04  02  003c  0001 'c'", connect(V311)).decode_only(),
    ]
}

#[rustfmt::skip]
fn connacks(version: Version) -> Vec<Good> {
    let row = |name, bytes, session_present, reason| {
        Good::new(name, version, bytes, Packet::Connack(Connack { session_present, reason, properties: NONE }))
    };
    vec![
        row("accepted", "20 02  00  00", false, ReasonCode::Success),
        row("accepted, with a session", "20 02  01  00", true, ReasonCode::Success),
        row("refused: version", "20 02  00  01", false, ReasonCode::UnsupportedProtocolVersion),
        row("refused: client identifier", "20 02  00  02", false, ReasonCode::ClientIdentifierNotValid),
        row("refused: unavailable", "20 02  00  03", false, ReasonCode::ServerUnavailable),
        row("refused: user name or password", "20 02  00  04", false, ReasonCode::BadUserNameOrPassword),
        row("refused: not authorized", "20 02  00  05", false, ReasonCode::NotAuthorized),
    ]
}

#[rustfmt::skip]
fn publishes(version: Version) -> Vec<Good> {
    let row = |name, bytes, publish| Good::new(name, version, bytes, Packet::Publish(publish));
    let zero = publish(QoS::AtMostOnce, 0);
    let once = publish(QoS::AtLeastOnce, 1);
    vec![
        row("QoS 0", "30 07  0003 'a/b'  'hi'", zero),
        row("QoS 0 has no identifier [MQTT-2.2.1-2]", "30 07  0003 'a/b'  0001", Publish { payload: b"\0\x01", ..zero }),
        row("QoS 1", "32 09  0003 'a/b'  0102  'hi'", publish(QoS::AtLeastOnce, 258)),
        row("QoS 2, the largest identifier", "34 09  0003 'a/b'  ffff  'hi'", publish(QoS::ExactlyOnce, 65_535)),
        row("retained", "31 07  0003 'a/b'  'hi'", Publish { retain: true, ..zero }),
        row("sent again, retained", "3b 09  0003 'a/b'  0001  'hi'", Publish { dup: true, retain: true, ..once }),
        row("no payload", "32 07  0003 'a/b'  0001", Publish { payload: b"", ..once }),
        row("a topic of many bytes a character", "30 0a  0006 e697a5 e69cac  'hi'", Publish { topic: "日本", ..zero }),
        row("U+FEFF is a character [MQTT-1.5.4-3]", "30 08  0004 efbbbf 'a'  'hi'", Publish { topic: "\u{feff}a", ..zero }),
        row("a longer length than needed", "30 87 80 80 00  0003 'a/b'  'hi'", zero).decode_only(),
    ]
}

#[rustfmt::skip]
fn acknowledgements(version: Version) -> Vec<Good> {
    let ack = |n| Ack::new(id(n), ReasonCode::Success);
    vec![
        Good::new("PUBACK", version, "40 02  0007", Packet::Puback(ack(7))),
        Good::new("PUBREC", version, "50 02  0100", Packet::Pubrec(ack(256))),
        Good::new("PUBREL", version, "62 02  0007", Packet::Pubrel(ack(7))),
        Good::new("PUBCOMP", version, "70 02  ffff", Packet::Pubcomp(ack(65_535))),
    ]
}

#[rustfmt::skip]
fn subscriptions(version: Version) -> Vec<Good> {
    let subscribe = |name, bytes, filters: &[(&'static str, QoS)]| {
        let filters = filters.iter().map(|&(filter, qos)| (filter, SubscriptionOptions::qos(qos))).collect();
        Good::new(name, version, bytes, Packet::Subscribe(Subscribe { packet_id: id(1), properties: NONE, filters }))
    };
    let codes = |reasons: &[ReasonCode]| Codes { packet_id: id(1), properties: NONE, reasons: reasons.to_vec() };
    let unsubscribe = |filters| Packet::Unsubscribe(Unsubscribe { packet_id: id(1), properties: NONE, filters });
    let granted = [ReasonCode::Success, ReasonCode::GrantedQos1, ReasonCode::GrantedQos2, ReasonCode::UnspecifiedError];
    vec![
        subscribe("SUBSCRIBE", "82 08  0001  0003 'a/#' 01", &[("a/#", QoS::AtLeastOnce)]),
        subscribe("SUBSCRIBE of three", "82 0e  0001  0001 'a' 00  0001 '+' 01  0001 '#' 02",
            &[("a", QoS::AtMostOnce), ("+", QoS::AtLeastOnce), ("#", QoS::ExactlyOnce)]),
        Good::new("SUBACK", version, "90 03  0001  01", Packet::Suback(codes(&granted[1..2]))),
        Good::new("SUBACK of four", version, "90 06  0001  00 01 02 80", Packet::Suback(codes(&granted))),
        Good::new("UNSUBSCRIBE", version, "a2 05  0001  0001 'a'", unsubscribe(vec!["a"])),
        Good::new("UNSUBSCRIBE of two", version, "a2 08  0001  0001 'a' 0001 '#'", unsubscribe(vec!["a", "#"])),
        Good::new("UNSUBACK", version, "b0 02  0001", Packet::Unsuback(codes(&[]))),
    ]
}

#[rustfmt::skip]
fn rest(version: Version) -> Vec<Good> {
    let disconnect = Disconnect { reason: ReasonCode::Success, properties: NONE };
    vec![
        Good::new("PINGREQ", version, "c0 00", Packet::Pingreq),
        Good::new("PINGREQ, a longer length than needed", version, "c0 80 00", Packet::Pingreq).decode_only(),
        Good::new("PINGRESP", version, "d0 00", Packet::Pingresp),
        Good::new("DISCONNECT", version, "e0 00", Packet::Disconnect(disconnect)),
    ]
}

/// What 3.1 may send again, with DUP.
#[rustfmt::skip]
fn with_dup() -> Vec<Good> {
    let filters = vec![("a", SubscriptionOptions::qos(QoS::AtMostOnce))];
    let subscribe = Subscribe { packet_id: id(1), properties: NONE, filters };
    let unsubscribe = Unsubscribe { packet_id: id(1), properties: NONE, filters: vec!["a"] };
    let row = |name, bytes, packet| Good::new(name, V31, bytes, packet).decode_only();
    vec![
        row("PUBREL sent again", "6a 02  0007", Packet::Pubrel(Ack::new(id(7), ReasonCode::Success))),
        row("SUBSCRIBE sent again", "8a 06  0001  0001 'a' 00", Packet::Subscribe(subscribe)),
        row("UNSUBSCRIBE sent again", "aa 05  0001  0001 'a'", Packet::Unsubscribe(unsubscribe)),
    ]
}
