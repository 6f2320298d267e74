//! What a restart must not change, or bring back.

use dockside_mqtt::packet::{Connect, Packet, Publish, Will};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
use dockside_mqtt::{QoS, Version};
use tempfile::TempDir;

use crate::kept::{copy_of_running, start};
use crate::peer::{TestBroker, VERSIONS, at, connect, publish};
use crate::sessions::leave;
use crate::site::{PASSWORD, Site, login};

/// Identifiers are those that the messages were sent with, for sessions that had no connection when the broker
/// stopped too [MQTT-4.4.0-1].
#[tokio::test]
async fn exchanges_of_sleepers_go_on_after_a_stop() {
    for version in VERSIONS {
        let dir = TempDir::new().unwrap();
        let broker = start(dir.path()).await;
        let (mut peer, _) = broker.session(version, "a", 3600).await;
        peer.subscribe("t", at(QoS::ExactlyOnce)).await;
        let mut sender = broker.connect(version, "s").await;
        let sent = [("1", QoS::AtLeastOnce), ("2", QoS::ExactlyOnce), ("3", QoS::AtLeastOnce)];
        let mut first = Vec::new();
        for (payload, qos) in sent {
            sender.publish("t", payload.as_bytes(), qos).await;
            first.push(peer.receive_only().await);
        }
        leave(peer).await;
        sender.publish("t", b"4", QoS::AtLeastOnce).await;
        broker.stop().await;
        let broker = start(dir.path()).await;
        let (mut peer, present) = broker.session(version, "a", 3600).await;
        assert!(present);
        for before in &first {
            let again = peer.receive_only().await;
            assert!(again.dup);
            assert_eq!((&again.payload, again.packet_id), (&before.payload, before.packet_id));
            peer.acknowledge(&again).await;
        }
        assert_eq!(peer.receive_payloads(1).await, ["4"]);
        broker.stop().await;
    }
}

/// A connection with a will that says its name.
pub(crate) fn with_will(client_id: &str) -> Connect<'_> {
    let will = Will {
        topic: "w",
        payload: client_id.as_bytes(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Properties::EMPTY,
    };
    Connect { will: Some(will), ..connect(Version::V5, client_id) }
}

/// A restart is a lost connection, but not if its client was back in time, whatever it did then.
#[tokio::test]
async fn a_will_is_over_once_its_client_was_back() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let mut list = PropertyList::new();
    list.number(PropertyId::SessionExpiryInterval, 3600);
    for name in ["left-again", "gone", "kept-and-left", "kept-and-clean", "kept-and-gone"] {
        let kept = name.starts_with("kept");
        let mut asks = with_will(name);
        if kept {
            asks = Connect { properties: list.as_properties(), clean_start: false, ..asks };
        }
        let (peer, _) = broker.enter(asks).await;
        // Its connection lasts as long as the broker, of which a copy is taken as a kill leaves it.
        std::mem::forget(peer);
    }
    broker.session(Version::V5, "fence", 60).await;
    let copy = TempDir::new().unwrap();
    copy_of_running(dir.path(), copy.path());
    broker.stop().await;

    let broker = start(copy.path()).await;
    let mut reader = broker.connect(Version::V5, "reader").await;
    reader.subscribe("w", at(QoS::AtLeastOnce)).await;
    for name in ["left-again", "kept-and-clean"] {
        leave(broker.connect(Version::V5, name).await).await;
    }
    let (kept, present) = broker.session(Version::V5, "kept-and-left", 3600).await;
    assert!(present);
    leave(kept).await;
    reader.expect_nothing().await;
    broker.pass(31);
    let mut wills = reader.receive_payloads(2).await;
    wills.sort();
    assert_eq!(wills, ["gone", "kept-and-gone"]);
    reader.expect_nothing().await;
    broker.stop().await;
}

/// Rules that took a subscription away took what it had brought, after a restart too.
#[tokio::test]
async fn what_was_revoked_stays_so() {
    let dir = TempDir::new().unwrap();
    let rules = |topic: &str| {
        format!(
            "preset = 'none'\nrules = [{{ publish = ['#'] }}, {{ subscribe = ['{topic}', 'fence/#'] }}]"
        )
    };
    let in_dir = |config: &mut dockside::config::Config| config.data.dir = dir.path().join("data");
    let mut list = PropertyList::new();
    list.number(PropertyId::SessionExpiryInterval, 600);
    let asks = || {
        let properties = list.as_properties();
        let login = login(Version::V5, "ann", PASSWORD);
        Connect { client_id: "ann", clean_start: false, properties, ..login }
    };
    let mut site = Site::start_with(&["ann", "bob"], &rules("a/#"), in_dir).await;
    let (mut ann, _) = site.broker.enter(asks()).await;
    ann.subscribe("a/+", at(QoS::AtLeastOnce)).await;
    ann.subscribe("fence/+", at(QoS::AtLeastOnce)).await;
    leave(ann).await;
    let mut bob = site.log_in(Version::V5, "bob", "").await;
    bob.publish("a/1", b"secret", QoS::AtLeastOnce).await;
    bob.publish("fence/1", b"fence", QoS::AtLeastOnce).await;
    site.reload(&rules("b/#"));
    site.broker.stop().await;
    let site = Site::start_with(&["ann", "bob"], &rules("b/#"), in_dir).await;
    let (mut ann, present) = site.broker.enter(asks()).await;
    assert!(present);
    assert_eq!(ann.receive_payloads(1).await, ["fence"]);
    ann.expect_nothing().await;
    site.broker.stop().await;
}

/// Retained messages go for nobody, so they leave room for what else must be kept.
#[tokio::test]
async fn retained_messages_do_not_fill_the_file() {
    let dir = TempDir::new().unwrap();
    let broker = TestBroker::start_with(|config| {
        config.data.dir = dir.path().join("data");
        config.store.max_bytes = 8 << 20;
        config.limits.packet_bytes = 1 << 18;
    })
    .await;
    let (mut durable, _) = broker.session(Version::V5, "durable", 3600).await;
    durable.subscribe("kept", at(QoS::AtLeastOnce)).await;
    leave(durable).await;
    let mut sender = broker.connect(Version::V311, "s").await;
    let large = vec![b'x'; 200_000];
    for n in 0..40 {
        // More than fits: a client of 3.1.1 is not told that it was not retained.
        let topic = format!("r/{n}");
        let retained = Publish { retain: true, ..publish(&topic, &large, QoS::AtMostOnce, 0) };
        sender.send(&Packet::Publish(retained)).await;
        sender.publish("kept", n.to_string().as_bytes(), QoS::AtLeastOnce).await;
    }
    let (mut durable, _) = broker.session(Version::V5, "durable", 3600).await;
    let expected: Vec<_> = (0..40).map(|n| n.to_string()).collect();
    assert_eq!(durable.receive_payloads(40).await, expected);
    broker.stop().await;
}
