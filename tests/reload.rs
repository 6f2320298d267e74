//! New users and rules while the broker runs: who stays, who goes, and what is left as it was.

use dockside_mqtt::packet::{Connect, Packet, Will};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, ReasonCode, Version};

use crate::peer::{VERSIONS, at, connect};
use crate::site::{PASSWORD, Site, login};

#[tokio::test]
async fn a_reload_closes_who_is_gone_ends_what_is_not_allowed_and_leaves_the_rest() {
    let rules = |topic: &str| {
        format!(
            "preset = 'none'\nrules = [{{ publish = ['{topic}'], subscribe = ['{topic}', 'fence/#'] }}, {{ publish = ['fence/#'] }}]"
        )
    };
    let mut site = Site::start_with(&["ann", "bob"], &rules("a/#"), |_| {}).await;
    for version in VERSIONS {
        site.set_users(&["ann", "bob"]);
        site.reload(&rules("a/#"));
        let mut ann = site.log_in(version, "ann", "").await;
        let mut bob = site.log_in(version, "bob", "").await;
        for filter in ["a/x", "a/y"] {
            ann.subscribe(filter, at(QoS::AtLeastOnce)).await;
        }
        site.set_users(&["ann", "cid"]);
        site.reload(&rules("a/x"));
        bob.expect_ended(ReasonCode::NotAuthorized).await;
        let (_, reason) = site.try_connect(login(version, "bob", PASSWORD)).await;
        assert_eq!(reason, ReasonCode::BadUserNameOrPassword);
        // Somebody new speaks under the new rules, and the old ones come back for a moment: what
        // was ended stays ended.
        let mut cid = site.log_in(version, "cid", "").await;
        cid.publish("a/x", b"allowed", QoS::AtLeastOnce).await;
        assert_eq!(ann.receive().await.payload, b"allowed");
        ann.ping().await;
        site.reload(&rules("a/#"));
        cid.publish("a/y", b"not any more", QoS::AtLeastOnce).await;
        ann.expect_nothing().await;
    }
}

/// A will was allowed when its client connected; it must be when it is published.
#[tokio::test]
async fn a_will_that_is_not_allowed_any_more_is_not_published() {
    let rules = |topic: &str| {
        format!(
            "preset = 'none'\nrules = [{{ publish = ['{topic}'] }}, {{ publish = ['fence/#'], subscribe = ['#'] }}]"
        )
    };
    let mut site = Site::start_with(&["ann", "bob", "cid"], &rules("will/#"), |_| {}).await;
    let mut cid = site.log_in(Version::V5, "cid", "").await;
    cid.subscribe("will/#", at(QoS::AtLeastOnce)).await;
    let mut peers = Vec::new();
    for (user, topic) in [("ann", "will/ann"), ("ann", "will/free"), ("bob", "will/free")] {
        let will = Will {
            qos: QoS::AtLeastOnce,
            retain: false,
            topic,
            payload: user.as_bytes(),
            properties: Properties::EMPTY,
        };
        let asks = login(Version::V5, user, PASSWORD);
        let (peer, reason) = site.try_connect(Connect { will: Some(will), ..asks }).await;
        assert_eq!(reason, ReasonCode::Success);
        peers.push(peer);
    }
    site.set_users(&["ann", "cid"]);
    site.reload(&rules("will/free"));
    // One is not allowed its topic any more, one is gone; the third is as it was.
    for peer in &mut peers[..2] {
        peer.ping().await;
    }
    drop(peers);
    assert_eq!(cid.receive().await.payload, b"ann");
    cid.expect_nothing().await;
}

/// Otherwise listeners that the network reaches would be open to everybody.
#[tokio::test]
async fn a_reload_without_users_does_not_open_a_broker_that_has_some() {
    let mut site = Site::start(&["DOCK1"]).await;
    site.config.users.password_file = "".into();
    site.config.mqtt.allow_anonymous = true;
    let reloaded = site.broker.reloader.reload(&site.config.broker());
    assert_eq!(reloaded.problems.len(), 1, "{reloaded:?}");
    assert_eq!(reloaded.problems[0].key, "users.password_file");
    assert!(reloaded.need_restart.contains(&"mqtt"), "{reloaded:?}");
    let (_, reason) = site.try_connect(connect(Version::V5, "anybody")).await;
    assert_eq!(reason, ReasonCode::NotAuthorized);
}

/// Half a file, or a slip, would end every connection.
#[tokio::test]
async fn an_emptied_password_file_is_not_taken_over() {
    let site = Site::start(&["DOCK1"]).await;
    let mut dock = site.log_in(Version::V5, "DOCK1", "").await;
    site.set_users(&[]);
    let reloaded = site.broker.reloader.reload(&site.config.broker());
    assert_eq!(reloaded.problems[0].key, "users.password_file");
    dock.ping().await;
}

#[tokio::test]
async fn a_reload_that_brings_users_asks_who_is_there() {
    let mut site = Site::start_with(&["DOCK1"], "", |c| c.users.password_file = "".into()).await;
    let (mut anybody, reason) = site.try_connect(connect(Version::V5, "anybody")).await;
    assert_eq!(reason, ReasonCode::Success);
    site.config.users.password_file = site.users_file();
    site.set_users(&["DOCK1"]);
    site.reload("");
    anybody.expect_ended(ReasonCode::NotAuthorized).await;
    site.log_in(Version::V311, "DOCK1", "").await.ping().await;
}

/// A user that is removed while its password waits in the line does not come in.
#[tokio::test]
async fn a_reload_during_a_login_counts_for_it() {
    let mut site = Site::start(&["DOCK1", "DOCK2"]).await;
    for _ in 0..5 {
        site.try_connect(login(Version::V5, "DOCK2", "wrong")).await;
    }
    let waits = login(Version::V5, "DOCK2", PASSWORD);
    let mut waiting = site.broker.socket(Version::V5).await;
    waiting.send(&Packet::Connect(Box::new(waits))).await;
    // Its login is behind the throttle's pause, and another's is not.
    site.log_in(Version::V5, "DOCK1", "").await.ping().await;
    site.set_users(&["DOCK1"]);
    site.reload("");
    let connack = waiting.packet().await;
    assert_eq!(connack[3], 0, "its password was right under the rules it came with");
    waiting.expect_ended(ReasonCode::NotAuthorized).await;
}

#[tokio::test]
async fn a_bad_password_file_leaves_everything_as_it_was() {
    let site = Site::start(&["DOCK1"]).await;
    let mut dock = site.log_in(Version::V5, "DOCK1", "").await;
    std::fs::write(&site.config.users.password_file, "DOCK1 no hash\n").unwrap();
    let reloaded = site.broker.reloader.reload(&site.config.broker());
    assert_eq!(reloaded.problems.len(), 1);
    assert_eq!(reloaded.problems[0].key, "users.password_file");
    dock.ping().await;
    site.log_in(Version::V311, "DOCK1", "2").await.ping().await;
}
