//! Logins by token and by a server that is asked (docs/security.md).

mod http;
mod server;

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use dockside::config::Config;
use dockside_access::jwt::Algorithm;
use dockside_mqtt::packet::{Connect, Disconnect, Packet, Will};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::access::publish_for;
use crate::clock::ask;
use crate::peer::{Peer, TestBroker, VERSIONS, at, connect};
use crate::site::{PASSWORD, Site, login};
use crate::tokens::{ALGORITHMS, hmac_of, key_file, token, token_with};

/// What an engineer is told about a client or a user.
async fn why(site: &Site, query: &str) -> String {
    ask(site.broker.admin, &format!("GET /api/v1/why?q={query}"), "").await
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// An hour's token.
fn claims(user: &str) -> Value {
    json!({ "sub": user, "exp": now_s() + 3_600 })
}

fn with_key(dir: &TempDir, algorithm: Algorithm, config: &mut Config) {
    let file = dir.path().join("key");
    fs::write(&file, key_file(algorithm)).unwrap();
    config.users.jwt.key_file = file;
    config.users.jwt.algorithm = algorithm;
}

/// A broker whose password file knows these, and that believes tokens.
async fn site(users: &[&str], algorithm: Algorithm) -> (Site, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::start_with(users, "", |config| with_key(&dir, algorithm, config)).await;
    (site, dir)
}

/// A CONNECT with a token, with a user name or without where the version has that.
fn with_token<'a>(version: Version, name: &'a str, token: &'a str) -> Connect<'a> {
    let nameless = name.is_empty() && version.is_v5();
    let asks = login(version, name, token);
    Connect { username: asks.username.filter(|_| !nameless), client_id: "c", ..asks }
}

async fn enter(site: &Site, connect: Connect<'_>) -> Peer {
    let (peer, reason) = site.try_connect(connect).await;
    assert_eq!(reason, ReasonCode::Success);
    peer
}

async fn leave(peer: &mut Peer) {
    let (reason, properties) = (ReasonCode::Success, Properties::EMPTY);
    peer.send(&Packet::Disconnect(Disconnect { reason, properties })).await;
    peer.expect_closed().await;
}

#[tokio::test]
async fn a_token_says_who_a_client_is() {
    for algorithm in ALGORITHMS {
        let (site, _dir) = site(&[], algorithm).await;
        for version in VERSIONS {
            let good = token(algorithm, &claims("DOCK1"));
            for name in ["", "DOCK1"] {
                let mut dock = enter(&site, with_token(version, name, &good)).await;
                let own = publish_for(&mut dock, "thing/product/DOCK1/osd", b"{}").await;
                assert_eq!(own, ReasonCode::Success);
                let other = publish_for(&mut dock, "thing/product/DOCK2/osd", b"{}").await;
                assert_eq!(other == ReasonCode::NotAuthorized, version.is_v5());
                leave(&mut dock).await;
            }
            let refused = site.try_connect(with_token(version, "DOCK2", &good)).await.1;
            assert_eq!(refused, ReasonCode::BadUserNameOrPassword, "another name");
            for other in ALGORITHMS.into_iter().filter(|other| *other != algorithm) {
                let forged = token(other, &claims("DOCK1"));
                let refused = site.try_connect(with_token(version, "", &forged)).await.1;
                assert_eq!(refused, ReasonCode::BadUserNameOrPassword, "{other:?}");
            }
        }
    }
}

/// Outside nothing is told apart; inside everything is.
#[tokio::test]
async fn the_engineer_is_told_what_is_wrong_with_a_token_and_the_client_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::start_with(&["FILED"], "", |config| {
        with_key(&dir, Algorithm::Hs256, config);
        config.users.jwt.issuer = "idp".to_owned();
        config.users.jwt.audience = "dockside".to_owned();
    })
    .await;
    let good = |user: &str| {
        let mut claims = claims(user);
        (claims["iss"], claims["aud"]) = (json!("idp"), json!("dockside"));
        claims
    };
    let made = |change: &dyn Fn(&mut Value)| {
        let mut claims = good("DOCK1");
        change(&mut claims);
        token(Algorithm::Hs256, &claims)
    };
    let forged = token_with(&json!({ "alg": "HS256" }), &good("DOCK1"), |m| hmac_of("guess", m));
    let none = token_with(&json!({ "alg": "none" }), &good("DOCK1"), |_| Vec::new());
    for (n, (name, token, expected)) in [
        ("", forged, "signature is wrong"),
        ("", none, "signed with another algorithm"),
        ("", token(Algorithm::Es256, &good("DOCK1")), "signed with another algorithm"),
        ("", made(&|c| c["exp"] = json!(now_s() - 60)), "has expired"),
        ("", made(&|c| c["nbf"] = json!(now_s() + 60)), "not valid yet"),
        ("", made(&|c| c["iss"] = json!("other")), "another issuer"),
        ("", made(&|c| c["aud"] = json!(["other"])), "for somebody else"),
        ("", made(&|c| drop(c.as_object_mut().unwrap().remove("exp"))), "has no end"),
        ("", made(&|c| drop(c.as_object_mut().unwrap().remove("sub"))), "does not say whose"),
        ("", made(&|c| c["groups"] = json!(7)), "not what it should be"),
        ("", "a.b.c".to_owned(), "cannot be read"),
        ("DOCK2", made(&|_| ()), "not that of the token"),
        ("", made(&|c| c["sub"] = json!("FILED")), "is in the password file"),
        ("FILED", made(&|c| c["sub"] = json!("FILED")), "wrong password"),
        ("DOCK1", "no token".to_owned(), "no such user"),
    ]
    .into_iter()
    .enumerate()
    {
        let client_id = format!("client-{n:02}");
        let asks = Connect { client_id: &client_id, ..with_token(Version::V5, name, &token) };
        let mut peer = site.broker.socket(Version::V5).await;
        peer.send(&Packet::Connect(Box::new(asks))).await;
        assert_eq!(peer.packet().await, b"\x20\x03\0\x86\0", "{expected}");
        let told = why(&site, &client_id).await;
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let good = token(Algorithm::Hs256, &good("DOCK1"));
    enter(&site, with_token(Version::V5, "", &good)).await.ping().await;
    site.log_in(Version::V5, "FILED", "").await.ping().await;
}

#[tokio::test]
async fn groups_of_a_token_count_after_a_reload_as_before() {
    let (mut site, _dir) = site(&[], Algorithm::Es256).await;
    for version in VERSIONS {
        let mut backend = claims("BACKEND");
        backend["groups"] = json!(["applications"]);
        let backend = token(Algorithm::Es256, &backend);
        let mut backend = enter(&site, with_token(version, "", &backend)).await;
        let dock = token(Algorithm::Es256, &claims("DOCK1"));
        let asks = Connect { client_id: "dock", ..with_token(version, "", &dock) };
        let mut dock = enter(&site, asks).await;
        backend.subscribe("thing/product/+/osd", at(QoS::AtLeastOnce)).await;
        for _ in 0..2 {
            publish_for(&mut dock, "thing/product/DOCK1/osd", b"{}").await;
            assert_eq!(backend.receive().await.topic, "thing/product/DOCK1/osd");
            let command = publish_for(&mut backend, "thing/product/DOCK1/services", b"{}").await;
            assert_eq!(command, ReasonCode::Success);
            // It owns no serial number, though its name could be one.
            let own = publish_for(&mut backend, "thing/product/BACKEND/osd", b"{}").await;
            assert_eq!(own == ReasonCode::NotAuthorized, version.is_v5());
            // An empty password file is as it was, and everybody stays.
            site.reload("");
        }
        leave(&mut backend).await;
        leave(&mut dock).await;
    }
}

/// [MQTT-3.1.2-8] What comes behind the end of a token is not looked at, and the will is published.
#[tokio::test]
async fn a_connection_ends_with_its_token() {
    let dir = tempfile::tempdir().unwrap();
    let access = "rules = [{ user = 'watcher', subscribe = ['#'] }]";
    let site = Site::start_with(&["watcher"], access, |config| {
        with_key(&dir, Algorithm::Rs256, config);
    })
    .await;
    let mut watcher = site.log_in(Version::V5, "watcher", "").await;
    watcher.subscribe("thing/product/+/state", at(QoS::AtLeastOnce)).await;
    let mut passed = 0;
    for version in VERSIONS {
        let exp = now_s() + passed + 3_600;
        let short = token(Algorithm::Rs256, &json!({ "sub": "DOCK1", "exp": exp }));
        let will = Will {
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: "thing/product/DOCK1/state",
            payload: b"gone",
            properties: Properties::EMPTY,
        };
        let asks = Connect { will: Some(will), ..with_token(version, "", &short) };
        let mut dock = enter(&site, asks).await;
        site.broker.pass(3_590);
        dock.ping().await;
        site.broker.pass(20);
        passed += 3_610;
        dock.expect_ended(ReasonCode::NotAuthorized).await;
        assert_eq!(watcher.receive().await.payload, b"gone");
        assert!(why(&site, "DOCK1").await.contains("renew the token"));
        let late = site.try_connect(with_token(version, "", &short)).await.1;
        assert_eq!(late, ReasonCode::BadUserNameOrPassword);
    }
    let metrics = ask(site.broker.admin, "GET /metrics", "").await;
    assert!(metrics.contains("dockside_connections_closed_total{reason=\"expired\"}"));
    for backend in ["password_file", "jwt", "http"] {
        for result in ["ok", "fail", "error"] {
            let labels = format!("backend=\"{backend}\",result=\"{result}\"");
            assert!(metrics.contains(&labels), "{labels}");
        }
    }
}

/// Nobody pushes the clock, and the client says nothing.
#[tokio::test]
async fn a_silent_connection_ends_with_its_token() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::start_with(&[], "", |config| {
        with_key(&dir, Algorithm::Hs256, config);
        config.users.jwt.leeway_s = 0;
    })
    .await;
    for version in VERSIONS {
        let short = json!({ "sub": "DOCK1", "exp": now_s() + 2 });
        let short = token(Algorithm::Hs256, &short);
        let mut dock = enter(&site, with_token(version, "", &short)).await;
        dock.expect_ended(ReasonCode::NotAuthorized).await;
    }
}

