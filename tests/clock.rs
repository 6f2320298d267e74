//! A wall clock that is wrong: what is kept does not expire by it (docs/store.md, "A clock that is wrong").

use std::net::SocketAddr;
use std::path::Path;

use dockside_broker::Clock;
use dockside_mqtt::packet::{Ack, Packet, Publish};
use dockside_mqtt::property::{PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::broker::TestBroker;
use crate::kept::{rows, start};
use crate::peer::{at, id, publish};

const DAY_MS: i64 = 24 * 3_600_000;

async fn start_with_clock(dir: &Path, clock: Clock) -> TestBroker {
    let mut config = dockside::config::Config::default();
    config.mqtt.sys_interval_s = 0;
    config.data.dir = dir.join("data");
    TestBroker::start_clock(config, Vec::new(), clock).await
}

/// The body of an answer of the admin listener.
pub(crate) async fn ask(admin: SocketAddr, request: &str, content: &str) -> String {
    let mut socket = TcpStream::connect(admin).await.unwrap();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{content}Content-Length: 2\r\n\r\n{{}}"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    text.split_once("\r\n\r\n").unwrap().1.to_owned()
}

const JSON: &str = "Content-Type: application/json\r\n";

async fn doubt(broker: &TestBroker) -> String {
    ask(broker.admin, "GET /api/v1/clock", "").await
}

async fn accept(broker: &TestBroker) -> String {
    ask(broker.admin, "POST /api/v1/clock/accept", JSON).await
}

/// A session and a retained message that last a minute, in a directory whose broker has been stopped.
async fn leave(dir: &TempDir) {
    let broker = start(dir.path()).await;
    let (mut peer, _) = broker.session(Version::V5, "a", 60).await;
    peer.subscribe("t", at(QoS::AtLeastOnce)).await;
    peer.vanish();
    let mut sender = broker.connect(Version::V5, "s").await;
    sender.publish("t", b"1", QoS::AtLeastOnce).await;
    let mut list = PropertyList::new();
    list.number(PropertyId::MessageExpiryInterval, 60);
    let properties = list.as_properties();
    let mortal = publish("r", b"1", QoS::AtLeastOnce, 9);
    sender.send(&Packet::Publish(Publish { retain: true, properties, ..mortal })).await;
    sender.expect(Packet::Puback(Ack::new(id(9), ReasonCode::Success))).await;
    broker.stop().await;
}

/// Whether the session is there with its message, and how many messages are retained.
async fn found(broker: &TestBroker) -> (bool, usize) {
    let mut reader = broker.connect(Version::V5, "reader").await;
    reader.subscribe("r", at(QoS::AtLeastOnce)).await;
    // Behind what is retained.
    reader.publish("r", b"fence", QoS::AtLeastOnce).await;
    let mut retained = 0;
    while reader.receive().await.payload != b"fence" {
        retained += 1;
    }
    let (mut peer, present) = broker.session(Version::V5, "a", 60).await;
    if present {
        assert_eq!(peer.receive_payloads(1).await, ["1"]);
    }
    (present, retained)
}

/// A start with a clock that was set forward or back, or is earlier than what is kept, expires nothing.
#[tokio::test]
async fn a_start_with_a_wrong_clock_expires_nothing() {
    for wrong_ms in [30 * DAY_MS, -30 * DAY_MS, -5_000] {
        let dir = TempDir::new().unwrap();
        leave(&dir).await;
        let broker = start_with_clock(dir.path(), Clock::wrong_by(wrong_ms)).await;
        assert!(doubt(&broker).await.contains("\"doubt\":\"the wall clock"), "{wrong_ms}");
        assert_eq!(found(&broker).await, (true, 1), "{wrong_ms}");
        broker.stop().await;
        // Not by a second start either: nobody has said that it is right.
        let broker = start_with_clock(dir.path(), Clock::wrong_by(wrong_ms - 1_000)).await;
        assert!(doubt(&broker).await.contains("\"doubt\":\"the wall clock"), "{wrong_ms}");
        broker.stop().await;
    }
}

/// The other way round, or the guard would be that nothing ever expires.
#[tokio::test]
async fn with_a_right_clock_what_is_over_at_a_start_is_gone() {
    let dir = TempDir::new().unwrap();
    leave(&dir).await;
    let later = Clock::wrong_by(0);
    later.advance(std::time::Duration::from_secs(61));
    let broker = start_with_clock(dir.path(), later).await;
    assert!(doubt(&broker).await.contains("\"doubt\":null"));
    assert_eq!(found(&broker).await, (false, 0));
    broker.stop().await;
}

/// Once somebody says that the clock is right, what is kept ages again, and the next start believes it.
#[tokio::test]
async fn an_accepted_clock_is_right_from_then_on() {
    for wrong_ms in [30 * DAY_MS, -30 * DAY_MS] {
        let dir = TempDir::new().unwrap();
        leave(&dir).await;
        let broker = start_with_clock(dir.path(), Clock::wrong_by(wrong_ms)).await;
        // More than the session has; it is looked at meanwhile.
        broker.pass(1_000);
        let mut other = broker.connect(Version::V5, "other").await;
        other.ping().await;
        assert!(doubt(&broker).await.contains("\"doubt\":\"the wall clock"), "{wrong_ms}");
        assert!(broker.session(Version::V5, "a", 60).await.1, "{wrong_ms}");
        let retained = || rows(dir.path(), "SELECT count(*) || '' FROM retained");
        assert_eq!(retained(), ["1"]);
        let refused = ask(broker.admin, "POST /api/v1/clock/accept", "").await;
        assert!(refused.contains("Content-Type"), "a page of another origin could: {refused}");
        assert!(doubt(&broker).await.contains("\"doubt\":\"the wall clock"));
        assert!(accept(&broker).await.contains("\"doubt\":\"the wall clock"));
        assert!(doubt(&broker).await.contains("\"doubt\":null"));
        broker.pass(100);
        assert!(!broker.session(Version::V5, "a", 60).await.1, "{wrong_ms}");
        broker.stop().await;
        assert_eq!(retained(), ["0"]);
        let broker = start_with_clock(dir.path(), Clock::wrong_by(wrong_ms + 2_000_000)).await;
        assert!(doubt(&broker).await.contains("\"doubt\":null"));
        broker.stop().await;
    }
}

/// A clock that is set while the broker runs: by an hour and more nothing expires until it is right.
#[tokio::test]
async fn a_clock_that_is_set_while_the_broker_runs_expires_nothing() {
    let dir = TempDir::new().unwrap();
    let clock = Clock::wrong_by(0);
    let broker = start_with_clock(dir.path(), clock).await;
    let (peer, _) = broker.session(Version::V5, "a", 60).await;
    peer.vanish();
    broker.clock.set_wrong_by(DAY_MS);
    while doubt(&broker).await.contains("\"doubt\":null") {
        tokio::task::yield_now().await;
    }
    broker.pass(1_000);
    assert!(broker.session(Version::V5, "a", 60).await.1);
    broker.clock.set_wrong_by(1_000_000);
    while !doubt(&broker).await.contains("\"doubt\":null") {
        tokio::task::yield_now().await;
    }
    broker.pass(1_000);
    assert!(!broker.session(Version::V5, "a", 60).await.1, "a quarter of an hour is followed");
    broker.stop().await;
}
