//! What somebody should look at, where there is no Prometheus: by HTTP and as a retained message.

use dockside::config::Config;
use dockside_mqtt::packet::{Ack, Packet, Publish};
use dockside_mqtt::{QoS, ReasonCode, Version};
use serde_json::Value;
use tempfile::TempDir;

use crate::clock::ask;
use crate::kept_failures::hold;
use crate::peer::{Peer, TestBroker, at, publish, read};

const SN: &str = "SIMDOCK7000001";

const TOPIC: &str = "dockside/alerts";

async fn start() -> TestBroker {
    start_with(|_| {}).await
}

async fn start_with(change: impl FnOnce(&mut Config)) -> TestBroker {
    TestBroker::start_with(|config| {
        change(config);
        config.alerts.publish = true;
        config.dock.silent_after_s = 1;
    })
    .await
}

/// Names of all that fires, by the next message.
async fn next(peer: &mut Peer) -> (bool, Vec<Value>) {
    let message = peer.receive().await;
    assert_eq!(message.topic, TOPIC);
    let alerts: Value = serde_json::from_slice(&message.payload).unwrap();
    assert!(alerts["now_ms"].as_u64().unwrap() > 0);
    (message.retain, alerts["alerts"].as_array().unwrap().clone())
}

async fn a_dock(broker: &TestBroker) -> Peer {
    let mut dock = broker.connect(Version::V311, "d").await;
    let status = br#"{"tid":"t","bid":"b","method":"update_topo","data":{"domain":"3","type":2,"sub_type":0,"sub_devices":[]}}"#;
    dock.publish(&format!("sys/product/{SN}/status"), status, QoS::AtLeastOnce).await;
    dock
}

/// An alert comes and goes with what it tells of: a message each time, and none while only its text counts.
#[tokio::test]
async fn what_fires_is_published_when_it_comes_and_when_it_goes() {
    let broker = start().await;
    let mut app = broker.connect(Version::V5, "app").await;
    app.subscribe(TOPIC, at(QoS::AtLeastOnce)).await;
    assert_eq!(
        next(&mut app).await.1,
        [Value::Null; 0],
        "at the start nothing fires, and that is said"
    );
    let dock = a_dock(&broker).await;
    let (_, alerts) = next(&mut app).await;
    let [silent] = &alerts[..] else { panic!("{alerts:?}") };
    assert_eq!((&silent["name"], &silent["gateway"]), (&"DockSilent".into(), &SN.into()));
    assert_eq!((&silent["severity"], &silent["flight_task"]), (&"warning".into(), &Value::Null));
    let since_ms = silent["since_ms"].as_u64().unwrap();
    // The text counts on, and whoever asks by HTTP sees it count.
    loop {
        let text = ask(broker.admin, "GET /api/v1/alerts", "").await;
        let now: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(now["alerts"][0]["since_ms"].as_u64(), Some(since_ms), "{now}");
        if now["alerts"][0]["text"] != silent["text"] {
            break;
        }
    }
    let mut late = broker.connect(Version::V5, "late").await;
    late.subscribe(TOPIC, at(QoS::AtMostOnce)).await;
    let (is_retained, same) = next(&mut late).await;
    assert!(is_retained && same == alerts, "{same:?}");
    drop(dock);
    // The next message is that it has gone: nothing was published while it counted.
    assert_eq!(next(&mut app).await.1, [Value::Null; 0]);
}

/// Nobody else says what fires, whatever the rules are.
#[tokio::test]
async fn only_the_broker_tells_what_fires() {
    let broker = start().await;
    let mut client = broker.connect(Version::V5, "c").await;
    let mut answer = async |topic: &str| {
        client.send(&Packet::Publish(publish(topic, b"{}", QoS::AtLeastOnce, 3))).await;
        let bytes = client.packet().await;
        let Packet::Puback(Ack { reason, .. }) = read(&bytes, Version::V5) else { panic!() };
        reason
    };
    for topic in [TOPIC, "dockside/flight-tasks/SIMDOCK1", "dockside/flight-tasks"] {
        assert_eq!(answer(topic).await, ReasonCode::NotAuthorized, "{topic}");
    }
    for topic in ["dockside", "dockside/alerts/mine", "dockside/other", "dockside/flight-tasksx"] {
        let reason = answer(topic).await;
        assert!(!reason.is_error(), "{topic}: {reason:?}");
    }
}

/// That the store fails is told though nothing can be retained then; and what is retained is right once it works again.
#[tokio::test]
async fn a_store_that_fails_is_told_at_once() {
    let dir = TempDir::new().unwrap();
    let broker = start_with(|config| config.data.dir = dir.path().join("data")).await;
    let mut app = broker.connect(Version::V5, "app").await;
    app.subscribe(TOPIC, at(QoS::AtLeastOnce)).await;
    assert_eq!(next(&mut app).await.1, [Value::Null; 0]);
    let held = hold(&dir);
    let mut client = broker.connect(Version::V311, "c").await;
    let retained = Publish { retain: true, ..publish("kept", b"x", QoS::AtLeastOnce, 3) };
    client.send(&Packet::Publish(retained)).await;
    let (_, alerts) = next(&mut app).await;
    assert_eq!(alerts[0]["name"], "StoreFails", "{alerts:?}");
    drop(held);
    let (_, alerts) = next(&mut app).await;
    assert_eq!(alerts, [Value::Null; 0]);
    let mut late = broker.connect(Version::V5, "late").await;
    late.subscribe(TOPIC, at(QoS::AtMostOnce)).await;
    let (is_retained, alerts) = next(&mut late).await;
    assert!(is_retained && alerts.is_empty(), "{alerts:?}");
}
