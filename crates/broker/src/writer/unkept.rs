//! Events that nobody waits for: where answers promise nothing they are kept many at a time. A transaction for each
//! would take longer than everything else that is done for an event.

use std::time::{Duration, Instant};

/// Events that are kept at once, and their bytes: whoever comes next waits for them.
const EVENTS: usize = 512;
const BYTES: usize = 512 << 10;

/// How long the first of them waits for others.
const WAIT: Duration = Duration::from_millis(100);

/// Entries of events, in their order.
#[derive(Default)]
pub(super) struct Unkept {
    entries: Vec<u8>,
    count: usize,
    since: Option<Instant>,
}

/// How many there were.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    bytes: usize,
    count: usize,
}

impl Mark {
    pub(super) fn is_any(self) -> bool {
        self.count > 0
    }
}

impl Unkept {
    pub(super) fn push(&mut self, entry: &[u8]) {
        self.since.get_or_insert_with(Instant::now);
        self.entries.extend_from_slice(entry);
        self.count += 1;
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { bytes: self.entries.len(), count: self.count }
    }

    /// Lets go of those that came since.
    pub(super) fn back_to(&mut self, mark: Mark) {
        self.entries.truncate(mark.bytes);
        self.count = mark.count;
        if mark.count == 0 {
            self.since = None;
        }
    }

    /// Whether they are kept now.
    pub(super) fn is_due(&self) -> bool {
        self.are_many() || self.due_in().is_some_and(|time| time.is_zero())
    }

    /// Whether they are without a look at the clock.
    pub(super) fn are_many(&self) -> bool {
        self.count >= EVENTS || self.entries.len() >= BYTES
    }

    /// When they are if no more come.
    pub(super) fn due_in(&self) -> Option<Duration> {
        self.since.map(|since| WAIT.saturating_sub(since.elapsed()))
    }

    /// Whether a group is so large that its events are not left: they are kept with it, many at a time as they are.
    pub(super) fn are_many_in(entries: &[u8]) -> bool {
        entries.len() >= BYTES / 2
    }

    /// Whether the writer's thread, which sleeps for so long, must be woken.
    pub(super) fn wants(&self, sleeps: Duration) -> bool {
        self.are_many() || (self.count > 0 && sleeps > WAIT)
    }

    /// Takes all of them; their buffer comes back with [`Unkept::put_back`].
    pub(super) fn take(&mut self) -> Vec<u8> {
        (self.count, self.since) = (0, None);
        std::mem::take(&mut self.entries)
    }

