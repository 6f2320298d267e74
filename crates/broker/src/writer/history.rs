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

/// Looks at the oldest event between two at those behind it: after the clock was set back one of them may be older.
const LOOKS_A_TRIM: u32 = 20;

/// Looks at old events between two looks at old flight tasks.
const LOOKS_A_TASK_TRIM: u32 = 5 * LOOKS_A_TRIM;

/// Which events are known, and how long they are kept.
pub(super) struct History {
    known: Known,
    /// Of the transaction that is open.
    inserted: Vec<EventKey>,
    age_ms: u64,
    rows: u64,
    since_trim: usize,
    looks: u32,
    /// The last trim has found some that were too old.
    has_trimmed: bool,
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
            looks: 0,
            has_trimmed: false,
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
        self.known.look_ahead(events.iter().map(|event| EventKey::from_bytes(event.key)));
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
        let are_many =
            self.unfollowed_tasks.count >= TASKS_AT_ONCE || self.unfollowed.is_half_full();
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
    pub(super) fn is_half_full(&self) -> bool {
        self.unfollowed.is_half_full()
    }

    #[cfg(test)]
    pub(super) fn unfollowed_bytes(&self) -> usize {
        self.unfollowed.bytes()
    }

    pub(super) fn is_trim_due(&self) -> bool {
        self.since_trim >= TRIM_EVENTS as usize
    }

    /// Looks whether there may be anything to trim: where there was there may be more. Where there is not, the next look
    /// is due when as many events have come again.
    pub(super) fn is_anything_old(&mut self, store: &Store, now_ms: u64) -> Result<bool, Error> {
        let before_ms = now_ms.saturating_sub(self.age_ms);
        let is_old = self.has_trimmed
            || (self.looks + 1).is_multiple_of(LOOKS_A_TRIM)
            || store.is_oldest_event_old(before_ms, self.rows)?;
        if !is_old {
            self.looked();
        }
        Ok(is_old)
    }

    fn looked(&mut self) {
        self.since_trim = 0;
        self.looks = (self.looks + 1) % LOOKS_A_TASK_TRIM;
    }

    /// Flight tasks have followed what goes.
    pub(super) fn trim(
        &mut self,
        store: &mut Store,
        board: &Board,
        now_ms: u64,
    ) -> Result<(), Error> {
        let before_ms = now_ms.saturating_sub(self.age_ms);
        self.looked();
        if self.looks == 0 {
            // Looks at all of them.
            store.trim_flight_tasks(before_ms)?;
            board.forget(before_ms);
        }
        self.has_trimmed = store.trim_events(before_ms, self.rows, 2 * TRIM_EVENTS)? > 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dockside_store::Durability;
    use tempfile::TempDir;

    use super::*;

    fn event(gateway: &'static str, task: &'static str, number: u8) -> Event<'static> {
        Event { gateway, task: Some(task), ..Event::numbered(number.into()) }
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

    #[test]
    fn the_oldest_event_tells_whether_any_is_too_old_and_now_and_then_those_behind_it_are_looked_at()
     {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
        let board = Board::new(Vec::new());
        let config = config::Store { history_rows: 3, history_days: 1, ..config::Store::default() };
        let mut history = History::new(&[], &config);
        let keep = |history: &mut History, store: &mut Store, received_ms, number| {
            store.begin().unwrap();
            let event = Event { received_ms, ..event("SIMDOCK1", "a", number) };
            history.events(store, &[event]).unwrap();
            store.commit().unwrap();
            history.commit();
        };
        let day_ms = 24 * 3_600_000;
        assert!(!history.is_anything_old(&store, 10 * day_ms).unwrap(), "there is none");
        // The clock was set back between the two.
        keep(&mut history, &mut store, 2 * day_ms, 1);
        keep(&mut history, &mut store, day_ms, 2);
        let now_ms = 2 * day_ms + 1;
        for look in 2..LOOKS_A_TRIM {
            history.since_trim = TRIM_EVENTS as usize;
            assert!(!history.is_anything_old(&store, now_ms).unwrap(), "{look}");
            assert!(!history.is_trim_due());
        }
        let events = |store: &Store| store.reader().unwrap().kept(10, 10, 10).unwrap().events.len();
        assert!(history.is_anything_old(&store, now_ms).unwrap());
        history.trim(&mut store, &board, now_ms).unwrap();
        assert_eq!(events(&store), 1);
        assert!(history.is_anything_old(&store, now_ms).unwrap(), "there may be more");
        history.trim(&mut store, &board, now_ms).unwrap();
        assert!(history.is_anything_old(&store, 3 * day_ms + 1).unwrap(), "the oldest is too old");
        assert!(!history.is_anything_old(&store, now_ms).unwrap());
        (3..6).for_each(|number| keep(&mut history, &mut store, now_ms, number));
        assert!(history.is_anything_old(&store, now_ms).unwrap(), "there are too many");
        history.trim(&mut store, &board, now_ms).unwrap();
        assert_eq!(events(&store), 3);
    }
}
