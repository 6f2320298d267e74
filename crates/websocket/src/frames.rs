//! Frames of a WebSocket (RFC 6455 section 5) without I/O. Payload goes through as it comes: neither a frame nor a
//! message is ever held, so none is too large, and a connection has nothing that could grow.

use std::fmt;
use std::io;

/// Bytes of the longest header of a client's frame: two, a length of eight, a mask of four.
const HEADER_BYTES: usize = 14;

/// Bytes a control frame may carry (RFC 6455 section 5.5).
const CONTROL_BYTES: u64 = 125;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// The last frame of its message.
const FIN: u8 = 0x80;

/// The connection has done what it was there for (RFC 6455 section 7.4.1).
pub const NORMAL: u16 = 1000;

/// What ends a connection whose client does not keep to the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Violation {
    /// A frame without a mask.
    Unmasked,
    /// Bits that only an extension gives a meaning to.
    Reserved,
    /// A kind of frame that there is not.
    Unknown,
    /// A continuation of nothing, or a new message within another.
    Order,
    /// A control frame that is too long or in parts, or a Close that is none.
    Control,
    /// A length of more than 63 bits, or not written as short as can be.
    Length,
    /// A text frame.
    Text,
}

impl Violation {
    /// What was wrong.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::Unmasked => "a WebSocket frame without a mask",
            Self::Reserved => {
                "a WebSocket frame with reserved bits, though no extension was agreed on"
            }
            Self::Unknown => "a WebSocket frame of an unknown kind",
            Self::Order => "a WebSocket frame that continues nothing, or begins within a message",
            Self::Control => "a WebSocket control frame that is too long or not whole",
            Self::Length => "a WebSocket frame with an impossible length",
            Self::Text => "a WebSocket text frame; MQTT is in binary frames",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Text => {
                "let the client send binary frames (in a page: an ArrayBuffer, not a string), or use an MQTT library"
            }
            _ => {
                "the client, or a proxy in between, breaks the WebSocket protocol; see the reason, and look for a newer version of it"
            }
        }
    }

    /// What the client is told in Close (RFC 6455 section 7.4.1).
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Text => 1003,
            _ => 1002,
        }
    }

    /// The violation that an error of a WebSocket tells of.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail())
    }
}

impl std::error::Error for Violation {}

impl From<Violation> for io::Error {
    fn from(violation: Violation) -> Self {
        Self::new(io::ErrorKind::InvalidData, violation)
    }
}

/// Why nothing more comes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The client said Close; what it is answered.
    Closed(u16),
    /// The client broke the protocol.
    Broken(Violation),
}

/// What comes from a client.
#[derive(Debug, Default)]
pub struct Incoming {
    part: Part,
    /// Whether a message has begun whose last frame is not there.
    in_message: bool,
    /// Payload of the control frame that is coming in.
    control: Vec<u8>,
    /// What the last ping carried that is not answered; those before need no answer (RFC 6455 section 5.5.3).
    pub ping: Option<Vec<u8>>,
    /// Why nothing more comes in, if so.
    pub end: Option<End>,
}

/// Where in a frame it is.
#[derive(Debug)]
enum Part {
    Header { bytes: [u8; HEADER_BYTES], count: usize },
    Payload { opcode: u8, mask: [u8; 4], left: u64 },
}

impl Default for Part {
    fn default() -> Self {
        Self::Header { bytes: [0; HEADER_BYTES], count: 0 }
    }
}

impl Incoming {
    /// Takes what was read. What of it MQTT gets stands in front then; its length. Packets may be in parts, and many in
    /// one frame [MQTT-6.0.0-2].
    pub fn take(&mut self, read: &mut [u8]) -> usize {
        let (mut at, mut kept) = (0, 0);
        while at < read.len() && self.end.is_none() {
            match &mut self.part {
                Part::Header { bytes, count } => {
                    bytes[*count] = read[at];
                    *count += 1;
                    at += 1;
                    let begun = header(&bytes[..*count], self.in_message);
                    match begun {
                        Ok(None) => {}
                        Ok(Some(part)) => {
                            if is_data(bytes[0]) {
                                self.in_message = bytes[0] & FIN == 0;
                            }
                            self.part = part;
                            self.finish_frame();
                        }
                        Err(violation) => self.end = Some(End::Broken(violation)),
                    }
                }
                Part::Payload { opcode, mask, left } => {
                    let here = read.len() - at;
                    let count = usize::try_from(*left).map_or(here, |left| left.min(here));
                    let payload = at..at + count;
                    unmask(&mut read[payload.clone()], *mask);
                    mask.rotate_left(count % 4);
                    *left -= count as u64;
                    at += count;
                    if is_data(*opcode) {
                        read.copy_within(payload, kept);
                        kept += count;
                    } else {
                        // At most as long as a control frame.
                        self.control.extend_from_slice(&read[payload]);
                    }
                    self.finish_frame();
                }
            }
        }
        kept
    }

