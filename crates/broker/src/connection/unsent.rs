//! What waits for the socket.

use super::READ_BYTES;

/// Bytes the socket has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    bytes: Vec<u8>,
    written: usize,
}

impl Unsent {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// The socket took `count` bytes.
    pub(super) fn wrote(&mut self, count: usize) {
        self.written += count;
        if self.is_empty() {
            *self = Self::default();
        } else if self.written >= READ_BYTES && self.written >= self.len() {
            // A socket that never takes everything must not make the buffer keep what it took.
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_socket_took_is_not_kept_though_it_never_takes_everything() {
        let mut unsent = Unsent::default();
        for n in 0..10_000u32 {
            unsent.push(&n.to_be_bytes().repeat(256));
            // As a slow reader: always a little is left.
            let leave = 100;
            unsent.wrote(unsent.len() - leave);
            assert_eq!(unsent.bytes()[leave - 4..], n.to_be_bytes());
        }
        assert!(unsent.bytes.capacity() < 8 * READ_BYTES, "{}", unsent.bytes.capacity());
    }
}
