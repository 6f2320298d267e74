//! Which messages of docks are answered, by the rules of the configuration (docs/flight-tasks.md).

use dockside::config::{Answer, Config};
use dockside_mqtt::packet::{Ack, Packet, Publish};
use dockside_mqtt::{QoS, ReasonCode, Version};
use serde_json::{Value, json};

use crate::peer::{Peer, TestBroker, at, id, publish};
use crate::site::Site;

const SN: &str = "SIMDOCK4000001";

fn rule(methods: &[&str], change: impl FnOnce(&mut Answer)) -> Answer {
    let methods = methods.iter().map(|method| (*method).to_owned()).collect();
    let mut rule = Answer { methods, ..Answer::default() };
    change(&mut rule);
    rule
}

async fn start(rules: Vec<Answer>) -> TestBroker {
    TestBroker::start_with(|config: &mut Config| {
        config.answer = rules;
        config.site.organization_id = "org-1".to_owned();
        config.site.organization_name = "Site \"one\"".to_owned();
        config.site.binding_code = "code".to_owned();
        config.site.ntp_server_host = "ntp.example".to_owned();
        config.site.app_id = "1".to_owned();
        config.site.app_key = "k".to_owned();
        config.site.app_license = "l".to_owned();
        config.site.callsigns.insert("SIMDRONE1".to_owned(), "Falcon".to_owned());
    })
    .await
}

async fn dock(broker: &TestBroker) -> Peer {
    let mut dock = broker.connect(Version::V311, SN).await;
    for reply in [
        "thing/product/+/events_reply",
        "thing/product/+/requests_reply",
        "sys/product/+/status_reply",
    ] {
        dock.subscribe(reply, at(QoS::AtLeastOnce)).await;
    }
    dock
}

fn message(method: &str, data: &Value) -> Vec<u8> {
    json!({"tid": "t", "bid": "b", "timestamp": 1747224838227u64, "method": method, "data": data})
        .to_string()
        .into_bytes()
}

/// Publishes, and takes the reply, which is checked for what every reply has.
async fn asked(dock: &mut Peer, topic: &str, method: &str, data: Value) -> Value {
    dock.publish(topic, &message(method, &data), QoS::AtLeastOnce).await;
    let reply = dock.receive().await;
    assert_eq!(reply.topic, format!("{topic}_reply"));
    assert!(!reply.retain);
    let reply: Value = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!((&reply["tid"], &reply["bid"]), (&json!("t"), &json!("b")));
    assert_eq!(reply["method"], method);
    assert_eq!(reply["timestamp"].as_u64().unwrap().to_string().len(), 13);
    reply["data"].clone()
}

#[tokio::test]
async fn without_rules_only_progress_is_answered() {
    let broker = start(Vec::new()).await;
    let mut dock = dock(&broker).await;
    let events = format!("thing/product/{SN}/events");
    let received = json!({"result": 0});
    assert_eq!(asked(&mut dock, &events, "flighttask_progress", json!({})).await, received);
    for (topic, method) in [
        (events, "hms"),
        (format!("thing/product/{SN}/requests"), "flight_areas_get"),
        (format!("thing/product/{SN}/requests"), "config"),
        (format!("sys/product/{SN}/status"), "update_topo"),
    ] {
        dock.publish(&topic, &message(method, &json!({})), QoS::AtLeastOnce).await;
    }
    dock.expect_nothing().await;
}

