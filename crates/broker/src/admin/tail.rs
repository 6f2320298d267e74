//! `GET /api/v1/tail?filter=`: messages as they pass, as server-sent events. For operators only: payloads carry
//! credentials of stores and live streams.
//!
//! | event | data |
//! |---|---|
//! | `started` | `{"filter":"thing/#","messages_per_s":200,"bytes_per_s":524288}`: from here on |
//! | `message` | a message, with the beginning of its payload |
//! | `left_out` | `{"messages":42,"batches":0}`: what came too fast; a second apart at least |

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use dockside_mqtt::topic::Filter;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::bounded::Peer;
use super::gate::{Gate, Role, Visitor};
use crate::publish::check_size;
use crate::shared::Shared;
use crate::tail::{BYTES_A_SECOND, MESSAGES_A_SECOND, Next, READERS, Seat, Tail};

/// How often it is looked at whether a login lasts, and what was left out is told.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Longer filters are cut in the audit log.
const AUDITED_BYTES: usize = 128;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    filter: String,
}

/// One who looks on.
struct Reader {
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    headers: HeaderMap,
    seat: Seat,
    /// Whether its login lasts.
    looked: Instant,
    /// It has heard that it begins.
    started: Option<Event>,
}

pub(super) async fn tail(
    State((shared, gate)): State<(Arc<Shared>, Arc<Gate>)>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    visitor: Option<Extension<Visitor>>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let user = match visitor {
        Some(Extension(visitor)) if visitor.role == Role::Operator => visitor.user,
        _ => {
            let text = "messages carry credentials: only operators see them; who is one is named in admin.operators\n";
            return (StatusCode::FORBIDDEN, text).into_response();
        }
    };
    let filter = match asked {
        Ok(Query(Asked { filter })) => filter,
        Err(rejection) => return rejection.into_response(),
    };
    if let Err(problem) = check(&filter, &shared) {
        return (StatusCode::BAD_REQUEST, problem).into_response();
    }
    let Some(seat) = Tail::begin(&shared, &filter) else {
        let text = format!("{READERS} others look on already; try again later\n");
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let about = &filter[..filter.floor_char_boundary(AUDITED_BYTES)];
    let address = peer.ip().to_canonical().to_string();
    shared.audit("tail", (user.as_deref(), Some(address)), about);
    let started = json!({
        "filter": filter,
        "messages_per_s": MESSAGES_A_SECOND,
        "bytes_per_s": BYTES_A_SECOND,
    });
    let started = Some(Event::default().event("started").data(started.to_string()));
    let reader = Reader { shared, gate, headers, seat, looked: Instant::now(), started };
    let events = futures_util::stream::unfold(reader, async |mut reader| {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// What SUBSCRIBE asks of a filter, in words.
fn check(filter: &str, shared: &Shared) -> Result<(), String> {
    let parsed = Filter::parse(filter).map_err(|error| {
        format!(
            "{filter:?} is no topic filter: {}; + and # stand alone in a level, # at the end\n",
            error.detail
        )
    })?;
    if parsed.share.is_some() {
        return Err("looking on takes nothing from anybody, so there is nothing to share: leave out $share/name/\n".to_owned());
    }
    check_size(filter, &shared.config.limits).map_err(|_| {
        "the filter is longer than limits.topic_bytes, or has more levels than limits.topic_levels\n".to_owned()
    })
}

impl Reader {
    /// The next event; none when the broker stops, or the reader is no operator any more.
    async fn next(&mut self) -> Option<Event> {
        if let Some(started) = self.started.take() {
            return Some(started);
        }
        loop {
            if self.looked.elapsed() >= LOOK_EVERY {
                self.looked = Instant::now();
                let visitor = self.gate.visitor(&self.headers);
                if visitor.is_none_or(|visitor| visitor.role != Role::Operator) {
                    return None;
                }
            }
            match self.seat.desk.take(self.shared.clock.now_ms()) {
                Some(Next::Message(json)) => {
                    return Some(Event::default().event("message").data(&*json));
                }
                Some(Next::LeftOut(left)) => {
                    let left = json!({"messages": left.messages, "batches": left.batches});
                    return Some(Event::default().event("left_out").data(left.to_string()));
                }
                None => {}
            }
            tokio::select! {
                () = self.seat.desk.there.notified() => {}
                () = self.shared.stopping.cancelled() => return None,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}
