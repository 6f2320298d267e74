//! What clients and operators find when a broker starts on a file.

use std::path::Path;
use std::time::UNIX_EPOCH;

use dockside::config::Config;
use dockside_broker::Clock;
use dockside_mqtt::packet::{Ack, Packet, Publish};
use dockside_mqtt::{QoS, ReasonCode, Version};
use dockside_store::Reader;
use serde_json::{Value, json};

use super::filled::{
    COMMAND, DELAY_S, DOCK, EVENT, EXCHANGED, EXCHANGING, IDENTIFIER, KEPT_S, OWN, QUEUED,
    RETAINED, SLEEPER, SLEEPER_311, TASK, UNRELEASED, WILL, events,
};
use crate::clock::ask;
use crate::kept::rows;
use crate::peer::{TestBroker, at, id, publish, read};

/// Starts a broker on the file of a directory a minute after the file was left, and finds everything that was in it.
pub(super) async fn everything(dir: &Path) {
    let broker = start(&dir.join("data")).await;
    let mut watcher = broker.connect(Version::V5, "DOCKSIDE-TEST-watcher").await;
    watcher.subscribe(WILL, at(QoS::AtLeastOnce)).await;
    watcher.subscribe(OWN, at(QoS::AtLeastOnce)).await;
    operators(&broker).await;
    sleepers(&broker).await;
    exchanges(&broker).await;
    dock(&broker).await;
    let mut reader = broker.connect(Version::V311, "DOCKSIDE-TEST-reader").await;
    reader.subscribe("dockside-test/#", at(QoS::AtLeastOnce)).await;
    let retained = reader.receive().await;
    assert_eq!((&*retained.topic, &*retained.payload), (RETAINED, &b"retained"[..]));
    assert!(retained.retain);
    // Nobody's message came again, and the testator was not back.
    watcher.expect_nothing().await;
    broker.pass(u64::from(DELAY_S));
    let will = watcher.receive().await;
    assert_eq!((&*will.topic, &*will.payload), (WILL, &b"will"[..]));
    broker.stop().await;
    assert_eq!(rows(dir, "SELECT tid FROM event"), ["t"], "a known event is recorded once");
}

/// Whenever the test runs: what is kept for a day was left a minute ago.
async fn start(data: &Path) -> TestBroker {
    let seen = Reader::open(data).unwrap().kept(0, 0, 0).unwrap().seen.unwrap();
    let now_ms = UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    let clock = Clock::wrong_by(seen.wall_ms.cast_signed() + 60_000 - now_ms);
    let mut config = Config::default();
    config.mqtt.sys_interval_s = 0;
    config.data.dir = data.into();
    dockside_broker::metrics::recorder();
    let plugins = dockside::plugins(&config);
    TestBroker::start_clock(config, plugins, clock).await
}

async fn sleepers(broker: &TestBroker) {
    let (mut sleeper, present) = broker.session(Version::V5, SLEEPER, KEPT_S).await;
    assert!(present);
    let mut shared = 0;
    let mut queued = Vec::new();
    while queued.len() + shared < 3 {
        let message = sleeper.receive().await;
        match &*message.topic {
            QUEUED => queued.push(message),
            _ => shared += usize::from(message.payload == b"shared"),
        }
    }
    let [first, second] = &queued[..] else { panic!("{queued:?}") };
    assert_eq!((&*first.payload, first.qos), (&b"first"[..], QoS::AtLeastOnce));
    assert_eq!((&*second.payload, second.qos), (&b"second"[..], QoS::ExactlyOnce));
    assert_eq!([&first.subscription_ids, &second.subscription_ids], [&[IDENTIFIER]; 2]);
    sleeper.expect_nothing().await;
    let (mut sleeper, present) = broker.session(Version::V311, SLEEPER_311, KEPT_S).await;
    assert!(present);
    assert_eq!(sleeper.receive_payloads(2).await, ["first", "second"]);
    sleeper.expect_nothing().await;
}

/// Both ways of QoS 2 go on where they were.
async fn exchanges(broker: &TestBroker) {
    let ok = |id| Ack::new(id, ReasonCode::Success);
    let (mut peer, present) = broker.session(Version::V5, EXCHANGING, KEPT_S).await;
    assert!(present);
    let bytes = peer.packet().await;
    let Packet::Pubrel(released) = read(&bytes, Version::V5) else { panic!("{bytes:?}") };
    peer.send(&Packet::Pubcomp(ok(released.packet_id))).await;
    let sent = peer.receive().await;
    assert_eq!((&*sent.topic, &*sent.payload, sent.dup), (EXCHANGED, &b"sent"[..], true));
    let own = publish(OWN, b"own", QoS::ExactlyOnce, UNRELEASED);
    peer.send(&Packet::Publish(Publish { dup: true, ..own })).await;
    peer.expect(Packet::Pubrec(ok(id(UNRELEASED)))).await;
    peer.send(&Packet::Pubrel(ok(id(UNRELEASED)))).await;
    peer.expect(Packet::Pubcomp(ok(id(UNRELEASED)))).await;
    peer.expect_nothing().await;
}

async fn get(broker: &TestBroker, path: &str) -> Value {
    let body = ask(broker.admin, &format!("GET /api/v1/{path}"), "").await;
    serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}"))
}

async fn operators(broker: &TestBroker) {
    let task = get(broker, &format!("flight-tasks/{DOCK}/{TASK}")).await;
    let stands = &task["flight_task"];
    assert_eq!(task["history"].as_array().map(Vec::len), Some(1), "{task}");
    assert_eq!((&stands["status"], &stands["percent"]), (&json!("in_progress"), &json!(42.0)));
    let dock = get(broker, &format!("docks/{DOCK}")).await;
    assert_eq!(dock["dock"]["events"], 1, "{dock}");
    let audit = get(broker, "audit").await;
    assert_eq!(audit["audit"][0]["method"], COMMAND, "{audit}");
}

/// An event that is known is answered as any other.
async fn dock(broker: &TestBroker) {
    let mut dock = broker.connect(Version::V311, "DOCKSIDE-TEST-dock").await;
    dock.subscribe(&format!("{}_reply", events()), at(QoS::AtLeastOnce)).await;
    dock.publish(&events(), EVENT.as_bytes(), QoS::AtLeastOnce).await;
    let reply: Value = serde_json::from_slice(&dock.receive().await.payload).unwrap();
    assert_eq!((&reply["tid"], &reply["data"]["result"]), (&json!("t"), &json!(0)));
}
