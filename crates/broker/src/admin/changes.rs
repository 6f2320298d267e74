//! `GET /api/v1/changes`: what changes on the site, as server-sent events.
//!
//! | event | data |
//! |---|---|
//! | `snapshot` | `{"docks":[],"flight_tasks":[]}`: all of it, first and whenever a reader was too slow |
//! | `dock` | a dock, as in `/api/v1/docks` |
//! | `flight_task` | a flight task, as in `/api/v1/flight-tasks` |
//! | `site` | rates, latency of replies, conditions; every two seconds |

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::gate::Gate;
use crate::board::view::{self, DockView, FlightTask};
use crate::board::{Change, Wanted};
use crate::shared::Shared;

/// Readers at the same time; more are told to come again.
pub(super) const READERS: usize = 32;

/// Flight tasks of a snapshot: those under way and the latest others.
const TASKS: usize = 500;

const KEEP_ALIVE: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Snapshot {
    docks: Vec<DockView>,
    flight_tasks: Vec<FlightTask>,
}

/// One reader.
struct Reader {
    shared: Arc<Shared>,
    changes: Receiver<Change>,
    /// It has not had a snapshot, or lost changes since.
    is_behind: bool,
    stopping: CancellationToken,
    /// A login that ends ends what it reads.
    gate: Arc<Gate>,
    headers: HeaderMap,
    _place: OwnedSemaphorePermit,
}

/// What readers share.
pub(super) type Readers = (Arc<Shared>, Arc<Gate>, Arc<Semaphore>);

pub(super) async fn changes(
    State((shared, gate, places)): State<Readers>,
    headers: HeaderMap,
) -> Response {
    let Ok(place) = places.try_acquire_owned() else {
        let text = "too many readers of changes; try again later\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let reader = Reader {
        changes: shared.board.changes(),
        stopping: shared.stopping.clone(),
        shared,
        is_behind: true,
        gate,
        headers,
        _place: place,
    };
    let events = futures_util::stream::unfold(reader, async |mut reader| {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

impl Reader {
    /// The next event; none when the broker stops, or the reader has logged out.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if std::mem::take(&mut self.is_behind) {
                // What comes from here on is newer, or the same again.
                while !matches!(
                    self.changes.try_recv(),
                    Err(TryRecvError::Empty | TryRecvError::Closed)
                ) {}
                return Some(event("snapshot", &self.snapshot()));
            }
            let change = tokio::select! {
                change = self.changes.recv() => change,
                () = self.stopping.cancelled() => return None,
            };
            match change {
                Ok(Change::Site) if self.gate.visitor(&self.headers).is_none() => return None,
                Ok(change) => {
                    if let Some(event) = self.event(change) {
                        return Some(event);
                    }
                }
                Err(RecvError::Lagged(_)) => self.is_behind = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn event(&self, change: Change) -> Option<Event> {
        let shared = &self.shared;
        match change {
            Change::FlightTask(gateway, task) => {
                let state = shared.board.get(&gateway, &task)?;
                Some(event("flight_task", &view::flight_task(shared, state)))
            }
            Change::Dock(gateway) => {
                let dock = shared.docks.get(&gateway)?;
                Some(event("dock", &view::dock(shared, dock)))
            }
            Change::Site => {
                let site = shared.site.lock().expect("no panic while it is held").clone();
                Some(event("site", &site))
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let shared = &self.shared;
        let wanted = Wanted { at_most: TASKS, ..Wanted::default() };
        let (mut tasks, under_way) = (shared.board.list(&wanted), shared.board.under_way(TASKS));
        let known = |tasks: &[dockside_flighttask::TaskState],
                     state: &dockside_flighttask::TaskState| {
            tasks.iter().any(|t| t.gateway == state.gateway && t.task == state.task)
        };
        let older: Vec<_> = under_way.into_iter().filter(|state| !known(&tasks, state)).collect();
        tasks.extend(older);
        let docks = shared.docks.list().into_iter().map(|dock| view::dock(shared, dock));
        let flight_tasks = tasks.into_iter().map(|state| view::flight_task(shared, state));
        Snapshot { docks: docks.collect(), flight_tasks: flight_tasks.collect() }
    }
}

fn event(name: &'static str, data: &impl Serialize) -> Event {
    // JSON is one line.
    let data = serde_json::to_string(data).unwrap_or_default();
    Event::default().event(name).data(data)
}
