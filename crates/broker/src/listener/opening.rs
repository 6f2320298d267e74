//! From a socket to where MQTT begins: the first byte, then what the listener puts around MQTT, all of it within
//! the time and the place of those who have not said who they are.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::proxy::{self, Header, NoHeader};
use super::{Tls, Way, tls, websocket};
use crate::connect::{self, Arrived, Cut};
use crate::metrics::Rejected;
use crate::refusals::{Cause, Stage};
use crate::shared::Shared;

/// Serves a socket to its end.
pub(super) async fn serve(
    mut socket: TcpStream,
    way: Arc<Way>,
    mut arrived: Arrived,
    shared: Arc<Shared>,
) {
    // Boxed: what it takes to get there is not kept for the connection's life.
    if way.proxy {
        let header = Box::pin(header(&mut socket, &arrived, &shared)).await;
        let Some(client) = header else { return };
        arrived.comes_from(client, &shared);
    }
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
            let handshake = handshake(socket, tls, &mut arrived, &shared);
            if let Some(stream) = Box::pin(handshake).await {
                Box::pin(carry(stream, arrived, shared)).await;
            }
        }
    }
}

/// The client's address by the header that a proxy sends first; that of the socket if the proxy tells none. Not a byte
/// behind the header is read. None if there is no header, which is recorded.
async fn header(socket: &mut TcpStream, arrived: &Arrived, shared: &Shared) -> Option<SocketAddr> {
    let mut bytes = Vec::new();
    let read = async {
        loop {
            match proxy::parse(&bytes) {
                Ok(Header::Whole(client)) => return Some(Ok(client)),
                Err(no_header) => return Some(Err(no_header)),
                Ok(Header::Part(missing)) => {
                    let read = (&mut *socket).take(missing as u64).read_buf(&mut bytes).await;
                    if !read.is_ok_and(|count| count > 0) {
                        return None;
                    }
                }
            }
        }
    };
    let read = arrived.in_time(shared, read).await;
    let (reason, remedy) = match read {
        Ok(Some(Ok(client))) => return Some(client.unwrap_or(arrived.peer)),
        Ok(Some(Err(NoHeader::Other))) => (
            "no PROXY protocol header",
            "let clients connect to the proxy and let the proxy send the header (HAProxy: send-proxy-v2; nginx: proxy_protocol on); without a proxy in front set proxy_protocol = false",
        ),
        Ok(Some(Err(NoHeader::Broken))) => (
            "a broken PROXY protocol header",
            "the proxy breaks the protocol, or something else is before the broker; versions 1 and 2 are read",
        ),
        Ok(None) => {
            connect::hung_up(arrived, shared);
            return None;
        }
        Err(Cut::Late) if !bytes.is_empty() => (
            "the PROXY protocol header was not there in time",
            "see what is wrong with the proxy, or the network between it and the broker; the time is mqtt.connect_timeout_ms",
        ),
        Err(cut) => {
            connect::cut(arrived, shared, cut, bytes.is_empty());
            return None;
        }
    };
    let cause = Cause { reason: reason.into(), remedy };
    refused(arrived, shared, (Rejected::Protocol, Stage::Tcp), cause);
    None
}

/// Counts a connection that ends before MQTT begins, and keeps why.
fn refused(arrived: &Arrived, shared: &Shared, (why, stage): (Rejected, Stage), cause: Cause) {
    shared.metrics.rejected(why);
    shared.refusals.record(arrived.whom(), stage, cause, false);
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

/// The TLS handshake, and whose certificate the client has shown; none if it fails, which is recorded.
async fn handshake(
    socket: TcpStream,
    tls: &Tls,
    arrived: &mut Arrived,
    shared: &Shared,
) -> Option<TlsStream<TcpStream>> {
    let accepts = shared.handshakes.take(tls.acceptor.accept(socket));
    let cause = match arrived.in_time(shared, accepts).await {
        Ok(Ok(stream)) => match user(&stream, tls) {
            Ok(user) => {
                arrived.certified = user;
                return Some(stream);
            }
            Err(cause) => cause,
        },
        Ok(Err(error)) => tls::cause(&error),
        Err(Cut::Late) => Cause {
            reason: "the TLS handshake was not finished in time".into(),
            remedy: "check that the client speaks TLS to this port, the network's quality, and whether very many came at once; the time is mqtt.connect_timeout_ms",
        },
        Err(cut) => {
            connect::cut(arrived, shared, cut, false);
            return None;
        }
    };
    refused(arrived, shared, (Rejected::Tls, Stage::Tls), cause);
    None
}

/// The user whose certificate the client has shown, if it has shown one.
fn user(stream: &TlsStream<TcpStream>, tls: &Tls) -> Result<Option<Arc<str>>, Cause> {
    let Some(authorities) = &tls.certificates.clients else { return Ok(None) };
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    certificate.map(|certificate| authorities.user(certificate)).transpose()
}
