//! `GET /api/v1/flight-tasks?status=&dock=&since=&limit=`: how flight tasks stand, the one that was heard of
//! last first; `GET /api/v1/flight-tasks/{dock}/{task}?limit=`: one of them with its events, the newest first.
//!
//! ```json
//! {"flight_tasks":[{"dock":"SIMDOCK1","task":"f","status":"in_progress","is_over":false,"step":19,
//!   "percent":42.0,"waypoint":3,"wayline":0,"mission_state":6,"media_count":null,"break_reason":null,
//!   "result":0,"track":null,"device_ms":1747224838227,"first_ms":1747224838000,"last_ms":1747224838300,
//!   "events":12,"late":0,"reopened":0}]}
//! {"flight_task":{},"history":[{"received_ms":1747224838300,"event":{}}]}
//! ```
//! Times are milliseconds since 1970, `since` too. `media_count` is said once a task is over: before that
//! docks count what is on its way.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use dockside_flighttask::TaskState;
use dockside_store::Reader;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

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
    event: serde_json::Value,
}

#[derive(Serialize)]
struct FlightTask {
    dock: Arc<str>,
    task: Arc<str>,
    status: Option<Arc<str>>,
    is_over: bool,
    step: Option<i64>,
    percent: Option<f64>,
    waypoint: Option<i64>,
    wayline: Option<i64>,
    mission_state: Option<i64>,
    media_count: Option<i64>,
    break_reason: Option<i64>,
    result: Option<i64>,
    track: Option<Arc<str>>,
    device_ms: Option<u64>,
    first_ms: u64,
    last_ms: u64,
    events: u64,
    late: u64,
    reopened: u64,
}

impl From<TaskState> for FlightTask {
    fn from(state: TaskState) -> Self {
        let is_over = state.is_over();
        Self {
            dock: state.gateway,
            task: state.task,
            status: state.status,
            is_over,
            step: state.step,
            percent: state.percent,
            waypoint: state.waypoint,
            wayline: state.wayline,
            mission_state: state.mission_state,
            media_count: state.media_count.filter(|_| is_over),
            break_reason: state.break_reason,
            result: state.result,
            track: state.track,
            device_ms: state.device_ms,
            first_ms: state.first_ms,
            last_ms: state.last_ms,
            events: state.events,
            late: state.late,
            reopened: state.reopened,
        }
    }
}

fn bounded(limit: Option<usize>) -> usize {
    limit.unwrap_or(LIMIT).min(LIMIT_AT_MOST)
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Asked>,
) -> Response {
    let present = |text: Option<String>| text.filter(|text| !text.is_empty());
    let wanted = Wanted {
        status: present(asked.status),
        dock: present(asked.dock),
        since_ms: asked.since.unwrap_or(0),
        at_most: bounded(asked.limit),
    };
    // The board may be waiting for a disk.
    let listed = tokio::task::spawn_blocking(move || shared.board.list(&wanted)).await;
    match listed {
        Ok(states) => {
            let flight_tasks = states.into_iter().map(FlightTask::from).collect();
            Json(List { flight_tasks }).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
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
        let events = reader.events_of((&dock, stored_task(&task)), at_most)?;
        let said = |(received_ms, payload): (u64, Vec<u8>)| Said {
            received_ms,
            event: serde_json::from_slice(&payload).unwrap_or_default(),
        };
        let history = events.into_iter().map(said).collect();
        Ok::<_, dockside_store::Error>(Some(One { flight_task: state.into(), history }))
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
