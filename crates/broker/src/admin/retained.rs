//! `GET /api/v1/retained?filter=&after=&limit=`: retained messages that a filter matches, by topic.
//!
//! ```json
//! {"retained":[{"topic":"site/wind","qos":1,"payload_bytes":4,"preview":"12.5","age_ms":60000,
//!   "publisher":"weather-1","expires_ms":null}],"next":null}
//! ```
//! `next`, if there are more, is the `after` of the next page. `preview` is the beginning of the payload, null if that is
//! no text; `age_ms` is null for what came before the last start, and `publisher` where its session is not there any
//! more. They are read in pieces, so that no message waits for a list.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use dockside_mqtt::topic::{self, Filter};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::record::Instance;
use crate::retained::Listed;
use crate::shared::Shared;

/// What comes without `limit`, and at most.
const LIMIT: usize = 100;
const LIMIT_AT_MOST: usize = 1_000;

/// Entries that are looked at with a lock held.
const PIECE: usize = 256;

/// Bytes of a payload that are shown.
const PREVIEW_BYTES: usize = 120;

/// Those of a client identifier.
const PUBLISHER_BYTES: usize = 256;

/// One list at a time looks through all of them.
static LISTING: Mutex<()> = Mutex::const_new(());

pub(super) fn routes(shared: &Arc<Shared>) -> Router {
    Router::new().route("/api/v1/retained", get(list)).with_state(Arc::clone(shared))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    filter: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct List {
    retained: Vec<RetainedView>,
    next: Option<String>,
}

#[derive(Serialize)]
struct RetainedView {
    topic: String,
    qos: u8,
    payload_bytes: usize,
    preview: Option<String>,
    age_ms: Option<u64>,
    publisher: Option<Arc<str>>,
    expires_ms: Option<u64>,
}

async fn list(State(shared): State<Arc<Shared>>, Query(asked): Query<Asked>) -> Response {
    let filter = asked.filter.filter(|filter| !filter.is_empty()).unwrap_or("#".to_owned());
    if Filter::parse(&filter).is_err() || filter.starts_with("$share/") {
        let text = "`filter` is no topic filter: # stands alone or last, + alone between slashes\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    let _one = LISTING.lock().await;
    let at_most = asked.limit.unwrap_or(LIMIT).clamp(1, LIMIT_AT_MOST);
    let mut found = matching(&shared, &filter, asked.after.unwrap_or_default(), at_most + 1).await;
    let is_more = found.len() > at_most;
    found.truncate(at_most);
    let size = |listed: &Listed| listed.message.topic().len() + PREVIEW_BYTES + PUBLISHER_BYTES;
    let is_more = super::cut(&mut found, size) || is_more;
    let next = found.last().filter(|_| is_more).map(|last| last.message.topic().to_owned());
    let publishers = publishers(&shared, &found).await;
    let retained = found.iter().map(|listed| view(&shared, listed, &publishers)).collect();
    Json(List { retained, next }).into_response()
}

async fn matching(shared: &Shared, filter: &str, after: String, at_most: usize) -> Vec<Listed> {
    let now_ms = shared.clock.now_ms();
    let mut found = Vec::new();
    let mut behind = after;
    while found.len() < at_most {
        let retained = || shared.retained.read().expect("no panic while it is held");
        let piece = retained().piece(&behind, PIECE);
        let Some(last) = piece.last() else { break };
        last.message.topic().clone_into(&mut behind);
        let is_wanted = |listed: &Listed| {
            listed.message.expires_ms > now_ms && topic::matches(filter, listed.message.topic())
        };
        found.extend(piece.into_iter().filter(is_wanted));
        tokio::task::yield_now().await;
    }
    found.truncate(at_most);
    found
}

/// The client identifiers of those who published them and have a session.
async fn publishers(shared: &Shared, found: &[Listed]) -> HashMap<Instance, Arc<str>> {
    let wanted = found.iter().filter_map(|listed| listed.origin.map(|(publisher, _)| publisher));
    let wanted: HashSet<Instance> = wanted.filter(|publisher| *publisher != 0).collect();
    let mut names = HashMap::new();
    let mut from: Arc<str> = "".into();
    while names.len() < wanted.len() {
        let piece = shared.registry.piece(&from, PIECE);
        let is_last = piece.len() < PIECE;
        for seen in piece {
            if wanted.contains(&seen.mailbox.session()) {
                names.insert(seen.mailbox.session(), Arc::clone(&seen.client_id));
            }
            from = seen.client_id;
        }
        if is_last {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut behind = ("".into(), None);
    while names.len() < wanted.len() {
        let piece = shared.sessions.piece(&behind, PIECE);
        let Some(last) = piece.last() else { break };
        behind = last.owner.clone();
        let known = piece.into_iter().filter(|seen| wanted.contains(&seen.instance));
        names.extend(known.map(|seen| (seen.instance, seen.owner.0)));
        tokio::task::yield_now().await;
    }
    names
}

fn view(
    shared: &Shared,
    listed: &Listed,
    publishers: &HashMap<Instance, Arc<str>>,
) -> RetainedView {
    let message = &listed.message;
    let expires_ms = Some(message.expires_ms).filter(|at| *at != u64::MAX);
    let now_ms = shared.clock.now_ms();
    RetainedView {
        topic: message.topic().to_owned(),
        qos: message.qos.bits(),
        payload_bytes: message.payload().len(),
        preview: preview(message.payload()),
        age_ms: listed.origin.map(|(_, age)| age.as_millis() as u64),
        publisher: listed
            .origin
            .and_then(|(publisher, _)| publishers.get(&publisher).cloned())
            .map(shortened),
        expires_ms: expires_ms.map(|at| shared.clock.kept_ms() + at.saturating_sub(now_ms)),
    }
}

fn shortened(client_id: Arc<str>) -> Arc<str> {
    match client_id.floor_char_boundary(PUBLISHER_BYTES) {
        end if end < client_id.len() => client_id[..end].into(),
        _ => client_id,
    }
}

/// The beginning of a text.
fn preview(payload: &[u8]) -> Option<String> {
    let beginning = &payload[..payload.len().min(PREVIEW_BYTES)];
    match std::str::from_utf8(beginning) {
        Ok(text) => Some(text.to_owned()),
        // Cut within a letter.
        Err(error) if error.error_len().is_none() && beginning.len() < payload.len() => {
            std::str::from_utf8(&beginning[..error.valid_up_to()]).ok().map(str::to_owned)
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_text_and_ends_between_letters() {
        assert_eq!(preview(b"12.5").as_deref(), Some("12.5"));
        assert_eq!(preview(&[0xFF, 0]), None);
        assert_eq!(preview("\u{65e5}".repeat(41).as_bytes()).unwrap().chars().count(), 40);
        assert_eq!(preview("x\u{65e5}".repeat(31).as_bytes()).unwrap().len(), 120);
        assert_eq!(preview(&"\u{65e5}".as_bytes()[..2]), None, "it ends within a letter by itself");
    }
}
