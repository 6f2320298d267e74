//! Packets of MQTT 5.0.

use dockside_mqtt::packet::{
    Ack, Auth, Codes, Connack, Connect, Disconnect, Publish, Subscribe, SubscriptionOptions,
    Unsubscribe, Will,
};
use dockside_mqtt::property::{Properties, kept};
use dockside_mqtt::{Packet, PacketId, QoS, ReasonCode, Version};

use crate::Good;

const NONE: Properties<'static> = Properties::EMPTY;

/// A user property `k` with the value `v`: what stands in every packet.
const USER: &[u8] = b"\x26\0\x01k\0\x01v";

fn id(n: u16) -> PacketId {
    PacketId::new(n).unwrap()
}

fn row(name: &'static str, bytes: &str, packet: Packet<'static>) -> Good {
    Good::new(name, Version::V5, bytes, packet)
}

pub(crate) fn rows() -> Vec<Good> {
    let mut rows = connects();
    rows.extend(connacks());
    rows.extend(publishes());
    rows.extend(acknowledgements());
    rows.extend(subscribes());
    rows.extend(codes());
    rows.extend(ends());
    rows
}

#[rustfmt::skip]
fn connects() -> Vec<Good> {
    let least = || Connect {
        version: Version::V5, clean_start: true, keep_alive: 60, client_id: "c",
        will: None, username: None, password: None, properties: NONE,
    };
    let row = |name, bytes, connect| row(name, bytes, Packet::Connect(Box::new(connect)));
    let will = Will { qos: QoS::AtMostOnce, retain: false, topic: "w", payload: b"x", properties: NONE };
    let full_will = Will { qos: QoS::ExactlyOnce, retain: true, properties: kept(b"\x18\0\0\0\x05"), ..will };
    let full = Connect {
        clean_start: false, will: Some(full_will), username: Some("u"), password: Some(b"p"),
        properties: kept(b"\x11\0\0\0\x0a\x21\0\x14"), ..least()
    };
    vec![
        row("the least, no properties [MQTT-2.2.2-1]", "10 0e  0004 'MQTT' 05  02  003c  00  0001 'c'", least()),
        row("no client identifier", "10 0d  0004 'MQTT' 05  02  003c  00  0000", Connect { client_id: "", ..least() }),
        row("everything, in its order [MQTT-3.1.3-1]",
            "10 28  0004 'MQTT' 05  f6  003c  08 11 0000000a 21 0014  0001 'c'  05 18 00000005 0001 'w' 0001 'x'  0001 'u'  0001 'p'",
            Connect { clean_start: true, ..full.clone() }),
        row("everything, and a session kept",
            "10 28  0004 'MQTT' 05  f4  003c  08 11 0000000a 21 0014  0001 'c'  05 18 00000005 0001 'w' 0001 'x'  0001 'u'  0001 'p'", full),
        row("a will with QoS 0 [MQTT-3.1.2-12]", "10 15  0004 'MQTT' 05  06  003c  00  0001 'c'  00 0001 'w' 0001 'x'",
            Connect { will: Some(will), ..least() }),
        row("a will with QoS 1 [MQTT-3.1.2-12]", "10 15  0004 'MQTT' 05  0e  003c  00  0001 'c'  00 0001 'w' 0001 'x'",
            Connect { will: Some(Will { qos: QoS::AtLeastOnce, ..will }), ..least() }),
        row("a password without a user name", "10 11  0004 'MQTT' 05  42  003c  00  0001 'c'  0001 'p'",
            Connect { password: Some(b"p"), ..least() }),
        row("a user name without a password", "10 11  0004 'MQTT' 05  82  003c  00  0001 'c'  0001 'u'",
            Connect { username: Some("u"), ..least() }),
    ]
}

#[rustfmt::skip]
fn connacks() -> Vec<Good> {
    let row = |name, bytes, session_present, reason, properties| {
        row(name, bytes, Packet::Connack(Connack { session_present, reason, properties }))
    };
    vec![
        row("accepted", "20 03  00  00  00", false, ReasonCode::Success, NONE),
        row("accepted, with a session and properties", "20 06  01  00  03 21 0014", true, ReasonCode::Success, kept(b"\x21\0\x14")),
        row("refused", "20 03  00  87  00", false, ReasonCode::NotAuthorized, NONE),
    ]
}