/// A serial number that only a login tells of is as much its user's as one of the password file.
#[tokio::test]
async fn a_user_of_a_token_is_nobodys_aircraft() {
    let (site, _dir) = site(&["LIAR"], Algorithm::Hs256).await;
    let topo = br#"{"tid":"t","bid":"b","method":"update_topo","data":{"sub_devices":[{"sn":"DOCK1"},{"sn":"DOCK2"}]}}"#;
    let mut liar = site.log_in(Version::V5, "LIAR", "").await;
    publish_for(&mut liar, "sys/product/LIAR/status", topo).await;
    let events = |sn: &str| format!("thing/product/{sn}/osd");
    let said = publish_for(&mut liar, &events("DOCK1"), b"{}").await;
    assert_eq!(said, ReasonCode::Success, "nobody knows better yet");
    liar.subscribe("thing/product/DOCK1/#", at(QoS::AtLeastOnce)).await;
    let dock = token(Algorithm::Hs256, &claims("DOCK1"));
    let mut dock = enter(&site, with_token(Version::V5, "", &dock)).await;
    let said = publish_for(&mut liar, &events("DOCK1"), b"{}").await;
    assert_eq!(said, ReasonCode::NotAuthorized);
    publish_for(&mut liar, "sys/product/LIAR/status", topo).await;
    let said = publish_for(&mut liar, &events("DOCK1"), b"{}").await;
    assert_eq!(said, ReasonCode::NotAuthorized, "not again either");
    let said = publish_for(&mut liar, &events("DOCK2"), b"{}").await;
    assert_eq!(said, ReasonCode::Success, "its real aircraft");
    assert_eq!(publish_for(&mut dock, &events("DOCK1"), b"{}").await, ReasonCode::Success);
    liar.ping().await;
}

