//! What those who run a site ask for, and have done.

use dockside_mqtt::packet::{Ack, Packet, Publish};
use dockside_mqtt::property::{PropertyId, PropertyList};
use dockside_mqtt::{QoS, ReasonCode, Version};
use serde_json::{Value, json};

use super::described::{Described, JSON};
use crate::peer::{TestBroker, at, id, publish};
use crate::site::Site;

pub(super) async fn a_site_is_run(described: &Described) {
    let broker = TestBroker::start().await;
    status(described, &broker).await;
    sessions(described, &broker).await;
    retained(described, &broker).await;
    let site = Site::start(&["SIMDOCK1"]).await;
    let _dock = site.log_in(Version::V5, "SIMDOCK1", "").await;
    let list = described.get(site.broker.admin, "/api/v1/sessions").await.json();
    assert_eq!(list["sessions"][0]["user"], "SIMDOCK1");
}

/// The store is looked at after some commits, or seconds.
async fn status(described: &Described, broker: &TestBroker) {
    let status = described.get(broker.admin, "/api/v1/status").await.json();
    assert_eq!(status["store_bytes"], Value::Null);
    let (mut kept, _) = broker.session(Version::V311, "kept", 3_600).await;
    kept.subscribe("t", at(QoS::AtLeastOnce)).await;
    let mut app = broker.connect(Version::V5, "app").await;
    while described.get(broker.admin, "/api/v1/status").await.json()["store_bytes"].is_null() {
        app.publish("t", b"x", QoS::AtLeastOnce).await;
        kept.receive().await;
    }
}

async fn sessions(described: &Described, broker: &TestBroker) {
    let _one = broker.connect(Version::V31, "one").await;
    let list = async |query: &str| {
        let target = format!("/api/v1/sessions?{query}");
        described.get(broker.admin, &target).await.json()
    };
    let first = list("limit=1").await;
    assert!(first["next"].is_string(), "{first}");
    let kick = async |client: &str, code: &str| {
        let body = format!(r#"{{"client_id":"{client}","forget":false}}"#);
        let line = "POST /api/v1/sessions/kick";
        assert_eq!(described.ask(broker.admin, line, (JSON, &body)).await.status, code, "{client}");
    };
    kick("one", "200").await;
    kick("nobody", "404").await;
}

/// Of a client, of one that has gone, of nobody known, with everything that can be said of them and nothing.
async fn retained(described: &Described, broker: &TestBroker) {
    let mut peer = broker.connect(Version::V5, "retains").await;
    let mut expiry = PropertyList::new();
    expiry.number(PropertyId::MessageExpiryInterval, 3_600);
    let message = publish("expires", b"\xFF", QoS::AtLeastOnce, 5);
    let message = Publish { retain: true, properties: expiry.as_properties(), ..message };
    peer.send(&Packet::Publish(message)).await;
    peer.expect(Packet::Puback(Ack::new(id(5), ReasonCode::Success))).await;
    let body = json!({"from": "elsewhere:1883", "replace": false, "messages": [
        {"topic": "taken", "qos": 1, "payload": "MTIuNQ=="},
        {"topic": "expires", "qos": 1, "payload": "MTIuNQ=="},
        {"topic": "$SYS/x", "qos": 1, "payload": "MTIuNQ=="},
    ]});
    let post = async |path: &str, body: &Value| {
        let line = format!("POST /api/v1/{path}");
        described.ask(broker.admin, &line, (JSON, &body.to_string())).await
    };
    let taken = post("retained", &body).await.json();
    assert_eq!((&taken["taken"], &taken["already_here"]), (&json!(1), &json!(1)), "{taken}");
    let page = described.get(broker.admin, "/api/v1/retained?limit=1").await.json();
    assert_eq!(
        (&page["retained"][0]["publisher"], &page["next"]),
        (&json!("retains"), &json!("expires"))
    );
    described.get(broker.admin, "/api/v1/retained?after=expires").await;
    for (topic, code) in [("taken", "200"), ("taken", "404"), ("$SYS/broker/version", "404")] {
        assert_eq!(post("retained/remove", &json!({"topic": topic})).await.status, code, "{topic}");
    }
    restarted(described).await;
}

/// How old it is, is not known then.
async fn restarted(described: &Described) {
    let dir = tempfile::TempDir::new().unwrap();
    let start =
        async || TestBroker::start_with(|config| config.data.dir = dir.path().join("data")).await;
    let broker = start().await;
    let mut peer = broker.connect(Version::V311, "retains").await;
    crate::retained::retain(&mut peer, "t", b"x", QoS::AtLeastOnce).await;
    broker.stop().await;
    let broker = start().await;
    let page = described.get(broker.admin, "/api/v1/retained").await.json();
    assert_eq!(page["retained"][0]["age_ms"], Value::Null, "{page}");
}

/// 503, and it is done when the store works again.
pub(super) async fn changes_wait_for_the_store(described: &Described, broker: &TestBroker) {
    let messages = json!([{"topic": "later", "qos": 1, "payload": "MTIuNQ=="}]);
    for (path, body) in [
        ("retained/remove", json!({"topic": "here"})),
        ("retained", json!({"from": "x", "replace": false, "messages": messages})),
    ] {
        let line = format!("POST /api/v1/{path}");
        let answer = described.ask(broker.admin, &line, (JSON, &body.to_string())).await;
        assert_eq!(answer.status, "503", "{path}");
    }
}
