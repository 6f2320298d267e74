//! `GET /api/v1/audit?since=&limit=`: who did what, the oldest first.
//!
//! ```json
//! {"audit":[{"time_ms":1747224838300,"what":"services","client_id":"backend-1","user":"backend",
//!   "address":"192.0.2.7:40000","gateway":"SIMDOCK1","method":"flighttask_execute","tid":"t","result":null}]}
//! ```
//! `since` is milliseconds since 1970. Of more than `limit` (1,000 without it, 10,000 at most) the latest are told.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use dockside_store::{Audit, Reader};
use serde::{Deserialize, Serialize};

use crate::keep::{self, KeepAside};
use crate::shared::Shared;

const LIMIT: usize = 1_000;
const LIMIT_AT_MOST: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    since: Option<u64>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct List {
    audit: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    time_ms: u64,
    what: String,
    client_id: Option<String>,
    user: Option<String>,
    address: Option<String>,
    gateway: Option<String>,
    method: Option<String>,
    tid: Option<String>,
    result: Option<i64>,
}

impl From<Audit> for Entry {
    fn from(audit: Audit) -> Self {
        let Audit { time_ms, what, client_id, user, address, gateway, method, tid, result } = audit;
        Self { time_ms, what, client_id, user, address, gateway, method, tid, result }
    }
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(Asked { since, limit }): Query<Asked>,
) -> Response {
    let at_most = limit.unwrap_or(LIMIT).min(LIMIT_AT_MOST);
    let read = tokio::task::spawn_blocking(move || {
        Reader::open(&shared.config.data.dir)?.audit(since.unwrap_or(0), at_most)
    });
    match read.await {
        Ok(Ok(entries)) => {
            let audit = entries.into_iter().map(Entry::from).collect();
            Json(List { audit }).into_response()
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "the audit log cannot be read");
            let text = "the store cannot be read; see the log\n";
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Shared {
    /// Writes down what was done to the broker itself, and by whom.
    pub(crate) fn audit(
        &self,
        what: &str,
        (user, address): (Option<&str>, Option<String>),
        about: &str,
    ) {
        let entry = Audit {
            time_ms: self.clock.kept_ms(),
            what: what.to_owned(),
            user: user.map(str::to_owned),
            address,
            method: (!about.is_empty()).then(|| about.to_owned()),
            ..Audit::default()
        };
        let mut entries = Vec::new();
        keep::append_aside(&self.log, &mut entries, KeepAside::Audit(Box::new(entry)));
        self.append_ordered(&entries);
    }
}
