//! Who commands a dock is written down (docs/security.md, "The audit log").

use dockside_mqtt::packet::{Ack, Connect, Packet, Will};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, ReasonCode, Version};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clock::ask;
use crate::kept::{copy_of_running, start};
use crate::kept_failures::hold;
use crate::peer::{TestBroker, VERSIONS, at, connect, id, publish};
use crate::site::Site;

async fn audit(broker: &TestBroker, query: &str) -> Vec<Value> {
    let body = ask(broker.admin, &format!("GET /api/v1/audit{query}"), "").await;
    let list: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}"));
    list["audit"].as_array().unwrap().clone()
}

/// An acknowledged command is in the log, whatever happens then; what it says is not.
#[tokio::test]
async fn a_command_is_written_down_before_it_is_acknowledged() {
    let dir = TempDir::new().unwrap();
    let broker = start(dir.path()).await;
    let mut dock = broker.connect(Version::V311, "d").await;
    dock.subscribe("thing/product/SIMDOCK6000001/#", at(QoS::AtLeastOnce)).await;
    let mut app = broker.connect(Version::V5, "backend-1").await;
    let command =
        json!({"tid": "t1", "method": "flighttask_execute", "data": {"flight_id": "secret"}});
    let topic = "thing/product/SIMDOCK6000001/services";
    app.publish(topic, command.to_string().as_bytes(), QoS::AtLeastOnce).await;
    let killed = TempDir::new().unwrap();
    copy_of_running(dir.path(), killed.path());
    assert_eq!(dock.receive().await.payload, command.to_string().as_bytes(), "byte for byte");
    broker.stop().await;

    let broker = start(killed.path()).await;
    let log = audit(&broker, "").await;
    assert_eq!(log.len(), 1);
    let entry = &log[0];
    assert_eq!(
        (&entry["what"], &entry["method"]),
        (&json!("services"), &json!("flighttask_execute"))
    );
    assert_eq!((&entry["gateway"], &entry["tid"]), (&json!("SIMDOCK6000001"), &json!("t1")));
    assert_eq!(entry["client_id"], "backend-1");
    assert!(entry["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(!entry.to_string().contains("secret"));
    let mut dock = broker.connect(Version::V5, "d").await;
    for (topic, payload) in [
        (
            "services_reply",
            r#"{"tid":"t1","method":"flighttask_execute","data":{"result":314004}}"#,
        ),
        ("property/set", r#"{"tid":"t2","data":{"height_limit":80}}"#),
        ("property/set_reply", r#"{"tid":"t2","data":{"height_limit":{"result":0}}}"#),
        ("services", "no JSON"),
        ("osd", "{}"),
        ("drc/down", "{}"),
    ] {
        let topic = format!("thing/product/SIMDOCK6000001/{topic}");
        dock.publish(&topic, payload.as_bytes(), QoS::AtLeastOnce).await;
    }
    let log = audit(&broker, "").await;
    let told: Vec<_> = log
        .iter()
        .map(|e| format!("{} {} {}", e["what"], e["method"], e["result"]).replace('"', ""))
        .collect();
    let expected = [
        "services flighttask_execute null",
        "services_reply flighttask_execute 314004",
        "property/set height_limit null",
        "property/set_reply height_limit null",
        "services (unreadable) null",
    ];
    assert_eq!(told, expected);
    assert_eq!(audit(&broker, "?limit=2").await, log[3..]);
    assert!(audit(&broker, "?since=99999999999999").await.is_empty());
}

/// Reloads and what an operator does to the broker are in it, and who may not command is not.
#[tokio::test]
async fn what_is_done_to_the_broker_is_written_down() {
    let mut site = Site::start(&["SIMDOCK6000001", "SIMDOCK6000002"]).await;
    let mut other = site.log_in(Version::V311, "SIMDOCK6000002", "").await;
    other.publish("thing/product/SIMDOCK6000001/services", b"{}", QoS::AtLeastOnce).await;
    let reply = r#"{"tid":"t","method":"m","data":{"result":0}}"#;
    let topic = "thing/product/SIMDOCK6000002/services_reply";
    other.publish(topic, reply.as_bytes(), QoS::AtLeastOnce).await;
    site.reload("");
    let log = loop {
        let log = audit(&site.broker, "").await;
        if log.len() > 1 {
            break log;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(
        (&log[0]["what"], &log[0]["user"]),
        (&json!("services_reply"), &json!("SIMDOCK6000002"))
    );
    assert_eq!((&log[1]["what"], &log[1]["method"]), (&json!("reload"), &json!("done")));
    assert_eq!(log.len(), 2);
}

/// Not before: whoever looks later finds every command that anybody was told is on its way.
#[tokio::test]
async fn what_cannot_be_written_down_is_not_acknowledged() {
    for version in VERSIONS {
        let dir = TempDir::new().unwrap();
        let broker = start(dir.path()).await;
        let mut app = broker.connect(version, "backend-1").await;
        let lock = hold(&dir);
        let topic = "thing/product/SIMDOCK6000001/services";
        app.send(&Packet::Publish(publish(topic, b"{}", QoS::AtLeastOnce, 1))).await;
        app.ping().await;
        lock.execute_batch("ROLLBACK").unwrap();
        app.expect(Packet::Puback(Ack::new(id(1), ReasonCode::Success))).await;
        assert_eq!(audit(&broker, "").await.len(), 1);
    }
}

/// A command that is published for somebody who has gone is that one's, and written down when it is left.
#[tokio::test]
async fn a_will_that_commands_a_dock_is_written_down() {
    let broker = TestBroker::start().await;
    let will = Will {
        topic: "thing/product/SIMDOCK6000001/services",
        payload: br#"{"method":"m"}"#,
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: Properties::EMPTY,
    };
    let asks = Connect { will: Some(will), ..connect(Version::V5, "backend-1") };
    let (app, _) = broker.enter(asks).await;
    app.vanish();
    let entry = audit(&broker, "").await.remove(0);
    assert_eq!((&entry["what"], &entry["method"]), (&json!("will: services"), &json!("m")));
    assert_eq!(entry["client_id"], "backend-1");
}
