//! MQTT in the binary frames of a WebSocket (MQTT 5.0 section 6, RFC 6455).

mod stream;

use std::time::Duration;

use bytes::BufMut;
pub(crate) use dockside_websocket::frames::Violation;
use dockside_websocket::request::{self, Accepted, HEAD_BYTES, Refused};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub(super) use self::stream::WebSocket;
use crate::connect::{self, Arrived, Cut};
use crate::connection::linger;
use crate::metrics::Rejected;
use crate::refusals::{Cause, Stage};
use crate::shared::Shared;

/// How long somebody who is refused may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why there is no WebSocket.
enum Failed {
    HungUp,
    Refused(Refused),
}

/// Reads the client's request and answers it, within the time and the place of those who have not said who they are.
/// None if it is no request for MQTT in a WebSocket, which is recorded.
pub(super) async fn open<S>(mut io: S, arrived: &Arrived, shared: &Shared) -> Option<WebSocket<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let cause = match arrived.in_time(shared, upgrade(&mut io)).await {
        Ok(Ok(ahead)) => return Some(WebSocket::new(io, ahead)),
        Ok(Err(Failed::Refused(refused))) => {
            tell(io, &refused).await;
            shared.metrics.rejected(Rejected::Protocol);
            Cause { reason: refused.detail.into(), remedy: refused.remedy }
        }
        Ok(Err(Failed::HungUp)) => {
            connect::hung_up(arrived, shared);
            return None;
        }
        Err(Cut::Late) => {
            shared.metrics.rejected(Rejected::Timeout);
            Cause {
                reason: "no whole WebSocket request in time".into(),
                remedy: "check that the client speaks WebSocket to this port, and the network's quality; the time is mqtt.connect_timeout_ms",
            }
        }
        Err(cut) => {
            connect::cut(arrived, shared, cut, false);
            return None;
        }
    };
    shared.refusals.record(arrived.whom(), Stage::WebSocket, cause, false);
    None
}

/// Reads a request and answers it, if it is good; with what came behind it.
async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(io: &mut S) -> Result<Vec<u8>, Failed> {
    let mut read = Vec::with_capacity(1 << 10);
    let (accepted, used) = read_request(io, &mut read).await?;
    let answered = async {
        io.write_all(accepted.response().as_bytes()).await?;
        io.flush().await
    };
    answered.await.map_err(|_| Failed::HungUp)?;
    Ok(read.split_off(used))
}

async fn read_request<S: AsyncRead + Unpin>(
    io: &mut S,
    read: &mut Vec<u8>,
) -> Result<(Accepted, usize), Failed> {
    let mut known = 0;
    loop {
        let room = HEAD_BYTES - read.len();
        match io.read_buf(&mut (&mut *read).limit(room)).await {
            Ok(count) if count > 0 => {}
            _ => return Err(Failed::HungUp),
        }
        request::check_first(read[0]).map_err(Failed::Refused)?;
        if let Some(end) = request::end(read, known) {
            let accepted = request::read(&read[..end]).map_err(Failed::Refused)?;
            return Ok((accepted, end));
        }
        known = read.len();
        if known == HEAD_BYTES {
            return Err(Failed::Refused(request::TOO_LONG));
        }
    }
}

/// Tells a client why it is refused, if it speaks HTTP, and closes.
async fn tell<S: AsyncRead + AsyncWrite + Unpin>(mut io: S, refused: &Refused) {
    if let Some(response) = refused.response() {
        let write = async {
            io.write_all(response.as_bytes()).await?;
            io.flush().await
        };
        // The client may be gone, or not read: it is refused either way.
        let _ = tokio::time::timeout(FAREWELL, write).await;
    }
    linger(io).await;
}
