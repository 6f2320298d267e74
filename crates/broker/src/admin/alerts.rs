//! `GET /api/v1/alerts`: what somebody should look at, as it is published on `dockside/alerts`.
//!
//! ```json
//! {"now_ms":1700000000000,"alerts":[{"name":"DockSilent","severity":"warning","text":"...","gateway":"SIMDOCK1",
//!   "flight_task":null,"since_ms":1699999900000}]}
//! ```
//! `docs/operations.md` says under each name what it means and what to do.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Json};

use crate::board::alerts::Alerts;
use crate::shared::Shared;

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let site = shared.site.lock().expect("no panic while it is held").clone();
    let now_ms = shared.clock.kept_ms();
    Json(Alerts { now_ms, alerts: site.conditions() }).into_response()
}
