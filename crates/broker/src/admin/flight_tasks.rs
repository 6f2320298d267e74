//! `GET /api/v1/flight-tasks?status=&dock=&since=&limit=`: how flight tasks stand, the one that was heard of
//! last first; `GET /api/v1/flight-tasks/{dock}/{task}?limit=`: one of them with its events, the newest first.
//!
//! ```json
//! {"flight_tasks":[{"dock":"SIMDOCK1","task":"f","status":"in_progress","is_over":false,"is_silent":false,
//!   "step":25,"step_name":"executing the wayline","phase":"flying","percent":42.0,"waypoint":3,"wayline":0,
//!   "mission_state":6,"mission_state_name":"executing","media_count":null,"break_reason":null,
//!   "break_reason_text":null,"result":0,"result_text":"no error","track":null,"device_ms":1747224838227,
//!   "first_ms":1747224838000,"last_ms":1747224838300,"events":12,"late":0,"reopened":0}]}
//! {"flight_task":{},"history":[{"received_ms":1747224838300,"event":{}}]}
//! ```
//! Times are milliseconds since 1970, `since` too. `media_count` is said once a task is over: before that
//! docks count what is on its way. Names are null where they are not known: those of a step where it is not known what
//! the dock is.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use dockside_flighttask::answer::FLIGHTTASK_PROGRESS;
use dockside_store::Reader;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use crate::board::view::{self, FlightTask};
use crate::board::{Wanted, stored_task};
use crate::shared::Shared;

/// What comes without `limit`, and at most.
const LIMIT: usize = 100;
const LIMIT_AT_MOST: usize = 1_000;

/// A history may take a look at the whole file: one at a time.
static READING: Mutex<()> = Mutex::const_new(());

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    status: Option<String>,
    dock: Option<String>,
    since: Option<u64>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    limit: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct List {
    flight_tasks: Vec<FlightTask>,
}

#[derive(Serialize)]
struct One {
    flight_task: FlightTask,
    history: Vec<Said>,
}

#[derive(Serialize)]
struct Said {
    received_ms: u64,
    /// As it came; none if there is a number in it that programs could not read.
    event: Option<Box<RawValue>>,
}

fn bounded(limit: Option<usize>) -> usize {
    limit.unwrap_or(LIMIT).min(LIMIT_AT_MOST)
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Asked>,
) -> Json<List> {
    let present = |text: Option<String>| text.filter(|text| !text.is_empty());
    let wanted = Wanted {
        status: present(asked.status),
        dock: present(asked.dock),
        since_ms: asked.since.unwrap_or(0),
        at_most: bounded(asked.limit),
    };
    let states = shared.board.list(&wanted).into_iter();
    Json(List { flight_tasks: states.map(|state| view::flight_task(&shared, state)).collect() })
}

pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Path((dock, task)): Path<(String, String)>,
    Query(Limit { limit }): Query<Limit>,
) -> Response {
    let one = READING.lock().await;
    let read = tokio::task::spawn_blocking(move || {
        // As long as it takes, even if nobody waits for it any more.
        let _one = one;
        let Some(state) = shared.board.get(&dock, &task) else { return Ok(None) };
        // Once all of them are found, nothing else is looked at.
        let at_most = bounded(limit).min(usize::try_from(state.events).unwrap_or(LIMIT_AT_MOST));
        let reader = Reader::open(&shared.config.data.dir)?;
        let events = reader.events_of((&dock, stored_task(&task)), FLIGHTTASK_PROGRESS, at_most)?;
        let said = |(received_ms, payload): (u64, Vec<u8>)| Said {
            received_ms,
            event: serde_json::from_slice::<serde_json::Value>(&payload)
                .and_then(|_| serde_json::from_slice(&payload))
                .ok(),
        };
        let history = events.into_iter().map(said).collect();
        Ok::<_, dockside_store::Error>(Some(One {
            flight_task: view::flight_task(&shared, state),
            history,
        }))
    });
    match read.await {
        Ok(Ok(Some(one))) => Json(one).into_response(),
        Ok(Ok(None)) => {
            let text =
                "no flight task of this dock is known by this name; see /api/v1/flight-tasks\n";
            (StatusCode::NOT_FOUND, text).into_response()
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "the history of a flight task cannot be read");
            let text = "the store cannot be read; see the log\n";
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
