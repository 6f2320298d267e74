//! Logins that a server decides.

use std::fs;
use std::sync::Arc;

use dockside::config::Config;
use dockside_mqtt::packet::{Connect, Packet};
use dockside_mqtt::property::PropertyList;
use dockside_mqtt::{QoS, ReasonCode, Version};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::server::{ALLOW, Answer, Server, allow};
use super::why;
use crate::access::publish_for;
use crate::peer::{VERSIONS, at};
use crate::site::{PASSWORD, Site, login};

async fn site(server: &Server, change: impl FnOnce(&mut Config)) -> Site {
    Site::start_with(&["FILED"], "", |config| {
        config.users.http.url = server.url();
        change(config);
    })
    .await
}

async fn reason(site: &Site, connect: Connect<'_>) -> ReasonCode {
    site.try_connect(connect).await.1
}

/// Clients that do not wait for one another; the codes of their CONNACKs as they come.
async fn all_at_once(
    site: &Site,
    logins: impl Iterator<Item = (&str, &str)>,
) -> mpsc::UnboundedReceiver<u8> {
    let (told, answers) = mpsc::unbounded_channel();
    for (user, password) in logins {
        let mut peer = site.broker.socket(Version::V5).await;
        peer.send(&Packet::Connect(Box::new(login(Version::V5, user, password)))).await;
        let told = told.clone();
        tokio::spawn(async move {
            let _ = told.send(peer.packet().await[3]);
            // It stays until the test is over.
            std::future::pending::<()>().await;
        });
    }
    answers
}

