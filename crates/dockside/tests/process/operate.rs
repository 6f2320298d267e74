//! Commands that ask a running broker, or have it do something.

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::broker::{Process, command, installed, passwd, stderr};

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

/// Publishes a retained message at QoS 1.
fn retain(broker: &Process, topic: &str, message: &str, login: &[&str]) {
    let port = broker.mqtt.port().to_string();
    let mut command = Command::new("mosquitto_pub");
    command.args(["-p", &port, "-r", "-q", "1", "-i", "retains", "-t", topic, "-m", message]);
    assert!(command.args(login).status().unwrap().success());
}

#[test]
fn retained_messages_are_listed_and_removed() {
    if !installed("mosquitto_pub") {
        return;
    }
    let broker = Process::start();
    assert!(says(&broker, &["retained", "ls"], 0).contains("nothing that matches # is retained"));
    for topic in ["site/wind", "site/rain", "other"] {
        retain(&broker, topic, "12.5", &[]);
    }
    let text = says(&broker, &["retained", "ls", "site/+"], 0);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[1].starts_with("site/rain  1    4 B") && lines[1].ends_with("12.5"), "{text}");
    let more = says(&broker, &["retained", "ls", "--limit", "2", "--json"], 0);
    assert_eq!(more.lines().count(), 2, "{more}");
    says(&broker, &["retained", "rm", "site/rain"], 0);
    let none = says(&broker, &["retained", "rm", "site/rain"], 1);
    assert!(none.contains("no retained message that could be removed"), "{none}");
    assert!(!says(&broker, &["retained", "ls"], 0).contains("site/rain"));
    let bad = says(&broker, &["retained", "ls", "a/#/b"], 69);
    assert!(bad.contains("is no topic filter"), "{bad}");
    let audit = says(&broker, &["audit"], 0);
    assert!(audit.contains("retained            remove site/rain  from 127.0.0.1"), "{audit}");
}

/// From another process, with a login; only what is retained, and what is here stays.
#[test]
fn retained_messages_are_pulled_from_another_broker() {
    if !installed("mosquitto_pub") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(passwd(dir.path(), "backend", "secret").status.success());
    let config = "[users]\npassword_file = \"users\"\n[access]\npreset = \"none\"\nrules = [{ publish = [\"#\"], subscribe = [\"#\"] }]\n";
    let other = Process::start_in(dir, config, &[]);
    let login = ["-u", "backend", "-P", "secret"];
    for number in 0..300 {
        retain(&other, &format!("site/{number}"), "old", &login);
    }
    let broker = Process::start();
    retain(&broker, "site/0", "here", &[]);
    let from = other.mqtt.to_string();
    let pull = |more: &[&str], password: &str| {
        let admin = broker.admin.to_string();
        let mut child = command(broker.dir.path())
            .args(["retained", "pull", &from, "--admin", &admin, "--quiet-ms", "500"])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), out(&output) + &stderr(&output))
    };
    let (code, text) = pull(&["--user", "backend"], "wrong");
    assert!(code == Some(69) && text.contains("refuses the login"), "{text}");
    let (code, text) = pull(&["--user", "backend", "--filter", "site/#"], "secret");
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("299 retained messages") && text.contains("1 more are of topics"),
        "{text}"
    );
    let here = says(&broker, &["retained", "ls", "site/0", "--json"], 0);
    assert!(here.contains("\"preview\":\"here\""), "{here}");
    let (code, text) = pull(&["--user", "backend", "--limit", "10", "--json"], "secret");
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &json["is_cut"], &json["already_here"]), (Some(1), &true.into(), &10.into()));
    let audit = says(&broker, &["audit"], 0);
    assert!(audit.contains(&format!("from {from}")), "{audit}");
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = command(dir.path()).args(["completions", shell]).output().unwrap();
        let text = out(&output);
        assert!(output.status.success() && text.contains("retained"), "{shell}: {text}");
    }
    let page = command(dir.path()).arg("man").output().unwrap();
    assert!(out(&page).contains(".TH dockside 1"), "{}", out(&page));
    let pages = command(dir.path()).args(["man", "pages"]).output().unwrap();
    assert!(pages.status.success(), "{}", stderr(&pages));
    let help = command(dir.path()).arg("--help").output().unwrap();
    let names = out(&help);
    let names = names.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: Vec<_> = names.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names.iter().filter(|name| **name != "help") {
        let page = dir.path().join(format!("pages/dockside-{name}.1"));
        assert!(page.exists() || !out(&help).contains(&format!("\n  {name} ")), "{name}");
    }
    assert!(dir.path().join("pages/dockside-retained-pull.1").exists());
}

/// Whoever has seen enough of an answer (`| head`) sees no panic instead of the rest.
#[test]
fn a_reader_may_go_before_the_end() {
    let broker = Process::start();
    if let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") {
        let mut asking = command(broker.dir.path());
        asking.args(["status", "--admin", &broker.admin.to_string()]);
        let output = asking.stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(73), "a file that is not whole is told");
    }
    for name in ["status", "sessions", "retained", "tasks", "why", "audit", "clock"] {
        let (gone, writer) = std::io::pipe().unwrap();
        drop(gone);
        let mut asking = command(broker.dir.path());
        asking.arg(name).args(["--admin", &broker.admin.to_string()]);
        if name == "retained" {
            asking.arg("ls");
        }
        let output = asking.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &*stderr(&output)), (Some(0), ""), "{name}");
    }
}
