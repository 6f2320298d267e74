//! What must be kept of what happens, and for whom: the writer's own view of the sessions that are
//! kept, beside the store.
//!
//! Everything here takes part in the transaction that is open. What is remembered besides the store
//! is put back by [`Ledger::roll_back`].

use std::collections::HashMap;
use std::sync::Arc;

use dockside_mqtt::QoS;
use dockside_store::{Error, Kept, Message, ReaderId, Seq, Store, Subscription};

use self::ahead::Ahead;
pub(crate) use self::ahead::Many;
use self::leaving::Leaving;
use super::history::History;
use super::room::Room;
use super::waiting::AllWaiting;
use crate::board::Board;
use crate::clock::Clock;
use crate::config::{self, Limits};
use crate::dispatcher::routes::Routes;
use crate::keep::{Event, subscribed};
use crate::mailbox::AsleepBytes;
use crate::message::MESSAGE_OVERHEAD;
use crate::record::{Instance, Published, Subscribed};

/// How often a full queue is told of.
const SAY_FULL_MS: u64 = 60_000;

/// Sessions that are kept, what they subscribed to, and how much waits for each.
pub(crate) struct Ledger {
    store: Store,
    clock: Arc<Clock>,
    board: Arc<Board>,
    routes: Routes,
    last_seq: Seq,
    waiting: AllWaiting,
    dropped: u64,
    /// Sessions whose end is not committed yet, with their shared filters: `routes` has forgotten them, the
    /// store has not.
    ending: HashMap<Instance, Vec<Box<str>>>,
    /// Those of this transaction.
    ended: Vec<Instance>,
    leaving: Leaving,
    ahead: Ahead,
    /// Somebody waits for the transaction on a thread that is not the writer's.
    pub(crate) is_hasty: bool,
    /// Answers promise that something is kept.
    pub(crate) are_answers_promises: bool,
    /// Messages that readers wait for since the transaction began.
    queued: usize,
    history: History,
    room: Room,
    /// When the store was told the time.
    seen_ms: Option<u64>,
    said_full_ms: Option<u64>,
    /// Entries of the audit log since the last look at what is too old.
    audits: u32,
    /// How long they are kept, and how many.
    audit_bounds: (u64, u64),
}

