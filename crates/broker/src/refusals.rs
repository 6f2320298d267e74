//! Why can't it connect? The last connections that were refused or dropped, the last requests that
//! were denied and events that got no reply, for whoever asks at three in the morning.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::arrivals::Pace;
use crate::clock;

/// Entries that are kept.
const ENTRIES: usize = 1_000;

/// Entries of one address; what comes beyond them is counted without saying whose it was. A client
/// that makes up names pushes nobody out that comes from elsewhere.
const OF_ONE_ADDRESS: usize = 700;

/// Lines a second that refusals may have in the log, with a second's worth at once.
const LINES_A_SECOND: u32 = 20;

/// Bytes of a text that a client chose.
const TEXT_BYTES: usize = 256;

/// How far a client had come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// The connection itself.
    Tcp,
    /// The TLS handshake.
    Tls,
    /// The WebSocket that MQTT is in.
    WebSocket,
    /// The CONNECT packet.
    Connect,
    /// User name and password.
    Password,
    /// What it may do.
    Acl,
    /// A configured limit.
    Limit,
    /// The protocol, after it was let in.
    Session,
    /// The reply to an event.
    Event,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::WebSocket => "websocket",
            Self::Connect => "connect",
            Self::Password => "password",
            Self::Acl => "acl",
            Self::Limit => "limit",
            Self::Session => "session",
            Self::Event => "event",
        }
    }
}

/// What happened, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Cause {
    pub(crate) reason: Cow<'static, str>,
    pub(crate) remedy: &'static str,
}

/// Whom it happened to, as far as is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whom<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) client_id: Option<&'a str>,
    pub(crate) user: Option<&'a str>,
    /// Topic name or filter of the request.
    pub(crate) topic: Option<&'a str>,
}

/// One entry, as the API shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Refusal {
    /// When it happened last; milliseconds since 1970.
    pub(crate) time_ms: u64,
    /// When it happened first.
    pub(crate) first_ms: u64,
    /// How often.
    pub(crate) count: u64,
    pub(crate) address: SocketAddr,
    pub(crate) client_id: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) topic: Option<String>,
    pub(crate) stage: Stage,
    pub(crate) reason: Cow<'static, str>,
    pub(crate) remedy: &'static str,
}

impl Refusal {
    /// Whether a serial number, client identifier, user, or address is this entry's.
    fn concerns(&self, query: &str) -> bool {
        let is = |text: &Option<String>| {
            text.as_ref().is_some_and(|text| text.eq_ignore_ascii_case(query))
        };
        let on_topic =
            |topic: &String| topic.split('/').any(|level| level.eq_ignore_ascii_case(query));
        is(&self.client_id)
            || is(&self.user)
            || self.topic.as_ref().is_some_and(on_topic)
            || self.address.ip().to_canonical().to_string() == query
            || self.address.to_string() == query
            // A client identifier may hold the serial number, as DRC's do.
            || self.client_id.as_ref().is_some_and(|id| id.split('-').any(|part| part == query))
    }
}

/// The last refusals. Equal ones are one entry with a count, so that a client that tries for ever
/// does not push out everybody else.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    state: Mutex<State>,
    said: Mutex<Said>,
    hasher: RandomState,
}

/// What the log has been given lately.
#[derive(Debug)]
struct Said {
    since: Instant,
    pace: Pace,
    left_out: u64,
}

impl Default for Said {
    fn default() -> Self {
        Self { since: Instant::now(), pace: Pace::fresh(LINES_A_SECOND, 0), left_out: 0 }
    }
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<(u64, Refusal)>,
    /// Entries taken out in front, ever.
    gone: usize,
    /// Place of an entry, counted from the first ever, by its hash.
    places: HashMap<u64, usize>,
    by_address: HashMap<IpAddr, usize>,
}

