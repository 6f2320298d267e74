//! Events that the flight tasks do not follow yet, as they came: they need not be read from the store again.

use dockside_flighttask::answer::FLIGHTTASK_PROGRESS;

use crate::keep::{Event, Keep};
use crate::record::{self, Entries, Entry};

/// Bytes of them. Beyond that the store knows.
const AT_MOST: usize = 1 << 20;

/// Those since the flight tasks last followed.
pub(crate) struct Unfollowed {
    entries: Vec<u8>,
    /// So much of it is committed.
    committed: usize,
    /// It is all of them; those from before a restart are in the store alone.
    is_all: bool,
}

impl Unfollowed {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), committed: 0, is_all: false }
    }

    /// One more in the transaction that is open.
    pub(super) fn add(&mut self, event: &Event<'_>) {
        if !self.is_all || event.method != FLIGHTTASK_PROGRESS {
            return;
        }
        // What was read of it stands for its payload.
        let payload = if event.details.is_some() { b"" } else { event.payload };
        if self.entries.len() + payload.len() >= AT_MOST {
            *self = Self::new();
            return;
        }
        record::append(&mut self.entries, &Entry::Keep(Keep::Event(Event { payload, ..*event })));
    }

    pub(super) fn commit(&mut self) {
        self.committed = self.entries.len();
    }

    pub(super) fn roll_back(&mut self) {
        self.entries.truncate(self.committed);
    }

    /// Whether the flight tasks should follow, before the store must be asked: some two thousand events, which
    /// takes a millisecond.
    pub(super) fn is_half_full(&self) -> bool {
        self.entries.len() >= AT_MOST / 2
    }

    /// The flight tasks have followed.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        (self.committed, self.is_all) = (0, true);
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.entries.len()
    }

    /// All of them, in their order; none if only the store knows.
    pub(crate) fn all(&self) -> Option<impl Iterator<Item = Event<'_>>> {
        let events = Entries::new(&self.entries).filter_map(|entry| match entry {
            Entry::Keep(Keep::Event(event)) => Some(event),
            _ => None,
        });
        self.is_all.then_some(events)
    }
}

#[cfg(test)]
mod tests {
    use dockside_flighttask::TaskState;
    use dockside_interceptor as interceptor;
    use dockside_store::{Durability, Store};
    use tempfile::TempDir;

    use super::*;
    use crate::board::Board;
    use crate::config;
    use crate::keep::{self, Details};
    use crate::writer::history::History;

    const PAYLOAD: &[u8] = br#"{"bid":"b","timestamp":1747224838227,"data":{"output":{"ext":{"flight_id":"f","current_waypoint_index":3,"wayline_id":2,"wayline_mission_state":6,"media_count":5,"track_id":"t","break_point":{"break_reason":4}},"progress":{"current_step":19,"percent":42.5},"status":"ok"},"result":7}}"#;

