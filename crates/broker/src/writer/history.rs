//! The history of events: each is recorded once, however often it comes, and for a while.

use std::time::{Duration, Instant};

use dockside_flighttask::{EventKey, Known};
use dockside_store::{Error, Store};

use crate::board::Board;
use crate::config;
use crate::keep::Event;

/// How long flight tasks may stand behind their events.
pub(super) const FOLLOW: Duration = Duration::from_secs(1);

/// Events whose repetitions are recognized.
pub(crate) const KNOWN_EVENTS: usize = 1 << 16;

/// Events that come between two looks at what is too old; twice as many can go at once.
const TRIM_EVENTS: u32 = 1_000;

/// Looks at old events between two looks at old flight tasks.
const TRIMS_A_TASK_TRIM: u32 = 100;

/// Which events are known, and how long they are kept.
pub(super) struct History {
    known: Known,
    /// Of the transaction that is open.
    inserted: Vec<EventKey>,
    age_ms: u64,
    rows: u64,
    since_trim: usize,
    trims: u32,
    /// The flight tasks do not stand yet as the events say.
    is_ahead: bool,
    followed: Instant,
}

impl History {
    /// `keys` are those of the newest events, oldest first.
    pub(super) fn new(keys: &[Vec<u8>], config: &config::Store) -> Self {
        let mut known = Known::new(KNOWN_EVENTS);
        for key in keys.iter().filter_map(|key| key.as_slice().try_into().ok()) {
            known.insert_key(EventKey::from_bytes(key));
        }
        Self {
            known,
            inserted: Vec::new(),
            age_ms: u64::from(config.history_days) * 24 * 3_600_000,
            rows: config.history_rows,
            since_trim: 0,
            trims: 0,
            is_ahead: true,
            followed: Instant::now(),
        }
    }

    /// Records an event, unless it is known.
    pub(super) fn event(&mut self, store: &mut Store, event: &Event<'_>) -> Result<(), Error> {
        let key = EventKey::from_bytes(event.key);
        if !self.known.insert_key(key) {
            return Ok(());
        }
        self.inserted.push(key);
        store.event(&dockside_store::Event {
            received_ms: event.received_ms,
            gateway: event.gateway,
            method: event.method,
            tid: event.tid,
            task: event.task,
            status: event.status,
            step: event.step,
            percent: event.percent,
            result: event.result,
            key: &event.key,
            payload: event.payload,
        })
    }

    pub(super) fn commit(&mut self) {
        self.since_trim += self.inserted.len();
        self.is_ahead |= !self.inserted.is_empty();
        self.inserted.clear();
    }

    pub(super) fn roll_back(&mut self) {
        for key in self.inserted.drain(..) {
            self.known.forget(key);
        }
    }

    /// Whether there are events that the flight tasks do not follow yet.
    pub(super) fn is_ahead(&self) -> bool {
        self.is_ahead
    }

    /// Whether they should by now.
    pub(super) fn is_far_ahead(&self) -> bool {
        self.is_ahead && self.followed.elapsed() >= FOLLOW
    }

    /// The flight tasks have followed.
    pub(super) fn has_followed(&mut self) {
        self.is_ahead = false;
        self.followed = Instant::now();
    }

    pub(super) fn is_trim_due(&self) -> bool {
        self.since_trim >= TRIM_EVENTS as usize
    }

    /// Flight tasks have followed what goes.
    pub(super) fn trim(
        &mut self,
        store: &mut Store,
        board: &Board,
        now_ms: u64,
    ) -> Result<(), Error> {
        self.since_trim = 0;
        let before_ms = now_ms.saturating_sub(self.age_ms);
        self.trims = self.trims.wrapping_add(1);
        if self.trims.is_multiple_of(TRIMS_A_TASK_TRIM) {
            // Looks at all of them.
            store.trim_flight_tasks(before_ms)?;
            board.forget(before_ms);
        }
        store.trim_events(before_ms, self.rows, 2 * TRIM_EVENTS).map(|_| ())
    }
}
