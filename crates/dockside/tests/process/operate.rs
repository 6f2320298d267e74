//! Commands that ask a running broker, or have it do something.

use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::broker::{Process, command, installed, stderr};

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a command prints, whose exit code is this.
#[track_caller]
pub(crate) fn says(broker: &Process, arguments: &[&str], code: i32) -> String {
    let output = broker.command(arguments);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {}{}",
        out(&output),
        stderr(&output)
    );
    out(&output) + &stderr(&output)
}

/// A client of mosquitto's that stays, once it has subscribed.
pub(crate) fn subscribed(broker: &Process, arguments: &[&str]) -> Child {
    let series = "dockside_subscriptions{kind=\"plain\"}";
    let before = broker.metric(series);
    let port = broker.mqtt.port().to_string();
    let child = Command::new("mosquitto_sub")
        .args(["-p", &port])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while broker.metric(series) == before {
        std::thread::yield_now();
    }
    child
}

#[test]
fn status_tells_how_the_broker_stands() {
    let broker = Process::start();
    let text = says(&broker, &["status"], 0);
    for words in ["ready         yes", "clock         believed", "docks         0 online of 0"] {
        assert!(text.contains(words), "{words} is missing in\n{text}");
    }
    assert!(text.lines().count() <= 24, "one screen:\n{text}");
    let json: Value = serde_json::from_str(&says(&broker, &["status", "--json"], 0)).unwrap();
    assert_eq!(json["not_ready"], Value::Null);
    let nobody = command(broker.dir.path()).args(["status", "--admin", "127.0.0.1:1"]).output();
    assert_eq!(nobody.unwrap().status.code(), Some(69));
}

/// Exit code 1, and it is answered although the store is not.
#[test]
fn status_of_a_broker_that_is_not_ready() {
    let config = "[store]\nstall_timeout_ms = 100\n";
    let broker = Process::start_in(tempfile::tempdir().unwrap(), config, &[]);
    if !installed("mosquitto_pub") {
        return;
    }
    let other = rusqlite::Connection::open(broker.file("data/dockside.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let port = broker.mqtt.port().to_string();
    let mut publisher = Command::new("mosquitto_pub")
        .args(["-p", &port, "-t", "t", "-r", "-q", "1", "-m", "x"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !broker.get("/readyz").starts_with("HTTP/1.1 503") {
        std::thread::yield_now();
    }
    let text = says(&broker, &["status"], 1);
    assert!(text.contains("NO: the store cannot be written"), "{text}");
    other.execute_batch("ROLLBACK").unwrap();
    while !broker.get("/readyz").starts_with("HTTP/1.1 200") {
        std::thread::yield_now();
    }
    says(&broker, &["status"], 0);
    publisher.kill().unwrap();
    publisher.wait().unwrap();
}

#[test]
fn sessions_are_listed_and_ended() {
    if !installed("mosquitto_sub") {
        return;
    }
    let broker = Process::start();
    let mut clean = subscribed(&broker, &["-i", "clean", "-t", "a"]);
    let mut kept = subscribed(
        &broker,
        &["-i", "kept", "-t", "b", "-q", "1", "-c", "-V", "mqttv5", "-x", "60"],
    );
    let text = says(&broker, &["sessions"], 0);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[1].starts_with("clean ") && lines[1].contains("3.1.1 tcp"), "{text}");
    assert!(lines[2].starts_with("kept ") && lines[2].contains("5.0 tcp  "), "{text}");
    let more = says(&broker, &["sessions", "--limit", "1"], 0);
    assert!(more.contains("... and more"), "{more}");
    let json: Value =
        serde_json::from_str(&says(&broker, &["sessions", "KEP", "--json"], 0)).unwrap();
    assert_eq!((&json["client_id"], &json["is_kept"]), (&"kept".into(), &true.into()));

    let admin = "dockside_connections_closed_total{reason=\"admin\"}";
    let told = says(&broker, &["kick", "clean"], 0);
    assert!(told.starts_with("clean: its connection was ended"), "{told}");
    assert_eq!(broker.metric(admin), 1.0);
    let told = says(&broker, &["kick", "kept", "--forget"], 0);
    assert!(told.contains("its session was forgotten"), "{told}");
    assert_eq!(broker.metric(admin), 2.0);
    let told = says(&broker, &["kick", "nobody"], 1);
    assert!(told.starts_with("dockside: no client of this identifier is connected"), "{told}");
    // They come back by themselves.
    for child in [&mut clean, &mut kept] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let audit = says(&broker, &["audit"], 0);
    assert!(audit.contains("kick                clean  from 127.0.0.1"), "{audit}");
    assert!(audit.contains("kept, forgotten"), "{audit}");
    let why = says(&broker, &["why", "clean"], 0);
    assert!(why.contains("an operator ended its connection"), "{why}");
}

#[test]
fn flight_tasks_are_listed() {
    if !installed("mosquitto_pub") {
        return;
    }
    let broker = Process::start();
    assert!(says(&broker, &["tasks"], 0).contains("no such flight task"));
    let port = broker.mqtt.port().to_string();
    for (dock, status) in [("SIMDOCK1", "in_progress"), ("SIMDOCK2", "ok")] {
        let event = format!(
            r#"{{"tid":"t","bid":"b","method":"flighttask_progress","data":{{"result":0,"output":{{"status":"{status}","ext":{{"flight_id":"f-{dock}"}},"progress":{{"percent":40}}}}}}}}"#
        );
        let topic = format!("thing/product/{dock}/events");
        let arguments = ["-p", &port, "-q", "1", "-t", &topic, "-m", &event];
        assert!(Command::new("mosquitto_pub").args(arguments).status().unwrap().success());
    }
    // They follow their events once a second.
    while !says(&broker, &["tasks"], 0).contains("f-SIMDOCK2") {}
    let text = says(&broker, &["tasks", "SIMDOCK1"], 0);
    assert!(text.contains("f-SIMDOCK1  in_progress") && !text.contains("SIMDOCK2"), "{text}");
    let json = says(&broker, &["tasks", "--status", "ok", "--json"], 0);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["flight_tasks"][0]["dock"], "SIMDOCK2");
    assert!(says(&broker, &["status"], 0).contains("flight tasks  1 in_progress, 1 ok"));
}