    fn event(
        number: u8,
        details: Option<Details<'static>>,
        payload: &'static [u8],
    ) -> Event<'static> {
        let read = details.is_some();
        Event {
            received_ms: 1_747_224_838_228 + u64::from(number),
            gateway: "SIMDOCK1",
            method: FLIGHTTASK_PROGRESS,
            tid: "t",
            task: Some("f"),
            status: read.then_some("ok"),
            step: read.then_some(19),
            percent: read.then_some(42),
            result: read.then_some(7),
            key: [number; 16],
            details,
            payload,
        }
    }

    fn states(board: &Board) -> Vec<TaskState> {
        board.look(|tasks| tasks.iter().cloned().collect())
    }

    struct Room {
        _dir: TempDir,
        store: Store,
        history: History,
        board: Board,
    }

    impl Room {
        /// The first time whatever the store has is followed.
        fn new() -> Self {
            let dir = TempDir::new().unwrap();
            let store = Store::open(dir.path(), Durability::Commit).unwrap();
            let history = History::new(&[], &config::Store::default());
            let mut room = Self { _dir: dir, store, history, board: Board::new(Vec::new()) };
            room.follow();
            room
        }

        fn add(&mut self, events: &[Event<'_>], is_kept: bool) {
            self.store.begin().unwrap();
            self.history.events(&mut self.store, events).unwrap();
            if is_kept {
                self.store.commit().unwrap();
                self.history.commit();
            } else {
                self.store.roll_back();
                self.history.roll_back();
            }
        }

        fn follow(&mut self) {
            self.history.follow(&mut self.store, &self.board).unwrap();
        }

        fn sql(&self, sql: &str) {
            rusqlite::Connection::open(self.store.path()).unwrap().execute_batch(sql).unwrap();
        }

        /// The states that somebody sees who knows the store alone.
        fn of_the_store(&mut self) -> Vec<TaskState> {
            self.sql("DELETE FROM about WHERE name = 'flight_task_event'");
            let board = Board::new(Vec::new());
            board.follow(&mut self.store, &Unfollowed::new()).unwrap();
            states(&board)
        }
    }

    /// What [`PAYLOAD`] says.
    fn details() -> Details<'static> {
        let said = interceptor::Details {
            percent: Some(42.5),
            numbers: [Some(3), Some(2), Some(6), Some(5), Some(4)],
            track: None,
            device_ms: Some(1_747_224_838_227),
        };
        Details { numbers: Box::leak(Box::new(keep::numbers(&said))), track: Some("t") }
    }

    #[test]
    fn what_is_handed_over_says_what_the_store_does_and_is_not_read_there() {
        let mut room = Room::new();
        room.add(&[event(1, Some(details()), PAYLOAD)], true);
        // Neither what was not kept, nor a repetition, nor what is no progress.
        room.add(&[event(2, None, PAYLOAD)], false);
        let other = Event { method: "other", ..event(3, None, PAYLOAD) };
        room.add(&[event(1, None, PAYLOAD), other, event(4, None, PAYLOAD)], true);
        let stored = room.of_the_store();
        room.sql("DELETE FROM event");
        room.follow();
        assert_eq!(states(&room.board), stored);
        assert_eq!((stored.len(), stored[0].events, stored[0].percent), (1, 2, Some(42.5)));
    }

    #[test]
    fn what_could_not_be_followed_is_followed_later() {
        let mut room = Room::new();
        room.sql("CREATE TRIGGER never BEFORE INSERT ON flight_task BEGIN SELECT RAISE(ABORT, 'never'); END");
        room.add(&[event(1, Some(details()), PAYLOAD)], true);
        assert!(room.history.follow(&mut room.store, &room.board).is_err());
        assert!(states(&room.board).is_empty() && room.history.is_ahead());
        room.sql("DROP TRIGGER never");
        room.add(&[event(2, Some(details()), PAYLOAD)], true);
        room.sql("DELETE FROM event");
        room.follow();
        assert_eq!(states(&room.board)[0].events, 2);
    }

    #[test]
    fn what_is_too_much_is_read_from_the_store() {
        let mut room = Room::new();
        let long: &'static [u8] = Vec::leak([PAYLOAD, &vec![b' '; AT_MOST / 2]].concat());
        for number in 1..=4 {
            room.add(&[event(number, None, long)], true);
            assert!(room.history.unfollowed_bytes() <= AT_MOST);
        }
        // One that is too much in itself, and is not kept after all.
        room.add(&[event(6, None, long), event(7, None, long), event(8, None, long)], false);
        room.follow();
        assert_eq!(states(&room.board)[0].events, 4);
        // And what comes then is handed over again.
        room.add(&[event(5, Some(details()), PAYLOAD)], true);
        room.sql("DELETE FROM event");
        room.follow();
        assert_eq!(states(&room.board)[0].events, 5);
    }

    #[test]
    fn the_flight_tasks_follow_before_there_is_too_much() {
        let mut room = Room::new();
        let long: &'static [u8] = Vec::leak([PAYLOAD, &vec![b' '; AT_MOST / 8]].concat());
        let mut half_full = Vec::new();
        for number in 1..=4 {
            room.add(&[event(number, None, long)], true);
            half_full.push(room.history.is_half_full());
        }
        assert_eq!(half_full, [false, false, false, true]);
        assert!(room.history.is_far_ahead());
        room.sql("DELETE FROM event");
        room.follow();
        assert!(!room.history.is_half_full());
        assert_eq!(states(&room.board)[0].events, 4);
    }
}
