//! What somebody should look at, where there is no Prometheus: by HTTP and as a retained message.

use dockside::config::Config;
use dockside_mqtt::packet::{Ack, Packet, Publish};
use dockside_mqtt::{QoS, ReasonCode, Version};
use serde_json::Value;
use tempfile::TempDir;

use crate::clock::ask;
use crate::kept_failures::hold;
use crate::peer::{Peer, TestBroker, at, publish, read};
use crate::tail::send;

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

/// What is published, message by message. Other brokers of this process have the same metrics, so that alerts of theirs
/// may come in between.
struct Alerts {
    peer: Peer,
    is_retained: bool,
    all: Option<Vec<Value>>,
}

impl Alerts {
    async fn of(broker: &TestBroker, client_id: &str) -> Self {
        let mut peer = broker.connect(Version::V5, client_id).await;
        peer.subscribe(TOPIC, at(QoS::AtLeastOnce)).await;
        Self { peer, is_retained: false, all: None }
    }

    /// The next message; it tells of other alerts than the one before, not of the same in other words.
    async fn next(&mut self) {
        let message = self.peer.receive().await;
        assert_eq!(message.topic, TOPIC);
        self.is_retained = message.retain;
        let told: Value = serde_json::from_slice(&message.payload).unwrap();
        assert!(told["now_ms"].as_u64().unwrap() > 0);
        let all = told["alerts"].as_array().unwrap().clone();
        let keys = |alerts: &[Value]| -> Vec<String> {
            let key = |a: &Value| format!("{} {} {}", a["name"], a["gateway"], a["flight_task"]);
            alerts.iter().map(key).collect()
        };
        if let Some(before) = &self.all {
            assert_ne!(keys(before), keys(&all), "nothing has come or gone");
        }
        self.all = Some(all);
    }

    /// The alert of this name, once it is told; none once it is told that there is none.
    async fn until(&mut self, name: &str, is_there: bool) -> Option<Value> {
        loop {
            let all = self.all.iter().flatten();
            let alert = all.clone().find(|alert| alert["name"] == name).cloned();
            if self.all.is_some() && alert.is_some() == is_there {
                return alert;
            }
            self.next().await;
        }
    }
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
    let mut app = Alerts::of(&broker, "app").await;
    // At the start nothing of it fires, and that is said.
    app.until("DockSilent", false).await;
    let dock = a_dock(&broker).await;
    let silent = app.until("DockSilent", true).await.unwrap();
    assert_eq!((&silent["severity"], &silent["gateway"]), (&"warning".into(), &SN.into()));
    assert_eq!(silent["flight_task"], Value::Null);
    let since_ms = silent["since_ms"].as_u64().unwrap();
    // The text counts on, and whoever asks by HTTP sees it count.
    loop {
        let text = ask(broker.admin, "GET /api/v1/alerts", "").await;
        let now: Value = serde_json::from_str(&text).unwrap();
        let mut now = now["alerts"].as_array().unwrap().iter();
        let now = now.find(|alert| alert["name"] == "DockSilent").unwrap();
        assert_eq!(now["since_ms"].as_u64(), Some(since_ms), "{now}");
        if now["text"] != silent["text"] {
            break;
        }
    }
    let mut late = Alerts::of(&broker, "late").await;
    assert_eq!(late.until("DockSilent", true).await, Some(silent));
    assert!(late.is_retained);
    drop(dock);
    // Nothing was published while it counted: the next message tells that something has come or gone.
    app.until("DockSilent", false).await;
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
    let mut app = Alerts::of(&broker, "app").await;
    app.until("StoreFails", false).await;
    let held = hold(&dir);
    let mut client = broker.connect(Version::V311, "c").await;
    let retained = Publish { retain: true, ..publish("kept", b"x", QoS::AtLeastOnce, 3) };
    client.send(&Packet::Publish(retained)).await;
    let fails = app.until("StoreFails", true).await.unwrap();
    assert_eq!(fails["severity"], "critical");
    drop(held);
    app.until("StoreFails", false).await;
    let mut late = Alerts::of(&broker, "late").await;
    late.until("StoreFails", false).await;
    assert!(late.is_retained);
}

/// An operator cannot say it either, nor bring another broker's, nor remove it; and a broker that does not tell leaves
/// nothing there that another one told.
#[tokio::test]
async fn what_fires_is_not_left_where_it_is_not_told() {
    let dir = TempDir::new().unwrap();
    let in_dir = |config: &mut Config| config.data.dir = dir.path().join("data");
    let broker = start_with(in_dir).await;
    let mut app = Alerts::of(&broker, "app").await;
    app.next().await;
    let message = r#"{"from":"192.0.2.9:1883","messages":[{"topic":"dockside/alerts","qos":1,"payload":"e30="}],"replace":true}"#;
    let (_, refused) = send(broker.admin, "POST /api/v1/retained", message).await;
    assert!(refused.contains("the broker's own"), "{refused}");
    let topic = r#"{"topic":"dockside/alerts"}"#;
    let removed = send(broker.admin, "POST /api/v1/retained/remove", topic).await;
    assert_eq!(removed.0, 404, "{}", removed.1);
    broker.stop().await;
    let retained = async |broker: &TestBroker| {
        ask(broker.admin, "GET /api/v1/retained?filter=dockside/alerts", "").await
    };
    let silent = TestBroker::start_with(in_dir).await;
    while retained(&silent).await.contains(TOPIC) {}
}
