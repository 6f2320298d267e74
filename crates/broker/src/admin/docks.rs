//! `GET /api/v1/docks`: the docks, by serial number; `GET /api/v1/docks/{sn}`: one of them, with its flight tasks,
//! the one that was heard of last first.
//!
//! ```json
//! {"docks":[{"dock":"SIMDOCK1","is_online":true,"is_silent":false,
//!   "model":{"domain":3,"type":2,"sub_type":0,"name":"Dock 2"},"firmware":"10.01.16.04",
//!   "aircraft":["SIMDRONE1"],"first_ms":1747224838000,"last_ms":1747224838300,"clock_offset_ms":-120,
//!   "is_clock_off":false,"events":120,"replies":118,"flight_task":null}]}
//! {"dock":{},"flight_tasks":[]}
//! ```
//! `flight_task` is the one under way, or else the last one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::board::Wanted;
use crate::board::view::{self, DockView, FlightTask};
use crate::shared::Shared;

/// Flight tasks that are told with a dock.
const TASKS: usize = 100;

#[derive(Serialize)]
pub(super) struct List {
    docks: Vec<DockView>,
}

#[derive(Serialize)]
struct One {
    dock: DockView,
    flight_tasks: Vec<FlightTask>,
}

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Json<List> {
    let docks = shared.docks.list().into_iter().map(|dock| view::dock(&shared, dock));
    Json(List { docks: docks.collect() })
}

pub(super) async fn one(State(shared): State<Arc<Shared>>, Path(dock): Path<String>) -> Response {
    let wanted = Wanted { dock: Some(dock.clone()), at_most: TASKS, ..Wanted::default() };
    let Some(dock) = shared.docks.get(&dock) else {
        let text = "no dock of this serial number has been heard of; see /api/v1/docks\n";
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let tasks = shared.board.list(&wanted).into_iter();
    let flight_tasks = tasks.map(|state| view::flight_task(&shared, state)).collect();
    Json(One { dock: view::dock(&shared, dock), flight_tasks }).into_response()
}
