//! `POST /api/v1/retained`: takes retained messages over; `POST /api/v1/retained/remove`: removes one.
//!
//! ```json
//! {"from":"192.0.2.9:1883","replace":false,"messages":[{"topic":"site/wind","qos":1,"payload":"MTIuNQ=="}]}
//! {"taken":1,"already_here":0,"refused":[{"topic":"$SYS/x","reason":"this topic is the broker's own"}]}
//! {"topic":"site/wind"}
//! ```
//! `payload` is base64. Both go through the writer and the live log, as a client's publish would, and are answered when
//! the dispatcher has seen them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use dockside_mqtt::QoS;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

use super::bounded::Peer;
use super::gate::Visitor;
use crate::access;
use crate::live_log::Aside;
use crate::publish::{append_by_reference, check_topic};
use crate::record::{self, Entry, Published};
use crate::retained::Room;
use crate::shared::Shared;

/// Messages that are handed to the writer at once: others have their turn in between.
const AT_ONCE: usize = 32;

/// Bytes of what somebody chose in the audit log.
const AUDITED_BYTES: usize = 256;

/// Nobody has counted what waits here against a budget: one request at a time.
static TAKING: Mutex<()> = Mutex::const_new(());

pub(super) fn routes(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/api/v1/retained", post(take))
        .route("/api/v1/retained/remove", post(remove))
        .with_state(Arc::clone(shared))
}

type Operator = Option<Extension<Visitor>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Remove {
    topic: String,
}

#[derive(Serialize)]
struct Removed {
    topic: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Take {
    /// Where they are from, for the audit log.
    from: String,
    /// Instead of what is here, too.
    replace: bool,
    messages: Vec<Taken>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Taken {
    topic: String,
    qos: u8,
    payload: String,
}

#[derive(Default, Serialize)]
struct Outcome {
    taken: usize,
    already_here: usize,
    refused: Vec<Refused>,
}

#[derive(Serialize)]
struct Refused {
    topic: String,
    reason: String,
}

async fn remove(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    visitor: Operator,
    Json(Remove { topic }): Json<Remove>,
) -> Response {
    let _one = TAKING.lock().await;
    if !has_come(&shared).await {
        return still_waits();
    }
    if access::is_the_brokers(&topic) || !has(&shared, &topic) {
        let text =
            "this topic has no retained message that could be removed; see /api/v1/retained\n";
        return (StatusCode::NOT_FOUND, text).into_response();
    }
    audit(&shared, visitor, peer, &format!("remove {topic}"));
    let empty = Published { retain: true, ..Published::by_broker(&topic, QoS::AtLeastOnce, b"") };
    let mut entries = Vec::new();
    append_by_reference(&shared, &mut entries, &empty);
    if is_done(&shared, entries).await {
        Json(Removed { topic }).into_response()
    } else {
        still_waits()
    }
}

async fn take(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    visitor: Operator,
    Json(Take { from, replace, messages }): Json<Take>,
) -> Response {
    let _one = TAKING.lock().await;
    if !has_come(&shared).await {
        return still_waits();
    }
    let count = messages.len();
    audit(&shared, visitor, peer, &format!("take {count} from {from}"));
    let mut outcome = Outcome::default();
    for messages in messages.chunks(AT_ONCE) {
        let mut entries = Vec::new();
        for message in messages {
            match put(&shared, &mut entries, message, replace) {
                Ok(true) => outcome.taken += 1,
                Ok(false) => outcome.already_here += 1,
                Err(reason) => {
                    let topic = message.topic.clone();
                    outcome.refused.push(Refused { topic, reason });
                }
            }
        }
        if !entries.is_empty() && !is_done(&shared, entries).await {
            return still_waits();
        }
    }
    Json(outcome).into_response()
}

/// Appends one, if it is not here already; an error is a reason for people.
fn put(
    shared: &Shared,
    entries: &mut Vec<u8>,
    message: &Taken,
    replace: bool,
) -> Result<bool, String> {
    let topic = &message.topic;
    check_topic(topic, shared).map_err(|error| error.detail.to_owned())?;
    if topic.starts_with('$') || access::is_the_brokers(topic) {
        return Err("this topic is the broker's own".to_owned());
    }
    if topic.contains('\0') {
        return Err("a topic has no character U+0000".to_owned());
    }
    if shared.interceptors.claim(topic) {
        // It would command a dock, or be a dock's event, past whoever answers or writes that down.
        return Err(
            "this topic is answered or written down by the broker: publish there".to_owned()
        );
    }
    let qos = QoS::from_bits(message.qos).ok_or("a QoS is 0, 1 or 2")?;
    let payload = BASE64_STANDARD.decode(&message.payload).map_err(|error| error.to_string())?;
    if payload.is_empty() {
        return Err("an empty payload is no retained message".to_owned());
    }
    if payload.len() + topic.len() > shared.config.limits.packet_bytes as usize {
        return Err("larger than limits.packet_bytes".to_owned());
    }
    if !replace && has(shared, topic) {
        return Ok(false);
    }
    let no_room = "limits.retained_messages or limits.retained_bytes is reached";
    let room: Room =
        shared.promise_to_retain(topic, topic.len() + payload.len()).map_err(|_| no_room)?;
    let message = Published::by_broker(topic, qos, &payload);
    append_by_reference(shared, entries, &Published { retain: true, room, ..message });
    Ok(true)
}

/// Waits until what was acknowledged before is retained: it is when the dispatcher has seen it.
async fn has_come(shared: &Shared) -> bool {
    is_done(shared, Vec::new()).await
}

fn has(shared: &Shared, topic: &str) -> bool {
    shared.retained.read().expect("no panic while it is held").has(topic)
}

/// Hands entries to the writer, and waits until the dispatcher has seen them; `false` if that takes longer than a
/// publisher would be let wait.
async fn is_done(shared: &Shared, mut entries: Vec<u8>) -> bool {
    let (passed, passing) = oneshot::channel();
    // In the same batch: what cannot be kept is held with it.
    let number = shared.log.put_aside(Aside::Barrier(passed));
    record::append(&mut entries, &Entry::Barrier(number));
    shared.append_ordered(&entries);
    let at_most = Duration::from_millis(shared.config.store.stall_timeout_ms);
    matches!(timeout(at_most, passing).await, Ok(Ok(())))
}

fn still_waits() -> Response {
    let text = "the store cannot be written: what was asked for waits, and is done when it can; see /readyz\n";
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

fn audit(shared: &Shared, visitor: Operator, peer: std::net::SocketAddr, about: &str) {
    let user = visitor.and_then(|Extension(visitor)| visitor.user);
    let address = peer.ip().to_canonical().to_string();
    let about = &about[..about.floor_char_boundary(AUDITED_BYTES)];
    shared.audit("retained", (user.as_deref(), Some(address)), about);
}