#[tokio::test]
async fn a_site_without_an_application_brings_a_dock_up() {
    let all = [
        "*",
        "update_topo",
        "flight_areas_get",
        "offline_map_get",
        "flighttask_progress_get",
        "config",
        "airport_bind_status",
        "airport_organization_get",
        "airport_organization_bind",
    ];
    let broker = start(vec![rule(&all, |_| {})]).await;
    let mut dock = dock(&broker).await;
    let requests = format!("thing/product/{SN}/requests");
    let config = asked(&mut dock, &requests, "config", json!({"config_type": "json"})).await;
    let expected = json!({"ntp_server_host": "ntp.example", "ntp_server_port": 123,
        "app_id": "1", "app_key": "k", "app_license": "l"});
    assert_eq!(config, expected);
    let devices = json!({"devices": [{"sn": SN}, {"sn": "SIMDRONE1"}]});
    let status = asked(&mut dock, &requests, "airport_bind_status", devices).await;
    let of = |sn: &str, callsign: &str| {
        json!({"sn": sn, "is_device_bind_organization": true, "organization_id": "org-1",
            "organization_name": "Site \"one\"", "device_callsign": callsign})
    };
    let bound = json!([of(SN, SN), of("SIMDRONE1", "Falcon")]);
    assert_eq!(status, json!({"result": 0, "output": {"bind_status": bound}}));
    for (code, expected) in [
        ("code", json!({"result": 0, "output": {"organization_name": "Site \"one\""}})),
        ("wrong", json!({"result": 1})),
    ] {
        let data = json!({"device_binding_code": code, "organization_id": "org-1"});
        assert_eq!(asked(&mut dock, &requests, "airport_organization_get", data).await, expected);
    }
    let device = |sn: &str, code: &str| {
        json!({"sn": sn, "device_binding_code": code, "organization_id": "org-1",
            "device_callsign": "x", "device_model_key": "3-2-0"})
    };
    let data = json!({"bind_devices": [device(SN, "code"), device("SIMDRONE1", "wrong")]});
    let errors = json!([{"sn": SN, "err_code": 0}, {"sn": "SIMDRONE1", "err_code": 1}]);
    let outcome = asked(&mut dock, &requests, "airport_organization_bind", data).await;
    assert_eq!(outcome, json!({"result": 0, "output": {"err_infos": errors}}));
    let received = json!({"result": 0});
    let status = format!("sys/product/{SN}/status");
    let topology = json!({"domain": "3", "type": 2, "sub_type": 0, "sub_devices": []});
    assert_eq!(asked(&mut dock, &status, "update_topo", topology).await, received);
    for method in ["flight_areas_get", "offline_map_get"] {
        assert_eq!(asked(&mut dock, &requests, method, json!({})).await, received);
    }
    // Events whatever they are called, with whatever data.
    let events = format!("thing/product/{SN}/events");
    for (method, data) in [("airsense_warning", json!([1])), ("new \"one\"", json!(null))] {
        assert_eq!(asked(&mut dock, &events, method, data).await, received);
    }
    // What a store or a flight needs is an application's.
    dock.publish(&requests, &message("storage_config_get", &json!({})), QoS::AtLeastOnce).await;
    dock.publish(&requests, &message("airport_bind_status", &json!(7)), QoS::AtLeastOnce).await;
    dock.expect_nothing().await;
}

/// In a mission of two docks the one asks how far the other is.
#[tokio::test]
async fn a_dock_is_told_how_the_other_ones_task_stands() {
    let rules = vec![rule(&["flighttask_progress_get"], |_| {})];
    let broker = start(rules).await;
    let mut dock = dock(&broker).await;
    let requests = format!("thing/product/{SN}/requests");
    let ask = json!({"target_sn": "SIMDOCK4000002", "flight_id": "f"});
    let unknown = asked(&mut dock, &requests, "flighttask_progress_get", ask.clone()).await;
    assert_eq!(unknown, json!({"result": 1}));
    let progress = json!({"output": {"ext": {"flight_id": "f"}, "status": "in_progress",
        "progress": {"current_step": 25, "percent": 40.5}}, "result": 0});
    let events = "thing/product/SIMDOCK4000002/events";
    asked(&mut dock, events, "flighttask_progress", progress).await;
    let expected = json!({"result": 0, "output": {"flight_id": "f", "status": "in_progress",
        "progress": {"current_step": 25, "percent": 40}}});
    // A second behind its events at most.
    while asked(&mut dock, &requests, "flighttask_progress_get", ask.clone()).await != expected {}
    let latest = json!({"sn": "SIMDOCK4000002"});
    assert_eq!(asked(&mut dock, &requests, "flighttask_progress_get", latest).await, expected);
}

#[tokio::test]
async fn a_rule_leaves_a_dock_to_its_application() {
    let off = rule(&["*"], |rule| {
        (rule.gateway, rule.answer) = ("SIMTEST*".to_owned(), false);
    });
    let broker = start(vec![off]).await;
    let mut dock = dock(&broker).await;
    let progress = message("flighttask_progress", &json!({}));
    dock.publish("thing/product/SIMTEST1/events", &progress, QoS::AtLeastOnce).await;
    dock.expect_nothing().await;
    dock.publish("thing/product/SIMOTHER1/events", &progress, QoS::AtLeastOnce).await;
    assert_eq!(dock.receive().await.topic, "thing/product/SIMOTHER1/events_reply");
}

