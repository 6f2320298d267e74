//! From a packet to bytes, appended to a buffer that the caller owns and reuses.

use super::{varint_len, write_varint};
use crate::packet::{Ack, Codes, Connect, Packet, PacketId, Publish, QoS, Version, Will};
use crate::property::{Properties, PropertyId};
use crate::reason::ReasonCode;

/// Appends `packet` as `version` writes it. Strings and lengths are the caller's to keep within
/// what MQTT can express: 65,535 bytes a string, 268,435,455 a packet.
pub fn encode(out: &mut Vec<u8>, packet: &Packet<'_>, version: Version) {
    match packet {
        Packet::Connect(p) => framed(out, 0x10, |out| connect(out, p)),
        Packet::Connack(p) => framed(out, 0x20, |out| {
            out.push(p.session_present.into());
            if version.is_v5() {
                out.push(p.reason.wire());
                block(out, p.properties);
            } else {
                out.push(p.reason.connack_311());
            }
        }),
        Packet::Publish(p) => whole_publish(out, p, version),
        Packet::Puback(p) => ack(out, 0x40, p, version),
        Packet::Pubrec(p) => ack(out, 0x50, p, version),
        Packet::Pubrel(p) => ack(out, 0x62, p, version),
        Packet::Pubcomp(p) => ack(out, 0x70, p, version),
        Packet::Subscribe(p) => framed(out, 0x82, |out| {
            head(out, p.packet_id, p.properties, version);
            for (filter, options) in &p.filters {
                string(out, filter.as_bytes());
                out.push(options.bits());
            }
        }),
        Packet::Suback(p) => codes(out, 0x90, p, version),
        Packet::Unsubscribe(p) => framed(out, 0xA2, |out| {
            head(out, p.packet_id, p.properties, version);
            for filter in &p.filters {
                string(out, filter.as_bytes());
            }
        }),
        Packet::Unsuback(p) => codes(out, 0xB0, p, version),
        Packet::Pingreq => out.extend_from_slice(&[0xC0, 0]),
        Packet::Pingresp => out.extend_from_slice(&[0xD0, 0]),
        Packet::Disconnect(p) => outcome(out, 0xE0, p.reason, p.properties, version),
        Packet::Auth(p) => outcome(out, 0xF0, p.reason, p.properties, version),
    }
}

/// A message on its way to one subscriber: what every copy shares.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Properties to pass on, without topic alias, expiry and subscription identifiers.
    pub properties: Properties<'a>,
    /// Application message.
    pub payload: &'a [u8],
    /// Seconds left to live, counted down by the broker.
    pub expiry: Option<u32>,
    /// Topic alias; the topic is empty once the receiver knows it.
    pub alias: Option<u16>,
}

