//! Bytes to packets and back (MQTT 5.0 section 2.1 and chapter 3).
//!
//! [`split`] finds one packet in a buffer without reading it, [`decode`] reads it, [`encode`]
//! appends one to a buffer. Nothing is copied in decoding; a packet borrows from the buffer.

mod decode;
mod encode;

pub use decode::decode;
pub use encode::{DUP, Message, encode, publish, set_packet_id};

use crate::packet::Version;
use crate::read;
use crate::reason::{ProtocolError, ReasonCode};

/// The largest value of a variable byte integer, and so of a remaining length (section 2.1.4).
pub const MAX_REMAINING_LENGTH: u32 = 268_435_455;

/// The largest packet MQTT can express, fixed header and all.
pub const MAX_PACKET: u32 = MAX_REMAINING_LENGTH + 5;

/// One packet's bytes: the first byte of the fixed header, and everything behind the length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// Packet type and flags.
    pub first: u8,
    /// Variable header and payload.
    pub body: &'a [u8],
    /// Whether the length took more bytes than it needs: malformed in 5.0 [MQTT-1.5.5-1], legal
    /// before.
    pub padded: bool,
}

/// Finds the first packet in `buffer`: the packet and how many bytes it takes, or `None` while it
/// is incomplete.
///
/// # Errors
/// A packet longer than `maximum` bytes in all (`Packet Too Large`, as soon as its length is known),
/// a malformed length, or a first byte no packet starts with.
pub fn split(buffer: &[u8], maximum: u32) -> Result<Option<(Frame<'_>, usize)>, ProtocolError> {
    let Some((&first, rest)) = buffer.split_first() else { return Ok(None) };
    check_first_byte(first)?;
    let Some((length, used)) = read::length(rest)? else { return Ok(None) };
    let header = 1 + used;
    let total = header + length as usize;
    if total > maximum as usize {
        return Err(ProtocolError::new(
            ReasonCode::PacketTooLarge,
            "packet is larger than the limit of this broker",
        ));
    }
    let padded = used > varint_len(length as usize);
    Ok(buffer.get(header..total).map(|body| (Frame { first, body, padded }, total)))
}

/// Type 0 is reserved; flags other than those of table 2-2 are malformed [MQTT-2.1.3-1]
/// [MQTT-3.3.1-4] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1] [MQTT-3.15.1-1],
/// and before 5.0 [MQTT-2.2.2-2].
fn check_first_byte(first: u8) -> Result<(), ProtocolError> {
    let (kind, flags) = (first >> 4, first & 0x0F);
    let allowed = match kind {
        0 => return Err(ProtocolError::malformed("packet type 0")),
        3 => flags & 0b0110 != 0b0110,
        // In 3.1 these three may carry DUP; for the others `decode` refuses it.
        6 | 8 | 10 => flags & 0b0111 == 0b0010,
        _ => flags == 0,
    };
    if allowed { Ok(()) } else { Err(ProtocolError::malformed("reserved bits of the first byte")) }
}

/// The version a CONNECT asks for, by protocol name [MQTT-3.1.2-1] and level [MQTT-3.1.2-2].
///
/// # Errors
/// `Unsupported Protocol Version` for a known name with another level, `Malformed Packet` otherwise.
pub fn connect_version(frame: &Frame<'_>) -> Result<Version, ProtocolError> {
    let mut reader = read::Reader::new(frame.body);
    let name = reader.binary()?;
    match (name, reader.u8()?) {
        (b"MQIsdp", 3) => Ok(Version::V31),
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQTT", 5) => Ok(Version::V5),
        (b"MQTT" | b"MQIsdp", _) => Err(ProtocolError::new(
            ReasonCode::UnsupportedProtocolVersion,
            "protocol level is not one of 3, 4, 5",
        )),
        _ => Err(ProtocolError::malformed("protocol name is not MQTT")),
    }
}

/// Appends a variable byte integer; `value` is at most [`MAX_REMAINING_LENGTH`].
pub(crate) fn write_varint(out: &mut Vec<u8>, mut value: u32) {
    debug_assert!(value <= MAX_REMAINING_LENGTH, "a length MQTT cannot express");
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes [`write_varint`] appends.
pub(crate) fn varint_len(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}
