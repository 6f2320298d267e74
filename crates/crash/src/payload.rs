//! The application message: who published it, where, the how manyth on that topic, and a check sum of
//! all of it. A message that was cut, mixed with another or delivered on another's topic shows.

/// What a message says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) publisher: &'a str,
    pub(crate) topic: &'a str,
    /// Counts from 1, topic by topic.
    pub(crate) counter: u64,
}

impl Content<'_> {
    /// The message, with `filling` bytes that mean nothing.
    pub(crate) fn write(&self, filling: usize) -> Vec<u8> {
        let Self { publisher, topic, counter } = self;
        let mut text = format!("{publisher} {topic} {counter} ");
        // Letters that differ from message to message: bytes of another one would be found.
        let letter = b'a' + (counter % 26) as u8;
        text.extend(std::iter::repeat_n(char::from(letter), filling));
        let sum = sum(text.as_bytes());
        text += &format!(" {sum:016x}");
        text.into_bytes()
    }
}

/// What `payload` says, or `None` if it is not what somebody wrote.
pub(crate) fn read(payload: &[u8]) -> Option<Content<'_>> {
    let (body, found) = std::str::from_utf8(payload).ok()?.rsplit_once(' ')?;
    if found != format!("{:016x}", sum(body.as_bytes())) {
        return None;
    }
    let mut parts = body.splitn(4, ' ');
    let (publisher, topic) = (parts.next()?, parts.next()?);
    let counter = parts.next()?.parse().ok()?;
    Some(Content { publisher, topic, counter })
}

/// A check sum (FNV-1a, 64 bits).
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |sum, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_a_changed_byte_is_seen() {
        let content = Content { publisher: "p1", topic: "crash/p1/t2", counter: 42 };
        for filling in [0, 1, 300] {
            let payload = content.write(filling);
            assert_eq!(read(&payload), Some(content));
            assert_eq!(read(&payload[..payload.len() - 1]), None, "cut");
            for at in 0..payload.len() {
                let mut changed = payload.clone();
                changed[at] ^= 1;
                assert_eq!(read(&changed), None, "byte {at}");
            }
        }
        assert_eq!(read(b""), None);
    }
}
