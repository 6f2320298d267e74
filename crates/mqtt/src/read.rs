//! A cursor over the bytes of one packet (data types of MQTT 5.0 section 1.5).

use crate::packet::PacketId;
use crate::reason::ProtocolError;

/// What is left to read of a packet's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

const SHORT: ProtocolError = ProtocolError::malformed("packet ends in the middle of a field");

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    /// Everything that is left.
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], ProtocolError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, ProtocolError> {
        Ok(self.bytes(1)?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, ProtocolError> {
        let b = self.bytes(2)?;
        Ok(u16::from_be_bytes([b[0], b[1]]))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, ProtocolError> {
        let b = self.bytes(4)?;
        Ok(u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// Variable byte integer [MQTT-1.5.5-1]: at most four bytes, in the shortest form.
    pub(crate) fn varint(&mut self) -> Result<u32, ProtocolError> {
        match length(self.rest)? {
            Some((_, used)) if used > 1 && self.rest[used - 1] == 0 => {
                Err(ProtocolError::malformed("length is not in its shortest form"))
            }
            Some((value, used)) => {
                self.rest = &self.rest[used..];
                Ok(value)
            }
            None => Err(SHORT),
        }
    }

    /// Binary data: a two-byte length and as many bytes.
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], ProtocolError> {
        let length = self.u16()?;
        self.bytes(usize::from(length))
    }

    /// UTF-8 string [MQTT-1.5.4-1], without U+0000 [MQTT-1.5.4-2]; U+FEFF is a character like any
    /// other [MQTT-1.5.4-3].
    pub(crate) fn string(&mut self) -> Result<&'a str, ProtocolError> {
        let bytes = self.binary()?;
        if bytes.contains(&0) {
            return Err(ProtocolError::malformed("U+0000 in a string"));
        }
        std::str::from_utf8(bytes).map_err(|_| ProtocolError::malformed("string is not UTF-8"))
    }

    /// Packet identifier, never 0 [MQTT-2.2.1-3], before 5.0 [MQTT-2.3.1-1].
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, ProtocolError> {
        PacketId::new(self.u16()?).ok_or(ProtocolError::malformed("packet identifier 0"))
    }
}

/// Reads a variable byte integer from the front: its value and its length, `None` while incomplete.
/// 3.1.1 does not ask for the shortest form.
pub(crate) fn length(bytes: &[u8]) -> Result<Option<(u32, usize)>, ProtocolError> {
    let mut value = 0u32;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= 4 {
        return Err(ProtocolError::malformed("length of more than four bytes"));
    }
    Ok(None)
}
