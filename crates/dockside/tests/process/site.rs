//! A site's broker: users, TLS, a token, metrics for everybody, reload; with other
//! people's clients.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::broker::{Process, command, get, installed, passwd, stderr};

const PASSWORD: &str = "a password of the site";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const EVENT: &str =
    r#"{"tid":"t","bid":"b","method":"flighttask_progress","data":{},"need_reply":1}"#;
const ALLOWED: &str = "dockside_acl_checks_total{action=\"subscribe\",result=\"allow\"}";
const CONFIG: &str = r#"
[[listeners]]
listen = "127.0.0.1:0"
transport = "tls"
certificate = "site.pem"
key = "site.key"
[users]
password_file = "users"
[access.groups]
applications = ["backend"]
[admin]
token_file = "token"
[metrics]
listen = "127.0.0.1:0"
[log]
level = "debug"
"#;

/// Certificates, users and a token.
fn directory() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate that has its issuer's name for a self-signed one.
    params.distinguished_name.push(DnType::CommonName, "authority of a test");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let pair = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let signed = CertificateParams::new(names).unwrap().signed_by(&pair, &authority).unwrap();
    fs::write(file("ca.pem"), authority.pem()).unwrap();
    fs::write(file("site.pem"), signed.pem()).unwrap();
    fs::write(file("site.key"), pair.serialize_pem()).unwrap();
    fs::write(file("token"), format!("{TOKEN}\n")).unwrap();
    for user in ["SIMDOCK1", "backend"] {
        assert!(passwd(dir.path(), user, PASSWORD).status.success());
    }
    dir
}

fn site() -> Process {
    Process::start_in(directory(), CONFIG, &[])
}

fn mosquitto_pub(address: SocketAddr, arguments: &[&str]) -> Option<i32> {
    let port = address.port().to_string();
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &port]).args(arguments);
    if !arguments.contains(&"-m") {
        command.args(["-m", EVENT]);
    }
    command.stderr(Stdio::null()).status().unwrap().code()
}

#[test]
fn mosquittos_clients_fly_over_tcp_and_tls() {
    if !installed("mosquitto_pub") || !installed("mosquitto_sub") {
        return;
    }
    let site = site();
    let ca = site.file("ca.pem").display().to_string();
    for address in [site.mqtt, site.tls.unwrap()] {
        let tls: &[&str] = if Some(address) == site.tls { &["--cafile", &ca] } else { &[] };
        for version in ["mqttv311", "mqttv5"] {
            let before = site.metric(ALLOWED);
            let port = address.port().to_string();
            let mut subscriber = Command::new("mosquitto_sub")
                .args(["-h", "127.0.0.1", "-p", &port, "-V", version, "-C", "1", "-W", "20"])
                .args([
                    "-u",
                    "SIMDOCK1",
                    "-P",
                    PASSWORD,
                    "-t",
                    "thing/product/SIMDOCK1/events_reply",
                ])
                .args(tls)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            while site.metric(ALLOWED) == before {
                assert_eq!(subscriber.try_wait().unwrap(), None, "mosquitto_sub ended");
            }
            let publish = |more: &[&str]| {
                let topic = ["-V", version, "-q", "1", "-t", "thing/product/SIMDOCK1/events"];
                mosquitto_pub(address, &[&topic, tls, more].concat())
            };
            let wrong = if version == "mqttv5" { Some(0x86) } else { Some(4) };
            assert_eq!(publish(&["-u", "SIMDOCK1", "-P", "wrong"]), wrong);
            assert_eq!(publish(&["-u", "SIMDOCK1", "-P", PASSWORD]), Some(0));
            let output = subscriber.wait_with_output_of();
            assert!(output.starts_with("{\"tid\":\"t\",\"bid\":\"b\""), "{output}");
        }
    }
}

trait OutputOf {
    fn wait_with_output_of(&mut self) -> String;
}

impl OutputOf for std::process::Child {
    fn wait_with_output_of(&mut self) -> String {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut self.stdout.take().unwrap(), &mut text).unwrap();
        assert!(self.wait().unwrap().success());
        text
    }
}

