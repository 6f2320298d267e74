//! `dockside import mosquitto.conf`: what comes out is what mosquitto did, or is said not to be.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::broker::{Process, command, installed, stderr};

/// Made by mosquitto_passwd 2.0.11; both passwords are `secret`.
const USERS: &str = "ann:$7$101$KwMJa8HXMfPcbAl8$71LaWTK3hXYiVQXuZz/xBX+6PsHsog4kBhxZiDwlkybJ01dwqiLSz6ahSgZ4wdSc1RFsi00ANpyjzfXkgibScw==
bob:$6$e1rh9bYiIuX2nEh6$9/84GMMHfI5HH4Y820zkkg64ZjOCXuqTyEIGGMqd7figAXgOgKYpeDYbEOkD6q7/obbCzXUcZb5d1QLb4ftv7w==
";

const ACL: &str = "# everybody without a name
topic read open/#

user ann
topic site/#
topic deny site/secret

user bob
topic read site/a

pattern readwrite own/%u/#
";

fn import(dir: &Path, conf: &str) -> Output {
    fs::write(dir.join("mosquitto.conf"), conf).unwrap();
    command(dir).args(["import", "mosquitto.conf"]).output().unwrap()
}

#[test]
fn a_site_moves_with_its_users_rules_and_limits() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("users"), USERS).unwrap();
    fs::write(dir.path().join("acl"), ACL).unwrap();
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    fs::write(dir.path().join("conf.d/limits.conf"), "max_inflight_messages 20\n").unwrap();
    let conf = "
listener 11883 127.0.0.1
allow_anonymous true
password_file users
acl_file acl
max_packet_size 65536
max_queued_messages 500
max_keepalive 600
sys_interval 0
persistent_client_expiration 2w
include_dir conf.d
log_type all
persistence true
connection upstream
";
    let output = import(dir.path(), conf);
    assert!(output.status.success(), "{}", stderr(&output));
    let toml = String::from_utf8(output.stdout.clone()).unwrap();
    let notes = stderr(&output);
    for note in ["persistence true", "connection upstream", "acl_file acl: mosquitto lets"] {
        assert!(notes.contains(&format!("not carried over: {note}")), "{notes}");
    }
    assert_eq!(notes.lines().count(), 3, "{notes}");
    for line in [
        "listen = \"127.0.0.1:11883\"",
        "allow_anonymous = true",
        "password_file = \"users\"",
        "preset = \"none\"",
        "packet_bytes = 65536",
        "mailbox_messages = 500",
        "inflight = 20",
        "keep_alive_max_s = 600",
        "sys_interval_s = 0",
        "session_expiry_s = 1209600",
    ] {
        assert!(toml.lines().any(|found| found == line), "{line} is missing in\n{toml}");
    }
    if !installed("mosquitto_pub") {
        return;
    }
    let site = Process::start_in(dir, &toml, &[]);
    let publish = |user: &str, topic: &str| {
        let port = site.mqtt.port().to_string();
        let login: &[&str] = if user.is_empty() { &[] } else { &["-u", user, "-P", "secret"] };
        let output = Command::new("mosquitto_pub")
            .args(["-p", &port, "-V", "mqttv5", "-q", "1", "-m", "x", "-t", topic])
            .args(login)
            .stdout(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{user} {}", stderr(&output));
        !stderr(&output).contains("Not authorized")
    };
    for (user, topic, expected) in [
        ("ann", "site/b", true),
        ("ann", "site/secret", false),
        ("ann", "own/ann/x", true),
        ("ann", "own/bob/x", false),
        ("bob", "site/a", false),
        ("bob", "own/bob/x", true),
        ("", "open/x", false),
        ("", "site/b", false),
    ] {
        assert_eq!(publish(user, topic), expected, "{user} {topic}");
    }
}