impl Ledger {
    pub(crate) fn new(
        store: Store,
        kept: &Kept,
        (clock, board): (Arc<Clock>, Arc<Board>),
        (limits, config): (&Limits, &config::Store),
    ) -> Result<Self, Error> {
        let mut store = store;
        let room = Room::new(&mut store, config)?;
        let history = History::new(&kept.events, config);
        let mut routes = Routes::new(limits, Arc::new(AsleepBytes::new(limits)));
        for session in &kept.sessions {
            routes.begin(session.id);
            for subscription in &session.subscriptions {
                if let Some(subscribed) = subscribed(session.id, subscription) {
                    routes.subscribe(&subscribed);
                }
            }
        }
        let (leaving, waiting) = Leaving::new(kept);
        let waiting = AllWaiting::new(&waiting, limits);
        Ok(Self {
            last_seq: store.first_number(),
            store,
            clock,
            board,
            routes,
            waiting,
            dropped: 0,
            ending: HashMap::new(),
            ended: Vec::new(),
            leaving,
            ahead: Ahead::default(),
            is_hasty: false,
            are_answers_promises: config.durability != config::Durability::Memory,
            queued: 0,
            history,
            room,
            seen_ms: None,
            said_full_ms: None,
            audits: 0,
            audit_bounds: (u64::from(config.audit_days) * 24 * 3_600_000, config.audit_rows),
        })
    }

    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        self.store.begin()?;
        self.forget_given_up().inspect_err(|_| self.roll_back())
    }

    /// Ends the transaction; how many messages were dropped in it for want of room.
    pub(crate) fn commit(&mut self) -> Result<u64, Error> {
        if !self.is_hasty {
            self.leave_some()?;
        }
        let seen_ms = self.see()?;
        self.store.commit()?;
        self.seen_ms = seen_ms;
        Ok(self.committed())
    }

    /// It is: how many messages were dropped.
    fn committed(&mut self) -> u64 {
        self.room.committed(self.store.log_pages());
        self.waiting.commit();
        self.leaving.commit();
        self.commit_ahead();
        self.queued = 0;
        self.history.commit();
        for session in self.ended.drain(..) {
            self.ending.remove(&session);
        }
        std::mem::take(&mut self.dropped)
    }

    pub(crate) fn roll_back(&mut self) {
        self.store.roll_back();
        self.ended.clear();
        self.waiting.roll_back();
        self.leaving.roll_back();
        self.roll_back_ahead();
        self.queued = 0;
        self.dropped = 0;
        self.history.roll_back();
    }

    /// Messages that sessions and groups wait for, and their bytes.
    pub(crate) fn queued(&self) -> (usize, usize) {
        self.waiting.all()
    }

    /// Bytes that the store keeps of sessions themselves.
    pub(crate) fn session_bytes(&self) -> u64 {
        self.store.session_bytes()
    }

    #[cfg(test)]
    pub(super) fn reader(&self) -> Result<dockside_store::Reader, Error> {
        self.store.reader()
    }

    /// Its log is moved into the file at a quarter of so many bytes.
    #[cfg(test)]
    pub(super) fn bound_log(&mut self, bytes: u64) {
        self.store.bound(1 << 30, bytes).unwrap();
    }

    pub(crate) fn into_store(self) -> Store {
        self.store
    }

    /// Whether a session is kept.
    pub(crate) fn is_kept(&self, session: Instance) -> bool {
        self.routes.contains(session) || self.ending.contains_key(&session)
    }

    /// Whether somebody who is kept waits for a message, or will: it has to be in the store before it
    /// is acknowledged.
    pub(crate) fn wants(&mut self, published: &Published<'_>) -> bool {
        let is_own = published.topic.starts_with("$SYS/");
        (published.retain && !is_own) || self.is_queued(published)
    }

    /// Whether a session or group that is kept waits for it.
    fn is_queued(&mut self, published: &Published<'_>) -> bool {
        published.qos != QoS::AtMostOnce && self.routes.has_subscriptions() && {
            let matches = self.routes.matches(published.topic);
            !matches.groups.is_empty() || matches.routes.iter().any(|r| grants(r, published))
        }
    }

    /// Rows that a message takes, about.
    pub(crate) fn rows(&mut self, published: &Published<'_>) -> usize {
        if !self.wants(published) {
            return 0;
        }
        let matches = self.routes.matches(published.topic);
        1 + matches.routes.len() + matches.groups.len()
    }

    /// Keeps a message for everybody who waits for it; its number, or 0 if nobody does.
    pub(crate) fn publish(&mut self, published: &Published<'_>) -> Result<Seq, Error> {
        if !self.wants(published) {
            return Ok(0);
        }
        // Each that is kept has its place among them, whatever becomes of it.
        let ahead = self.next_ahead();
        let clears = published.retain && published.payload.is_empty();
        if clears && !self.is_queued(published) {
            // Nothing to add: it makes room even where there is none.
            self.store.retain(published.topic, None)?;
            return Ok(0);
        }
        let (seq, is_queued) = (ahead.unwrap_or(self.last_seq + 1), ahead.is_some());
        self.last_seq = seq;
        let now_ms = self.clock.kept_ms();
        let expires_ms = (published.expires_ms != u64::MAX)
            .then(|| now_ms + published.expires_ms.saturating_sub(self.clock.now_ms()));
        self.store.message(
            seq,
            &Message {
                topic: published.topic,
                qos: published.qos.bits(),
                retain: published.retain,
                properties: published.properties,
                payload: published.payload,
                accepted_ms: now_ms,
                expires_ms,
            },
        )?;
        if published.qos != QoS::AtMostOnce && !is_queued {
            let matches = self.routes.matches(published.topic);
            for at in 0..matches.routes.len() + matches.groups.len() {
                if matches.routes.get(at).is_none_or(|route| grants(route, published)) {
                    self.queue_for(&matches, at, seq, published)?;
                }
            }
        }
        if published.retain && !published.topic.starts_with("$SYS/") {
            let is_set = !published.payload.is_empty();
            self.store.retain(published.topic, is_set.then_some(seq))?;
            if !is_set {
                self.store.release(seq)?;
            }
        } else if is_queued {
            // All may have lost it for want of room.
            self.store.release(seq)?;
        }
        Ok(seq)
    }

    /// Counts one more for a reader, with this number; beyond its bounds it loses its oldest. What is queued ahead is not
    /// older, and whoever has nothing else has more than it may until that has come.
    fn make_room(&mut self, reader: ReaderId, seq: Seq, bytes: usize) -> Result<(), Error> {
        self.waiting.change(reader, 1, bytes as i64);
        self.queued += 1;
        loop {
            if !self.waiting.is_beyond(reader) {
                return Ok(());
            }
            let oldest = self.store.oldest(reader)?.filter(|oldest| *oldest < seq);
            let Some(oldest) = oldest else { return Ok(()) };
            self.done(reader, oldest)?;
            self.dropped += 1;
            self.say_full(reader);
        }
    }

    /// Once a minute, whoever it is: the counter tells how many.
    fn say_full(&mut self, reader: ReaderId) {
        let now_ms = self.clock.now_ms();
        if self.said_full_ms.is_none_or(|said_ms| now_ms >= said_ms + SAY_FULL_MS) {
            self.said_full_ms = Some(now_ms);
            tracing::warn!(
                queue = reader,
                "a queue is full and loses its oldest messages (limits.mailbox_messages, limits.mailbox_bytes); docs/store.md has a query for who does not read"
            );
        }
    }

    fn done(&mut self, reader: ReaderId, seq: Seq) -> Result<bool, Error> {
        let Some(bytes) = self.store.unqueue(reader, seq)? else { return Ok(false) };
        self.waiting.change(reader, -1, -(bytes as i64));
        self.store.release(seq)?;
        Ok(true)
    }

    pub(crate) fn session(
        &mut self,
        id: Instance,
        session: &dockside_store::Session,
    ) -> Result<(), Error> {
        if !self.routes.contains(id) {
            self.routes.begin(id);
        }
        self.store.session(id, session)
    }

    pub(crate) fn asleep(&mut self, id: Instance, expires_ms: u64) -> Result<(), Error> {
        self.store.asleep(id, expires_ms)
    }

    pub(crate) fn will(
        &mut self,
        session: Instance,
        will: Option<&dockside_store::Will>,
    ) -> Result<(), Error> {
        self.store.will(session, will)
    }

    pub(crate) fn not_retained(&mut self, topic: &str, seq: Seq) -> Result<(), Error> {
        self.store.not_retained(topic, seq)
    }

    pub(crate) fn events(&mut self, events: &[Event<'_>]) -> Result<(), Error> {
        self.history.events(&mut self.store, events)
    }

    /// A session ends. Nothing happens for one that is not kept.
    pub(crate) fn end(&mut self, id: Instance) -> Result<(), Error> {
        if !self.is_kept(id) {
            return Ok(());
        }
        let shared = match self.ending.get(&id) {
            Some(shared) => shared.clone(),
            None => self.routes.session(id).map(|(_, shared)| shared).unwrap_or_default(),
        };
        self.ending.insert(id, shared.clone());
        self.ended.push(id);
        self.store.end_session(id)?;
        self.store.will(id, None)?;
        self.leave_behind(id);
        self.routes.end(id);
        shared.iter().try_for_each(|filter| self.end_group(filter))
    }

    pub(crate) fn subscribe(&mut self, new: &Subscribed<'_>) -> Result<(), Error> {
        if !self.is_kept(new.instance) {
            return Ok(());
        }
        self.routes.subscribe(new);
        let subscription = Subscription {
            filter: new.filter.to_owned(),
            options: new.options.bits(),
            identifier: new.id,
        };
        self.store.subscribe(new.instance, &subscription)?;
        match self.routes.groups.of(new.filter) {
            Some(group) => {
                self.leave_group(group)?;
                self.store.share(group, new.filter)
            }
            None => Ok(()),
        }
    }

    pub(crate) fn unsubscribe(&mut self, session: Instance, filter: &str) -> Result<(), Error> {
        if !self.is_kept(session) {
            return Ok(());
        }
        self.routes.unsubscribe(session, filter);
        self.store.unsubscribe(session, filter)?;
        self.end_group(filter)
    }
}

/// Whether a session that is kept waits for a message if it is not connected.
fn grants(route: &crate::dispatcher::routes::Route, published: &Published<'_>) -> bool {
    route.grant(published).is_some_and(|grant| grant.qos.min(published.qos) != QoS::AtMostOnce)
}

/// What a message counts for, for each who waits for it.
fn size(published: &Published<'_>) -> usize {
    published.topic.len() + published.properties.len() + published.payload.len() + MESSAGE_OVERHEAD
}

mod ahead;
mod alone;
mod leaving;
mod site;
mod space;
pub(crate) use self::space::Space;
mod steps;
#[cfg(test)]
pub(super) mod tests;
mod told;
