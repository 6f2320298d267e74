//! `dockside config`, and what `dockside check` warns of.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::broker::{Process, command, stderr, with_descriptors};

const FILE: &str = r##"
[users.http]
url = "http://127.0.0.1:9/login?key=SECRET"

[site]
app_key = "SECRET"

[limits]
sessions = 7
inflight = 8

[access.groups]
applications = ["backend", "a \"b\""]

[[access.rules]]
group = "applications"
publish = ["site/#"]

[[listeners]]
listen = "127.0.0.1:18830"
transport = "ws"
"##;

#[track_caller]
fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// `dockside config` with the file, a variable and a flag.
fn config(dir: &Path) -> Command {
    fs::write(dir.join("site.toml"), FILE).unwrap();
    let mut command = command(dir);
    command.args(["config", "--config", "site.toml", "--mqtt", "127.0.0.1:1884"]);
    command.env("DOCKSIDE_LIMITS__SESSIONS", "9").env("DOCKSIDE_STORE", "{history_days=5}");
    command
}

#[test]
fn each_value_is_shown_with_where_it_is_from() {
    let dir = tempfile::tempdir().unwrap();
    let text = stdout(&mut config(dir.path()));
    for line in [
        "listen = \"127.0.0.1:1884\" # command line (--mqtt)",
        "sessions = 9 # environment (DOCKSIDE_LIMITS__SESSIONS)",
        "history_days = 5 # environment (DOCKSIDE_STORE)",
        "history_rows = 1000000 # default",
        "inflight = 8 # file site.toml",
        "connections = 10000 # default",
        "answer = [] # default",
        "gateways = {} # default",
        "applications = [\"backend\", \"a \\\"b\\\"\"] # file site.toml",
        "[[listeners]]",
        "listen = \"127.0.0.1:18830\" # file site.toml",
        "certificate = \"\" # default",
        "app_key = \"(hidden)\" # file site.toml",
        "url = \"http://127.0.0.1:9/login?(hidden)\" # file site.toml",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("SECRET"), "{text}");
}

/// Key and value of every line.
fn values(command: &mut Command) -> Vec<(Value, Value)> {
    let text = stdout(command.args(["--json", "--secrets"]));
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.map(|line: Value| (line["key"].clone(), line["value"].clone())).collect()
}

#[test]
fn what_is_shown_can_be_read_again_and_means_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let shown = stdout(config(dir.path()).arg("--secrets"));
    fs::write(dir.path().join("again.toml"), shown).unwrap();
    let before = values(&mut config(dir.path()));
    let again = values(command(dir.path()).args(["config", "--config", "again.toml"]));
    assert_eq!(before, again);
    let rule = (Value::from("access.rules[0].group"), Value::from("applications"));
    assert!(before.contains(&rule), "{before:?}");
    let line = stdout(config(dir.path()).arg("--json"));
    let inflight = r#"{"key":"limits.inflight","value":8,"origin":"file site.toml"}"#;
    assert!(line.lines().any(|shown| shown == inflight), "{line}");
    assert!(!line.contains("SECRET"), "{line}");
}

#[test]
fn what_is_not_sound_is_told_as_by_check() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[limits]\ninflight = 0\nconnections = 0\n[users]\npassword_file = \"none\"\n";
    fs::write(dir.path().join("bad.toml"), text).unwrap();
    let run = |what| command(dir.path()).args([what, "--config", "bad.toml"]).output().unwrap();
    let (check, config) = (run("check"), run("config"));
    for output in [&check, &config] {
        assert_eq!(output.status.code(), Some(64));
        assert!(output.stdout.is_empty());
    }
    let told = stderr(&check);
    assert_eq!(told, stderr(&config));
    for key in ["limits.inflight", "limits.connections", "users.password_file"] {
        assert!(told.contains(&format!("dockside: file bad.toml: {key}: ")), "{told}");
    }
    assert_eq!(told.lines().count(), 3, "{told}");
    let text = "[limits]\ninflight = \"x\"\nconnection = 0\n";
    fs::write(dir.path().join("bad.toml"), text).unwrap();
    let told = stderr(&run("check"));
    assert!(told.contains("limits.inflight: ") && told.contains("limits.connection: "), "{told}");
}

#[test]
fn check_warns_of_what_is_risky_and_is_content() {
    let dir = tempfile::tempdir().unwrap();
    let file = |text: &str| fs::write(dir.path().join("risky.toml"), text).unwrap();
    let check = |descriptors| {
        let mut shell = with_descriptors(dir.path(), descriptors);
        let output = shell.args(["check", "--config", "risky.toml"]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(output.stdout, b"the configuration is sound\n");
        stderr(&output)
    };
    file("[limits]\nconnections = 100\nunauthenticated = 10\n");
    assert_eq!(check(1_024), "");
    let few = check(256);
    assert!(few.contains("warning: file risky.toml: limits.connections: "), "{few}");
    let token = dir.path().join("token");
    fs::write(&token, "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    file(
        "[limits]\nconnections = 100\nunauthenticated = 10\n[mqtt]\nlisten = \"0.0.0.0:1883\"\nallow_anonymous = true\n[admin]\nlisten = \"0.0.0.0:9464\"\ntoken_file = \"token\"\n[store]\ndurability = \"memory\"\n",
    );
    let told = check(1_024);
    for key in ["mqtt.listen", "admin.listen", "store.durability", "admin.token_file"] {
        let warning = format!("dockside: warning: file risky.toml: {key}: ");
        assert!(told.contains(&warning), "{warning} is missing in\n{told}");
    }
    assert_eq!(told.lines().count(), 4, "{told}");
}

/// What `check` warns of is in the log of every start.
#[test]
fn a_start_says_what_is_risky() {
    let text = "[store]\ndurability = \"memory\"\n";
    let broker = Process::start_in(tempfile::tempdir().unwrap(), text, &[]);
    broker.wait_for_log("store.durability: answers do not wait for the file");
}
