//! A file with something of every kind, made as a site makes it: by clients of a broker. Names and serial numbers are
//! nobody's.

use std::path::{Path, PathBuf};

use dockside_mqtt::packet::{Ack, Connect, Packet, Publish, Will};
use dockside_mqtt::property::{PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version};
use dockside_store::Reader;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::kept::{copy_of_running, start};
use crate::peer::{Peer, TestBroker, at, connect, id, publish};
use crate::sessions::leave;

pub(super) const DOCK: &str = "DOCKSIDETEST1";
pub(super) const AIRCRAFT: &str = "DOCKSIDETEST2";
pub(super) const TASK: &str = "dockside-test-task";
pub(super) const COMMAND: &str = "flighttask_execute";

/// Clients, and what they subscribe to.
pub(super) const SLEEPER: &str = "DOCKSIDE-TEST-sleeper";
pub(super) const SLEEPER_311: &str = "DOCKSIDE-TEST-sleeper-3.1.1";
pub(super) const EXCHANGING: &str = "DOCKSIDE-TEST-exchanging";
pub(super) const TESTATOR: &str = "DOCKSIDE-TEST-testator";
pub(super) const QUEUED: &str = "dockside-test/queued";
pub(super) const SHARED: &str = "dockside-test/shared";
pub(super) const SHARE: &str = "$share/dockside-test/dockside-test/shared";
pub(super) const EXCHANGED: &str = "dockside-test/exchanged";
pub(super) const RETAINED: &str = "dockside-test/retained";
pub(super) const OWN: &str = "dockside-test/own";
pub(super) const WILL: &str = "dockside-test/will";

/// Subscription identifier, packet identifier of a message that its client has not released, and delay of the will.
pub(super) const IDENTIFIER: u32 = 7;
pub(super) const UNRELEASED: u16 = 5;
pub(super) const DELAY_S: u32 = 3_600;

/// How long sessions, and a message that expires, are kept.
pub(super) const KEPT_S: u32 = 24 * 3_600;

/// The file, as a kill leaves it, once its log is in it.
pub(super) struct Filled {
    pub(super) path: PathBuf,
    _dir: TempDir,
}

pub(super) async fn file() -> Filled {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let connected = fill(&broker).await;
    has_followed(&dir.path().join("data")).await;
    let killed = TempDir::new().unwrap();
    copy_of_running(dir.path(), killed.path());
    drop(connected);
    broker.stop().await;
    let path = dockside_store::file(&killed.path().join("data"));
    let file = Connection::open(&path).unwrap();
    // Which start of which machine it was is nobody's business; 0 is a machine that does not say.
    let unknown =
        "UPDATE about SET value = 0 WHERE name IN ('last_seen_boot', 'last_seen_uptime_ms')";
    file.execute(unknown, []).unwrap();
    file.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    file.close().unwrap();
    Filled { path, _dir: killed }
}

