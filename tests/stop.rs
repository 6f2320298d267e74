//! A stop in order: what was acknowledged is delivered, clients are told.

use dockside_mqtt::packet::{Connect, Will};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, ReasonCode, Version};

use crate::peer::{TestBroker, VERSIONS, at, connect};

#[tokio::test]
async fn what_was_acknowledged_is_delivered_before_the_end() {
    for version in VERSIONS {
        let broker = TestBroker::start().await;
        let mut receiver = broker.connect(version, "r").await;
        receiver.subscribe("t", at(QoS::AtMostOnce)).await;
        let mut sender = broker.connect(version, "s").await;
        for n in 0..500u16 {
            sender.publish("t", &n.to_be_bytes(), QoS::AtLeastOnce).await;
        }
        let stopping = tokio::spawn(broker.stop());
        for n in 0..500u16 {
            assert_eq!(receiver.receive().await.payload, n.to_be_bytes());
        }
        receiver.expect_ended(ReasonCode::ServerShuttingDown).await;
        sender.expect_ended(ReasonCode::ServerShuttingDown).await;
        stopping.await.unwrap();
    }
}

/// A reader with a small window gets everything as well: its acknowledgements are still read.
#[tokio::test]
async fn a_stop_waits_for_the_window_of_a_reader() {
    let broker = TestBroker::start_with(|config| config.limits.inflight = 5).await;
    let mut receiver = broker.connect(Version::V5, "r").await;
    receiver.subscribe("t", at(QoS::ExactlyOnce)).await;
    let mut sender = broker.connect(Version::V5, "s").await;
    for n in 0..200u16 {
        let qos = if n % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        sender.publish("t", &n.to_be_bytes(), qos).await;
    }
    let stopping = tokio::spawn(broker.stop());
    for n in 0..200u16 {
        assert_eq!(receiver.receive().await.payload, n.to_be_bytes());
    }
    receiver.expect_ended(ReasonCode::ServerShuttingDown).await;
    drop(sender);
    stopping.await.unwrap();
}

#[tokio::test]
async fn wills_are_published_by_a_stop() {
    let broker = TestBroker::start().await;
    let mut watcher = broker.connect(Version::V5, "watcher").await;
    watcher.subscribe("will", at(QoS::AtMostOnce)).await;
    let will = Will {
        qos: QoS::AtMostOnce,
        retain: false,
        topic: "will",
        payload: b"stopped",
        properties: Properties::EMPTY,
    };
    let mut dock = broker.socket(Version::V311).await;
    dock.connect(Connect { will: Some(will), ..connect(Version::V311, "dock") }).await;
    broker.stop().await;
    assert_eq!(watcher.receive().await.payload, b"stopped");
    watcher.expect_ended(ReasonCode::ServerShuttingDown).await;
    dock.expect_closed().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_cannot_hold_a_stop_up() {
    let broker = TestBroker::start_with(|config| config.mqtt.stop_timeout_ms = 300).await;
    let mut stuck = broker.connect(Version::V311, "stuck").await;
    stuck.subscribe("t", at(QoS::AtMostOnce)).await;
    let mut sender = broker.connect(Version::V311, "sender").await;
    let large = vec![0; 1_000_000];
    for _ in 0..30 {
        sender.publish("t", &large, QoS::AtLeastOnce).await;
    }
    broker.stop().await;
}
