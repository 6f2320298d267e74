//! The one write of a turn, and when messages that are timed have gone out with it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use super::ended::Ended;
use super::{Connection, Turn};
use crate::message::Message;
use crate::timing::Stamp;

/// Timed messages that wait for their socket; more are not told.
const TIMED_AT_MOST: usize = 64;

/// A message that goes out with what is unsent, if it is timed.
pub(super) fn time(timed: &mut Vec<Arc<Message>>, message: &Arc<Message>) {
    if message.timing.is_some() && timed.len() < TIMED_AT_MOST {
        timed.push(Arc::clone(message));
    }
}

impl<S> Connection<S> {
    /// What was timed is written, once everything is.
    pub(super) fn tell_written(&mut self) {
        if !self.timed.is_empty() && self.unsent.is_empty() {
            let now = Stamp::now();
            for message in self.timed.drain(..) {
                message.timing.iter().for_each(|timing| timing.written(now));
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