#[test]
fn listeners_move_as_far_as_they_can() {
    let dir = tempfile::tempdir().unwrap();
    let conf = "
listener 1883
listener 8883 192.0.2.1
certfile /etc/site.pem
keyfile /etc/site.key
listener 8884
certfile /etc/site.pem
keyfile /etc/site.key
require_certificate true
listener 8885
certfile /etc/site.pem
keyfile /etc/site.key
cafile /etc/clients.pem
crlfile /etc/revoked.pem
require_certificate true
use_identity_as_username true
listener 9001 192.0.2.1
protocol websockets
listener 9002 192.0.2.2
protocol websockets
certfile /etc/site.pem
keyfile /etc/site.key
listener 9003
protocol http_api
listener 1884 eth0
listener 0 /run/mosquitto.sock
password_file none
allow_anonymous false
";
    let output = import(dir.path(), conf);
    let (toml, notes) = (String::from_utf8_lossy(&output.stdout), stderr(&output));
    assert!(!toml.contains("8884"), "{toml}");
    for line in [
        "listen = \"0.0.0.0:1883\"",
        "listen = \"192.0.2.1:8883\"",
        "transport = \"tls\"",
        "listen = \"192.0.2.1:9001\"",
        "transport = \"ws\"",
        "listen = \"192.0.2.2:9002\"",
        "transport = \"wss\"",
        "certificate = \"/etc/site.pem\"",
        "listen = \"0.0.0.0:8885\"",
        "client_certificates = \"required\"",
        "client_ca = \"/etc/clients.pem\"",
        "client_crl = \"/etc/revoked.pem\"",
        "client_identity = \"cn\"",
    ] {
        assert!(toml.lines().any(|found| found == line), "{line} is missing in\n{toml}");
    }
    for note in [
        "listener 8884: client certificates",
        "listener 9003: protocol http_api",
        "listener 1884 eth0",
        "listener 0: a Unix socket",
        "password_file none: cannot be read",
        "IPv4 only",
    ] {
        assert!(notes.contains(note), "{note} is missing in\n{notes}");
    }
}

/// Nothing is allowed that was not, however the file is written.
#[test]
fn what_cannot_be_carried_widens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("acl"), "topic read open/#\n").unwrap();
    let toml = |conf: &str| {
        let output = import(dir.path(), conf);
        (String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output))
    };
    let denies = |toml: &str| {
        let last = toml.rsplit("[[access.rules]]").next().unwrap();
        last.contains("effect = \"deny\"") && last.contains("publish = [\"#\"]")
    };
    for conf in [
        "allow_anonymous true\nacl_file acl\n",
        "allow_anonymous true\nacl_file none\n",
        "allow_anonymous true\nplugin /lib/x.so\n",
    ] {
        assert!(denies(&toml(conf).0), "{conf}: {}", toml(conf).0);
    }
    assert!(!denies(&toml("allow_anonymous true\n").0));
    let strictest = "per_listener_settings true\nlistener 8883\nallow_anonymous false\n\
        listener 1883 127.0.0.1\nallow_anonymous true\n";
    let open = "per_listener_settings true\nlistener 8883\nallow_anonymous true\n";
    assert!(!toml(strictest).0.contains("allow_anonymous"));
    assert!(toml(open).0.contains("allow_anonymous = true"));
    if !installed("mosquitto_pub") {
        return;
    }
    let (config, _) = toml("listener 11884 127.0.0.1\nallow_anonymous true\nacl_file acl\n");
    let site = Process::start_in(tempfile::tempdir().unwrap(), &config, &[]);
    let port = site.mqtt.port().to_string();
    let publish = Command::new("mosquitto_pub")
        .args(["-p", &port, "-V", "mqttv5", "-q", "1", "-m", "x", "-t", "secret/x"])
        .output()
        .unwrap();
    assert!(stderr(&publish).contains("Not authorized"), "{}", stderr(&publish));
}

#[test]
fn mosquittos_own_defaults_are_dockside_s() {
    let dir = tempfile::tempdir().unwrap();
    // No listener: this machine only, and nobody has to log in.
    let output = import(dir.path(), "# nothing\n");
    assert_eq!(stderr(&output), "");
    fs::write(dir.path().join("a.toml"), &output.stdout).unwrap();
    let check = command(dir.path()).args(["check", "--config", "a.toml"]).output().unwrap();
    assert!(check.status.success(), "{}", stderr(&check));
    // A listener, and nobody said that anybody may come: mosquitto 2 lets nobody in.
    let output = import(dir.path(), "listener 1883\n");
    assert!(stderr(&output).contains("nobody is let in"), "{}", stderr(&output));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("allow_anonymous = true"));
    let output = command(dir.path()).args(["import", "none.conf"]).output().unwrap();
    assert_eq!(output.status.code(), Some(66));
    // Debian keeps users and rules there: without them there is no result.
    let output = import(dir.path(), "include_dir none.d\n");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(66), 0));
    assert!(stderr(&output).contains("include_dir none.d"), "{}", stderr(&output));
}
