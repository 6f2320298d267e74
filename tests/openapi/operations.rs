//! What those who run a site ask for, and have done.

use dockside_mqtt::{QoS, Version};
use serde_json::Value;

use super::described::{Described, JSON};
use crate::peer::{TestBroker, at};
use crate::site::Site;

pub(super) async fn a_site_is_run(described: &Described) {
    let broker = TestBroker::start().await;
    status(described, &broker).await;
    sessions(described, &broker).await;
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
