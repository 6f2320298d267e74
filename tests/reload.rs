//! New users and rules while the broker runs: who stays, who goes, and what is left as it was.

use dockside_broker::config::LiveLog;
use dockside_mqtt::packet::{Connect, Disconnect, Packet, Will};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
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

/// A session without a connection is under the new rules as well: nothing waits in it that its user
/// may not read any more, and without its user it is gone.
#[tokio::test]
async fn a_reload_reaches_sessions_without_a_connection() {
    let rules = |topic: &str| {
        format!(
            "preset = 'none'\nrules = [{{ publish = ['#'] }}, {{ subscribe = ['{topic}', 'fence/#'] }}]"
        )
    };
    for version in VERSIONS {
        let mut site = Site::start_with(&["ann", "bob", "cid"], &rules("a/#"), |_| {}).await;
        let mut list = PropertyList::new();
        list.number(PropertyId::SessionExpiryInterval, 600);
        for user in ["ann", "bob"] {
            let asks = keep(&login(version, user, PASSWORD), user, &list);
            let (mut peer, present) = site.broker.enter(asks).await;
            assert!(!present);
            peer.subscribe("a/x", at(QoS::AtLeastOnce)).await;
            peer.subscribe("a/y", at(QoS::AtLeastOnce)).await;
            let (reason, properties) = (ReasonCode::Success, Properties::EMPTY);
            peer.send(&Packet::Disconnect(Disconnect { reason, properties })).await;
            peer.expect_closed().await;
        }
        site.set_users(&["ann", "cid"]);
        site.reload(&rules("a/x"));
        let mut cid = site.log_in(version, "cid", "").await;
        cid.publish("a/y", b"not any more", QoS::AtLeastOnce).await;
        cid.publish("a/x", b"allowed", QoS::AtLeastOnce).await;
        site.set_users(&["ann", "bob", "cid"]);
        site.reload(&rules("a/#"));
        let asks = keep(&login(version, "bob", PASSWORD), "bob", &list);
        assert!(!site.broker.enter(asks).await.1, "it ended with its user");
        let asks = keep(&login(version, "ann", PASSWORD), "ann", &list);
        let (mut ann, present) = site.broker.enter(asks).await;
        assert!(present);
        assert_eq!(ann.receive().await.payload, b"allowed");
        ann.expect_nothing().await;
    }
}

/// What was queued before is under the new rules as well, connected or not; and any number of
/// subscriptions can end at once without harm to the live log.
#[tokio::test]
async fn what_waits_is_under_new_rules_too() {
    let rules = |topic: &str| {
        format!(
            "preset = 'none'\nrules = [{{ publish = ['#'] }}, {{ subscribe = ['{topic}', 'fence/#'] }}]"
        )
    };
    let small = |config: &mut dockside::config::Config| {
        config.live_log = LiveLog::smallest();
        config.limits.inflight = 1;
    };
    for version in VERSIONS {
        let mut site = Site::start_with(&["ann", "bob", "cid"], &rules("a/#"), small).await;
        let mut list = PropertyList::new();
        list.number(PropertyId::SessionExpiryInterval, 600);
        let mut peers = Vec::new();
        for user in ["ann", "bob"] {
            let asks = keep(&login(version, user, PASSWORD), user, &list);
            let (mut peer, _) = site.broker.enter(asks).await;
            let long = "x".repeat(3_000);
            let filters: Vec<_> = (0..999).map(|n| format!("a/{n}/{long}")).collect();
            for filters in filters.chunks(100) {
                let filters: Vec<_> = filters.iter().map(|f| (&**f, at(QoS::AtMostOnce))).collect();
                peer.subscribe_all(&filters, Properties::EMPTY).await;
            }
            peer.subscribe("a/+", at(QoS::AtLeastOnce)).await;
            peers.push(peer);
        }
        let mut cid = site.log_in(version, "cid", "").await;
        for topic in ["a/1", "a/1", "a/x"] {
            cid.publish(topic, topic.as_bytes(), QoS::AtLeastOnce).await;
        }
        // One message each is under way, the others wait for the window; bob sleeps over them.
        let mut bob = peers.pop().unwrap();
        let mut ann = peers.pop().unwrap();
        let first = ann.receive_only().await;
        bob.receive_only().await;
        let (reason, properties) = (ReasonCode::Success, Properties::EMPTY);
        bob.send(&Packet::Disconnect(Disconnect { reason, properties })).await;
        bob.expect_closed().await;
        site.reload(&rules("a/x"));
        ann.ping().await;
        ann.acknowledge(&first).await;
        assert_eq!(ann.receive().await.topic, "a/x");
        let (mut bob, _) =
            site.broker.enter(keep(&login(version, "bob", PASSWORD), "bob", &list)).await;
        assert_eq!(bob.receive().await.topic, "a/x");
    }
}

/// [MQTT-3.1.3-2] A client identifier is no secret: another user has neither the session nor its end.
#[tokio::test]
async fn a_session_is_its_users() {
    let rules = "preset = 'none'\nrules = [{ publish = ['#'], subscribe = ['#'] }]";
    for version in VERSIONS {
        let site = Site::start_with(&["ann", "bob"], rules, |_| {}).await;
        let mut list = PropertyList::new();
        list.number(PropertyId::SessionExpiryInterval, 600);
        let asks = |user| keep(&login(version, user, PASSWORD), "id", &list);
        let (mut ann, _) = site.broker.enter(asks("ann")).await;
        ann.subscribe("t", at(QoS::AtLeastOnce)).await;
        let (reason, properties) = (ReasonCode::Success, Properties::EMPTY);
        ann.send(&Packet::Disconnect(Disconnect { reason, properties })).await;
        ann.expect_closed().await;
        let (mut bob, present) = site.broker.enter(asks("bob")).await;
        assert!(!present);
        bob.publish("t", b"for ann", QoS::AtLeastOnce).await;
        bob.expect_nothing().await;
        bob.send(&Packet::Disconnect(Disconnect { reason, properties })).await;
        bob.expect_closed().await;
        let clean = Connect { clean_start: true, ..asks("bob") };
        site.broker.enter(clean).await.0.vanish();
        let mut ann = loop {
            // Bob's connection has the identifier until its end is noticed.
            let mut peer = site.broker.socket(version).await;
            match peer.connack(asks("ann")).await {
                (present, ReasonCode::Success) => {
                    assert!(present);
                    break peer;
                }
                _ => peer.expect_closed().await,
            }
        };
        assert_eq!(ann.receive().await.payload, b"for ann");
    }
}

fn keep<'a>(asks: &Connect<'a>, client_id: &'a str, list: &'a PropertyList) -> Connect<'a> {
    Connect { client_id, clean_start: false, properties: list.as_properties(), ..asks.clone() }
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
