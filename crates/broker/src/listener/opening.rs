//! From a socket to where MQTT begins: the first byte, then what the listener puts around MQTT, all of it within
//! the time and the place of those who have not said who they are.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Way, tls, websocket};
use crate::connect::{self, Arrived, Cut};
use crate::metrics::Rejected;
use crate::refusals::{Cause, Stage};
use crate::shared::Shared;

/// Serves a socket to its end.
pub(super) async fn serve(socket: TcpStream, way: Arc<Way>, arrived: Arrived, shared: Arc<Shared>) {
    // Boxed: what it takes to get there is not kept for the connection's life.
    if Box::pin(begun(&socket, &arrived, &shared)).await.is_none() {
        return;
    }
    // What a handshake costs is not spent on who may not come in.
    if way.tls.is_some() && connect::is_too_many(&arrived, &shared) {
        return;
    }
    match &way.tls {
        None => Box::pin(carry(socket, arrived, shared)).await,
        Some(tls) => {
            let handshake = handshake(socket, &tls.acceptor, &arrived, &shared);
            if let Some(stream) = Box::pin(handshake).await {
                Box::pin(carry(stream, arrived, shared)).await;
            }
        }
    }
}

/// Waits until the client says something: until then it costs no more than its socket.
async fn begun(socket: &TcpStream, arrived: &Arrived, shared: &Shared) -> Option<()> {
    let cut = match arrived.in_time(shared, socket.peek(&mut [0])).await {
        Ok(Ok(count)) if count > 0 => {
            arrived.has_begun();
            return Some(());
        }
        Ok(_) => {
            connect::hung_up(arrived, shared);
            return None;
        }
        Err(cut) => cut,
    };
    connect::cut(arrived, shared, cut, true);
    None
}

/// MQTT in what is open now, or in a WebSocket in that.
async fn carry<S>(io: S, arrived: Arrived, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    if !arrived.transport.is_websocket() {
        return connect::serve(io, arrived, shared).await;
    }
    if let Some(io) = Box::pin(websocket::open(io, &arrived, &shared)).await {
        connect::serve(io, arrived, shared).await;
    }
}

/// The TLS handshake; none if it fails, which is recorded.
async fn handshake(
    socket: TcpStream,
    acceptor: &TlsAcceptor,
    arrived: &Arrived,
    shared: &Shared,
) -> Option<TlsStream<TcpStream>> {
    let cause = match arrived.in_time(shared, acceptor.accept(socket)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => tls::cause(&error),
        Err(Cut::Late) => Cause {
            reason: "the TLS handshake was not finished in time".into(),
            remedy: "check that the client speaks TLS to this port, and the network's quality; the time is mqtt.connect_timeout_ms",
        },
        Err(cut) => {
            connect::cut(arrived, shared, cut, false);
            return None;
        }
    };
    shared.metrics.rejected(Rejected::Tls);
    shared.refusals.record(arrived.whom(), Stage::Tls, cause, false);
    None
}
