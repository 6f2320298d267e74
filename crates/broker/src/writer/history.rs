//! The history of events: each is recorded once, however often it comes, and for a while.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use dockside_flighttask::answer::FLIGHTTASK_PROGRESS;
use dockside_flighttask::{EventKey, Known};
use dockside_store::{Error, Store};

use crate::board::Board;
use crate::config;
use crate::keep::Event;
use crate::writer::Unfollowed;

/// How long flight tasks may stand behind their events.
pub(super) const FOLLOW: Duration = Duration::from_secs(1);

/// Flight tasks that have events to follow when it is time to. Each is on another page of the file, perhaps: these take some
/// two milliseconds, and all that a second brings could take twenty.
const TASKS_AT_ONCE: u32 = 128;

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
    unfollowed: Unfollowed,
    unfollowed_tasks: Tasks,
    followed: Instant,
}

/// About how many flight tasks events are of: some are taken for the same.
#[derive(Default)]
struct Tasks {
    hashes: RandomState,
    seen: [u64; 32],
    count: u32,
}

impl Tasks {
    fn note(&mut self, event: &Event<'_>) {
        let hash = self.hashes.hash_one((event.gateway, event.task));
        let (word, bit) = (&mut self.seen[hash as usize / 64 % 32], 1 << (hash % 64));
        self.count += u32::from(*word & bit == 0);
        *word |= bit;
    }

    fn clear(&mut self) {
        (self.seen, self.count) = ([0; 32], 0);
    }
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
            unfollowed: Unfollowed::new(),
            unfollowed_tasks: Tasks::default(),
            followed: Instant::now(),
        }
    }

    /// Records events, but those that are known.
    pub(super) fn events(&mut self, store: &mut Store, events: &[Event<'_>]) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        store.events(events.iter().filter(|event| self.is_new(event)).map(|event| {
            dockside_store::Event {
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
            }
        }))
    }

    fn is_new(&mut self, event: &Event<'_>) -> bool {
        let key = EventKey::from_bytes(event.key);
        let is_new = self.known.insert_key(key);
        if is_new {
            self.inserted.push(key);
            self.unfollowed.add(event);
            if event.method == FLIGHTTASK_PROGRESS {
                self.unfollowed_tasks.note(event);
            }
        }
        is_new
    }

    pub(super) fn commit(&mut self) {
        self.since_trim += self.inserted.len();
        self.is_ahead |= !self.inserted.is_empty();
        self.inserted.clear();
        self.unfollowed.commit();
    }

    pub(super) fn roll_back(&mut self) {
        for key in self.inserted.drain(..) {
            self.known.forget(key);
        }
        self.unfollowed.roll_back();
    }

    /// Whether there are events that the flight tasks do not follow yet.
    pub(super) fn is_ahead(&self) -> bool {
        self.is_ahead
    }

    /// Whether they should by now.
    pub(super) fn is_far_ahead(&self) -> bool {
        let are_many = self.unfollowed_tasks.count >= TASKS_AT_ONCE;
        self.is_ahead && (are_many || self.followed.elapsed() >= FOLLOW)
    }

    /// Lets the flight tasks follow, in a transaction of its own.
    pub(super) fn follow(&mut self, store: &mut Store, board: &Board) -> Result<(), Error> {
        board.follow(store, &self.unfollowed)?;
        self.unfollowed.clear();
        self.unfollowed_tasks.clear();
        self.is_ahead = false;
        self.followed = Instant::now();
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn unfollowed_bytes(&self) -> usize {
        self.unfollowed.bytes()
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

#[cfg(test)]
mod tests {
    use dockside_store::Durability;
    use tempfile::TempDir;

    use super::*;

    fn event(gateway: &'static str, task: &'static str, number: u8) -> Event<'static> {
        Event {
            received_ms: 1,
            gateway,
            method: FLIGHTTASK_PROGRESS,
            tid: "t",
            task: Some(task),
            status: None,
            step: None,
            percent: None,
            result: None,
            key: [number; 16],
            details: None,
            payload: b"{}",
        }
    }

    #[test]
    fn many_tasks_are_followed_at_once_and_many_events_of_few_are_not() {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
        let board = Board::new(Vec::new());
        let mut history = History::new(&[], &config::Store::default());
        history.follow(&mut store, &board).unwrap();
        // Nothing in this test waits for a second.
        history.followed = Instant::now() + Duration::from_secs(3_600);
        store.begin().unwrap();
        for number in 0..=255 {
            let gateway = ["SIMDOCK1", "SIMDOCK2"][usize::from(number) % 2];
            history.events(&mut store, &[event(gateway, "a", number)]).unwrap();
        }
        for number in 0..=255 {
            let other = Event { method: "other", ..event("SIMDOCK1", "x", number) };
            history
                .events(
                    &mut store,
                    &[Event { key: [number, 1].repeat(8).try_into().unwrap(), ..other }],
                )
                .unwrap();
        }
        store.commit().unwrap();
        history.commit();
        assert!(history.is_ahead() && !history.is_far_ahead());
        assert_eq!(history.unfollowed_tasks.count, 2);
        let names: Vec<String> = (0..256).map(|n| format!("task-{n}")).collect();
        for name in names {
            history.unfollowed_tasks.note(&event("SIMDOCK1", name.leak(), 0));
        }
        assert!(history.is_far_ahead(), "{}", history.unfollowed_tasks.count);
        history.follow(&mut store, &board).unwrap();
        assert_eq!(history.unfollowed_tasks.count, 0);
        assert!(!history.is_far_ahead());
    }
}