/// PUBACK does not wait for an application, the reply does; and only for the one that the rule names.
#[tokio::test]
async fn a_reply_waits_for_the_acknowledgement_of_an_application() {
    let rules =
        vec![rule(&["flighttask_progress"], |rule| rule.wait_for = "client:backend".to_owned())];
    let broker = start(rules).await;
    let mut dock = dock(&broker).await;
    let mut other = broker.connect(Version::V5, "map").await;
    let mut app = broker.connect(Version::V5, "backend").await;
    for app in [&mut other, &mut app] {
        app.subscribe("thing/product/+/events", at(QoS::AtLeastOnce)).await;
    }
    let events = format!("thing/product/{SN}/events");
    let event = message("flighttask_progress", &json!({}));
    dock.publish(&events, &event, QoS::AtLeastOnce).await;
    let replies = async || {
        let docks = crate::clock::ask(broker.admin, "GET /api/v1/docks", "").await;
        let docks: Value = serde_json::from_str(&docks).unwrap();
        docks["docks"][0]["replies"].clone()
    };
    // Acknowledges as it receives.
    assert_eq!(other.receive().await.payload, event);
    other.ping().await;
    dock.expect_nothing().await;
    // An error is no acknowledgement.
    let bytes = app.packet().await;
    let Packet::Publish(Publish { packet_id: Some(number), .. }) =
        crate::peer::read(&bytes, Version::V5)
    else {
        panic!("no event")
    };
    app.send(&Packet::Puback(Ack::new(number, ReasonCode::UnspecifiedError))).await;
    app.ping().await;
    dock.expect_nothing().await;
    assert_eq!(replies().await, 0);
    // The dock sends it again.
    let again = Publish { dup: true, ..publish(&events, &event, QoS::AtLeastOnce, 6) };
    dock.send(&Packet::Publish(again)).await;
    dock.expect(Packet::Puback(Ack::new(id(6), ReasonCode::Success))).await;
    assert_eq!(app.receive().await.payload, event);
    let reply = dock.receive().await;
    assert_eq!(reply.topic, format!("{events}_reply"));
    let reply: Value = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!((&reply["tid"], &reply["data"]), (&json!("t"), &json!({"result": 0})));
    // Both times that it was asked for.
    assert_eq!(replies().await, 2);
}

/// By its user, whatever its client is called; and an acknowledgement that comes too late is none.
#[tokio::test]
async fn an_acknowledgement_that_comes_too_late_is_none() {
    let rules =
        vec![rule(&["flighttask_progress"], |rule| rule.wait_for = "user:backend".to_owned())];
    let access = r#"groups = { applications = ["backend"] }"#;
    let site = Site::start_with(&[SN, "backend"], access, |config| config.answer = rules).await;
    let mut dock = site.log_in(Version::V311, SN, "").await;
    let reply_topic = format!("thing/product/{SN}/events_reply");
    dock.subscribe(&reply_topic, at(QoS::AtLeastOnce)).await;
    let mut app = site.log_in(Version::V5, "backend", "").await;
    app.subscribe("thing/product/+/events", at(QoS::AtLeastOnce)).await;
    let events = format!("thing/product/{SN}/events");
    let event = message("flighttask_progress", &json!({}));
    dock.publish(&events, &event, QoS::AtLeastOnce).await;
    site.broker.pass(6);
    let why = loop {
        let why = crate::clock::ask(site.broker.admin, "GET /api/v1/why", "").await;
        if why.contains("did not acknowledge") {
            break why;
        }
        tokio::task::yield_now().await;
    };
    assert!(why.contains("user backend"), "{why}");
    app.receive().await;
    app.ping().await;
    dock.publish(&events, &event, QoS::AtLeastOnce).await;
    app.receive().await;
    assert_eq!(dock.receive().await.topic, reply_topic, "the second event's");
    // One reply, not two.
    dock.ping().await;
}