#[rustfmt::skip]
fn publishes() -> Vec<Good> {
    let zero = Publish {
        dup: false, qos: QoS::AtMostOnce, retain: false, packet_id: None,
        topic: "a/b", properties: NONE, payload: b"hi",
    };
    let once = Publish { qos: QoS::AtLeastOnce, packet_id: PacketId::new(1), ..zero };
    let twice = Publish { qos: QoS::ExactlyOnce, ..once };
    let row = |name, bytes, publish| row(name, bytes, Packet::Publish(publish));
    vec![
        row("QoS 0", "30 08  0003 'a/b'  00  'hi'", zero),
        row("QoS 0 has no identifier [MQTT-2.2.1-2]", "30 08  0003 'a/b'  00  0001", Publish { payload: b"\0\x01", ..zero }),
        row("QoS 1", "32 0a  0003 'a/b'  0001  00  'hi'", once),
        row("QoS 2", "34 0a  0003 'a/b'  0001  00  'hi'", twice),
        row("sent again, retained, empty", "3d 08  0003 'a/b'  0001  00", Publish { dup: true, retain: true, payload: b"", ..twice }),
        row("an alias for a topic", "30 08  0000  03 23 0009  'hi'", Publish { topic: "", properties: kept(b"\x23\0\x09"), ..zero }),
        row("two identifiers of subscriptions", "30 0d  0003 'a/b'  05 0b 01 0b c801  'hi'",
            Publish { properties: kept(b"\x0b\x01\x0b\xc8\x01"), ..zero }),
        row("the same user property twice", "30 16  0003 'a/b'  0e 26 0001 'k' 0001 'v' 26 0001 'k' 0001 'v'  'hi'",
            Publish { properties: kept(b"\x26\0\x01k\0\x01v\x26\0\x01k\0\x01v"), ..zero }),
    ]
}

#[rustfmt::skip]
fn acknowledgements() -> Vec<Good> {
    const SUCCESS: ReasonCode = ReasonCode::Success;
    let ack = |reason, properties| Ack { packet_id: id(7), reason, properties };
    let user = kept(USER);
    vec![
        row("PUBACK", "40 02  0007", Packet::Puback(ack(SUCCESS, NONE))),
        row("PUBACK, success said", "40 03  0007  00", Packet::Puback(ack(SUCCESS, NONE))).decode_only(),
        row("PUBACK, no properties said", "40 04  0007  00  00", Packet::Puback(ack(SUCCESS, NONE))).decode_only(),
        row("PUBACK, success with a property", "40 0b  0007  00  07 26 0001 'k' 0001 'v'", Packet::Puback(ack(SUCCESS, user))),
        row("PUBACK, a reason", "40 03  0007  87", Packet::Puback(ack(ReasonCode::NotAuthorized, NONE))),
        row("PUBACK, a reason and no properties said", "40 04  0007  87  00", Packet::Puback(ack(ReasonCode::NotAuthorized, NONE))).decode_only(),
        row("PUBREC", "50 02  0007", Packet::Pubrec(ack(SUCCESS, NONE))),
        row("PUBREC, nobody there", "50 03  0007  10", Packet::Pubrec(ack(ReasonCode::NoMatchingSubscribers, NONE))),
        row("PUBREC, everything", "50 0b  0007  97  07 26 0001 'k' 0001 'v'", Packet::Pubrec(ack(ReasonCode::QuotaExceeded, user))),
        row("PUBREL", "62 02  0007", Packet::Pubrel(ack(SUCCESS, NONE))),
        row("PUBREL, a reason", "62 03  0007  92", Packet::Pubrel(ack(ReasonCode::PacketIdentifierNotFound, NONE))),
        row("PUBREL, everything", "62 0b  0007  92  07 26 0001 'k' 0001 'v'", Packet::Pubrel(ack(ReasonCode::PacketIdentifierNotFound, user))),
        row("PUBCOMP", "70 02  0007", Packet::Pubcomp(ack(SUCCESS, NONE))),
        row("PUBCOMP, a reason", "70 03  0007  92", Packet::Pubcomp(ack(ReasonCode::PacketIdentifierNotFound, NONE))),
        row("PUBCOMP, everything", "70 0b  0007  00  07 26 0001 'k' 0001 'v'", Packet::Pubcomp(ack(SUCCESS, user))),
    ]
}