    /// Obeys a control frame whose payload is whole.
    fn finish_frame(&mut self) {
        let Part::Payload { opcode, left: 0, .. } = self.part else { return };
        self.part = Part::default();
        if is_data(opcode) {
            return;
        }
        let payload = std::mem::take(&mut self.control);
        match opcode {
            PING => self.ping = Some(payload),
            CLOSE => {
                self.end = Some(match *payload {
                    [] => End::Closed(NORMAL),
                    [first, second, ..] => closed(u16::from_be_bytes([first, second])),
                    [_] => End::Broken(Violation::Control),
                });
            }
            _ => {}
        }
    }
}

fn is_data(first: u8) -> bool {
    first & 0x08 == 0
}

/// The answer to a Close; some codes must not be sent (RFC 6455 section 7.4).
fn closed(code: u16) -> End {
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => End::Closed(code),
        _ => End::Broken(Violation::Control),
    }
}

/// What follows a header, once it is whole.
fn header(bytes: &[u8], in_message: bool) -> Result<Option<Part>, Violation> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    let opcode = check(first, second, in_message)?;
    let length_bytes = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let Some((length, mask)) = rest.split_at_checked(length_bytes) else { return Ok(None) };
    let Ok(mask) = mask.try_into() else { return Ok(None) };
    let left = match length {
        [] => u64::from(second & 0x7f),
        bytes => bytes.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
    };
    // The shortest way to write it is the only one.
    let least = match length_bytes {
        0 => 0,
        2 => 126,
        _ => 1 << 16,
    };
    if left > u64::MAX >> 1 || left < least {
        return Err(Violation::Length);
    }
    Ok(Some(Part::Payload { opcode, mask, left }))
}

/// Whether a frame that begins with these two bytes may come now; its opcode.
fn check(first: u8, second: u8, in_message: bool) -> Result<u8, Violation> {
    let opcode = first & 0x0f;
    if first & 0x70 != 0 {
        return Err(Violation::Reserved);
    }
    if second & 0x80 == 0 {
        return Err(Violation::Unmasked);
    }
    match opcode {
        // [MQTT-6.0.0-1]
        TEXT => Err(Violation::Text),
        CONTINUATION | BINARY if in_message != (opcode == CONTINUATION) => Err(Violation::Order),
        CONTINUATION | BINARY => Ok(opcode),
        CLOSE | PING | PONG => {
            let is_good = first & FIN != 0 && u64::from(second & 0x7f) <= CONTROL_BYTES;
            is_good.then_some(opcode).ok_or(Violation::Control)
        }
        _ => Err(Violation::Unknown),
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// The header of a frame to a client, which has no mask.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; 10],
    count: usize,
}

impl Header {
    /// Of a message of `length` bytes of MQTT, in one frame [MQTT-6.0.0-1].
    #[must_use]
    pub fn data(length: usize) -> Self {
        Self::new(BINARY, length)
    }

    fn new(opcode: u8, length: usize) -> Self {
        let mut bytes = [FIN | opcode, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let count = if let Ok(short @ 0..126) = u8::try_from(length) {
            bytes[1] = short;
            2
        } else if let Ok(length) = u16::try_from(length) {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            4
        } else {
            bytes[1] = 127;
            bytes[2..].copy_from_slice(&(length as u64).to_be_bytes());
            10
        };
        Self { bytes, count }
    }

    /// As it goes over the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.count]
    }
}

/// The answer to a ping, which carries what that did.
#[must_use]
pub fn pong(payload: &[u8]) -> Vec<u8> {
    [Header::new(PONG, payload.len()).as_bytes(), payload].concat()
}

/// The last frame.
#[must_use]
pub fn close(code: u16) -> Vec<u8> {
    [Header::new(CLOSE, 2).as_bytes(), &code.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests;