/// Appends the PUBLISH that carries `message` to one subscriber.
///
/// `packet_id` decides between QoS 0 and `qos`; `subscription_ids` are those of every subscription
/// that matched (section 3.3.2.3.8). Properties are left out before version 5.0.
pub fn publish(
    out: &mut Vec<u8>,
    version: Version,
    message: &Message<'_>,
    (qos, packet_id): (QoS, Option<PacketId>),
    retain: bool,
    subscription_ids: &[u32],
) {
    let properties = if version.is_v5() { added(message, subscription_ids) } else { 0 };
    let block = message.properties.raw();
    let block_len = if version.is_v5() { block.len() + properties } else { 0 };
    let id_len = if packet_id.is_some() { 2 } else { 0 };
    let block_size = if version.is_v5() { varint_len(block_len) + block_len } else { 0 };
    let body = 2 + message.topic.len() + id_len + block_size + message.payload.len();

    out.reserve(body + 5);
    out.push(0x30 | qos.bits() << 1 | u8::from(retain));
    write_varint(out, body as u32);
    string(out, message.topic.as_bytes());
    if let Some(id) = packet_id {
        out.extend_from_slice(&id.get().to_be_bytes());
    }
    if version.is_v5() {
        write_varint(out, block_len as u32);
        out.extend_from_slice(block);
        if let Some(alias) = message.alias {
            out.push(PropertyId::TopicAlias as u8);
            out.extend_from_slice(&alias.to_be_bytes());
        }
        if let Some(seconds) = message.expiry {
            out.push(PropertyId::MessageExpiryInterval as u8);
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        for &id in subscription_ids {
            out.push(PropertyId::SubscriptionIdentifier as u8);
            write_varint(out, id);
        }
    }
    out.extend_from_slice(message.payload);
}

/// The bit of a PUBLISH's first byte that says it was sent before.
pub const DUP: u8 = 0b1000;

/// Puts the packet identifier into a PUBLISH with QoS 1 or 2 that was written with another one.
pub fn set_packet_id(publish: &mut [u8], id: PacketId) {
    let header = 1 + publish[1..].iter().take_while(|byte| *byte & 0x80 != 0).count() + 1;
    let topic = usize::from(u16::from_be_bytes([publish[header], publish[header + 1]]));
    let at = header + 2 + topic;
    publish[at..at + 2].copy_from_slice(&id.get().to_be_bytes());
}

/// Bytes of the properties that the broker adds to a message's own.
fn added(message: &Message<'_>, subscription_ids: &[u32]) -> usize {
    let expiry = if message.expiry.is_some() { 5 } else { 0 };
    let alias = if message.alias.is_some() { 3 } else { 0 };
    alias + expiry + subscription_ids.iter().map(|&id| 1 + varint_len(id as usize)).sum::<usize>()
}

fn whole_publish(out: &mut Vec<u8>, p: &Publish<'_>, version: Version) {
    let start = out.len();
    let message = Message {
        topic: p.topic,
        properties: p.properties,
        payload: p.payload,
        expiry: None,
        alias: None,
    };
    publish(out, version, &message, (p.qos, p.packet_id), p.retain, &[]);
    out[start] |= u8::from(p.dup) << 3;
}

/// Writes the fixed header once the length of what `body` writes is known.
fn framed(out: &mut Vec<u8>, first: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(first);
    let start = out.len();
    body(out);
    let length = out.len() - start;
    let mut header = Vec::with_capacity(4);
    write_varint(&mut header, length as u32);
    out.splice(start..start, header);
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    debug_assert!(bytes.len() <= usize::from(u16::MAX), "a string MQTT cannot express");
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// The length is there even if it is 0 [MQTT-2.2.2-1].
fn block(out: &mut Vec<u8>, properties: Properties<'_>) {
    write_varint(out, properties.raw().len() as u32);
    out.extend_from_slice(properties.raw());
}

fn head(out: &mut Vec<u8>, id: PacketId, properties: Properties<'_>, version: Version) {
    out.extend_from_slice(&id.get().to_be_bytes());
    if version.is_v5() {
        block(out, properties);
    }
}

fn connect(out: &mut Vec<u8>, p: &Connect<'_>) {
    let (name, level): (&[u8], u8) = match p.version {
        Version::V31 => (b"MQIsdp", 3),
        Version::V311 => (b"MQTT", 4),
        Version::V5 => (b"MQTT", 5),
    };
    string(out, name);
    out.push(level);
    let will = p.will.map_or(0, |w| 0b100 | w.qos.bits() << 3 | u8::from(w.retain) << 5);
    let user = u8::from(p.username.is_some()) << 7 | u8::from(p.password.is_some()) << 6;
    out.push(u8::from(p.clean_start) << 1 | will | user);
    out.extend_from_slice(&p.keep_alive.to_be_bytes());
    if p.version.is_v5() {
        block(out, p.properties);
    }
    string(out, p.client_id.as_bytes());
    if let Some(Will { topic, payload, properties, .. }) = p.will {
        if p.version.is_v5() {
            block(out, properties);
        }
        string(out, topic.as_bytes());
        string(out, payload);
    }
    if let Some(name) = p.username {
        string(out, name.as_bytes());
    }
    if let Some(password) = p.password {
        string(out, password);
    }
}

/// Success without properties takes the short form of four bytes (section 3.4.2.1).
fn ack(out: &mut Vec<u8>, first: u8, p: &Ack<'_>, version: Version) {
    let id = p.packet_id.get().to_be_bytes();
    if !version.is_v5() || (p.reason == ReasonCode::Success && p.properties.is_empty()) {
        out.extend_from_slice(&[first, 2, id[0], id[1]]);
    } else {
        framed(out, first, |out| {
            out.extend_from_slice(&[id[0], id[1], p.reason.wire()]);
            if !p.properties.is_empty() {
                block(out, p.properties);
            }
        });
    }
}

/// A 3.1.1 SUBACK knows only 0x80 as failure (its section 3.9.3), its UNSUBACK no codes at all.
fn codes(out: &mut Vec<u8>, first: u8, p: &Codes<'_>, version: Version) {
    framed(out, first, |out| {
        head(out, p.packet_id, p.properties, version);
        match version {
            Version::V5 => out.extend(p.reasons.iter().map(|r| r.wire())),
            _ if first == 0x90 => out.extend(p.reasons.iter().map(|r| r.wire().min(0x80))),
            _ => {}
        }
    });
}

fn outcome(out: &mut Vec<u8>, first: u8, reason: ReasonCode, p: Properties<'_>, version: Version) {
    if !version.is_v5() || (reason == ReasonCode::Success && p.is_empty()) {
        out.extend_from_slice(&[first, 0]);
    } else {
        framed(out, first, |out| {
            out.push(reason.wire());
            if !p.is_empty() {
                block(out, p);
            }
        });
    }
}