/// Groups of a token are not kept: what a session has subscribed to waits until it says them again.
#[tokio::test]
async fn a_session_of_a_token_survives_a_restart() {
    for version in VERSIONS {
        let dir = tempfile::tempdir().unwrap();
        let start = || async {
            TestBroker::start_with(|config| {
                with_key(&dir, Algorithm::Hs256, config);
                config.data.dir = dir.path().join("data");
            })
            .await
        };
        let mut list = PropertyList::new();
        list.number(PropertyId::SessionExpiryInterval, 600);
        let issued = |groups: Value| {
            let mut claims = claims("BACKEND");
            claims["groups"] = groups;
            token(Algorithm::Hs256, &claims)
        };
        let (member, stranger) = (issued(json!(["applications"])), issued(json!([])));
        let kept = |asks| Connect { clean_start: false, properties: list.as_properties(), ..asks };
        let broker = start().await;
        let (mut backend, _) = broker.enter(kept(with_token(version, "", &member))).await;
        backend.subscribe("thing/product/#", at(QoS::AtLeastOnce)).await;
        broker.stop().await;
        drop(backend);
        let broker = start().await;
        let dock = token(Algorithm::Hs256, &claims("DOCK1"));
        let asks_dock = Connect { client_id: "dock", ..with_token(version, "", &dock) };
        let (mut dock, _) = broker.enter(asks_dock).await;
        publish_for(&mut dock, "thing/product/DOCK1/osd", b"first").await;
        let (mut backend, present) = broker.enter(kept(with_token(version, "", &member))).await;
        assert!(present);
        assert_eq!(backend.receive().await.payload, b"first");
        leave(&mut backend).await;
        publish_for(&mut dock, "thing/product/DOCK1/osd", b"second").await;
        // Its token does not say so any more: what waits is not for it.
        let (mut backend, present) = broker.enter(kept(with_token(version, "", &stranger))).await;
        assert!(present);
        backend.ping().await;
        publish_for(&mut dock, "thing/product/DOCK1/osd", b"third").await;
        dock.ping().await;
        backend.ping().await;
        broker.stop().await;
    }
}

