//! Messages that are shown as they pass, and those that an operator publishes.

use dockside_mqtt::{QoS, Version};
use serde_json::{Value, json};

use super::described::{Described, JSON};
use super::stream::Stream;
use crate::peer::TestBroker;

pub(super) const TAIL: &str = "/api/v1/tail";
const PUBLISH: &str = "POST /api/v1/publish";

/// Every event, and every member with and without a value.
pub(super) async fn is_shown(described: &Described) {
    let broker = TestBroker::start().await;
    let mut stream = Stream::open_at(described, broker.admin, (TAIL, "?filter=site/%23")).await;
    stream.until("started", |_| true).await;
    let body = json!({"topic": "site/lights", "text": "on"}).to_string();
    assert_eq!(described.ask(broker.admin, PUBLISH, (JSON, &body)).await.status, "200");
    stream.until("message", |message| message["client"].is_null()).await;
    let mut client = broker.connect(Version::V5, "c").await;
    client.publish("site/bytes", b"\xff", QoS::AtLeastOnce).await;
    stream.until("message", |message| message["hex"] == "ff" && message["client"] == "c").await;
    for _ in 0..500 {
        client.publish("site/flood", b"x", QoS::AtLeastOnce).await;
    }
    stream.until("left_out", |left| left["messages"] != json!(0)).await;
    assert_eq!(stream.seen, stream.described_names());
}

/// Too many that look on, and too much that is published.
pub(super) async fn is_refused(described: &Described) {
    let broker = TestBroker::start().await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(Stream::open_at(described, broker.admin, (TAIL, "?filter=a")).await);
    }
    assert_eq!(described.get(broker.admin, &format!("{TAIL}?filter=a")).await.status, "503");
    let body = json!({"topic": "a", "retain": false, "qos": 0, "text": Value::Null}).to_string();
    while described.ask(broker.admin, PUBLISH, (JSON, &body)).await.status != "429" {}
}