#[tokio::test]
async fn the_server_is_asked_and_its_answer_counts() {
    let server = Server::start(|name| match name {
        "DOCK1" => allow(),
        "backend" => {
            let body = r#"{"result":"allow","groups":["applications"],"ttl":5}"#;
            Answer::Now("200 OK", body.to_owned())
        }
        _ => Answer::Now("200 OK", r#"{"result":"deny"}"#.to_owned()),
    })
    .await;
    let site = site(&server, |_| {}).await;
    for version in VERSIONS {
        let mut dock = site.log_in(version, "DOCK1", "").await;
        let mut backend = site.log_in(version, "backend", "").await;
        backend.subscribe("thing/product/#", at(QoS::AtLeastOnce)).await;
        let topic = "thing/product/DOCK1/osd";
        assert_eq!(publish_for(&mut dock, topic, b"{}").await, ReasonCode::Success);
        assert_eq!(backend.receive().await.topic, topic);
        let refused = reason(&site, login(version, "DOCK2", PASSWORD)).await;
        assert_eq!(refused, ReasonCode::BadUserNameOrPassword);
    }
    let asked = server.asked();
    let peer = asked[0]["peer"].as_str().unwrap();
    assert!(peer.starts_with("127.0.0.1:"), "{peer}");
    let expected = json!({
        "username": "DOCK1", "password": PASSWORD, "clientid": "DOCK1", "peer": peer
    });
    assert_eq!(asked[0], expected);
}

/// Whatever is not a clear yes is a no; what could not be found out is told apart.
#[tokio::test]
async fn everything_but_a_clear_yes_is_a_no() {
    let server = Server::start(|name| match name {
        "401" => Answer::Now("401 Unauthorized", ALLOW.to_owned()),
        "403" => Answer::Now("403 Forbidden", ALLOW.to_owned()),
        "404" => Answer::Now("404 Not Found", ALLOW.to_owned()),
        "201" => Answer::Now("201 Created", ALLOW.to_owned()),
        "204" => Answer::Raw("HTTP/1.1 204 No Content\r\n\r\n".to_owned()),
        "text" => Answer::Now("200 OK", "allow".to_owned()),
        "groups" => Answer::Now("200 OK", r#"{"result":"allow","groups":7}"#.to_owned()),
        "large" => Answer::Now("200 OK", format!("{}{ALLOW}", " ".repeat(4_096))),
        "endless" => Answer::Raw(format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(1 << 20))),
        "500" => Answer::Now("500 Internal Server Error", ALLOW.to_owned()),
        "429" => Answer::Now("429 Too Many Requests", ALLOW.to_owned()),
        "302" => Answer::Raw(
            "HTTP/1.1 302 Found\r\nLocation: /allow\r\nContent-Length: 0\r\n\r\n".into(),
        ),
        "307" => Answer::Raw(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: /allow\r\nContent-Length: 0\r\n\r\n"
                .into(),
        ),
        "head" => {
            Answer::Raw(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n{ALLOW}", "x".repeat(1 << 17)))
        }
        "cut" => Answer::Raw(format!("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{ALLOW}")),
        "noise" => Answer::Raw("what?\r\n\r\n".to_owned()),
        _ => allow(),
    })
    .await;
    let site = site(&server, |_| {}).await;
    for version in VERSIONS {
        for name in ["401", "403", "404", "201", "204", "text", "groups", "large", "endless"] {
            let refused = reason(&site, login(version, name, PASSWORD)).await;
            assert_eq!(refused, ReasonCode::BadUserNameOrPassword, "{name}");
        }
        for name in ["500", "429", "302", "307", "head", "cut", "noise"] {
            let refused = reason(&site, login(version, name, PASSWORD)).await;
            assert_eq!(refused, ReasonCode::ServerUnavailable, "{name}");
        }
        site.log_in(version, "DOCK1", "").await.ping().await;
    }
    assert!(why(&site, "302").await.contains("redirections are not followed"));
    assert!(why(&site, "404").await.contains("neither allow nor deny"));
    assert!(why(&site, "403").await.contains("says no"));
    let asked = server.asked();
    let asked_of =
        |name: &str| asked.iter().filter(|question| question["username"] == name).count();
    assert_eq!(asked_of("500"), 2, "what could not be found out is not remembered");
    assert!(asked.iter().all(Value::is_object), "no redirection was followed: {asked:?}");
}

#[tokio::test]
async fn an_answer_that_is_late_lets_nobody_in() {
    let server = Server::start(|name| match name {
        "never" => Answer::Never,
        "drip" => Answer::Drip,
        _ => allow(),
    })
    .await;
    let site = site(&server, |config| config.users.http.timeout_ms = 200).await;
    for name in ["never", "drip"] {
        let refused = reason(&site, login(Version::V5, name, PASSWORD)).await;
        assert_eq!(refused, ReasonCode::ServerUnavailable, "{name}");
        assert!(why(&site, name).await.contains("did not answer in time"), "{name}");
    }
    site.log_in(Version::V5, "DOCK1", "").await.ping().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_lets_nobody_in() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", nobody.local_addr().unwrap());
    drop(nobody);
    let site = Site::start_with(&["FILED"], "", |config| config.users.http.url = url).await;
    let asks = login(Version::V5, "DOCK1", PASSWORD);
    assert_eq!(reason(&site, asks).await, ReasonCode::ServerUnavailable);
    assert!(why(&site, "DOCK1").await.contains("cannot be asked"));
    site.log_in(Version::V5, "FILED", "").await.ping().await;
}

#[tokio::test]
async fn an_answer_is_remembered_for_the_same_question() {
    let server = Server::start(|name| match name {
        "DOCK1" => allow(),
        _ => Answer::Now("403 Forbidden", String::new()),
    })
    .await;
    let site = site(&server, |config| config.users.http.cache_ms = 3_600_000).await;
    for (user, client_id, password, asked) in [
        ("DOCK1", "a", PASSWORD, 1),
        ("DOCK1", "a", PASSWORD, 1),
        ("DOCK1", "b", PASSWORD, 2),
        ("DOCK1", "a", "Secret", 3),
        ("DOCK2", "a", PASSWORD, 4),
        ("DOCK2", "a", PASSWORD, 4),
    ] {
        let asks = Connect { client_id, ..login(Version::V5, user, password) };
        let (mut peer, answer) = site.try_connect(asks).await;
        assert_eq!(answer == ReasonCode::Success, user == "DOCK1");
        assert_eq!(server.asked().len(), asked, "{user} {client_id} {password}");
        if user == "DOCK1" {
            let (reason, properties) = (ReasonCode::Success, PropertyList::new());
            let properties = properties.as_properties();
            let goodbye = dockside_mqtt::packet::Disconnect { reason, properties };
            peer.send(&Packet::Disconnect(goodbye)).await;
        }
        peer.expect_closed().await;
    }
    let server = Server::start(|_| allow()).await;
    let site = Site::start_with(&[], "", |config| {
        config.users.http.url = server.url();
        config.users.http.cache_ms = 0;
    })
    .await;
    for asked in 1..3 {
        site.log_in(Version::V5, "DOCK1", "").await.ping().await;
        assert_eq!(server.asked().len(), asked);
    }
}

/// Two are asked about at once, 128 of one address wait, and the others are told at once.
#[tokio::test]
async fn questions_at_once_and_logins_that_wait_are_bounded() {
    let server = Server::start(|_| Answer::Gated).await;
    let site = site(&server, |config| {
        config.users.http.connections = 2;
        config.users.http.timeout_ms = 60_000;
    })
    .await;
    let names: Vec<_> = (0..134).map(|n| format!("DOCK{n}")).collect();
    let asks = names.iter().map(|name| (name.as_str(), PASSWORD));
    let mut answers = all_at_once(&site, asks).await;
    for _ in 0..4 {
        assert_eq!(answers.recv().await, Some(0x88));
    }
    server.open_the_gate();
    for _ in 0..130 {
        assert_eq!(answers.recv().await, Some(0));
    }
    assert_eq!((server.most_at_once(), server.asked().len()), (2, 130));
}

#[tokio::test]
async fn users_of_the_password_file_are_decided_there_alone() {
    let server = Server::start(|_| allow()).await;
    let site = site(&server, |_| {}).await;
    for version in VERSIONS {
        site.log_in(version, "FILED", "").await.ping().await;
        let refused = reason(&site, login(version, "FILED", "Secret")).await;
        assert_eq!(refused, ReasonCode::BadUserNameOrPassword);
        // Nobody is no user.
        let nameless = login(version, "", PASSWORD);
        assert_eq!(reason(&site, nameless).await, ReasonCode::BadUserNameOrPassword);
    }
    let binary = Connect { password: Some(b"\xFF\xFE"), ..login(Version::V5, "DOCK1", "") };
    assert_eq!(reason(&site, binary).await, ReasonCode::BadUserNameOrPassword);
    assert!(why(&site, "DOCK1").await.contains("is no text"));
    assert_eq!(server.asked(), [Value::Null; 0]);
}

/// Somebody who guesses is slowed as with the password file, and so is what it costs the server.
#[tokio::test]
async fn guesses_are_slowed() {
    let server = Server::start(|_| Answer::Now("403 Forbidden", String::new())).await;
    let site = site(&server, |_| {}).await;
    let guesses: Vec<_> = (0..40).map(|n| format!("guess {n}")).collect();
    let mut answers = all_at_once(&site, guesses.iter().map(|guess| ("DOCK1", &**guess))).await;
    // Beyond 10 s of waiting nothing is looked at.
    while answers.recv().await.unwrap() != 0x9F {}
    assert!(server.asked().len() < 20, "{}", server.asked().len());
}

/// The server was asked: its answer counts for whoever comes next, and the attempt for whoever guesses.
#[tokio::test]
async fn an_answer_counts_though_nobody_waits_for_it() {
    let server = Server::start(|_| Answer::Gated).await;
    let site = site(&server, |config| {
        config.users.http.connections = 1;
        config.users.http.timeout_ms = 60_000;
    })
    .await;
    let mut impatient = site.broker.socket(Version::V5).await;
    impatient.send(&Packet::Connect(Box::new(login(Version::V5, "DOCK1", PASSWORD)))).await;
    while server.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(impatient);
    // The only place is free when the answer is known.
    let mut again = all_at_once(&site, [("DOCK1", PASSWORD)].into_iter()).await;
    server.open_the_gate();
    assert_eq!(again.recv().await, Some(0));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn an_https_server_is_believed_if_its_authority_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let authority = || {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (known, other) = (authority(), authority());
    let pair = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&pair, &known).unwrap();
    let provider = tokio_rustls::rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(pair.serialize_der()).unwrap(),
        )
        .unwrap();
    let server = Server::start_with(|_| allow(), Some(TlsAcceptor::from(Arc::new(config)))).await;
    for (authority, expected) in
        [(&known, ReasonCode::Success), (&other, ReasonCode::ServerUnavailable)]
    {
        let file = dir.path().join("ca.pem");
        fs::write(&file, authority.pem()).unwrap();
        let site = site(&server, |config| {
            config.users.http.url = format!("https://{}/login", server.address);
            config.users.http.ca_file = file;
        })
        .await;
        assert_eq!(reason(&site, login(Version::V5, "DOCK1", PASSWORD)).await, expected);
    }
    assert_eq!(server.asked().len(), 1);
}