/// Subscribes to its replies, publishes an event, prints the reply and what a refused client gets.
const PAHO: &str = r#"
import sys, paho.mqtt.client as mqtt
port, ca, version, password = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
def client(password):
    c = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=version)
    c.username_pw_set("SIMDOCK1", password)
    if ca: c.tls_set(ca)
    return c
def refused(c, userdata, flags, reason, properties):
    print("refused:", reason, flush=True); c.disconnect()
c = client("wrong"); c.on_connect = refused
c.connect("127.0.0.1", port); c.loop_forever(retry_first_connection=False)
def connected(c, userdata, flags, reason, properties):
    c.subscribe("thing/product/SIMDOCK1/events_reply", 1)
def subscribed(c, userdata, mid, reasons, properties):
    c.publish("thing/product/SIMDOCK1/events", sys.argv[5], 1)
def message(c, userdata, m):
    print(m.topic, m.payload.decode(), flush=True); c.disconnect()
c = client(password); c.on_connect, c.on_subscribe, c.on_message = connected, subscribed, message
c.connect("127.0.0.1", port); c.loop_forever()
"#;

#[test]
fn paho_flies_over_tcp_and_tls() {
    let there = Command::new("python3").args(["-c", "import paho.mqtt"]).output();
    let there = there.is_ok_and(|output| output.status.success());
    assert!(there || std::env::var_os("CI").is_none(), "paho-mqtt must be installed in CI");
    if !there {
        eprintln!("SKIPPED: python3 with paho-mqtt is not installed");
        return;
    }
    let site = site();
    let ca = site.file("ca.pem").display().to_string();
    for (address, ca) in [(site.mqtt, ""), (site.tls.unwrap(), &*ca)] {
        for version in ["4", "5"] {
            let port = address.port().to_string();
            let output = Command::new("python3")
                .args(["-c", PAHO, &port, ca, version, PASSWORD, EVENT])
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            let lines: Vec<_> = text.lines().collect();
            assert_eq!(lines.len(), 2, "{text}{}", stderr(&output));
            assert!(lines[0].to_lowercase().contains("bad user name or password"), "{text}");
            assert!(lines[1].starts_with("thing/product/SIMDOCK1/events_reply {\"tid\":\"t\""));
        }
    }
}

