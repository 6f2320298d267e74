//! `GET /api/v1/clock`: whether the wall clock is believed; `POST /api/v1/clock/accept`: it is right.
//!
//! ```json
//! {"doubt":"the wall clock was set forward by 2 d 0 h","wall_ms":1764201600000,"kept_ms":1764028800000}
//! ```
//! `doubt` is null where there is none; `kept_ms` is the time that what is kept ages by. The answer to
//! `accept` tells the doubt that it has ended.

use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::bounded::Peer;
use super::gate::Visitor;
use crate::keep::{self, KeepAside};
use crate::shared::Shared;

#[derive(Serialize)]
pub(super) struct Told {
    doubt: Option<String>,
    wall_ms: u64,
    kept_ms: u64,
}

/// An object, so that no page of another origin can send it unasked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Accept {}

pub(super) async fn clock(State(shared): State<Arc<Shared>>) -> Json<Told> {
    let doubt = shared.clock.doubt().map(|doubt| doubt.to_string());
    told(&shared, doubt)
}

pub(super) async fn accept(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    visitor: Option<Extension<Visitor>>,
    Json(Accept {}): Json<Accept>,
) -> Json<Told> {
    let doubt = shared.clock.accept().map(|doubt| doubt.to_string());
    if let Some(doubt) = &doubt {
        tracing::warn!("the wall clock was accepted as right: {doubt}");
        let user = visitor.and_then(|Extension(visitor)| visitor.user);
        let address = peer.ip().to_canonical().to_string();
        shared.audit("clock", (user.as_deref(), Some(address)), "accept");
        let mut entries = Vec::new();
        keep::append_aside(&shared.log, &mut entries, KeepAside::Clock);
        shared.append_ordered(&entries);
    }
    told(&shared, doubt)
}

fn told(shared: &Shared, doubt: Option<String>) -> Json<Told> {
    let wall_ms = shared.clock.moment().wall_ms;
    Json(Told { doubt, wall_ms, kept_ms: shared.clock.kept_ms() })
}
