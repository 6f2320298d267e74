//! `POST /api/v1/sessions/kick`: ends a client's connection, and its session too if it is to be forgotten.
//!
//! ```json
//! {"client_id":"SIMDOCK1","forget":false}
//! {"client_id":"SIMDOCK1","was_connected":true,"forgotten":0}
//! ```
//! `forgotten` counts kept sessions that have ended: users may have one each with the same client identifier.

use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};

use super::bounded::Peer;
use super::gate::Visitor;
use crate::mailbox::Mailbox;
use crate::registry::Pending;
use crate::shared::Shared;

/// Bytes of a client identifier in the audit log.
const AUDITED_BYTES: usize = 256;

pub(super) fn routes(shared: &Arc<Shared>) -> Router {
    Router::new().route("/api/v1/sessions/kick", post(kick)).with_state(Arc::clone(shared))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kick {
    client_id: Arc<str>,
    forget: bool,
}

#[derive(Serialize)]
struct Kicked {
    client_id: Arc<str>,
    was_connected: bool,
    forgotten: usize,
}

async fn kick(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    visitor: Option<Extension<Visitor>>,
    Json(Kick { client_id, forget }): Json<Kick>,
) -> Response {
    let mailbox = Arc::new(Mailbox::new(&shared.config.limits, &shared.sessions.bytes));
    let claim = shared.registry.kick(&client_id, (shared.new_instance(), mailbox));
    let was_connected = claim.is_some();
    let is_known = was_connected || (forget && shared.sessions.has(&client_id));
    if !is_known {
        let text = if forget { "connected or kept" } else { "connected" };
        let text = format!("no client of this identifier is {text}; see /api/v1/sessions\n");
        return (StatusCode::NOT_FOUND, text).into_response();
    }
    let user = visitor.and_then(|Extension(visitor)| visitor.user);
    let address = peer.ip().to_canonical().to_string();
    let named = &client_id[..client_id.floor_char_boundary(AUDITED_BYTES)];
    let about = if forget { format!("{named}, forgotten") } else { named.to_owned() };
    shared.audit("kick", (user.as_deref(), Some(address)), &about);
    tracing::info!(?client_id, forget, "an operator ends a connection");
    // A task of its own, which goes on where whoever asked has gone: else the claim would, before the connection has ended.
    let ended = tokio::spawn(end(Arc::clone(&shared), Arc::clone(&client_id), claim, forget));
    match ended.await {
        Ok(forgotten) => Json(Kicked { client_id, was_connected, forgotten }).into_response(),
        // It has panicked, which was printed.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Ends a connection and, if that is asked for, the sessions of its client identifier: how many.
async fn end(
    shared: Arc<Shared>,
    client_id: Arc<str>,
    claim: Option<Pending>,
    forget: bool,
) -> usize {
    // Its session is at rest then, and stays so until the claim goes: no client can come in between.
    let held = match claim {
        Some(pending) => Some(pending.settled().await),
        None => None,
    };
    let forgotten = if forget { shared.sessions.forget(&shared, &client_id) } else { 0 };
    drop(held);
    forgotten
}
