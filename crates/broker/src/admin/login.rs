//! Logging in on the page, and out.
//!
//! `GET /api/v1/login`: who one is; `POST /api/v1/login` with `{"user":"..","password":".."}`: the same and
//! a cookie, 401 otherwise, 429 if too many attempts wait; `POST /api/v1/logout` with `{}`: 204.
//!
//! ```json
//! {"is_needed":true,"user":"pat","role":"operator"}
//! ```
//! `user` and `role` are null for somebody unknown; `user` is null too where the token or nothing is
//! asked for.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};

use super::bounded::Peer;
use super::gate::{COOKIE, Gate, Role, Visitor};
use super::page_sessions::LIFETIME;
use crate::access::Wrong;
use crate::shared::Shared;

/// A name and a password take less.
const BODY_BYTES_AT_MOST: usize = 4_096;

/// A longer name is cut where it is noted.
const NOTED_BYTES: usize = 128;

type Desk = (Arc<Gate>, Arc<Shared>);

#[derive(Serialize)]
struct Told {
    is_needed: bool,
    user: Option<Arc<str>>,
    role: Option<Role>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    user: String,
    password: String,
}

/// An object, so that no page of another origin can send it unasked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogOut {}

pub(super) fn routes(gate: &Arc<Gate>, shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/api/v1/login", get(who).post(log_in))
        .route("/api/v1/logout", post(log_out))
        .layer(DefaultBodyLimit::max(BODY_BYTES_AT_MOST))
        .with_state((Arc::clone(gate), Arc::clone(shared)))
}

async fn who(State((gate, _)): State<Desk>, visitor: Option<Extension<Visitor>>) -> Json<Told> {
    told(&gate, visitor.map(|Extension(visitor)| visitor))
}

async fn log_in(
    State((gate, shared)): State<Desk>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    headers: HeaderMap,
    Json(Asked { user, password }): Json<Asked>,
) -> Response {
    if !gate.has_users() {
        let visitor = gate.visitor(&headers);
        return match visitor {
            Some(visitor) => told(&gate, Some(visitor)).into_response(),
            None => (StatusCode::UNAUTHORIZED, gate.remedy()).into_response(),
        };
    }
    let address = peer.ip().to_canonical();
    let visitor = match gate.verify(&user, &password, address).await {
        Ok(visitor) => visitor,
        Err(wrong) => return refused((&gate, &shared), &user, address, wrong),
    };
    note_login(&shared, &user, address, true);
    let name = visitor.user.clone().unwrap_or_default();
    let Some(key) = gate.begin(name, &headers) else {
        let text = "this system gives no randomness; nobody can log in\n";
        return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
    };
    ([(header::SET_COOKIE, cookie(&key, LIFETIME.as_secs()))], told(&gate, Some(visitor)))
        .into_response()
}

async fn log_out(
    State((gate, shared)): State<Desk>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    headers: HeaderMap,
    Json(LogOut {}): Json<LogOut>,
) -> Response {
    if let Some(user) = gate.visitor(&headers).and_then(|visitor| visitor.user) {
        let address = peer.ip().to_canonical().to_string();
        shared.audit("logout", (Some(&user), Some(address)), "");
    }
    gate.end(&headers);
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie("", 0))]).into_response()
}

/// Not readable by scripts, and not sent by pages of other sites.
fn cookie(key: &str, seconds: u64) -> String {
    format!("{COOKIE}={key}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}")
}

fn told(gate: &Gate, visitor: Option<Visitor>) -> Json<Told> {
    let role = visitor.as_ref().map(|visitor| visitor.role);
    let user = visitor.and_then(|visitor| visitor.user);
    Json(Told { is_needed: gate.is_login_needed(), user, role })
}

fn refused(
    (gate, shared): (&Gate, &Shared),
    user: &str,
    address: IpAddr,
    wrong: Wrong,
) -> Response {
    match wrong {
        Wrong::User | Wrong::Password => {
            if gate.may_note_failure() {
                note_login(shared, user, address, false);
            }
            let text = "user name or password is wrong; `dockside passwd` changes a password\n";
            (StatusCode::UNAUTHORIZED, text).into_response()
        }
        // Nothing was looked at, so there is nothing to note.
        Wrong::TooMany => {
            let after = [(header::RETRY_AFTER, "10")];
            let text = "too many attempts wait already; try again in ten seconds\n";
            (StatusCode::TOO_MANY_REQUESTS, after, text).into_response()
        }
        Wrong::Unverified => {
            let text = "the password could not be looked at; try again\n";
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

/// Notes an attempt.
fn note_login(shared: &Shared, user: &str, address: IpAddr, ok: bool) {
    // A name that could not be in the file may be of any length.
    let user = &user[..user.floor_char_boundary(NOTED_BYTES)];
    let outcome = if ok { "done" } else { "failed" };
    shared.audit("login", (Some(user), Some(address.to_string())), outcome);
    // What a stranger calls itself is quoted: it cannot add lines to the log.
    if ok {
        tracing::info!(?user, %address, "logged in at the admin listener");
    } else {
        tracing::warn!(?user, %address, "a login at the admin listener failed");
    }
}
