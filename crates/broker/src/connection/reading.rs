//! Reading packets, and what it waits for.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ended::Ended;
use super::{Connection, Turn, UNSENT_BYTES};
use crate::listener::websocket::Violation;
use crate::metrics::Limit;

/// Whether packets are read, or why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reading {
    Open,
    /// Until the lane's budget has room.
    Budget,
    /// Until the client may publish again.
    Pace,
    /// Until the answer to a SUBSCRIBE or UNSUBSCRIBE is out.
    Answer,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Reads once and handles every whole packet; `true` if anything was done.
    pub(super) fn read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        turn: &mut Turn<'_>,
    ) -> Result<bool, Ended> {
        match self.reading {
            Reading::Budget => self.reading = Reading::Open,
            Reading::Pace => self.end_pause(cx),
            Reading::Open | Reading::Answer => {}
        }
        let is_writable = self.unsent.len() < UNSENT_BYTES;
        if is_writable && self.reading == Reading::Open && !self.go_on_subscribing(turn) {
            // Either its share is waited for, or the next turn.
            return Ok(self.reading == Reading::Open);
        }
        if !self.may_read() || !is_writable {
            return Ok(false);
        }
        if !self.unread.is_empty() && self.handle_unread(turn)? {
            return Ok(true);
        }
        if !self.may_read() {
            // A pause that has only begun is waited for in the next round.
            return Ok(self.reading == Reading::Pace);
        }
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Err(error)) => {
                return Err(Violation::of(&error).map_or(Ended::Network, Ended::WebSocket));
            }
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Err(Ended::Network),
            Poll::Ready(Ok(())) => {}
        }
        self.last_read_ms = self.now_ms;
        turn.counts.bytes_received += buffer.filled().len() as u64;
        if self.unread.is_empty() {
            let used = self.handle(buffer.filled(), turn)?;
            self.unread.extend_from_slice(&buffer.filled()[used..]);
        } else {
            self.unread.extend_from_slice(buffer.filled());
            self.handle_unread(turn)?;
        }
        Ok(true)
    }
}

impl<S> Connection<S> {
    /// Whether packets are handled: 3.1.1 has no receive maximum, so reading pauses instead.
    pub(super) fn may_read(&self) -> bool {
        let answers_at_most = usize::from(self.shared.config.limits.receive_maximum);
        let is_open = self.reading == Reading::Open && self.subscribing.is_none();
        is_open && self.answers.len() <= answers_at_most
    }

    /// Handles what is whole of the bytes kept; `true` if that was anything.
    fn handle_unread(&mut self, turn: &mut Turn<'_>) -> Result<bool, Ended> {
        let mut unread = std::mem::take(&mut self.unread);
        let used = self.handle(&unread, turn)?;
        if used < unread.len() {
            unread.drain(..used);
            self.unread = unread;
        }
        Ok(used > 0)
    }

    /// What is next has its share of the way, or reading pauses; a pause is counted once, however often it is tried.
    pub(super) fn has_share(&mut self, has: bool) {
        if !has {
            self.reading = Reading::Budget;
            if !self.waits_for_share {
                self.shared.limits.reached(Limit::Budget);
            }
        }
        self.waits_for_share = !has;
    }
}