#[rustfmt::skip]
fn subscribes() -> Vec<Good> {
    let subscribe = |name, bytes, properties, filters: &[_]| {
        row(name, bytes, Packet::Subscribe(Subscribe { packet_id: id(1), properties, filters: filters.to_vec() }))
    };
    let unsubscribe = |name, bytes, properties, filters: &[_]| {
        row(name, bytes, Packet::Unsubscribe(Unsubscribe { packet_id: id(1), properties, filters: filters.to_vec() }))
    };
    let plain = SubscriptionOptions::qos;
    let most = SubscriptionOptions { qos: QoS::ExactlyOnce, no_local: true, retain_as_published: true, retain_handling: 2 };
    let new_only = SubscriptionOptions { retain_handling: 1, ..plain(QoS::AtLeastOnce) };
    vec![
        subscribe("SUBSCRIBE", "82 07  0001  00  0001 'a' 00", NONE, &[("a", plain(QoS::AtMostOnce))]),
        subscribe("SUBSCRIBE with every option", "82 0b  0001  00  0001 'a' 2e  0001 'b' 11", NONE, &[("a", most), ("b", new_only)]),
        subscribe("SUBSCRIBE with the largest identifier", "82 0c  0001  05 0b ffffff7f  0001 '#' 01",
            kept(b"\x0b\xff\xff\xff\x7f"), &[("#", plain(QoS::AtLeastOnce))]),
        unsubscribe("UNSUBSCRIBE", "a2 06  0001  00  0001 'a'", NONE, &["a"]),
        unsubscribe("UNSUBSCRIBE of two, with a property", "a2 10  0001  07 26 0001 'k' 0001 'v'  0001 'a' 0001 '#'", kept(USER), &["a", "#"]),
    ]
}

#[rustfmt::skip]
fn codes() -> Vec<Good> {
    let codes = |properties, reasons: &[ReasonCode]| Codes { packet_id: id(1), properties, reasons: reasons.to_vec() };
    let granted = [ReasonCode::Success, ReasonCode::GrantedQos1, ReasonCode::GrantedQos2, ReasonCode::TopicFilterInvalid];
    let gone = [ReasonCode::Success, ReasonCode::NoSubscriptionExisted];
    vec![
        row("SUBACK", "90 07  0001  00  00 01 02 8f", Packet::Suback(codes(NONE, &granted))),
        row("SUBACK with a property", "90 0b  0001  07 26 0001 'k' 0001 'v'  01", Packet::Suback(codes(kept(USER), &granted[1..2]))),
        row("UNSUBACK", "b0 05  0001  00  00 11", Packet::Unsuback(codes(NONE, &gone))),
        row("UNSUBACK with a property", "b0 0b  0001  07 26 0001 'k' 0001 'v'  11", Packet::Unsuback(codes(kept(USER), &gone[1..]))),
    ]
}

#[rustfmt::skip]
fn ends() -> Vec<Good> {
    let disconnect = |reason, properties| Packet::Disconnect(Disconnect { reason, properties });
    let auth = |reason, properties| Packet::Auth(Auth { reason, properties });
    let method = kept(b"\x15\0\x01m");
    vec![
        row("PINGREQ", "c0 00", Packet::Pingreq),
        row("PINGRESP", "d0 00", Packet::Pingresp),
        row("DISCONNECT", "e0 00", disconnect(ReasonCode::Success, NONE)),
        row("DISCONNECT, success said", "e0 01  00", disconnect(ReasonCode::Success, NONE)).decode_only(),
        row("DISCONNECT, no properties said", "e0 02  00  00", disconnect(ReasonCode::Success, NONE)).decode_only(),
        row("DISCONNECT of a client", "e0 01  04", disconnect(ReasonCode::DisconnectWithWill, NONE)),
        row("DISCONNECT of a server", "e0 01  8e", disconnect(ReasonCode::SessionTakenOver, NONE)),
        row("DISCONNECT with a property", "e0 07  00  05 11 00000000", disconnect(ReasonCode::Success, kept(b"\x11\0\0\0\0"))),
        row("AUTH of a server, short", "f0 00", auth(ReasonCode::Success, NONE)),
        row("AUTH of a server", "f0 06  00  04 15 0001 'm'", auth(ReasonCode::Success, method)),
        row("AUTH of both", "f0 0a  18  08 15 0001 'm' 16 0001 00",
            auth(ReasonCode::ContinueAuthentication, kept(b"\x15\0\x01m\x16\0\x01\0"))),
        row("AUTH of a client", "f0 06  19  04 15 0001 'm'", auth(ReasonCode::ReAuthenticate, method)),
    ]
}
