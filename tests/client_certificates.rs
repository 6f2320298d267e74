//! Certificates of clients: who comes in with one, who that is, and who does not come in any more.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use dockside::config::Config;
use dockside_broker::config::{ClientCertificates, ClientIdentity, Listener, Transport};
use dockside_mqtt::packet::{Connect, Packet};
use dockside_mqtt::{QoS, ReasonCode, Version};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use serde_json::Value;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};

use crate::access::publish_for;
use crate::admin::refused;
use crate::peer::{Peer, TestBroker, at, connect};

const ANYBODY: Version = Version::V5;

/// Signs certificates, and revokes them.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate as PEM, and its key.
struct Card {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A client's certificate.
    fn card(&self, name: &str, serial: u64) -> Card {
        self.card_with(name, serial, |_| {})
    }

    fn card_with(
        &self,
        name: &str,
        serial: u64,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Card {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap().pem();
        Card { certificate, key: key.serialize_pem() }
    }

    /// A list of what it has revoked; old, as those of a site without its authority are.
    fn list(&self, revoked: &[u64]) -> String {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2024, 2, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

/// A broker whose listener asks for certificates.
struct Guarded {
    broker: TestBroker,
    address: SocketAddr,
    authority: Authority,
    config: Config,
    dir: tempfile::TempDir,
}

impl Guarded {
    async fn start(asks: ClientCertificates, change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        let authority = Authority::new("authority of a test");
        let own = authority.card_with("site", 1, |params| {
            params.subject_alt_names =
                CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().subject_alt_names;
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        });
        for (name, text) in [
            ("ca.pem", authority.0.pem()),
            ("site.pem", own.certificate),
            ("site.key", own.key),
            ("crl.pem", authority.list(&[])),
        ] {
            fs::write(file(name), text).unwrap();
        }
        let mut config = Config::default();
        config.mqtt.sys_interval_s = 0;
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.listeners.push(Listener {
            certificate: file("site.pem"),
            key: file("site.key"),
            client_certificates: asks,
            client_ca: file("ca.pem"),
            client_crl: file("crl.pem"),
            ..Listener::new(listen, Transport::Tls)
        });
        change(&mut config);
        let broker = TestBroker::start_with(|c| c.clone_from(&config)).await;
        let address = broker.addresses[1];
        Self { broker, address, authority, config, dir }
    }

    async fn required() -> Self {
        Self::start(ClientCertificates::Required, |_| {}).await
    }

    fn write(&self, name: &str, text: &str) {
        // In one step, as whoever exchanges such a file does.
        let new = self.dir.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.dir.path().join(name)).unwrap();
    }

    fn reload(&self) {
        assert_eq!(self.broker.reloader.reload(&self.config.broker()).problems, []);
    }

    /// A client's side of TLS.
    fn tls(
        &self,
        card: Option<&Card>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.authority.0.pem().as_bytes()).unwrap())
            .unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match card {
            None => builder.with_no_client_auth(),
            Some(Card { certificate, key }) => {
                let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
            }
        };
        TlsConnector::from(Arc::new(config))
    }

    /// A conversation within TLS. None if that does not come about; in TLS 1.3 a client may only learn it by the end
    /// of what it reads.
    async fn peer(&self, tls: &TlsConnector) -> Option<Peer> {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = tls.connect(name, socket).await.ok()?;
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full), "never resumed");
        let near = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let client = TcpStream::connect(near.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = near.accept().await.unwrap();
        tokio::spawn(async move {
            let _ = copy_bidirectional(&mut far, &mut stream).await;
        });
        Some(Peer::new(client, ANYBODY))
    }

    async fn enters(&self, card: &Card) -> Peer {
        self.connects(Some(card), connect(ANYBODY, ""), ReasonCode::Success).await
    }

    async fn connects(&self, card: Option<&Card>, asks: Connect<'_>, expected: ReasonCode) -> Peer {
        let mut peer = self.peer(&self.tls(card, &[&TLS12, &TLS13])).await.expect("TLS");
        assert_eq!(peer.connect(asks).await, expected);
        peer
    }

    /// It does not come in, in either version of TLS; the reason that is shown has these words.
    async fn refuses(&self, card: Option<&Card>, words: &str) -> Value {
        for version in [&TLS12, &TLS13] {
            self.turns_away(&self.tls(card, &[version])).await;
        }
        let refusal = refused(&self.broker, words).await;
        assert_eq!(refusal["stage"], "tls", "{refusal}");
        assert!(!refusal["remedy"].as_str().unwrap().is_empty());
        refusal
    }

    async fn turns_away(&self, tls: &TlsConnector) {
        if let Some(mut peer) = self.peer(tls).await {
            let mut packet = Vec::new();
            let asks = Packet::Connect(Box::new(connect(ANYBODY, "client")));
            dockside_mqtt::codec::encode(&mut packet, &asks, ANYBODY);
            peer.send_bytes_perhaps(&packet).await;
            peer.expect_closed().await;
        }
    }
}

