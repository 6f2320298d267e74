//! `GET /api/v1/why?q=SN|ADDRESS|CLIENT|USER`: what was refused or dropped and why, newest first, and
//! which connected clients the query names.
//!
//! ```json
//! {"refusals":[{"time_ms":1,"first_ms":1,"count":1,"address":"192.0.2.7:40000","client_id":"a",
//!   "user":"b","topic":null,"stage":"password","reason":"...","remedy":"..."}],
//!  "connected":[{"client_id":"a","user":"b","address":"192.0.2.7:40001"}]}
//! ```

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use crate::refusals::Refusal;
use crate::registry::Connected;
use crate::shared::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    q: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Why {
    refusals: Vec<Refusal>,
    connected: Vec<Connected>,
}

pub(super) async fn why(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Asked>,
) -> Json<Why> {
    let query = asked.q.as_deref().filter(|query| !query.is_empty());
    Json(Why {
        refusals: shared.refusals.list(query),
        connected: query.map_or_else(Vec::new, |query| shared.registry.named(query)),
    })
}