/// Clients have to log in, though no file knows anybody; and a reload does not open the broker.
#[tokio::test]
async fn tokens_alone_close_the_broker() {
    let (mut site, _dir) = site(&[], Algorithm::Hs256).await;
    let anybody = Connect { client_id: "anybody", ..connect(Version::V5, "") };
    assert_eq!(site.try_connect(anybody.clone()).await.1, ReasonCode::NotAuthorized);
    let stranger = site.try_connect(login(Version::V5, "DOCK1", PASSWORD)).await.1;
    assert_eq!(stranger, ReasonCode::BadUserNameOrPassword);
    let good = token(Algorithm::Hs256, &claims("DOCK1"));
    let mut dock = enter(&site, with_token(Version::V5, "", &good)).await;
    site.config.users = Default::default();
    let reloaded = site.broker.reloader.reload(&site.config.broker());
    assert_eq!(reloaded.problems, []);
    assert!(reloaded.need_restart.contains(&"users.jwt"), "{reloaded:?}");
    dock.ping().await;
    assert_eq!(site.try_connect(anybody).await.1, ReasonCode::NotAuthorized);
}

/// A user of the password file must still be in it, whatever else there is.
#[tokio::test]
async fn a_removed_user_of_the_file_goes_and_a_user_of_a_token_stays() {
    let (mut site, _dir) = site(&["ann", "bob"], Algorithm::Hs256).await;
    for version in VERSIONS {
        site.set_users(&["ann", "bob"]);
        site.reload("");
        let mut ann = site.log_in(version, "ann", "").await;
        let good = token(Algorithm::Hs256, &claims("DOCK1"));
        let mut dock = enter(&site, with_token(version, "", &good)).await;
        site.set_users(&["bob"]);
        site.reload("");
        ann.expect_ended(ReasonCode::NotAuthorized).await;
        dock.ping().await;
        leave(&mut dock).await;
    }
    site.config.users.password_file = "".into();
    let mut bob = site.log_in(Version::V5, "bob", "").await;
    site.reload("");
    bob.expect_ended(ReasonCode::NotAuthorized).await;
}