    pub(super) fn put_back(&mut self, mut buffer: Vec<u8>) {
        if self.entries.is_empty() {
            buffer.clear();
            buffer.shrink_to(BYTES);
            self.entries = buffer;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use dockside_mqtt::QoS;
    use tempfile::TempDir;

    use super::*;
    use crate::config::{self, Limits};
    use crate::keep::{Event, Keep};
    use crate::live_log::{self, LogReader};
    use crate::metrics::StoreMetrics;
    use crate::record::{self, Entry, Published};
    use crate::writer::ledger::tests::ledger;
    use crate::writer::work::Work;
    use crate::writer::{Batch, From};

    /// A writer at the level `memory`.
    fn work(dir: &TempDir) -> (Work, LogReader) {
        let (log, reader, _) = live_log::open(&config::LiveLog::default()).unwrap();
        let mut ledger = ledger(dir, &Limits::default());
        ledger.are_answers_promises = false;
        let works = Arc::new(AtomicBool::new(true));
        let metrics = StoreMetrics::register(&works, Duration::from_secs(10));
        (Work::new(Arc::new(log), ledger, metrics), reader)
    }

    /// An event that is recorded and goes on.
    fn event(number: u64) -> Vec<u8> {
        let mut entries = Vec::new();
        let tid = number.to_string();
        let event = Event { tid: &tid, ..Event::numbered(number) };
        record::append(&mut entries, &Entry::Keep(Keep::Event(event)));
        let published = Published::by_broker("t", QoS::AtLeastOnce, b"{}");
        record::append(&mut entries, &Entry::Publish(published));
        entries
    }

    fn group(work: &mut Work, numbers: std::ops::Range<u64>) {
        let (mut entries, mut batches) = (Vec::new(), Vec::new());
        for number in numbers {
            entries.extend(event(number));
            let (end, from) = (entries.len(), From::session(1));
            batches.push(Batch { end, charge: 0, completion: None, from });
        }
        work.group(&entries, &mut batches);
        assert!(batches.is_empty(), "all are done");
    }

    fn kept(dir: &TempDir) -> Vec<u64> {
        let file = rusqlite::Connection::open(dockside_store::file(dir.path())).unwrap();
        let mut tids = file.prepare("SELECT tid FROM event ORDER BY id").unwrap();
        let tids = tids.query_map([], |row| row.get::<_, String>(0)).unwrap();
        tids.map(|tid| tid.unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn events_are_kept_when_there_are_many_or_the_first_has_waited_or_all_ends() {
        let dir = TempDir::new().unwrap();
        let (mut work, _reader) = work(&dir);
        group(&mut work, 0..1);
        assert!(kept(&dir).is_empty(), "nobody waits for it");
        assert!(work.unkept.wants(WAIT * 2) && !work.unkept.wants(WAIT));
        assert!(work.rest() <= WAIT, "the writer wakes for it");
        group(&mut work, 1..EVENTS as u64 - 1);
        assert!(work.unkept.since.is_some() && !work.unkept.are_many());
        group(&mut work, EVENTS as u64 - 1..EVENTS as u64 + 5);
        let all: Vec<u64> = (0..EVENTS as u64 + 5).collect();
        assert_eq!(kept(&dir), all, "they are many");
        assert!(work.unkept.due_in().is_none());
        group(&mut work, 5_000..5_001);
        work.unkept.since = Instant::now().checked_sub(WAIT);
        assert!(work.rest() > WAIT, "nothing is left");
        assert_eq!(kept(&dir)[all.len()..], [5_000], "it has waited");
        group(&mut work, 5_000..5_002);
        work.end();
        assert_eq!(kept(&dir)[all.len()..], [5_000, 5_001], "the same event once");
    }

    #[test]
    fn a_large_group_is_kept_at_once_behind_those_that_came_before() {
        let dir = TempDir::new().unwrap();
        let (mut work, _reader) = work(&dir);
        group(&mut work, 0..2);
        let payload = vec![b' '; BYTES / 2];
        let mut entries = Vec::new();
        let large = Event { tid: "2", payload: &payload, ..Event::numbered(2) };
        record::append(&mut entries, &Entry::Keep(Keep::Event(large)));
        let (end, from) = (entries.len(), From::session(1));
        work.group(&entries, &mut vec![Batch { end, charge: 0, completion: None, from }]);
        assert_eq!(kept(&dir), [0, 1, 2]);
        assert!(work.unkept.due_in().is_none(), "nothing is left");
    }

    #[test]
    fn where_they_cannot_be_kept_they_wait_before_those_that_come_then() {
        let dir = TempDir::new().unwrap();
        let (mut work, _reader) = work(&dir);
        let other = rusqlite::Connection::open(dockside_store::file(dir.path())).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        group(&mut work, 0..2);
        assert!(work.held.is_empty(), "nobody has tried yet");
        work.keep_unkept();
        assert!(!work.held.is_empty());
        group(&mut work, 2..4);
        assert!(work.unkept.due_in().is_none(), "nothing passes what is held");
        other.execute_batch("ROLLBACK").unwrap();
        work.retry();
        assert!(work.held.is_empty());
        assert_eq!(kept(&dir), [0, 1, 2, 3]);
    }

    #[test]
    fn one_that_cannot_be_kept_takes_no_other_along() {
        let dir = TempDir::new().unwrap();
        let (mut work, _reader) = work(&dir);
        let other = rusqlite::Connection::open(dockside_store::file(dir.path())).unwrap();
        let never = "CREATE TRIGGER never BEFORE INSERT ON event WHEN NEW.tid = '1'
                     BEGIN SELECT RAISE(ABORT, 'never'); END";
        other.execute_batch(never).unwrap();
        group(&mut work, 0..3);
        work.keep_unkept();
        assert!(work.held.is_empty());
        assert_eq!(kept(&dir), [0, 2]);
    }

    #[test]
    fn those_that_are_left_are_counted_when_they_are_kept() {
        let dir = TempDir::new().unwrap();
        let (mut work, _reader) = work(&dir);
        let mut entries = Vec::new();
        record::append(&mut entries, &Entry::Keep(Keep::Event(Event::numbered(1))));
        let share = work.effort.share();
        work.keep(&entries, true).unwrap();
        assert_eq!(work.effort.share(), share, "nothing was done for it yet");
        work.keep_unkept();
        assert_ne!(work.effort.share(), share);
    }
}
