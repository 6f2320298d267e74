//! Who may ask: logins, the token, viewers, pages and names of elsewhere. 401, 403 and 421 come where they are
//! described, and nowhere else.

use std::fs;

use dockside_access::hash::Hash;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::described::{Answer, Described, JSON, request};
use super::routes;
use crate::peer::TestBroker;

const TOKEN: &str = "made-up-for-this-test";

/// A stream of changes has no end, so nobody waits for it who is let in.
const ENDLESS: &str = "GET /api/v1/changes";

/// With an operator, a viewer and a token.
async fn start(dir: &TempDir) -> TestBroker {
    let line = |user: &str| format!("{user}:{}\n", Hash::create(user.as_bytes()).unwrap().as_str());
    let (users, token) = (dir.path().join("users"), dir.path().join("token"));
    fs::write(&users, line("pat") + &line("vic")).unwrap();
    fs::write(&token, TOKEN).unwrap();
    TestBroker::start_with(|config| {
        config.admin.password_file = users;
        config.admin.token_file = token;
        config.admin.operators = vec!["pat".to_owned()];
    })
    .await
}

fn credentials(user: &str, password: &str) -> String {
    json!({"user": user, "password": password}).to_string()
}

async fn log_in(described: &Described, broker: &TestBroker, user: &str) -> String {
    let body = credentials(user, user);
    let login = described.ask(broker.admin, "POST /api/v1/login", (JSON, &body)).await;
    assert_eq!(login.status, "200");
    let cookie = login.headers["set-cookie"].split(';').next().unwrap();
    format!("Cookie: {cookie}\r\n{JSON}")
}

pub(super) async fn a_login_is_asked_for(described: &Described) {
    let dir = TempDir::new().unwrap();
    let broker = start(&dir).await;
    let mut vic = log_in(described, &broker, "vic").await;
    let token = format!("Authorization: Bearer {TOKEN}\r\n{JSON}");
    let foreign = format!("Origin: http://elsewhere.example\r\n{token}");
    let misdirected = format!("Host: elsewhere.example\r\n{token}");
    let mut operations: Vec<_> = described.operations().into_iter().collect();
    // Last, as it ends the viewer's login.
    operations.sort_by_key(|(name, _)| name.ends_with("/logout"));
    for (name, operation) in operations {
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let line = routes::example(&name, &parameters);
        let has = |code: &str| operation["responses"].get(code).is_some();
        let ask =
            async |headers: &str| described.ask(broker.admin, &line, (headers, "{}")).await.status;
        // Logging in has a 401 of its own.
        let is_asked_for = operation["responses"]["401"].get("$ref").is_some();
        assert_eq!(ask(JSON).await == "401", is_asked_for, "{line}");
        if has("421") || name != ENDLESS {
            assert_eq!(ask(&misdirected).await == "421", has("421"), "{line}");
        }
        if has("403") || name != ENDLESS {
            // What does nothing another origin may send: it does not get to see the answer.
            assert_eq!(ask(&foreign).await == "403", has("403"), "{line}");
        }
        if name != ENDLESS {
            assert_eq!(ask(&vic).await == "403", has("403") && is_asked_for, "{line}");
            assert_ne!(ask(&token).await, "401", "{line}");
        }
        if name == "POST /api/v1/logout" {
            vic = log_in(described, &broker, "vic").await;
        }
    }
    let pat = log_in(described, &broker, "pat").await;
    let who = described.ask(broker.admin, "GET /api/v1/login", (&pat, "")).await.json();
    assert_eq!(who, json!({"is_needed": true, "user": "pat", "role": "operator"}));
    let out = described.ask(broker.admin, "POST /api/v1/logout", (&pat, "{}")).await;
    assert_eq!(out.status, "204");
    let who = described.ask(broker.admin, "GET /api/v1/login", (&pat, "")).await.json();
    assert_eq!(who["role"], Value::Null);
    guesses(described, &broker).await;
}

/// Wrong passwords, until too many of them wait.
async fn guesses(described: &Described, broker: &TestBroker) {
    const LINE: &str = "POST /api/v1/login";
    let (admin, body) = (broker.admin, credentials("pat", "guess"));
    for _ in 0..3 {
        assert_eq!(described.ask(admin, LINE, (JSON, &body)).await.status, "401");
    }
    let mut guesses = JoinSet::new();
    for _ in 0..12 {
        let body = body.clone();
        guesses.spawn(async move { request(admin, LINE, (JSON, &body)).await });
    }
    let is_refused = |answer: &Answer| {
        assert_eq!(described.problems(LINE, answer), [""; 0]);
        answer.status == "429"
    };
    while !is_refused(&guesses.join_next().await.expect("one is too many").unwrap()) {}
}
