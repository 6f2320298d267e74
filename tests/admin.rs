//! Who may look and change things at the admin listener, and from which pages.

use std::net::SocketAddr;

use dockside_access::hash::Hash;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::broker::TestBroker;
use crate::peer::PATIENCE;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const LOCAL: &str = "Host: localhost\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

/// Somebody who changes something: no harm in it.
const CHANGE: &str = "POST /api/v1/clock/accept";
const LOOK: &str = "GET /api/v1/clock";

struct Answer {
    status: u16,
    /// In lower case, values too.
    head: String,
    /// The session that it begins or ends, as a header of the next request.
    cookie: Option<String>,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn has(&self, header: &str) -> bool {
        self.head.lines().any(|line| line == header)
    }
}

/// Asks with headers that end with a line break each.
async fn send(admin: SocketAddr, request: &str, headers: &str, body: &str) -> Answer {
    let mut socket = TcpStream::connect(admin).await.unwrap();
    let length = body.len();
    let text = format!(
        "{request} HTTP/1.1\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie.and_then(|cookie| cookie.split(';').next());
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        cookie: cookie.map(|cookie| format!("{LOCAL}{JSON}Cookie: {cookie}\r\n")),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

/// Waits until somebody is refused for a reason that has these words, and returns the entry.
pub(crate) async fn refused(broker: &TestBroker, words: &str) -> Value {
    let look = async {
        loop {
            let why = send(broker.admin, "GET /api/v1/why", LOCAL, "").await.json();
            let mut refusals = why["refusals"].as_array().unwrap().iter();
            if let Some(found) = refusals.find(|r| r["reason"].as_str().unwrap().contains(words)) {
                return found.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("nobody is refused because: {words}"))
}

/// Where a connected client comes from.
pub(crate) async fn address_of(broker: &TestBroker, client_id: &str) -> String {
    let request = format!("GET /api/v1/why?q={client_id}");
    let why = send(broker.admin, &request, LOCAL, "").await.json();
    why["connected"][0]["address"].as_str().unwrap().to_owned()
}

async fn status(broker: &TestBroker, request: &str, headers: &str) -> u16 {
    send(broker.admin, request, headers, "{}").await.status
}

/// What a path answers to whoever looks.
pub(crate) async fn look(admin: SocketAddr, target: &str) -> Value {
    let answer = send(admin, &format!("GET {target}"), LOCAL, "").await;
    assert_eq!(answer.status, 200, "{target}: {}", answer.body);
    answer.json()
}

/// Has something done; the answer is null if it is no JSON.
pub(crate) async fn ask(admin: SocketAddr, request: &str, body: &Value) -> (u16, Value) {
    let headers = format!("{LOCAL}{JSON}");
    let answer = send(admin, request, &headers, &body.to_string()).await;
    (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
}

async fn log_in(admin: SocketAddr, user: &str, password: &str) -> Answer {
    let body = json!({"user": user, "password": password}).to_string();
    send(admin, "POST /api/v1/login", &format!("{LOCAL}{JSON}"), &body).await
}

/// A broker with an operator, a viewer and a token.
async fn site() -> (TestBroker, TempDir) {
    let dir = TempDir::new().unwrap();
    let line = |user: &str| format!("{user}:{}\n", Hash::create(user.as_bytes()).unwrap().as_str());
    let file = |name: &str, text: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let users = file("operators", &(line("pat") + &line("vic")));
    let token = file("token", TOKEN);
    let broker = TestBroker::start_with(|config| {
        config.admin.password_file = users;
        config.admin.token_file = token;
        config.admin.operators = vec!["pat".to_owned()];
        config.admin.hosts = vec!["dock.example".to_owned()];
    });
    (broker.await, dir)
}

#[tokio::test]
async fn a_login_lasts_until_it_is_ended() {
    let (broker, _dir) = site().await;
    let admin = broker.admin;
    let unknown = send(admin, LOOK, LOCAL, "").await;
    assert_eq!(unknown.status, 401);
    assert!(unknown.body.contains("/api/v1/login") && unknown.body.contains("admin.token_file"));
    let who = send(admin, "GET /api/v1/login", LOCAL, "").await;
    assert_eq!(who.json(), json!({"is_needed": true, "user": null, "role": null}));

    let login = log_in(admin, "pat", "pat").await;
    assert_eq!(login.status, 200);
    let pat = json!({"is_needed": true, "user": "pat", "role": "operator"});
    assert_eq!(login.json(), pat);
    for word in ["; httponly", "; samesite=strict", "; path=/", "; max-age=43200"] {
        assert!(login.head.contains(word), "{}", login.head);
    }
    let cookie = login.cookie.unwrap();
    assert_eq!(send(admin, "GET /api/v1/login", &cookie, "").await.json(), pat);
    assert_eq!(status(&broker, LOOK, &cookie).await, 200);
    assert_eq!(status(&broker, CHANGE, &cookie).await, 200);

    let out = send(admin, "POST /api/v1/logout", &cookie, "{}").await;
    assert_eq!((out.status, out.head.contains("max-age=0")), (204, true));
    // Not only the browser forgets it.
    assert_eq!(status(&broker, LOOK, &cookie).await, 401);
    assert_eq!(status(&broker, "POST /api/v1/logout", &cookie).await, 204);
}

#[tokio::test]
async fn a_wrong_password_is_as_good_as_a_wrong_name() {
    let (broker, _dir) = site().await;
    let mut texts = Vec::new();
    for (user, password) in [("pat", "vic"), ("pat", ""), ("nobody", "pat"), ("", "")] {
        let answer = log_in(broker.admin, user, password).await;
        assert_eq!((answer.status, answer.cookie), (401, None), "{user}");
        texts.push(answer.body);
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    for body in ["{}", r#"{"user":"pat"}"#, r#"{"user":"pat","password":"pat","role":"operator"}"#]
    {
        let json = format!("{LOCAL}{JSON}");
        let answer = send(broker.admin, "POST /api/v1/login", &json, body).await;
        assert_eq!(answer.status, 422, "{body}");
    }
    let long = log_in(broker.admin, "pat", &"x".repeat(5_000)).await;
    assert_eq!(long.status, 413);
}

#[tokio::test]
async fn who_guesses_is_slowed_and_told_so() {
    let (broker, _dir) = site().await;
    let admin = broker.admin;
    for _ in 0..3 {
        assert_eq!(log_in(admin, "pat", "guess").await.status, 401);
    }
    // They wait in line, and the line has an end.
    let mut guesses = JoinSet::new();
    for _ in 0..12 {
        guesses.spawn(async move { log_in(admin, "pat", "guess").await });
    }
    loop {
        let answer = guesses.join_next().await.expect("one of them is too many").unwrap();
        if answer.status == 429 {
            assert!(answer.has("retry-after: 10") && answer.body.contains("try again"));
            break;
        }
        assert_eq!(answer.status, 401);
    }
    assert_eq!(log_in(admin, "vic", "vic").await.status, 200, "somebody else does not wait");
}

#[tokio::test]
async fn a_viewer_looks_and_changes_nothing() {
    let (broker, _dir) = site().await;
    let login = log_in(broker.admin, "vic", "vic").await;
    assert_eq!(login.json()["role"], "viewer");
    let cookie = login.cookie.unwrap();
    for path in ["clock", "why", "flight-tasks"] {
        assert_eq!(status(&broker, &format!("GET /api/v1/{path}"), &cookie).await, 200, "{path}");
    }
    let refused = send(broker.admin, CHANGE, &cookie, "{}").await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("admin.operators"), "{}", refused.body);
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        assert_eq!(status(&broker, &format!("{method} /api/v1/clock"), &cookie).await, 403);
    }
}

#[tokio::test]
async fn every_path_of_the_api_asks_who_one_is() {
    let (broker, _dir) = site().await;
    for path in ["why", "flight-tasks", "flight-tasks/a/b", "clock", "none", ""] {
        assert_eq!(status(&broker, &format!("GET /api/v1/{path}"), LOCAL).await, 401, "{path}");
    }
    let json = format!("{LOCAL}{JSON}");
    for request in [CHANGE, "POST /", "DELETE /api/v1/login/x", "PUT /none"] {
        assert_eq!(status(&broker, request, &json).await, 401, "{request}");
    }
    let forged = format!("{LOCAL}Cookie: dockside_session={}\r\n", "0".repeat(64));
    assert_eq!(status(&broker, LOOK, &forged).await, 401);
    assert_eq!(status(&broker, "GET /none", LOCAL).await, 404);
}

#[tokio::test]
async fn the_token_is_an_operator() {
    let (broker, _dir) = site().await;
    let token = |token: &str| format!("{LOCAL}{JSON}Authorization: Bearer {token}\r\n");
    let (right, wrong) = (token(TOKEN), token("0123456789abcdef"));
    assert_eq!(status(&broker, LOOK, &right).await, 200);
    assert_eq!(status(&broker, CHANGE, &right).await, 200);
    assert_eq!(status(&broker, LOOK, &wrong).await, 401);
    assert_eq!(status(&broker, CHANGE, &wrong).await, 401);
    let who = send(broker.admin, "GET /api/v1/login", &right, "").await;
    assert_eq!(who.json(), json!({"is_needed": true, "user": null, "role": "operator"}));
}

/// A page that lets its name point to this machine is known by that name, also where nobody logs in.
#[tokio::test]
async fn only_our_own_names_are_answered() {
    let (broker, _dir) = site().await;
    let plain = TestBroker::start().await;
    for host in ["evil.example:9464", "evil.example", "", "localhost.evil.example"] {
        let host = format!("Host: {host}\r\n");
        for request in [LOOK, CHANGE, "GET /", "GET /api/v1/login", "POST /api/v1/login"] {
            for broker in [&broker, &plain] {
                let answer = send(broker.admin, request, &format!("{host}{JSON}"), "{}").await;
                assert_eq!(answer.status, 421, "{host}{request}");
                assert!(answer.body.contains("admin.hosts"), "{}", answer.body);
            }
        }
        for path in ["/metrics", "/livez", "/readyz"] {
            assert_eq!(status(&broker, &format!("GET {path}"), &host).await, 200, "{path}");
        }
    }
    let named = "Host: dock.example:9464\r\n";
    assert_eq!(status(&broker, "GET /api/v1/login", named).await, 200);
    assert_eq!(status(&plain, LOOK, named).await, 421, "it is called so nowhere");
    let address = format!("Host: {}\r\n", plain.admin);
    assert_eq!(status(&plain, LOOK, &address).await, 200);
    let two = format!("{LOCAL}{LOCAL}");
    assert_eq!(status(&plain, LOOK, &two).await, 421);
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let plain = TestBroker::start().await;
    let host = format!("Host: {}\r\n{JSON}", plain.admin);
    let from = |origin: &str| format!("{host}Origin: {origin}\r\n");
    let own = from(&format!("http://{}", plain.admin));
    assert_eq!(status(&plain, CHANGE, &own).await, 200);
    assert_eq!(status(&plain, CHANGE, &host).await, 200, "no browser");
    for origin in ["http://evil.example", "http://127.0.0.1:1", "null"] {
        for request in [CHANGE, "POST /api/v1/login", "POST /api/v1/logout"] {
            assert_eq!(status(&plain, request, &from(origin)).await, 403, "{request} {origin}");
        }
        assert_eq!(status(&plain, LOOK, &from(origin)).await, 200, "which it cannot read");
    }
    let cross = format!("{host}Sec-Fetch-Site: cross-site\r\n");
    assert_eq!(status(&plain, CHANGE, &cross).await, 403);
    let form = format!("{LOCAL}Content-Type: text/plain\r\n");
    for request in [CHANGE, "POST /api/v1/login", "POST /api/v1/logout"] {
        assert_eq!(status(&plain, request, &form).await, 415, "{request}");
    }
}

#[tokio::test]
async fn without_anything_to_log_in_with_everybody_here_is_an_operator() {
    let plain = TestBroker::start().await;
    let anybody = json!({"is_needed": false, "user": null, "role": "operator"});
    let who = send(plain.admin, "GET /api/v1/login", LOCAL, "").await;
    assert_eq!(who.json(), anybody);
    let login = log_in(plain.admin, "pat", "pat").await;
    assert_eq!((login.json(), login.cookie), (anybody, None));
}

#[tokio::test]
async fn every_answer_tells_browsers_to_be_careful() {
    let (broker, _dir) = site().await;
    for path in ["/metrics", "/none", "/api/v1/clock", "/api/v1/login"] {
        let answer = send(broker.admin, &format!("GET {path}"), LOCAL, "").await;
        for header in [
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
        ] {
            assert!(answer.has(header), "{path}: {}", answer.head);
        }
        let is_api = path.starts_with("/api/");
        assert_eq!(answer.has("cache-control: no-store"), is_api, "{path}: {}", answer.head);
    }
}

/// A stream of changes is not a way to go on looking.
#[tokio::test]
async fn what_a_login_reads_ends_with_it() {
    let (broker, _files) = site().await;
    let cookie = log_in(broker.admin, "vic", "vic").await.cookie.unwrap();
    let mut socket = TcpStream::connect(broker.admin).await.unwrap();
    let request = format!("GET /api/v1/changes HTTP/1.0\r\n{cookie}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("event: site") {
        assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0, "it lasts while the login does");
    }
    assert_eq!(send(broker.admin, "POST /api/v1/logout", &cookie, "{}").await.status, 204);
    timeout(PATIENCE, socket.read_to_end(&mut seen)).await.expect("it ends").unwrap();
}