impl Refusals {
    /// Keeps it and logs it; what happens again and again is logged at its first, second, fourth,
    /// eighth time, and so on, if `sparingly`.
    pub(crate) fn record(&self, whom: Whom<'_>, stage: Stage, cause: Cause, sparingly: bool) {
        let Whom { address, client_id, user, topic } = whom;
        let count = {
            let mut state = self.state();
            let hash = self.hash(&whom, stage, &cause);
            match state.again(hash, address) {
                Some(count) => count,
                None if state.of_address(address) < OF_ONE_ADDRESS => {
                    state.push(hash, &whom, stage, &cause);
                    1
                }
                None => {
                    let somebody = Whom { client_id: None, user: None, topic: None, ..whom };
                    let hash = self.hash(&somebody, stage, &cause);
                    state.again(hash, address).unwrap_or_else(|| {
                        state.push(hash, &somebody, stage, &cause);
                        1
                    })
                }
            }
        };
        if sparingly && !count.is_power_of_two() {
            return;
        }
        if !self.may_be_said() {
            return;
        }
        // As text, so that what clients say in it cannot begin a line of its own.
        let (reason, remedy) = (&*cause.reason.into_owned(), cause.remedy);
        let text = |text: Option<&str>| text.map(shortened);
        let (client_id, user, topic) = (text(client_id), text(user), text(topic));
        if stage == Stage::Event {
            tracing::info!(%address, client_id, user, topic, count, reason, remedy, "no reply");
            return;
        }
        let stage = stage.as_str();
        tracing::info!(%address, client_id, user, topic, stage, count, reason, remedy, "refused or dropped");
    }

    /// Whether the log has room for another line: hostile clients fill no disk with their refusals, which are all
    /// counted, and the last of them in the list. What was left out is said with the next line that has room.
    fn may_be_said(&self) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = u64::try_from(said.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        if !said.pace.take(LINES_A_SECOND, now_ms) {
            said.left_out += 1;
            return false;
        }
        let left_out = std::mem::take(&mut said.left_out);
        if left_out > 0 {
            tracing::info!(
                left_out,
                "more was refused or dropped than the log has lines for; see `dockside why`"
            );
        }
        true
    }

    /// The newest first; with a query only those that concern it.
    pub(crate) fn list(&self, query: Option<&str>) -> Vec<Refusal> {
        let state = self.state();
        let asked = |refusal: &&Refusal| query.is_none_or(|query| refusal.concerns(query));
        let entries = state.entries.iter().map(|(_, refusal)| refusal).filter(asked);
        let mut list: Vec<Refusal> = entries.cloned().collect();
        drop(state);
        list.sort_by_key(|refusal| std::cmp::Reverse(refusal.time_ms));
        list
    }

    fn hash(&self, whom: &Whom<'_>, stage: Stage, cause: &Cause) -> u64 {
        let Whom { address, client_id, user, topic } = *whom;
        self.hasher.hash_one((address.ip(), client_id, user, topic, stage, &cause.reason))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// It has happened before: how often by now.
    fn again(&mut self, hash: u64, address: SocketAddr) -> Option<u64> {
        let place = self.places.get(&hash)?.checked_sub(self.gone)?;
        let (_, known) = self.entries.get_mut(place)?;
        known.count += 1;
        known.time_ms = clock::wall_ms();
        known.address = address;
        Some(known.count)
    }

    fn of_address(&self, address: SocketAddr) -> usize {
        self.by_address.get(&address.ip()).copied().unwrap_or(0)
    }

    fn push(&mut self, hash: u64, whom: &Whom<'_>, stage: Stage, cause: &Cause) {
        if self.entries.len() >= ENTRIES
            && let Some((oldest, refusal)) = self.entries.pop_front()
        {
            self.places.remove(&oldest);
            self.gone += 1;
            let address = refusal.address.ip();
            let left = self.of_address(refusal.address).saturating_sub(1);
            if left == 0 {
                self.by_address.remove(&address);
            } else {
                self.by_address.insert(address, left);
            }
        }
        *self.by_address.entry(whom.address.ip()).or_default() += 1;
        let now = clock::wall_ms();
        let refusal = Refusal {
            time_ms: now,
            first_ms: now,
            count: 1,
            address: whom.address,
            client_id: whom.client_id.map(shortened),
            user: whom.user.map(shortened),
            topic: whom.topic.map(shortened),
            stage,
            reason: cause.reason.clone(),
            remedy: cause.remedy,
        };
        self.places.insert(hash, self.gone + self.entries.len());
        self.entries.push_back((hash, refusal));
    }
}

/// A text that a client chose, bounded.
fn shortened(text: &str) -> String {
    if text.len() <= TEXT_BYTES {
        return text.to_owned();
    }
    let end = (0..=TEXT_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}...", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whom(client_id: &str) -> Whom<'_> {
        let address = SocketAddr::from(([192, 0, 2, 7], 40_000));
        Whom { address, client_id: Some(client_id), user: Some("DOCK1"), topic: None }
    }

