//! A store that cannot be written: nothing is acknowledged that is not kept, and whoever needs no store
//! notices nothing.

use std::path::PathBuf;

use dockside_broker::BindError;
use dockside_mqtt::packet::{Ack, Packet};
use dockside_mqtt::{QoS, ReasonCode, Version};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::kept::{EVENTS, event, rows, start};
use crate::peer::{TestBroker, at, id, publish};

/// The broker's file.
pub(crate) fn file(dir: &TempDir) -> PathBuf {
    dockside_store::file(&dir.path().join("data"))
}

/// Holds SQLite's lock for writing, as an engineer with a shell in a transaction does.
pub(crate) fn hold(dir: &TempDir) -> Connection {
    let other = Connection::open(file(dir)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_acknowledged_and_all_else_goes_on() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let (mut durable, _) = broker.session(Version::V5, "durable", 3600).await;
    durable.subscribe("kept/#", at(QoS::AtLeastOnce)).await;
    let mut plain = broker.connect(Version::V5, "plain").await;
    plain.subscribe("#", at(QoS::AtLeastOnce)).await;
    let mut dock = broker.connect(Version::V311, "dock").await;
    dock.subscribe("thing/product/SIMDOCK3000001/events_reply", at(QoS::AtLeastOnce)).await;
    let mut sender = broker.connect(Version::V5, "s").await;
    let mut other = broker.connect(Version::V5, "o").await;

    let lock = hold(&dir);
    sender.send(&Packet::Publish(publish("kept/1", b"1", QoS::AtLeastOnce, 3))).await;
    dock.send(&Packet::Publish(publish(EVENTS, event("t").leak(), QoS::AtLeastOnce, 3))).await;
    // Every one of these has its answer while the others wait.
    for n in 0..50 {
        let payload = n.to_string();
        other.publish("free", payload.as_bytes(), QoS::AtLeastOnce).await;
        assert_eq!(plain.receive().await.payload, payload.as_bytes());
        sender.publish("stick", payload.as_bytes(), QoS::AtMostOnce).await;
        assert_eq!(plain.receive().await.payload, payload.as_bytes());
    }
    sender.ping().await;
    dock.ping().await;
    assert_eq!(durable.receive_until_pong().await.len(), 0);
    // Behind the one that waits.
    sender.send(&Packet::Publish(publish("free", b"50", QoS::AtLeastOnce, 4))).await;
    assert_eq!(plain.receive().await.payload, b"50");
    sender.ping().await;

    lock.execute_batch("ROLLBACK").unwrap();
    sender.expect(Packet::Puback(Ack::new(id(3), ReasonCode::Success))).await;
    sender.expect(Packet::Puback(Ack::new(id(4), ReasonCode::Success))).await;
    dock.expect(Packet::Puback(Ack::new(id(3), ReasonCode::Success))).await;
    assert!(String::from_utf8(dock.receive().await.payload).unwrap().contains("result"));
    assert_eq!(durable.receive_payloads(1).await, ["1"]);
    broker.stop().await;
    assert_eq!(rows(dir.path(), "SELECT tid FROM event"), ["t"]);
}

/// After a while those that wait are sent away, to publish elsewhere or later.
#[tokio::test]
async fn publishers_do_not_wait_for_ever() {
    let dir = TempDir::new().unwrap();
    let broker = TestBroker::start_with(|config| {
        config.data.dir = dir.path().join("data");
        config.store.stall_timeout_ms = 1;
    })
    .await;
    let (mut durable, _) = broker.session(Version::V5, "durable", 3600).await;
    durable.subscribe("kept/#", at(QoS::AtLeastOnce)).await;
    let mut sender = broker.connect(Version::V5, "s").await;
    let lock = hold(&dir);
    sender.send(&Packet::Publish(publish("kept/1", b"1", QoS::AtLeastOnce, 3))).await;
    sender.expect_ended(ReasonCode::QuotaExceeded).await;
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(durable.receive_payloads(1).await, ["1"], "at least once");
}

#[tokio::test]
async fn a_second_broker_and_a_newer_file_are_refused() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let mut config = dockside::config::Config::default();
    config.data.dir = dir.path().join("data");
    config.mqtt.listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into();
    config.admin.listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let refused = dockside_broker::Broker::bind(config.broker(), Vec::new()).await;
    let Err(error @ BindError::Store(_)) = refused else { panic!("two brokers on one file") };
    assert!(error.to_string().contains("in use by another process"), "{error}");
    broker.stop().await;
    let file = Connection::open(dockside_store::file(&config.data.dir)).unwrap();
    file.pragma_update(None, "user_version", 1_000).unwrap();
    drop(file);
    let refused = dockside_broker::Broker::bind(config.broker(), Vec::new()).await;
    let Err(error @ BindError::Store(_)) = refused else { panic!("a newer file was opened") };
    assert!(error.to_string().contains("newer release (schema 1000"), "{error}");
}