fn user(name: &str) -> Connect<'_> {
    Connect { username: Some(name), ..connect(ANYBODY, "client") }
}

#[tokio::test]
async fn where_a_certificate_is_required_nobody_comes_in_without_one() {
    let site = Guarded::required().await;
    site.refuses(None, "the client showed no certificate").await;
    let mut dock = site.enters(&site.authority.card("SIMDOCK1", 2)).await;
    dock.ping().await;
    // The listener without TLS is under the same rules: nobody is let in anonymously.
    let mut peer = site.broker.socket(ANYBODY).await;
    assert_eq!(peer.connect(connect(ANYBODY, "c")).await, ReasonCode::NotAuthorized);
    site.broker.stop().await;
}

#[tokio::test]
async fn where_a_certificate_is_optional_others_log_in_as_ever() {
    for (is_open, expected) in [(true, ReasonCode::Success), (false, ReasonCode::NotAuthorized)] {
        let change = |config: &mut Config| config.mqtt.allow_anonymous = is_open;
        let site = Guarded::start(ClientCertificates::Optional, change).await;
        let mut dock = site.enters(&site.authority.card("SIMDOCK1", 2)).await;
        dock.subscribe("thing/product/SIMDOCK1/services", at(QoS::AtLeastOnce)).await;
        site.connects(None, connect(ANYBODY, "other"), expected).await;
        let asks = Connect { password: Some(b"guess"), ..user("SIMDOCK1") };
        site.connects(None, asks, ReasonCode::BadUserNameOrPassword).await;
        // One that is bad is not the same as none.
        let stranger = Authority::new("somebody else").card("SIMDOCK1", 2);
        site.refuses(Some(&stranger), "signed by no authority of client_ca").await;
        dock.ping().await;
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_good_is_refused_and_it_is_said_why() {
    let site = Guarded::required().await;
    let sign = |change: fn(&mut CertificateParams)| site.authority.card_with("SIMDOCK1", 7, change);
    let server = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    let of_an_authority = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    // The same name, another key.
    let forged = Authority::new("authority of a test").card("SIMDOCK1", 7);
    for (card, words) in [
        (sign(|params| params.not_after = date_time_ymd(2024, 1, 1)), "certificate is expired"),
        (sign(|params| params.not_before = date_time_ymd(3000, 1, 1)), "is not valid yet"),
        (sign(server), "is not made for clients"),
        (sign(of_an_authority), "the client's certificate cannot be used"),
        (forged, "is not signed by the key of the authority"),
        (sign(|params| params.distinguished_name = Default::default()), "has not one common name"),
        (site.authority.card(&"x".repeat(257), 7), "can be no user's"),
        (site.authority.card("SIM\u{7}DOCK1", 7), "can be no user's"),
    ] {
        site.refuses(Some(&card), words).await;
    }
    site.enters(&sign(|_| {})).await;
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_as_soon_as_the_list_says_so() {
    let site = Guarded::required().await;
    let (dock, other) = (site.authority.card("SIMDOCK1", 2), site.authority.card("SIMDOCK2", 3));
    let mut stays = site.enters(&dock).await;
    // Nobody asks for it: the file is looked at.
    site.write("crl.pem", &site.authority.list(&[2]));
    while let Some(mut peer) = site.peer(&site.tls(Some(&dock), &[&TLS12])).await {
        assert_eq!(peer.connect(connect(ANYBODY, "again")).await, ReasonCode::Success);
    }
    site.refuses(Some(&dock), "the client's certificate is revoked").await;
    site.enters(&other).await.ping().await;
    // Who is in stays in: a list is for those who come.
    stays.ping().await;
    // A list that cannot be read, none, or two of the same authority, let nobody in again.
    let twice = format!("{}{}", site.authority.list(&[]), site.authority.list(&[2]));
    for bad in ["", "no list", &twice] {
        site.write("crl.pem", bad);
        site.reload();
        site.refuses(Some(&dock), "the client's certificate is revoked").await;
    }
    // What another authority says counts for its own.
    let elsewhere = Authority::new("another authority");
    site.write("crl.pem", &format!("{}{}", elsewhere.list(&[3]), site.authority.list(&[])));
    site.reload();
    site.enters(&dock).await.ping().await;
    site.enters(&other).await.ping().await;
}

/// A session of TLS that is resumed shows no certificate again: none is.
#[tokio::test]
async fn a_resumed_session_is_no_way_around_the_list() {
    for version in [&TLS12, &TLS13] {
        let site = Guarded::required().await;
        // It remembers sessions, if it is given any.
        let tls = site.tls(Some(&site.authority.card("SIMDOCK1", 2)), &[version]);
        for _ in 0..2 {
            let mut peer = site.peer(&tls).await.unwrap();
            assert_eq!(peer.connect(connect(ANYBODY, "client")).await, ReasonCode::Success);
            peer.ping().await;
        }
        site.write("crl.pem", &site.authority.list(&[2]));
        site.reload();
        site.turns_away(&tls).await;
        refused(&site.broker, "the client's certificate is revoked").await;
    }
}

#[tokio::test]
async fn an_authority_that_is_taken_out_lets_nobody_in_any_more() {
    let site = Guarded::required().await;
    let new = Authority::new("a new authority");
    let (old_card, new_card) = (site.authority.card("SIMDOCK1", 2), new.card("SIMDOCK1", 2));
    site.write("ca.pem", &format!("{}{}", site.authority.0.pem(), new.0.pem()));
    site.reload();
    site.enters(&old_card).await;
    site.enters(&new_card).await;
    site.write("ca.pem", &new.0.pem());
    site.reload();
    site.enters(&new_card).await;
    site.refuses(Some(&old_card), "signed by no authority of client_ca").await;
    site.write("ca.pem", "nothing");
    site.reload();
    site.enters(&new_card).await;
}

#[tokio::test]
async fn a_docks_certificate_lets_it_publish_its_own_topics_and_no_others() {
    for identity in [ClientIdentity::Cn, ClientIdentity::San] {
        let rule = "rules = [{ user = 'SIMDOCK1', publish = ['site/own'] }]";
        let site = Guarded::start(ClientCertificates::Required, |config| {
            config.listeners[0].client_identity = identity;
            config.access = toml::from_str(rule).unwrap();
        })
        .await;
        let card = match identity {
            ClientIdentity::Cn => site.authority.card("SIMDOCK1", 2),
            ClientIdentity::San => site.authority.card_with("Dock on the roof", 2, |params| {
                let names = vec!["192.0.2.1".to_owned(), "SIMDOCK1".to_owned(), "b".to_owned()];
                params.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
            }),
        };
        // It may say who it is, and nobody looks at a password.
        for asks in [connect(ANYBODY, "dock"), Connect { password: Some(b"x"), ..user("SIMDOCK1") }]
        {
            let mut dock = site.connects(Some(&card), asks, ReasonCode::Success).await;
            dock.subscribe("thing/product/SIMDOCK1/events_reply", at(QoS::AtLeastOnce)).await;
            for (topic, expected) in [
                ("thing/product/SIMDOCK1/state", ReasonCode::Success),
                ("site/own", ReasonCode::Success),
                ("thing/product/SIMDOCK2/state", ReasonCode::NotAuthorized),
                ("site/other", ReasonCode::NotAuthorized),
            ] {
                assert_eq!(
                    publish_for(&mut dock, topic, b"{}").await,
                    expected,
                    "{identity:?} {topic}"
                );
            }
        }
        for name in ["SIMDOCK2", "simdock1", ""] {
            site.connects(Some(&card), user(name), ReasonCode::BadUserNameOrPassword).await;
        }
        refused(&site.broker, "another user name than the client's certificate has").await;
    }
}

#[tokio::test]
async fn who_came_by_certificate_stays_when_users_are_read_again() {
    let site = Guarded::required().await;
    let mut dock = site.enters(&site.authority.card("SIMDOCK1", 2)).await;
    site.reload();
    dock.ping().await;
    for (sn, expected) in [("1", ReasonCode::Success), ("2", ReasonCode::NotAuthorized)] {
        let topic = format!("thing/product/SIMDOCK{sn}/state");
        assert_eq!(publish_for(&mut dock, &topic, b"{}").await, expected);
    }
}
