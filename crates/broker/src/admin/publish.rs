//! `POST /api/v1/publish`: a message of an operator, through the same order as any: permit, plugins, lane.
//!
//! ```json
//! {"topic":"site/lights","text":"on","qos":1,"retain":false}
//! ```
//! `hex` in place of `text` for bytes; neither is an empty payload. At QoS 1 and 2, or retained, the answer comes once
//! the message is kept where somebody needs it kept, and in the live log.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use dockside_mqtt::packet::Publish;
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, topic};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::bounded::Peer;
use super::gate::Visitor;
use crate::access::Permit;
use crate::connection::Client;
use crate::publish::{self, Refused};
use crate::shared::Shared;

/// Bytes of a body; what is larger is published by an MQTT client.
const BODY_BYTES: usize = 256 << 10;

/// Publishes a second, of all operators together.
const A_SECOND: u32 = 20;

/// How long a publish may wait for its share of the way, and then to be kept.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longer topics are cut in the audit log.
const AUDITED_BYTES: usize = 128;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    topic: String,
    text: Option<String>,
    hex: Option<String>,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
}

#[derive(Serialize)]
struct Told {
    topic: String,
    bytes: usize,
    qos: u8,
    retain: bool,
}

/// How many there were in the second that began then.
#[derive(Default)]
struct Pace(Mutex<Option<(Instant, u32)>>);

impl Pace {
    fn may_go(&self, now: Instant) -> bool {
        let mut pace = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, count) = match *pace {
            Some((began, count)) if now - began < Duration::from_secs(1) => (began, count),
            _ => (now, 0),
        };
        *pace = Some((began, (count + 1).min(A_SECOND)));
        count < A_SECOND
    }
}

pub(super) fn routes(shared: &Arc<Shared>) -> Router {
    let limit = DefaultBodyLimit::max(BODY_BYTES);
    let state = (Arc::clone(shared), Arc::<Pace>::default());
    Router::new().route("/api/v1/publish", post(publish)).layer(limit).with_state(state)
}

type Refusal = (StatusCode, String);

async fn publish(
    State((shared, pace)): State<(Arc<Shared>, Arc<Pace>)>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    visitor: Option<Extension<Visitor>>,
    Json(asked): Json<Asked>,
) -> Response {
    let user = visitor.and_then(|Extension(visitor)| visitor.user);
    match publish_for(&shared, &pace, (user, peer), asked).await {
        Ok(told) => Json(told).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn publish_for(
    shared: &Arc<Shared>,
    pace: &Pace,
    (user, peer): (Option<Arc<str>>, std::net::SocketAddr),
    asked: Asked,
) -> Result<Told, Refusal> {
    let wrong = |text: String| (StatusCode::BAD_REQUEST, text);
    let topic = &*asked.topic;
    check(topic, shared).map_err(wrong)?;
    let payload = payload(asked.text, asked.hex).map_err(wrong)?;
    let qos = QoS::from_bits(asked.qos)
        .ok_or_else(|| wrong(format!("qos is 0, 1 or 2, not {}\n", asked.qos)))?;
    let needs_store = qos != QoS::AtMostOnce || asked.retain;
    if needs_store && !shared.store_works.load(Ordering::Relaxed) {
        let text = "the store cannot be written, so nothing is kept; see the log of the broker\n";
        return Err((StatusCode::SERVICE_UNAVAILABLE, text.to_owned()));
    }
    if !pace.may_go(Instant::now()) {
        let text = format!(
            "{A_SECOND} messages a second are published here at most; an MQTT client may do more\n"
        );
        return Err((StatusCode::TOO_MANY_REQUESTS, text));
    }
    let about = &topic[..topic.floor_char_boundary(AUDITED_BYTES)];
    let address = peer.ip().to_canonical().to_string();
    shared.audit("publish", (user.as_deref(), Some(address)), about);
    let publish = Publish {
        dup: false,
        qos,
        retain: asked.retain,
        packet_id: None,
        topic,
        properties: Properties::EMPTY,
        payload: &payload,
    };
    let client = Client::operator(shared, user, peer);
    let published = publish::for_operator(shared, &publish, &client, PATIENCE).await;
    let published = published.map_err(refused)?;
    if needs_store {
        published.kept(shared, PATIENCE).await.map_err(refused)?;
    }
    Ok(Told { topic: asked.topic, bytes: payload.len(), qos: asked.qos, retain: asked.retain })
}

fn refused(refused: Refused) -> Refusal {
    let text = match refused {
        Refused::NotAllowed => "only the broker itself publishes there\n",
        Refused::Busy => "the broker has too much on its way just now; nothing was published\n",
        Refused::NoRoomToRetain => {
            "no room to retain it (limits.retained_messages, limits.retained_bytes); nothing was published\n"
        }
        Refused::NotKept => {
            "it could not be kept in 10 s, and may be later: the store is slow or fails; see the log of the broker\n"
        }
    };
    (StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
}

/// Whether an operator may speak there: on every topic that is not the broker's own.
fn check(name: &str, shared: &Shared) -> Result<(), String> {
    if topic::check_name(name).is_err() {
        return Err(format!(
            "{name:?} is no topic to publish on: it is empty or has a + or #, which are for those who subscribe\n"
        ));
    }
    if name.contains('\0') {
        return Err("a topic has no character U+0000\n".to_owned());
    }
    publish::check_topic(name, shared)
        .map_err(|error| format!("the topic is {}\n", error.detail))?;
    Permit::for_operator(name).map(|_| ()).map_err(|_| {
        format!("only the broker itself publishes on {name:?}: choose a topic of your own\n")
    })
}

fn payload(text: Option<String>, hex: Option<String>) -> Result<Vec<u8>, String> {
    match (text, hex) {
        (Some(_), Some(_)) => Err("a payload is text or hex, not both\n".to_owned()),
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(hex)) => from_hex(&hex)
            .ok_or_else(|| "hex is two digits of 0-9 and a-f for each byte\n".to_owned()),
        (None, None) => Ok(Vec::new()),
    }
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            match pair {
                [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
                _ => None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_two_digits_a_byte() {
        assert_eq!(from_hex("00fF7a"), Some(vec![0, 255, 0x7a]));
        assert_eq!(from_hex(""), Some(vec![]));
        for odd in ["0", "0g", "日", "+1", "000"] {
            assert_eq!(from_hex(odd), None, "{odd}");
        }
    }

    #[test]
    fn so_many_a_second_and_no_more() {
        let (pace, now) = (Pace::default(), Instant::now());
        let count = |now| (0..100).filter(|_| pace.may_go(now)).count();
        assert_eq!(count(now), 20);
        assert_eq!(count(now + Duration::from_millis(999)), 0);
        assert_eq!(count(now + Duration::from_millis(1_000)), 20);
    }
}