/// The file and its log stay within `store.max_bytes`: the oldest events go, and are counted; every one is
/// answered.
#[tokio::test]
async fn the_file_stays_within_its_bound() {
    let dir = TempDir::new().unwrap();
    let max_bytes = 8 << 20;
    let broker = TestBroker::start_with(|config| {
        config.data.dir = dir.path().join("data");
        config.store.max_bytes = max_bytes;
        config.limits.packet_bytes = 1 << 18;
    })
    .await;
    let mut dock = broker.connect(Version::V311, "dock").await;
    let mut largest = 0;
    for n in 0..2_000 {
        let event = String::from_utf8(event(&n.to_string())).unwrap();
        let padded = event.replace("\"f\"", &format!("\"f\",\"x\":\"{}\"", "x".repeat(8_000)));
        dock.publish(EVENTS, padded.as_bytes(), QoS::AtLeastOnce).await;
        if n % 50 == 0 {
            largest = largest.max(bytes_in(&dir));
        }
    }
    assert!(largest <= max_bytes, "{largest}");
    broker.stop().await;
    let kept: usize = rows(dir.path(), "SELECT count(*) || '' FROM event")[0].parse().unwrap();
    assert!((100..1_000).contains(&kept), "16 MB came, {kept} are left");
    assert_eq!(rows(dir.path(), "SELECT tid FROM event ORDER BY id DESC LIMIT 1"), ["1999"]);
}

/// `store.min_free_bytes`, with more than any disk has: the history goes first, then what waits.
#[tokio::test]
async fn below_the_free_space_that_must_stay_the_oldest_goes_history_first() {
    let dir = TempDir::new().unwrap();
    let broker = TestBroker::start_with(|config| {
        config.data.dir = dir.path().join("data");
        config.store.min_free_bytes = 1 << 60;
    })
    .await;
    let (mut durable, _) = broker.session(Version::V5, "durable", 3600).await;
    durable.subscribe("kept/#", at(QoS::AtLeastOnce)).await;
    durable.vanish();
    let mut dock = broker.connect(Version::V311, "dock").await;
    for n in 0..60 {
        dock.publish(EVENTS, &event(&n.to_string()), QoS::AtLeastOnce).await;
    }
    let count = |sql: &str| -> usize { rows(dir.path(), sql)[0].parse().unwrap() };
    let mut sent = 0;
    loop {
        assert!(sent < 10_000, "nothing goes");
        dock.publish("kept/1", sent.to_string().as_bytes(), QoS::AtLeastOnce).await;
        sent += 1;
        let queued = count("SELECT count(*) || '' FROM queue");
        let events = count("SELECT count(*) || '' FROM event");
        assert!(queued == sent || events == 0, "{events} events are left, {queued} of {sent} wait");
        if queued < sent {
            break;
        }
    }
    dock.publish("kept/1", b"last", QoS::AtLeastOnce).await;
    let (mut durable, present) = broker.session(Version::V5, "durable", 3600).await;
    assert!(present, "only what waited went");
    while durable.receive().await.payload != b"last" {}
    broker.stop().await;
}

/// Bytes of the file and its write-ahead log.
fn bytes_in(dir: &TempDir) -> u64 {
    let file = dockside_store::file(&dir.path().join("data"));
    let log = file.with_extension("db-wal");
    [file, log].iter().map(|file| std::fs::metadata(file).unwrap().len()).sum()
}

/// What the dock waits for is measured, not what the broker is busy with.
#[tokio::test]
async fn the_latency_of_a_reply_counts_what_it_waited_for() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let ask = async |path: &str| crate::clock::ask(broker.admin, path, "").await;
    let sum = async || {
        let metrics = ask("GET /metrics").await;
        let name = "dockside_event_reply_duration_seconds_sum ";
        let sum = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        sum.parse::<f64>().unwrap()
    };
    let mut dock = broker.connect(Version::V311, "dock").await;
    dock.subscribe(&format!("{EVENTS}_reply"), at(QoS::AtLeastOnce)).await;
    let before = sum().await;
    let lock = hold(&dir);
    dock.send(&Packet::Publish(publish(EVENTS, &event("t"), QoS::AtLeastOnce, 1))).await;
    dock.ping().await;
    let held = std::time::Instant::now();
    while !ask("GET /readyz").await.contains("cannot be written") {}
    let held = held.elapsed().as_secs_f64();
    lock.execute_batch("ROLLBACK").unwrap();
    dock.expect(Packet::Puback(Ack::new(id(1), ReasonCode::Success))).await;
    dock.receive().await;
    // The broker counts once it has written.
    for _ in 0..100 {
        if sum().await - before >= held {
            return;
        }
    }
    panic!("a reply that waited for {held} s is counted with less");
}
