//! The PROXY protocol: the client's address as a proxy tells it, and nothing of the client lost or read too early.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use dockside::config::Config;
use dockside_broker::config::{Listener, Transport};
use dockside_mqtt::packet::Packet;
use dockside_mqtt::{ReasonCode, Version, codec};
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::admin::refused;
use crate::peer::{Peer, TestBroker, VERSIONS, connect};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 1883\r\n";

async fn start(change: impl FnOnce(&mut Config)) -> TestBroker {
    TestBroker::start_with(|config| {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::new(listen, Transport::Tcp);
        config.listeners.push(Listener { proxy_protocol: true, ..listener });
        config.mqtt.allow_anonymous = true;
        change(config);
    })
    .await
}

/// Version 2: command, family, and what stands behind.
fn v2(command: u8, family: u8, fields: &[u8]) -> Vec<u8> {
    let length = u16::try_from(fields.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, fields].concat()
}

/// From 192.0.2.`last`, with such fields behind the addresses.
fn from(last: u8, fields: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, last, 198, 51, 100, 1, 0xc3, 0x50, 7, 91];
    v2(0x21, 0x11, &[&addresses[..], fields].concat())
}

async fn socket(broker: &TestBroker) -> TcpStream {
    let socket = TcpStream::connect(broker.addresses[1]).await.unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// Says this first, and then CONNECT.
async fn enters(broker: &TestBroker, header: &[u8], client_id: &str) -> (Peer, ReasonCode) {
    let mut peer = Peer::new(socket(broker).await, Version::V5);
    peer.send_bytes(header).await;
    let reason = peer.connect(connect(Version::V5, client_id)).await;
    (peer, reason)
}

fn connect_bytes(version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(&mut bytes, &Packet::Connect(Box::new(connect(version, "c"))), version);
    bytes
}

#[tokio::test]
async fn clients_come_through_a_proxy_with_their_own_address() {
    let broker = start(|config| config.limits.connections_per_address = 1).await;
    let tlv = from(9, b"\x03\0\x04abcd\x05\0\x02id");
    let six = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 16], &[0xc3, 0x50, 7, 91]].concat();
    let local = |port: u16| format!("127.0.0.1:{port}");
    let mut peers = Vec::new();
    for (at, (header, address)) in [
        (V1.to_vec(), "192.0.2.7:50000"),
        (from(8, b""), "192.0.2.8:50000"),
        (tlv, "192.0.2.9:50000"),
        (v2(0x21, 0x21, &six), "[2001:db8::1]:50000"),
        (v2(0x20, 0, b""), ""),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("client-{at}");
        let (mut peer, reason) = enters(&broker, &header, &id).await;
        assert_eq!(reason, ReasonCode::Success);
        peer.ping().await;
        let address = if address.is_empty() { local(peer.port()) } else { address.to_owned() };
        assert_eq!(crate::admin::address_of(&broker, &id).await, address);
        peers.push(peer);
    }
    // All come from here; the one of 192.0.2.8 is one too many, and so is one that the proxy does not know.
    for header in [from(8, b""), b"PROXY UNKNOWN\r\n".to_vec()] {
        let (_, reason) = enters(&broker, &header, "more").await;
        assert_eq!(reason, ReasonCode::QuotaExceeded);
    }
    let refusal = refused(&broker, "too many connections from this address").await;
    assert_eq!(refusal["client_id"], "more");
    broker.stop().await;
}

/// However it arrives, not a byte is lost and none is read too early.
#[tokio::test]
async fn a_header_in_single_bytes_is_a_header() {
    let broker = start(|_| {}).await;
    for version in VERSIONS {
        for header in [V1.to_vec(), from(8, &[0; 300]), b"PROXY UNKNOWN\r\n".to_vec()] {
            let connect = connect_bytes(version);
            // Whole, with all of CONNECT behind it, and byte by byte.
            let mut whole = socket(&broker).await;
            whole.write_all(&[&header[..], &connect].concat()).await.unwrap();
            let mut slow = socket(&broker).await;
            for byte in header.iter().chain(&connect) {
                slow.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            for socket in [&mut whole, &mut slow] {
                let mut connack = [0; 4];
                socket.read_exact(&mut connack).await.unwrap();
                assert_eq!((connack[0], connack[2], connack[3]), (0x20, 0, 0));
            }
        }
    }
}

#[tokio::test]
async fn without_a_header_nobody_is_served() {
    let broker = start(|_| {}).await;
    let broken = b"PROXY TCP4 here there 1 2\r\n";
    for (begins, words) in [
        (connect_bytes(Version::V311), "no PROXY protocol header"),
        (b"\x16\x03\x01\x02\0\x01\0".to_vec(), "no PROXY protocol header"),
        (broken.to_vec(), "a broken PROXY protocol header"),
        (v2(0x21, 0x11, &[0; 4]), "a broken PROXY protocol header"),
    ] {
        let mut socket = socket(&broker).await;
        socket.write_all(&begins).await.unwrap();
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = socket.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
        let refusal = refused(&broker, words).await;
        assert_eq!(refusal["stage"], "tcp");
        assert!(refusal["remedy"].as_str().unwrap().contains("proxy"), "{refusal}");
    }
    // The other listener has none before it.
    broker.connect(Version::V311, "direct").await.ping().await;
}

#[tokio::test]
async fn a_header_that_does_not_end_is_not_waited_for() {
    let broker = start(|config| config.mqtt.connect_timeout_ms = 300).await;
    for begun in [&b""[..], &V1[..20], &from(8, &[0; 40])[..30]] {
        let mut socket = socket(&broker).await;
        socket.write_all(begun).await.unwrap();
        let _ = socket.read_to_end(&mut Vec::new()).await;
    }
    refused(&broker, "the PROXY protocol header was not there in time").await;
    refused(&broker, "connected and said nothing").await;
}

/// Why a client is refused stands under its own address, and so does what it may have there.
#[tokio::test]
async fn what_is_refused_stands_under_the_clients_address() {
    let broker = start(|_| {}).await;
    let mut socket = socket(&broker).await;
    socket.write_all(&[&from(77, b"")[..], b"GET / HTTP/1.1\r\n"].concat()).await.unwrap();
    let _ = socket.read_to_end(&mut Vec::new()).await;
    let refusal = refused(&broker, "HTTP or WebSocket").await;
    assert_eq!(refusal["address"], "192.0.2.77:50000");
}

#[tokio::test]
async fn tls_begins_behind_the_header() {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let own = own.self_signed(&key).unwrap();
    let file = |name: &str| dir.path().join(name);
    fs::write(file("site.pem"), own.pem()).unwrap();
    fs::write(file("site.key"), key.serialize_pem()).unwrap();
    let broker = start(|config| {
        let listener = &mut config.listeners[0];
        listener.transport = Transport::Tls;
        (listener.certificate, listener.key) = (file("site.pem"), file("site.key"));
    })
    .await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(own)).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("127.0.0.1").unwrap();
    for header in [V1.to_vec(), from(8, b"\x03\0\x04abcd")] {
        let mut socket = socket(&broker).await;
        socket.write_all(&header).await.unwrap();
        let mut stream = tls.connect(name.clone(), socket).await.unwrap();
        stream.write_all(&connect_bytes(Version::V311)).await.unwrap();
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).await.unwrap();
        assert_eq!(connack, [0x20, 2, 0, 0]);
    }
    // Without one it is no TLS that is spoken here.
    assert!(tls.connect(name, socket(&broker).await).await.is_err());
    refused(&broker, "no PROXY protocol header").await;
}