/// Flight tasks and docks are a second behind what their docks say.
async fn has_followed(data: &Path) {
    let reader = Reader::open(data).unwrap();
    loop {
        let kept = reader.kept(10, 10, 10).unwrap();
        if !kept.flight_tasks.is_empty() && kept.docks.iter().any(|dock| dock.counts == [1, 1]) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// What is still connected must not go before the copy is made.
async fn fill(broker: &TestBroker) -> Vec<Peer> {
    sleepers(broker).await;
    let exchanging = exchanging(broker).await;
    let testator = testator(broker).await;
    let mut app = broker.connect(Version::V5, "DOCKSIDE-TEST-application").await;
    queue(&mut app).await;
    let kept = Publish { retain: true, ..publish(RETAINED, b"retained", QoS::AtLeastOnce, 3) };
    app.send(&Packet::Publish(kept)).await;
    app.expect(Packet::Puback(Ack::new(id(3), ReasonCode::Success))).await;
    let command = json!({"tid": "t", "method": COMMAND, "data": {"flight_id": TASK}}).to_string();
    let services = format!("thing/product/{DOCK}/services");
    app.publish(&services, command.as_bytes(), QoS::AtLeastOnce).await;
    let mut dock = broker.connect(Version::V311, "DOCKSIDE-TEST-dock").await;
    let topo = json!({"tid": "t", "bid": "b", "timestamp": 1_700_000_000_000_u64, "method": "update_topo",
        "data": {"domain": "3", "type": 2, "sub_type": 0, "sub_devices": [{"sn": AIRCRAFT, "domain": "0"}]}});
    let status = format!("sys/product/{DOCK}/status");
    dock.publish(&status, topo.to_string().as_bytes(), QoS::AtLeastOnce).await;
    dock.publish(&events(), EVENT.as_bytes(), QoS::AtLeastOnce).await;
    // Answers wait for what was said before them.
    dock.ping().await;
    vec![exchanging, testator]
}

pub(super) fn events() -> String {
    format!("thing/product/{DOCK}/events")
}

/// The one event; said again, to the byte, it is known.
pub(super) const EVENT: &str = r#"{"tid":"t","bid":"b","timestamp":1700000000000,"method":"flighttask_progress","need_reply":1,"data":{"result":0,"output":{"status":"in_progress","ext":{"flight_id":"dockside-test-task"},"progress":{"current_step":19,"percent":42}}}}"#;

/// Two sessions without a connection, one of them in a group.
async fn sleepers(broker: &TestBroker) {
    let (mut sleeper, _) = broker.session(Version::V5, SLEEPER, KEPT_S).await;
    let mut list = PropertyList::new();
    list.number(PropertyId::SubscriptionIdentifier, IDENTIFIER);
    let filters = [(QUEUED, at(QoS::ExactlyOnce))];
    sleeper.subscribe_all(&filters, list.as_properties()).await;
    sleeper.subscribe(SHARE, at(QoS::AtLeastOnce)).await;
    leave(sleeper).await;
    let (mut sleeper, _) = broker.session(Version::V311, SLEEPER_311, KEPT_S).await;
    sleeper.subscribe(QUEUED, at(QoS::AtLeastOnce)).await;
    leave(sleeper).await;
}

/// What waits for them: one with properties that expires, one of QoS 2, one for the group.
async fn queue(app: &mut Peer) {
    let mut list = PropertyList::new();
    list.number(PropertyId::MessageExpiryInterval, KEPT_S);
    list.text(PropertyId::ContentType, "dockside/test");
    let message = publish(QUEUED, b"first", QoS::AtLeastOnce, 3);
    app.send(&Packet::Publish(Publish { properties: list.as_properties(), ..message })).await;
    app.expect(Packet::Puback(Ack::new(id(3), ReasonCode::Success))).await;
    app.publish(QUEUED, b"second", QoS::ExactlyOnce).await;
    app.publish(SHARED, b"shared", QoS::AtLeastOnce).await;
}

/// A client in the middle of QoS 2: it has received one message and not completed it, was sent another, and has not
/// released its own.
async fn exchanging(broker: &TestBroker) -> Peer {
    let ok = |id| Ack::new(id, ReasonCode::Success);
    let (mut peer, _) = broker.session(Version::V5, EXCHANGING, KEPT_S).await;
    peer.subscribe(EXCHANGED, at(QoS::ExactlyOnce)).await;
    let mut app = broker.connect(Version::V5, "DOCKSIDE-TEST-application").await;
    app.publish(EXCHANGED, b"received", QoS::ExactlyOnce).await;
    app.publish(EXCHANGED, b"sent", QoS::ExactlyOnce).await;
    let received = peer.receive_only().await.packet_id.unwrap();
    peer.receive_only().await;
    peer.send(&Packet::Pubrec(ok(received))).await;
    peer.expect(Packet::Pubrel(ok(received))).await;
    peer.send(&Packet::Publish(publish(OWN, b"own", QoS::ExactlyOnce, UNRELEASED))).await;
    peer.expect(Packet::Pubrec(ok(id(UNRELEASED)))).await;
    peer
}

/// A client whose will waits for it.
async fn testator(broker: &TestBroker) -> Peer {
    let (mut delay, mut kept) = (PropertyList::new(), PropertyList::new());
    delay.number(PropertyId::WillDelayInterval, DELAY_S);
    kept.number(PropertyId::SessionExpiryInterval, KEPT_S);
    let properties = delay.as_properties();
    let will =
        Will { topic: WILL, payload: b"will", qos: QoS::AtLeastOnce, retain: false, properties };
    let properties = kept.as_properties();
    let asks = connect(Version::V5, TESTATOR);
    broker.enter(Connect { clean_start: false, will: Some(will), properties, ..asks }).await.0
}
