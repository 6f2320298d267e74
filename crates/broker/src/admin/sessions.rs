//! `GET /api/v1/sessions?q=&after=&limit=`: sessions, connected or kept, in the order of their client identifiers.
//!
//! ```json
//! {"sessions":[{"client_id":"SIMDOCK1","user":"SIMDOCK1","is_connected":true,"address":"192.0.2.7:40000",
//!   "protocol":"3.1.1","transport":"tls","connected_ms":1747224838000,"expires_ms":null,"is_kept":true,
//!   "subscriptions":4,"queued_messages":0,"queued_bytes":0,"stored_messages":0,"stored_bytes":0,
//!   "inflight_in":0,"inflight_out":1}],"next":null}
//! ```
//! `next`, if there are more, is the `after` of the next page. Registry and sessions are read in pieces, so that no CONNECT
//! waits for a list; how a connected session stands, its connection tells. Connections that only just begin or end
//! are left out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use dockside_mqtt::Version;
use dockside_store::Reader;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::mailbox::Measured;
use crate::record::Instance;
use crate::registry::Seen;
use crate::sessions::{Owner, SeenAsleep};
use crate::shared::Shared;

/// What comes without `limit`, and at most.
const LIMIT: usize = 100;
const LIMIT_AT_MOST: usize = 1_000;

/// Entries that are looked at with a lock held.
const PIECE: usize = 256;

/// How long connections have to tell how they stand.
const TELLING: Duration = Duration::from_secs(1);

/// A connection is asked by one list at a time, and the store read by one.
static LISTING: Mutex<()> = Mutex::const_new(());

