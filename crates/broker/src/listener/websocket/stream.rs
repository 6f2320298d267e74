//! MQTT's bytes in the frames of a WebSocket. It is used by one task: reading also writes, the answers to pings.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use dockside_websocket::frames::{self, End, Header, Incoming, NORMAL};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of a frame to the client: an answer to a ping waits for one at most.
const FRAME_BYTES: usize = 64 << 10;

/// Reads that bring MQTT nothing before other tasks get their turn.
const READS: usize = 2;

/// An open WebSocket, as what it carries.
#[derive(Debug)]
pub(crate) struct WebSocket<S> {
    io: S,
    /// Read together with the request.
    ahead: Vec<u8>,
    incoming: Incoming,
    /// Bytes that go before anything else: a control frame, or the rest of the header of a frame that has begun.
    /// Never more than one of them.
    waiting: Vec<u8>,
    /// Bytes of MQTT that are missing of the frame that has begun.
    left: usize,
    closing: Closing,
    /// Control frames were written that the transport may hold back.
    is_unflushed: bool,
}

/// How far our Close is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Closing {
    No,
    /// Goes after the frame that has begun.
    Wanted(u16),
    Said,
}

impl<S> WebSocket<S> {
    /// A connection whose request was answered; `ahead` came behind the request.
    pub(super) fn new(io: S, ahead: Vec<u8>) -> Self {
        Self {
            io,
            ahead,
            incoming: Incoming::default(),
            waiting: Vec::new(),
            left: 0,
            closing: Closing::No,
            is_unflushed: false,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let count = ready!(Pin::new(&mut self.io).poll_write(cx, &self.waiting))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.is_unflushed = true;
            self.waiting.drain(..count);
        }
        // An idle connection holds none.
        self.waiting = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// Writes what goes between two frames: an answer to a ping, and Close.
    fn poll_between(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_waiting(cx))?;
            self.waiting = match (self.incoming.ping.take(), self.closing) {
                (_, Closing::Said) => return Poll::Ready(Ok(())),
                (Some(ping), _) => frames::pong(&ping),
                (None, Closing::Wanted(code)) => {
                    self.closing = Closing::Said;
                    frames::close(code)
                }
                (None, Closing::No) => return Poll::Ready(Ok(())),
            };
        }
    }

    /// Answers the client as far as the socket takes it now; the rest goes out with the next read, write or flush.
    fn answer(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.left > 0 {
            return Ok(());
        }
        if let Poll::Ready(written) = self.poll_between(cx) {
            written?;
        }
        if self.is_unflushed
            && let Poll::Ready(flushed) = Pin::new(&mut self.io).poll_flush(cx)
        {
            flushed?;
            self.is_unflushed = false;
        }
        Ok(())
    }

    /// Reads once into what is free of `buf`.
    fn poll_io(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let count = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..count]);
        self.ahead.drain(..count);
        if self.ahead.is_empty() {
            self.ahead = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    /// The client's Close is an end of what it sends, as that of the network connection is. What breaks the protocol is
    /// an error of which [`Violation::of`](frames::Violation::of) tells, until `poll_shutdown`; behind that it is thrown away.
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        this.answer(cx)?;
        for _ in 0..READS {
            match this.incoming.end {
                Some(End::Closed(_)) => return Poll::Ready(Ok(())),
                Some(End::Broken(violation)) if this.closing == Closing::No => {
                    return Poll::Ready(Err(violation.into()));
                }
                _ => {}
            }
            ready!(this.poll_io(cx, buf))?;
            if buf.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            let count = this.incoming.take(&mut buf.filled_mut()[before..]);
            buf.set_filled(before + count);
            if let Some(End::Closed(code)) = this.incoming.end
                && this.closing == Closing::No
            {
                this.closing = Closing::Wanted(code);
            }
            let answered = this.answer(cx);
            if count > 0 {
                // What came is handled, though the client may be gone: a DISCONNECT may be in it.
                return Poll::Ready(Ok(()));
            }
            answered?;
        }
        // Whoever sends nothing but pings does not hold up others.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    /// One frame for all of `bytes`, up to [`FRAME_BYTES`]. Whoever is told `Pending` goes on with the same bytes, or more.
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if this.left == 0 {
            ready!(this.poll_between(cx))?;
            if this.closing == Closing::Said {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let length = bytes.len().min(FRAME_BYTES);
            let header = Header::data(length);
            let header = header.as_bytes();
            let whole = [IoSlice::new(header), IoSlice::new(&bytes[..length])];
            let count = ready!(Pin::new(&mut this.io).poll_write_vectored(cx, &whole))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let written = count.saturating_sub(header.len());
            this.waiting = header[count.min(header.len())..].to_vec();
            this.left = length - written;
            if written > 0 {
                return Poll::Ready(Ok(written));
            }
        }
        ready!(this.poll_waiting(cx))?;
        let count = bytes.len().min(this.left);
        let written = ready!(Pin::new(&mut this.io).poll_write(cx, &bytes[..count]))?;
        this.left -= written;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left == 0 {
            ready!(this.poll_between(cx))?;
        }
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        this.is_unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Says Close, unless a frame is not whole, and closes this side.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closing == Closing::No {
            this.closing = Closing::Wanted(match this.incoming.end {
                Some(End::Broken(violation)) => violation.code(),
                _ => NORMAL,
            });
        }
        if this.left == 0 {
            ready!(this.poll_between(cx))?;
        }
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
