//! The one write of a turn, and when messages that are timed have gone out with it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use super::ended::Ended;
use super::{Connection, Turn};
use crate::message::Message;
use crate::timing::{Stamp, Timing};

/// Timed messages that wait for their socket; more are not told.
const TIMED_AT_MOST: usize = 64;

/// Bytes that the socket has taken, and messages that are timed, by the byte at which each ends.
#[derive(Default)]
pub(super) struct Written {
    bytes: u64,
    timed: VecDeque<(u64, Arc<Timing>)>,
}

impl Written {
    /// A message goes out as the last of so many bytes that are not written yet.
    pub(super) fn ends_with(&mut self, message: &Message, unwritten: usize) {
        if let Some(timing) = &message.timing
            && self.timed.len() < TIMED_AT_MOST
        {
            self.timed.push_back((self.bytes + unwritten as u64, Arc::clone(timing)));
        }
    }

    /// The socket has taken so many more.
    fn wrote(&mut self, count: usize) {
        self.bytes += count as u64;
        let is_out = |(end, _): &mut (u64, Arc<Timing>)| *end <= self.bytes;
        if self.timed.front_mut().is_some_and(is_out) {
            let now = Stamp::now();
            while let Some((_, timing)) = self.timed.pop_front_if(is_out) {
                timing.written(now);
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Connection<S> {
    /// Writes what the turn has gathered, behind what an earlier one could not.
    pub(super) fn write(&mut self, cx: &mut Context<'_>, turn: &mut Turn<'_>) -> Result<(), Ended> {
        if !self.unsent.is_empty() {
            self.unsent.push(turn.out);
            turn.out.clear();
            while !self.unsent.is_empty() {
                match Pin::new(&mut self.io).poll_write(cx, self.unsent.bytes()) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Ok(0) | Err(_)) => return Err(Ended::Network),
                    Poll::Ready(Ok(count)) => {
                        turn.counts.bytes_sent += count as u64;
                        self.written.wrote(count);
                        self.unsent.wrote(count);
                        self.flushed = false;
                    }
                }
            }
            return self.flush(cx);
        }
        let mut written = 0;
        while written < turn.out.len() {
            match Pin::new(&mut self.io).poll_write(cx, &turn.out[written..]) {
                Poll::Pending => break,
                Poll::Ready(Ok(0) | Err(_)) => return Err(Ended::Network),
                Poll::Ready(Ok(count)) => written += count,
            }
        }
        turn.counts.bytes_sent += written as u64;
        self.written.wrote(written);
        self.flushed &= written == 0;
        self.unsent.push(&turn.out[written..]);
        turn.out.clear();
        self.flush(cx)
    }

    /// TLS takes more than the socket does: what it holds back goes out when the socket takes it.
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        if !self.flushed {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Err(_)) => return Err(Ended::Network),
                Poll::Ready(Ok(())) => self.flushed = true,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dockside_mqtt::QoS;

    use super::*;
    use crate::record::Published;

    /// A socket that always has more to take delays nobody's time: each message's ends with its own last byte.
    #[test]
    fn a_message_is_written_with_its_last_byte() {
        let message = |read| {
            let published = Published::by_broker("t", QoS::AtMostOnce, b"x");
            Message::new(&Published { read, ..published })
        };
        let (first, second) = (message(Some(Stamp(1))), message(Some(Stamp(1))));
        let mut written = Written::default();
        written.ends_with(&message(None), 5);
        written.ends_with(&first, 10);
        written.ends_with(&second, 30);
        assert_eq!(written.timed.len(), 2, "others are not timed");
        written.wrote(9);
        assert_eq!(written.timed.len(), 2);
        written.wrote(1);
        assert_eq!(written.timed.len(), 1, "the second is still unsent");
        written.ends_with(&first, 20);
        written.wrote(20);
        assert!(written.timed.is_empty());
        (0..100).for_each(|n| written.ends_with(&first, n));
        assert_eq!(written.timed.len(), TIMED_AT_MOST);
    }
}