pub(super) fn routes(shared: &Arc<Shared>) -> Router {
    Router::new().route("/api/v1/sessions", get(list)).with_state(Arc::clone(shared))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    q: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct List {
    sessions: Vec<SessionView>,
    next: Option<String>,
}

#[derive(Serialize)]
struct SessionView {
    client_id: Arc<str>,
    user: Option<Arc<str>>,
    is_connected: bool,
    address: Option<SocketAddr>,
    protocol: Option<&'static str>,
    transport: Option<&'static str>,
    connected_ms: Option<u64>,
    expires_ms: Option<u64>,
    is_kept: bool,
    subscriptions: usize,
    queued_messages: usize,
    queued_bytes: usize,
    stored_messages: Option<u64>,
    stored_bytes: Option<u64>,
    inflight_in: u32,
    inflight_out: u32,
}

/// One of a page, before its connection has told how it stands.
enum Found {
    Connected(Seen),
    Asleep(SeenAsleep),
}

impl Found {
    fn owner(&self) -> Owner {
        match self {
            Self::Connected(seen) => (Arc::clone(&seen.client_id), seen.user.clone()),
            Self::Asleep(seen) => seen.owner.clone(),
        }
    }
}

async fn list(State(shared): State<Arc<Shared>>, Query(asked): Query<Asked>) -> Json<List> {
    let _one = LISTING.lock().await;
    let at_most = asked.limit.unwrap_or(LIMIT).clamp(1, LIMIT_AT_MOST);
    let query = asked.q.unwrap_or_default().to_lowercase();
    let after = owner_of(asked.after.as_deref().unwrap_or_default());
    let mut found = connected(&shared, &query, &after, at_most + 1).await;
    found.extend(asleep(&shared, &query, &after, at_most + 1).await);
    found.sort_by_key(Found::owner);
    let is_more = found.len() > at_most;
    found.truncate(at_most);
    let is_more = super::cut(&mut found, |found| found.owner().0.len()) || is_more;
    let next = found.last().filter(|_| is_more).map(|last| text_of(&last.owner()));
    let told = tell(&shared, found).await;
    let stored = stored(&shared, &told).await;
    let sessions = told.into_iter().map(|(instance, view)| {
        let stored = if view.is_kept { stored.as_ref() } else { None };
        let of_it = stored.map(|stored| stored.get(&instance).copied().unwrap_or_default());
        let of_it = if view.is_kept { of_it } else { Some((0, 0)) };
        SessionView {
            stored_messages: of_it.map(|(messages, _)| messages),
            stored_bytes: of_it.map(|(_, bytes)| bytes),
            ..view
        }
    });
    Json(List { sessions: sessions.collect(), next })
}

/// No client identifier or user name has a NUL in it (MQTT 5.0 section 1.5.4).
fn owner_of(text: &str) -> Owner {
    match text.split_once('\0') {
        Some((client_id, user)) => (client_id.into(), Some(user.into())),
        None => (text.into(), None),
    }
}

fn text_of((client_id, user): &Owner) -> String {
    user.as_ref().map_or_else(|| client_id.to_string(), |user| format!("{client_id}\0{user}"))
}

fn is_named(query: &str, (client_id, user): &Owner) -> bool {
    let has = |text: &str| text.to_lowercase().contains(query);
    query.is_empty() || has(client_id) || user.as_deref().is_some_and(has)
}

async fn connected(shared: &Shared, query: &str, after: &Owner, at_most: usize) -> Vec<Found> {
    let mut found = Vec::new();
    let mut from = Arc::clone(&after.0);
    while found.len() < at_most {
        let piece = shared.registry.piece(&from, PIECE);
        let is_last = piece.len() < PIECE;
        let Some(last) = piece.last() else { break };
        let next = Arc::clone(&last.client_id);
        for seen in piece {
            let owner = (Arc::clone(&seen.client_id), seen.user.clone());
            let is_new = owner > *after && (from != seen.client_id || from == after.0);
            let has_address = || seen.peer.ip().to_canonical().to_string() == query;
            if is_new && (is_named(query, &owner) || has_address()) {
                found.push(Found::Connected(seen));
            }
        }
        if is_last {
            break;
        }
        from = next;
        tokio::task::yield_now().await;
    }
    found.truncate(at_most);
    found
}

async fn asleep(shared: &Shared, query: &str, after: &Owner, at_most: usize) -> Vec<Found> {
    let mut found = Vec::new();
    let mut behind = after.clone();
    while found.len() < at_most {
        let piece = shared.sessions.piece(&behind, PIECE);
        let Some(last) = piece.last() else { break };
        behind = last.owner.clone();
        let named = piece.into_iter().filter(|seen| is_named(query, &seen.owner));
        found.extend(named.map(Found::Asleep));
        tokio::task::yield_now().await;
    }
    found.truncate(at_most);
    found
}

/// How they stand, in their order; without those that only begin or end.
async fn tell(shared: &Shared, found: Vec<Found>) -> Vec<(Instance, SessionView)> {
    let asked: Vec<_> = found
        .into_iter()
        .map(|found| match found {
            Found::Connected(seen) => (seen.client_id, Err(seen.mailbox.ask())),
            Found::Asleep(seen) => (Arc::clone(&seen.owner.0), Ok(seen)),
        })
        .collect();
    let until = tokio::time::Instant::now() + TELLING;
    let mut told = Vec::new();
    for (client_id, seen) in asked {
        match seen {
            Ok(seen) => told.push((seen.instance, asleep_view(shared, seen))),
            Err(asked) => {
                if let Ok(Ok(measured)) = tokio::time::timeout_at(until, asked).await {
                    told.push((measured.instance, connected_view(shared, client_id, measured)));
                }
            }
        }
    }
    told
}

/// What waits for kept sessions in the store; none if it cannot be read.
async fn stored(
    shared: &Arc<Shared>,
    told: &[(Instance, SessionView)],
) -> Option<HashMap<Instance, (u64, u64)>> {
    let kept = told.iter().filter(|(_, view)| view.is_kept);
    let kept: Vec<_> = kept.map(|(instance, _)| *instance).collect();
    if kept.is_empty() {
        return Some(HashMap::new());
    }
    let shared = Arc::clone(shared);
    let read = tokio::task::spawn_blocking(move || {
        let reader = Reader::open(&shared.config.data.dir)?;
        let waiting = |session| Ok((session, reader.waiting_for(session)?));
        kept.into_iter().map(waiting).collect::<Result<_, dockside_store::Error>>()
    });
    match read.await.ok()? {
        Ok(waiting) => Some(waiting),
        Err(error) => {
            tracing::warn!(%error, "what waits for sessions cannot be read");
            None
        }
    }
}

/// A moment of the monotonic clock, as time of the day.
fn wall_ms(shared: &Shared, at_ms: u64) -> u64 {
    shared.clock.kept_ms().saturating_add(at_ms).saturating_sub(shared.clock.now_ms())
}

fn asleep_view(shared: &Shared, seen: SeenAsleep) -> SessionView {
    let (client_id, user) = seen.owner;
    SessionView {
        client_id,
        user,
        is_connected: false,
        address: None,
        protocol: None,
        transport: None,
        connected_ms: None,
        expires_ms: Some(wall_ms(shared, seen.expires_ms)),
        is_kept: true,
        subscriptions: seen.subscriptions,
        queued_messages: seen.queued.0,
        queued_bytes: seen.queued.1,
        stored_messages: None,
        stored_bytes: None,
        inflight_in: seen.inflight[0],
        inflight_out: seen.inflight[1],
    }
}

fn connected_view(shared: &Shared, client_id: Arc<str>, measured: Measured) -> SessionView {
    SessionView {
        client_id,
        user: measured.user,
        is_connected: true,
        address: Some(measured.peer),
        protocol: Some(match measured.version {
            Version::V31 => "3.1",
            Version::V311 => "3.1.1",
            Version::V5 => "5.0",
        }),
        transport: Some(measured.transport.as_str()),
        connected_ms: Some(wall_ms(shared, measured.began_ms)),
        expires_ms: None,
        is_kept: measured.is_kept,
        subscriptions: measured.subscriptions,
        queued_messages: measured.queued.0,
        queued_bytes: measured.queued.1,
        stored_messages: None,
        stored_bytes: None,
        inflight_in: measured.inflight[0],
        inflight_out: measured.inflight[1],
    }
}