#[test]
fn metrics_are_for_everybody_and_the_api_asks_for_the_token() {
    let site = site();
    let metrics = site.metrics.unwrap();
    for path in ["/metrics", "/livez", "/readyz"] {
        for address in [metrics, site.admin] {
            assert!(get(address, path, "").starts_with("HTTP/1.1 200"), "{path}");
        }
    }
    assert!(get(metrics, "/api/v1/why", "").starts_with("HTTP/1.1 404"));
    for wrong in ["", "Authorization: Bearer wrong\r\n", "Authorization: Basic eDp5\r\n"] {
        let answer = get(site.admin, "/api/v1/why", wrong);
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    assert!(get(site.admin, "/api/v1/why", &right).starts_with("HTTP/1.1 200"));
}

#[test]
fn why_tells_what_was_refused_and_what_to_do() {
    if !installed("mosquitto_pub") {
        return;
    }
    let site = site();
    let ask = |query: &str| {
        let output = site.command(&["why", query]);
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(ask("SIMDOCK1").contains("has not reached this broker"));
    let topic = ["-t", "thing/product/SIMDOCK1/events", "-q", "1"];
    let publish = |address, more: &[&str]| mosquitto_pub(address, &[&topic, more].concat());
    publish(site.mqtt, &["-u", "SIMDOCK1", "-P", "wrong", "-i", "first"]);
    publish(site.mqtt, &["-u", "SIMDOCK1", "-P", "wrong", "-i", "first"]);
    publish(site.mqtt, &["-i", "second"]);
    publish(site.mqtt, &["-u", "backend", "-P", PASSWORD, "-i", "third"]);
    publish(site.tls.unwrap(), &["-u", "SIMDOCK1", "-P", PASSWORD]);
    let unread = ["-u", "SIMDOCK1", "-P", PASSWORD, "-i", "fourth", "-m", "no json"];
    publish(site.mqtt, &unread);
    for (query, words) in [
        ("first", ["password", "wrong password", "2 times since", "dockside passwd"]),
        ("second", ["password", "no user name", "allow_anonymous", "second"]),
        ("third", ["acl", "not allowed to publish", "SIMDOCK1/events", "backend"]),
        ("fourth", ["event", "no JSON object", "forwarded", "SIMDOCK1/events"]),
        ("127.0.0.1", ["tls", "does not speak TLS", "tcp listener", "password"]),
    ] {
        let text = ask(query);
        assert!(words.iter().all(|word| text.contains(word)), "{query}: {text}");
    }
    let long = site.command(&["why", &"x".repeat(100_000)]);
    assert_eq!(long.status.code(), Some(64), "{}", stderr(&long));
    let json = site.command(&["why", "third", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let refusal = &json["refusals"][0];
    assert_eq!(refusal["stage"], "acl");
    assert_eq!(refusal["client_id"], "third");
    assert!(refusal["time_ms"].is_u64() && refusal["remedy"].is_string(), "{json}");
}

#[test]
fn nobody_hears_of_a_secret() {
    if !installed("mosquitto_pub") {
        return;
    }
    let site = site();
    for password in [PASSWORD, "a wrong password"] {
        for version in ["mqttv311", "mqttv5"] {
            mosquitto_pub(site.mqtt, &["-V", version, "-t", "x", "-u", "SIMDOCK1", "-P", password]);
        }
    }
    let users = fs::read_to_string(site.file("users")).unwrap();
    let hashes = users.lines().map(|line| line.rsplit_once('$').unwrap().1);
    let key = fs::read_to_string(site.file("site.key")).unwrap();
    let secrets: Vec<&str> =
        hashes.chain([PASSWORD, "a wrong password", TOKEN, key.lines().nth(1).unwrap()]).collect();
    // A bad file must not be repeated either.
    fs::write(site.file("users"), users.replace(":$argon2id", ":argon2id")).unwrap();
    fs::write(site.file("site.pem"), &key).unwrap();
    site.signal("HUP");
    site.wait_for_log("; what was there before stays");
    site.wait_for_log("what was read before stays in use");
    let checked = site.command(&["check"]);
    assert_eq!(checked.status.code(), Some(64));
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    let why = get(site.admin, "/api/v1/why", &right);
    assert!(why.contains("wrong password") && why.contains("SIMDOCK1"));
    for text in [site.log(), stderr(&checked), why, site.get("/metrics")] {
        for secret in &secrets {
            assert!(!text.contains(secret), "{secret} stands in:\n{text}");
        }
    }
    let mode = fs::metadata(site.file("data")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o700);
}

#[test]
fn sighup_takes_users_over_and_keeps_what_it_has_when_they_are_bad() {
    if !installed("mosquitto_pub") {
        return;
    }
    let site = site();
    let certificate = fs::read(site.file("site.pem")).unwrap();
    let publish = || {
        let topic = "thing/product/SIMDOCK2/state";
        mosquitto_pub(site.mqtt, &["-t", topic, "-q", "1", "-u", "SIMDOCK2", "-P", PASSWORD])
    };
    assert_eq!(publish(), Some(4));
    assert!(passwd(site.dir.path(), "SIMDOCK2", PASSWORD).status.success());
    assert_eq!(publish(), Some(4), "not before the reload");
    // A certificate that is bad at the same time keeps nobody out, and nobody in.
    fs::write(site.file("site.pem"), "half a file").unwrap();
    site.signal("HUP");
    site.wait_for_log("were reloaded");
    assert_eq!(publish(), Some(0));
    let successful = "dockside_config_last_reload_successful";
    assert_eq!(site.metric(successful), 0.0, "the certificate was not taken over");
    fs::write(site.file("site.pem"), certificate).unwrap();
    fs::write(site.file("dockside.toml"), format!("{CONFIG}\n[limits]\nconnections = 0\n"))
        .unwrap();
    site.signal("HUP");
    site.wait_for_log("limits.connections: must be at least 1");
    site.wait_for_log("was not reloaded");
    assert_eq!(site.metric(successful), 0.0);
    assert_eq!(publish(), Some(0));
    fs::write(site.file("dockside.toml"), format!("{CONFIG}\n[limits]\nconnections = 7\n"))
        .unwrap();
    site.signal("HUP");
    site.wait_for_log("[limits] differs from what runs; only a restart takes it over");
    while site.metric(successful) != 1.0 {
        std::thread::yield_now();
    }
}

fn refused_at_start(dir: &Path, config: &str, words: &[&str]) {
    fs::write(dir.join("bad.toml"), config).unwrap();
    let output =
        command(dir).args(["--config", "bad.toml", "--mqtt", "127.0.0.1:0"]).output().unwrap();
    let text = stderr(&output);
    assert_eq!((output.status.code(), text.lines().count()), (Some(64), 1), "{text}");
    assert!(words.iter().all(|word| text.contains(word)), "{text} should say {words:?}");
}

#[test]
fn what_is_not_safe_is_refused_at_start_in_one_line() {
    let dir = directory();
    let listener = |more: &str| format!("[[listeners]]\nlisten = \"127.0.0.1:0\"\n{more}");
    let tls = |certificate: &str, key: &str| {
        listener(&format!(
            "transport = \"tls\"\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n"
        ))
    };
    let clients = |ca: &str, crl: &str| {
        let more = "client_certificates = \"required\"";
        let files = format!("client_ca = \"{ca}\"\nclient_crl = \"{crl}\"\n");
        format!("{}{more}\n{files}", tls("site.pem", "site.key"))
    };
    fs::write(dir.path().join("short"), "secret\n").unwrap();
    fs::write(dir.path().join("empty"), "# nobody\n").unwrap();
    let open = "[[listeners]]\nlisten = \"0.0.0.0:0\"\ntransport = \"tcp\"\n";
    for (config, words) in [
        (open, ["listeners[0].listen", "users.password_file", "allow_anonymous"]),
        (
            "[admin]\nlisten = \"0.0.0.0:0\"\n",
            ["admin.listen", "admin.password_file or admin.token_file", "metrics.listen"],
        ),
        ("[admin]\ntoken_file = \"short\"\n", ["admin.token_file", "16", "openssl rand"]),
        ("[admin]\npassword_file = \"none\"\n", ["admin.password_file", "none", "cannot be read"]),
        ("[admin]\npassword_file = \"empty\"\n", ["admin.password_file", "no user", "passwd"]),
        (
            "[admin]\npassword_file = \"users\"\noperators = [\"pat\"]\n",
            ["admin.operators", "pat", "dockside passwd"],
        ),
        ("[users]\npassword_file = \"none\"\n", ["users.password_file", "none", "cannot be read"]),
        (&tls("none.pem", "site.key"), ["listeners[0].certificate", "none.pem", "cannot be read"]),
        (&tls("site.pem", "ca.pem"), ["listeners[0].key", "ca.pem", "PEM form"]),
        (&tls("ca.pem", "site.key"), ["listeners[0].key", "site.key", "is not the key of"]),
        (&clients("none.pem", ""), ["listeners[0].client_ca", "none.pem", "cannot be read"]),
        (&clients("site.key", ""), ["listeners[0].client_ca", "site.key", "no PEM certificate"]),
        (&clients("ca.pem", "ca.pem"), ["listeners[0].client_crl", "ca.pem", "no list"]),
        (&listener("transport = \"udp\"\n"), ["listeners", "transport", "tcp"]),
        (
            "[access]\nrules = [{ publish = [\"a/#/b\"] }]\n",
            ["access.rules[0].publish", "a/#/b", "#"],
        ),
    ] {
        refused_at_start(dir.path(), config, &words);
    }
}
