//! TLS listeners: versions, certificates that change, and clients that never finish a handshake.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dockside_broker::config::{Listener, Transport};
use dockside_mqtt::packet::Packet;
use dockside_mqtt::{QoS, Version};
use docksim::client::Client;
use docksim::target::Target;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
};

use crate::peer::TestBroker;

/// A broker with a TLS listener, and the authority that signs its certificates.
pub(crate) struct Secure {
    pub(crate) broker: TestBroker,
    address: SocketAddr,
    authority: CertifiedIssuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

impl Secure {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut dockside::config::Config)) -> Self {
        Self::start_over(Transport::Tls, change).await
    }

    pub(crate) async fn start_over(
        transport: Transport,
        change: impl FnOnce(&mut dockside::config::Config),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        let (certificate, key) = (dir.path().join("site.pem"), dir.path().join("site.key"));
        write_pair(&authority, &certificate, &key);
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let broker = TestBroker::start_with(|config| {
            let listener = Listener::new(listen, transport);
            config.listeners.push(Listener { certificate, key, ..listener });
            change(config);
        })
        .await;
        let address = broker.addresses[1];
        Self { broker, address, authority, dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn target(&self) -> Target {
        Target::from(self.address).with_tls("127.0.0.1", &self.file("ca.pem")).unwrap()
    }

    async fn flies(&self) -> bool {
        let target = self.target();
        docksim::fly::fly(&target, "SIMDOCK2000001", Duration::ZERO)
            .await
            .is_ok_and(|summary| summary.is_perfect())
    }

    /// A connection after its handshake.
    pub(crate) async fn stream(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(self.file("ca.pem")).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = tokio_rustls::rustls::crypto::ring::default_provider();
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let socket = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap()
    }

    /// The version and the certificate that the listener shows.
    async fn shown(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> (ProtocolVersion, Vec<u8>) {
        let stream = self.stream(versions).await;
        let (_, connection) = stream.get_ref();
        let certificate = connection.peer_certificates().unwrap()[0].to_vec();
        (connection.protocol_version().unwrap(), certificate)
    }
}

fn write_pair(authority: &CertifiedIssuer<'_, KeyPair>, certificate: &PathBuf, key: &PathBuf) {
    let pair = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let signed = params.signed_by(&pair, authority).unwrap();
    fs::write(key, pair.serialize_pem()).unwrap();
    fs::write(certificate, signed.pem()).unwrap();
}

#[tokio::test]
async fn docks_fly_over_tls_1_2_and_1_3() {
    let site = Secure::start().await;
    assert!(site.flies().await);
    assert_eq!(site.shown(&[&TLS12]).await.0, ProtocolVersion::TLSv1_2);
    assert_eq!(site.shown(&[&TLS13]).await.0, ProtocolVersion::TLSv1_3);
    site.broker.stop().await;
}

/// More than the sockets take at once, over TLS: what it holds back goes out.
#[tokio::test]
async fn a_load_over_tls_finds_nothing_wrong() {
    let site = Secure::start().await;
    let plan = docksim::load::Plan {
        broker: site.target(),
        docks: 5,
        apps: 3,
        window: 32,
        qos: QoS::AtLeastOnce,
        time: Duration::from_millis(500),
    };
    let report = docksim::load::run(plan).await.unwrap();
    assert!(report.is_perfect(), "{report:?}");
}

/// What TLS holds back when the socket is full goes out when it is not, without anything else to send.
#[tokio::test]
async fn a_slow_reader_over_tls_gets_everything() {
    const MESSAGES: usize = 300;
    let site = Secure::start().await;
    let mut slow = Client::connect(&site.target(), "slow", "").await.unwrap();
    slow.subscribe("w", QoS::AtMostOnce).await.unwrap();
    let mut sender = site.broker.connect(Version::V5, "sender").await;
    let payload = vec![7; 80_000];
    for _ in 0..MESSAGES {
        sender.publish("w", &payload, QoS::AtLeastOnce).await;
    }
    let mut received = 0;
    while received < MESSAGES {
        let read = tokio::time::timeout(Duration::from_secs(20), slow.read());
        read.await.expect("more comes").unwrap();
        let count = |packet: &Packet<'_>, _: &mut Vec<u8>| {
            if let Packet::Publish(publish) = packet {
                assert_eq!(publish.payload, payload);
                received += 1;
            }
        };
        slow.packets(count).unwrap();
    }
}

#[tokio::test]
async fn clients_that_never_finish_a_handshake_hold_up_nobody() {
    let site = Secure::start().await;
    let mut stuck = Vec::new();
    for n in 0..100 {
        let mut socket = TcpStream::connect(site.address).await.unwrap();
        if n % 2 == 0 {
            // The beginning of a ClientHello.
            socket.write_all(b"\x16\x03\x01\x02\x00\x01\x00").await.unwrap();
        }
        stuck.push(socket);
    }
    assert!(site.flies().await);
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_ended() {
    let site = Secure::start_with(|config| config.mqtt.connect_timeout_ms = 300).await;
    for begun in [b"" as &[u8], b"\x16\x03\x01\x02\x00\x01\x00"] {
        let mut socket = TcpStream::connect(site.address).await.unwrap();
        socket.write_all(begun).await.unwrap();
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut rest));
        // A reset is an end as well.
        let _ = read.await.expect("ended in time");
    }
}

#[tokio::test]
async fn what_is_no_tls_is_ended() {
    let site = Secure::start().await;
    let mut socket = TcpStream::connect(site.address).await.unwrap();
    socket.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01c").await.unwrap();
    let mut rest = Vec::new();
    // An alert may come before the end; a CONNACK does not.
    let _ = socket.read_to_end(&mut rest).await;
    assert_ne!(rest.first(), Some(&0x20));
}

#[tokio::test]
async fn a_certificate_is_exchanged_when_its_files_change_and_a_bad_one_is_not() {
    let site = Secure::start().await;
    let (certificate, key) = (site.file("site.pem"), site.file("site.key"));
    let both = [&TLS12, &TLS13];
    let first = site.shown(&both).await.1;
    // A new certificate whose key has not come yet.
    let new_key = site.file("new.key");
    write_pair(&site.authority, &certificate, &new_key);
    let reloaded = site.broker.reloader.reload(&dockside::config::Config::default().broker());
    assert_eq!(reloaded.problems, [], "the rest was taken over");
    assert_eq!(site.shown(&both).await.1, first, "the old pair stays");
    assert!(site.flies().await);
    // Nobody asks for it: the files are looked at.
    fs::rename(&new_key, &key).unwrap();
    while site.shown(&both).await.1 == first {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(site.flies().await);
    fs::write(&certificate, "no certificate").unwrap();
    let second = site.shown(&both).await.1;
    let reloaded = site.broker.reloader.reload(&dockside::config::Config::default().broker());
    assert_eq!(reloaded.problems, []);
    assert_eq!(site.shown(&both).await.1, second);
}
