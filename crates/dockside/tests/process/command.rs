//! The command line, the configuration, signals and metrics.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::broker::{Process, command, installed, stderr};

const EVENT: &str =
    r#"{"tid":"t","bid":"b","method":"flighttask_progress","data":{},"need_reply":1}"#;

/// One line, exit code 64, and the line names key and source.
#[track_caller]
fn refused(command: &mut Command, words: &[&str]) {
    let output = command.output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(words.iter().all(|word| text.contains(word)), "{text} should say {words:?}");
    assert!(output.stdout.is_empty(), "nothing is bound or said");
}

#[test]
fn bad_configuration_is_one_line_and_64() {
    let dir = tempfile::tempdir().unwrap();
    let file = |text: &str| {
        fs::write(dir.path().join("bad.toml"), text).unwrap();
        let mut command = command(dir.path());
        command.args(["--config", "bad.toml"]);
        command
    };
    refused(&mut file("[mqtt]\nliste = 1\n"), &["bad.toml", "mqtt.liste", "listen"]);
    refused(&mut file("[mqt]\n"), &["bad.toml", "mqt", "mqtt"]);
    refused(&mut file("[limits]\ninflight = \"x\"\n"), &["bad.toml", "limits.inflight", "u16"]);
    refused(&mut file("[limits\n"), &["bad.toml", "line 1"]);
    refused(&mut file("[mqtt]\nlisten = \"0.0.0.0:0\"\n"), &["bad.toml", "mqtt.listen"]);
    refused(&mut file("[live_log]\nsegments = 2\n"), &["bad.toml", "live_log.segments"]);

    let plain = || command(dir.path());
    refused(plain().args(["--config", "none.toml"]), &["--config", "none.toml"]);
    refused(plain().args(["--mqtt", "nowhere"]), &["--mqtt", "mqtt.listen"]);
    refused(plain().arg("--nonsense"), &["--nonsense"]);
    refused(plain().env("DOCKSIDE_MQTT__LISTE", "x"), &["environment", "mqtt.liste"]);
    refused(plain().env("DOCKSIDE_BOGUS", "x"), &["environment", "bogus"]);
    refused(plain().env("DOCKSIDE_LIMITS__INFLIGHT", "x"), &["environment", "limits.inflight"]);
}

#[test]
fn check_says_whether_a_configuration_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/dockside.toml");
    let output = command(dir.path()).args(["check", "--config", shipped]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    refused(command(dir.path()).args(["check", "--mqtt", "x"]), &["mqtt.listen"]);
    // What an orchestrator sets for a service of this name is not a configuration.
    let mut orchestrated = command(dir.path());
    orchestrated.env("DOCKSIDE_PORT", "tcp://10.0.0.1:1883").env("DOCKSIDE_SERVICE_HOST", "x");
    assert!(orchestrated.arg("check").output().unwrap().status.success());
    let version = command(dir.path()).arg("--version").output().unwrap();
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("dockside 0."));
}

#[test]
fn later_sources_win() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.toml"), "[mqtt]\nlisten = \"nonsense\"\n").unwrap();
    let mut over_file = command(dir.path());
    over_file.args(["check", "--config", "a.toml"]).env("DOCKSIDE_MQTT__LISTEN", "127.0.0.1:0");
    assert!(over_file.output().unwrap().status.success());
    let mut over_environment = command(dir.path());
    over_environment.args(["check", "--mqtt", "127.0.0.1:0"]).env("DOCKSIDE_MQTT__LISTEN", "x");
    assert!(over_environment.output().unwrap().status.success());
}

#[test]
fn an_address_in_use_is_one_line_and_69() {
    let running = Process::start();
    let dir = tempfile::tempdir().unwrap();
    let address = running.mqtt.to_string();
    let output = command(dir.path()).args(["--mqtt", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    assert!(stderr(&output).contains(&address) && stderr(&output).contains("mqtt.listen"));
}

#[test]
fn both_signals_stop_it_in_order() {
    for name in ["TERM", "INT"] {
        let mut process = Process::start();
        // A socket that never says anything does not hold it up.
        let _silent = TcpStream::connect(process.mqtt).unwrap();
        process.signal(name);
        assert_eq!(process.wait(), Some(0), "{name}");
    }
}

#[test]
fn the_admin_listener_answers_and_metrics_are_sound() {
    let process = Process::start();
    assert!(process.get("/livez").starts_with("HTTP/1.1 200"));
    assert!(process.get("/readyz").starts_with("HTTP/1.1 200"));
    assert!(process.get("/nothing").starts_with("HTTP/1.1 404"));
    let text = process.get("/metrics");
    let body = text.split_once("\r\n\r\n").unwrap().1;
    for series in [
        "dockside_build_info{",
        "dockside_connections{listener=\"tcp\",protocol=\"5\"} 0",
        "dockside_messages_received_total{qos=\"2\"} 0",
        "dockside_events_received_total{method=\"flighttask_progress\"} 0",
        "dockside_events_replied_total{method=\"flighttask_progress\",result=\"ok\"} 0",
        "dockside_events_invalid_total{reason=\"json\"} 0",
        "dockside_messages_dropped_total{reason=\"queue_full\"} 0",
        "process_resident_memory_bytes",
    ] {
        assert!(body.contains(series), "{series} is missing in\n{body}");
    }
    if installed("promtool") {
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        promtool.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
}

#[test]
fn mosquittos_clients_are_served_and_counted() {
    if !installed("mosquitto_pub") || !installed("mosquitto_sub") {
        return;
    }
    let process = Process::start();
    let port = process.mqtt.port().to_string();
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        let mut subscriber = Command::new("mosquitto_sub")
            .args(["-p", &port, "-V", version, "-q", "2", "-C", "4", "-W", "20", "-F", "%t %q %p"])
            .args(["-t", "a/#", "-t", "thing/product/+/events_reply"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        while process.metric("dockside_subscriptions{kind=\"plain\"}") < 2.0 {
            std::thread::yield_now();
        }
        let publish = |topic: &str, qos: &str, message: &str| {
            let status = Command::new("mosquitto_pub")
                .args(["-p", &port, "-V", version, "-t", topic, "-q", qos, "-m", message])
                .status()
                .unwrap();
            assert!(status.success());
        };
        publish("thing/product/SIM1/events", "1", EVENT);
        for qos in ["0", "1", "2"] {
            publish("a/b", qos, qos);
        }
        let mut text = String::new();
        subscriber.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(subscriber.wait().unwrap().success());
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines[..3], ["a/b 0 0", "a/b 1 1", "a/b 2 2"], "{version}");
        assert!(lines[3].starts_with("thing/product/SIM1/events_reply 1 {\"tid\":\"t\""));
        while process.metric("dockside_subscriptions{kind=\"plain\"}") > 0.0 {
            std::thread::yield_now();
        }
    }
    assert_eq!(
        process
            .metric("dockside_events_replied_total{method=\"flighttask_progress\",result=\"ok\"}"),
        3.0
    );
    for (qos, received) in [("0", 3.0), ("1", 6.0), ("2", 3.0)] {
        let series = format!("dockside_messages_received_total{{qos=\"{qos}\"}}");
        assert_eq!(process.metric(&series), received, "{series}");
        // Three messages of one byte each, and at QoS 1 three events.
        let series = format!("dockside_message_bytes_received_total{{qos=\"{qos}\"}}");
        let bytes = if qos == "1" { 3 + 3 * EVENT.len() } else { 3 };
        assert_eq!(process.metric(&series), bytes as f64, "{series}");
    }
}
