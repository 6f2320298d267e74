//! The plugins know their host by the contract alone: the same plugins serve a dock here as in the broker.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dockside_flighttask::Rules;
use dockside_flighttask::rules::{Rule, Site, WaitFor};
use dockside_interceptor::{After, Announcement, Audited, Heard};
use serde_json::{Value, json};

use crate::host::Host;

const SN: &str = "SIMDOCK2000001";
const OTHER: &str = "SIMDOCK2000002";

fn rules() -> Rules {
    let rule = |methods: &[&str], wait_for| Rule {
        gateway: "SIM*".to_owned(),
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        answer: true,
        wait_for,
    };
    Rules {
        rules: vec![
            rule(&["hms"], WaitFor::User("app".to_owned())),
            rule(&["update_topo", "config", "flighttask_progress_get"], WaitFor::Commit),
        ],
        site: Site { app_id: "1".to_owned(), ntp_server_port: 123, ..Site::default() },
        ..Rules::default()
    }
}

fn message(method: &str, data: &Value) -> Vec<u8> {
    json!({"tid": "t", "bid": "b", "timestamp": 1747224838227u64, "method": method, "data": data})
        .to_string()
        .into_bytes()
}

/// What is said in reply, `data` of it.
fn asked(host: &mut Host, topic: &str, method: &str, data: &Value) -> Value {
    let outcome = host.publish(topic, &message(method, data));
    let [reply] = &outcome.replies[..] else { panic!("{method}: {:?}", outcome.replies) };
    assert_eq!(reply.topic, format!("{topic}_reply"));
    let said: Value = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!(
        (&said["tid"], &said["bid"], &said["method"]),
        (&json!("t"), &json!("b"), &json!(method))
    );
    said["data"].clone()
}

#[test]
fn a_dock_comes_up_flies_and_is_asked_about() {
    let mut host = Host::new(rules());
    let topology = json!({"domain": "3", "type": 2, "sub_type": 0,
        "sub_devices": [{"sn": "SIMDRONE1"}]});
    let outcome =
        host.publish(&format!("sys/product/{SN}/status"), &message("update_topo", &topology));
    assert_eq!((outcome.replies.len(), outcome.record), (1, None));
    let announced = Announcement { gateway: SN.to_owned(), aircraft: vec!["SIMDRONE1".to_owned()] };
    assert_eq!(outcome.announcement, Some(announced));
    let heard = Heard {
        gateway: SN.into(),
        is_gateway: true,
        device_ms: Some(1_747_224_838_227),
        model: Some([3, 2, 0]),
        aircraft: Some(vec!["SIMDRONE1".into()]),
        ..Heard::default()
    };
    assert_eq!(outcome.heard, Some(heard));
    let requests = format!("thing/product/{SN}/requests");
    assert_eq!(asked(&mut host, &requests, "config", &json!({}))["app_id"], "1");
    // Of the other dock's flight: first nothing is known, then what its event said.
    let ask = json!({"target_sn": OTHER, "flight_id": "f"});
    let unknown = asked(&mut host, &requests, "flighttask_progress_get", &ask);
    assert_eq!(unknown, json!({"result": 1}));
    let progress = json!({"output": {"ext": {"flight_id": "f"}, "status": "in_progress",
        "progress": {"current_step": 25, "percent": 40.5}}, "result": 0});
    let events = format!("thing/product/{OTHER}/events");
    assert_eq!(asked(&mut host, &events, "flighttask_progress", &progress), json!({"result": 0}));
    let known = json!({"result": 0, "output": {"flight_id": "f", "status": "in_progress",
        "progress": {"current_step": 25, "percent": 40}}});
    assert_eq!(asked(&mut host, &requests, "flighttask_progress_get", &ask), known);
    assert_eq!(host.history.len(), 1, "requests are no history");
}