    fn cause(reason: &'static str) -> Cause {
        Cause { reason: reason.into(), remedy: "do something" }
    }

    #[test]
    fn the_same_again_is_counted_and_a_thousand_others_are_kept() {
        let refusals = Refusals::default();
        for _ in 0..5 {
            refusals.record(whom("a"), Stage::Password, cause("wrong"), false);
        }
        refusals.record(whom("a"), Stage::Acl, cause("wrong"), true);
        let list = refusals.list(None);
        assert_eq!(list.iter().map(|r| r.count).collect::<Vec<_>>(), [5, 1]);
        for n in 0..3_000u16 {
            let address = SocketAddr::from(([192, 0, (n / 100) as u8, 7], 1));
            let name = n.to_string();
            refusals.record(Whom { address, ..whom(&name) }, Stage::Connect, cause("x"), true);
        }
        assert_eq!(refusals.list(None).len(), ENTRIES);
        let state = refusals.state();
        assert_eq!((state.places.len(), state.by_address.len()), (ENTRIES, 10));
        drop(state);
        // Known ones are found after others have gone.
        let address = SocketAddr::from(([192, 0, 29, 7], 2));
        let again = Whom { address, ..whom("2999") };
        refusals.record(again, Stage::Connect, cause("x"), true);
        assert_eq!(refusals.list(Some("2999"))[0].count, 2);
        assert!(refusals.list(Some("0")).is_empty());
    }

    /// Somebody who makes up names pushes out nobody else, and is counted.
    #[test]
    fn one_address_has_its_share() {
        let refusals = Refusals::default();
        let address = SocketAddr::from(([192, 0, 2, 99], 1));
        refusals.record(Whom { address, ..whom("dock") }, Stage::Password, cause("x"), false);
        for n in 0..3_000 {
            refusals.record(whom(&n.to_string()), Stage::Connect, cause("x"), true);
        }
        assert_eq!(refusals.list(Some("dock")).len(), 1);
        let list = refusals.list(None);
        assert_eq!(list.len(), 1 + OF_ONE_ADDRESS + 1);
        let others = list.iter().find(|refusal| refusal.client_id.is_none()).unwrap();
        assert_eq!(others.count, 3_000 - OF_ONE_ADDRESS as u64);
    }

    #[test]
    fn it_is_found_by_whatever_the_engineer_knows() {
        let refusals = Refusals::default();
        let topic = Some("thing/product/DRONE9/events");
        let entry = Whom { topic, ..whom("drc-SIM7") };
        refusals.record(entry, Stage::Acl, cause("x"), false);
        for query in ["drc-SIM7", "SIM7", "dock1", "DRONE9", "192.0.2.7", "192.0.2.7:40000"] {
            assert_eq!(refusals.list(Some(query)).len(), 1, "{query}");
        }
        for query in ["DOCK", "192.0.2.70", "thing/product", ""] {
            assert!(refusals.list(Some(query)).is_empty(), "{query}");
        }
    }

    #[test]
    fn what_a_client_chose_is_bounded() {
        let refusals = Refusals::default();
        refusals.record(whom(&"é".repeat(30_000)), Stage::Connect, cause("x"), false);
        assert!(refusals.list(None)[0].client_id.as_ref().unwrap().len() < 300);
    }
}