#[test]
fn why_there_is_no_reply_is_said_of_what_it_is() {
    let mut host = Host::new(rules());
    let mut why = |topic: String, payload: &[u8]| {
        let outcome = host.publish(&topic, payload);
        assert!(outcome.replies.is_empty());
        outcome.unanswered.unwrap().reason.into_owned()
    };
    let odd = message("flighttask_progress_get", &json!([OTHER]));
    let reason = why(format!("thing/product/{SN}/requests"), &odd);
    assert!(reason.starts_with("request not answered: ") && reason.contains("data"), "{reason}");
    let reason = why(format!("sys/product/{SN}/status"), b"[]");
    assert!(reason.starts_with("status not answered: its payload is no JSON"), "{reason}");
    let reason = why(format!("thing/product/{SN}/events"), b"{}");
    assert_eq!(reason, "event not answered: no tid or no method that a reply could name");
}

#[test]
fn whose_acknowledgement_comes_first_is_the_hosts_business() {
    let mut host = Host::new(rules());
    let outcome = host.publish(&format!("thing/product/{SN}/events"), &message("hms", &json!({})));
    assert_eq!(outcome.replies[0].after, After::User("app".into()));
    let record = outcome.record.unwrap();
    assert_eq!((&*record.method, record.task), ("hms", None));
}

#[test]
fn telemetry_is_heard_and_nothing_else() {
    let mut host = Host::new(rules());
    let payload = br#"{"timestamp":1747224838000,"data":{"firmware_version":"10.01.16.04"}}"#;
    for topic in ["osd", "state"] {
        let outcome = host.publish(&format!("thing/product/SIMDRONE1/{topic}"), payload);
        let heard = Heard {
            gateway: "SIMDRONE1".into(),
            device_ms: Some(1_747_224_838_000),
            firmware: Some("10.01.16.04".into()),
            ..Heard::default()
        };
        assert_eq!(outcome.heard, Some(heard), "an aircraft is no gateway for that");
        assert!(outcome.replies.is_empty() && outcome.record.is_none());
        assert!(outcome.unanswered.is_none() && outcome.counted.is_empty());
    }
}

#[test]
fn commands_are_written_down() {
    let mut host = Host::new(rules());
    let command = message("flighttask_execute", &json!({"flight_id": "f"}));
    let outcome = host.publish(&format!("thing/product/{SN}/services"), &command);
    let audited = Audited {
        what: "services",
        gateway: SN.into(),
        method: "flighttask_execute".into(),
        tid: "t".into(),
        result: None,
    };
    assert_eq!(outcome.audited, Some(audited));
    assert!(outcome.replies.is_empty() && outcome.heard.is_none());
    let set = br#"{"tid":"t","data":{"height_limit":80}}"#;
    let outcome = host.publish(&format!("thing/product/{SN}/property/set"), set);
    assert_eq!(&*outcome.audited.unwrap().method, "height_limit");
    let outcome = host.publish("thing/product/a-b/services", &command);
    assert!(outcome.audited.is_none(), "no serial number");
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a crate needs when it is built, itself included, by way of the workspace's own crates.
fn needs(name: &str, found: &mut BTreeSet<String>) {
    if !found.insert(name.to_owned()) {
        return;
    }
    let Some(directory) = name.strip_prefix("dockside-") else { return };
    let path = crates().join(directory).join("Cargo.toml");
    let manifest: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let Some(toml::Value::Table(dependencies)) = manifest.get("dependencies") else { return };
    dependencies.keys().for_each(|dependency| needs(dependency, found));
}

#[test]
fn what_decides_needs_no_broker() {
    for name in ["dockside-flighttask", "dockside-interceptor"] {
        let mut found = BTreeSet::new();
        needs(name, &mut found);
        for host in ["dockside-broker", "dockside-store", "dockside-access", "dockside", "tokio"] {
            assert!(!found.contains(host), "{name} needs {host}: {found:?}");
        }
    }
    let mut found = BTreeSet::new();
    needs("dockside-broker", &mut found);
    assert!(found.contains("tokio") && found.contains("dockside-mqtt"), "it looks: {found:?}");
    assert!(!found.contains("dockside"), "a broker knows none of its plugins");
}

/// The plugins are in one crate with what starts the broker, so that no manifest says it of them.
#[test]
fn a_plugin_names_no_host() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = std::fs::read_dir(sources.join("gateways")).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    assert!(paths.len() >= 2);
    paths.push(sources.join("commands.rs"));
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        for host in
            ["dockside_broker", "dockside_store", "dockside_access", "tokio", "crate::config"]
        {
            assert!(!text.contains(host), "{} names {host}", path.display());
        }
    }
}
