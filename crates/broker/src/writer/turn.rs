//! A turn of the writer's work on the thread of whoever rings, where that is quicker than waking the writer:
//! with one thing to do, two changes of thread cost as much as the work.
//!
//! Nothing here may wait for a disk or for somebody else: then the writer's own thread does it.

use std::sync::{Mutex, TryLockError};
use std::time::{Duration, Instant};

use super::work::Work;
use super::{Batch, WriterQueue};
use crate::record::{Entries, Entry};

/// A turn that took longer was waiting for something.
const SLOW: Duration = Duration::from_millis(5);

/// How long the writer's thread does everything after that.
const PAUSE: Duration = Duration::from_secs(1);

/// The work, for whoever has the turn; none once the writer has ended.
pub(super) type Desk = Mutex<Option<Work>>;

/// Bytes of a batch that is done in no time.
const QUICK_BYTES: usize = 16 << 10;

/// Whether what is asked for is quick: the end of a session or of a group can take all that waited for it along.
fn is_quick(entries: &[u8]) -> bool {
    let is_quick = |entry| match entry {
        Entry::End(session) => session == 0,
        Entry::Unsubscribe(..) | Entry::Revoke(..) | Entry::Large(..) => false,
        // A group that begins again forgets first what it waited for before.
        Entry::Subscribe(subscribed) => !subscribed.filter.starts_with("$share/"),
        _ => true,
    };
    entries.len() <= QUICK_BYTES && Entries::new(entries).all(is_quick)
}

/// What came of asking for a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// There is nothing to do.
    Idle,
    /// It is done. [`WriterQueue::finish_turn`] comes next, once whoever waited has had its answer.
    Taken,
    /// It is the writer's, who must be woken.
    Declined,
}

impl WriterQueue {
    /// Does what is queued, if that is one batch and nothing speaks against it.
    pub(crate) fn take_turn(&self) -> Turn {
        match self.group.lock().expect("no panic while it is held").batches.len() {
            0 => return Turn::Idle,
            1 => {}
            _ => return Turn::Declined,
        }
        let Some(mut desk) = self.desk.get().and_then(|desk| desk.try_lock().ok()) else {
            return Turn::Declined;
        };
        let Some(work) = desk.as_mut().filter(|work| work.may_be_anywhere()) else {
            return Turn::Declined;
        };
        let mut group;
        {
            // Whoever has the desk takes the group, and nobody else: there is one order.
            let mut queued = self.group.lock().expect("no panic while it is held");
            if queued.batches.len() != 1 || queued.closed || !is_quick(&queued.entries) {
                return Turn::Declined;
            }
            group = std::mem::take(&mut work.spare);
            std::mem::swap(&mut *queued, &mut group);
        }
        let started = Instant::now();
        let is_done = !work.is_for_many(&group.entries)
            && work.hasty_group(&group.entries, &mut group.batches);
        self.worked(work);
        if !is_done || started.elapsed() > SLOW {
            work.pause_until = Some(Instant::now() + PAUSE);
        }
        if is_done {
            group.entries.clear();
            work.spare = group;
            return Turn::Taken;
        }
        self.group.lock().expect("no panic while it is held").put_back(group);
        Turn::Declined
    }

    /// Lets what was kept in a turn go on. Whether the writer's own thread was woken.
    pub(crate) fn finish_turn(&self) -> bool {
        match self.desk.get().map(|desk| desk.try_lock()) {
            Some(Ok(mut desk)) => {
                let Some(work) = desk.as_mut() else { return false };
                work.go_on();
                if !work.is_log_to_finish() && work.ask_mover() && !work.wants_its_thread() {
                    return false;
                }
            }
            // The writer is at it, and begins with this.
            Some(Err(TryLockError::WouldBlock)) | None => return false,
            Some(Err(TryLockError::Poisoned(_))) => {}
        }
        self.wake();
        true
    }
}

impl Work {
    /// Whether a group may be done on any thread: nothing is before it, and nothing waits for a disk.
    pub(super) fn may_be_anywhere(&self) -> bool {
        let is_paused = self.pause_until.is_some_and(|until| until > Instant::now());
        let is_free = self.held.is_empty() && self.slow.is_empty() && !self.unkept.are_many();
        !is_paused && is_free && !self.ledger.waits_for_the_disk()
    }

    /// Keeps what of a group must be kept, and leaves what can be done later: that it goes on, and whatever
    /// nobody waits for. `false`, and nothing was done, if it cannot be kept now.
    pub(super) fn hasty_group(&mut self, entries: &[u8], batches: &mut Vec<Batch>) -> bool {
        self.go_on();
        self.out.clear();
        self.ledger.put_checkpoints_off(true);
        self.ledger.is_hasty = true;
        let kept = self.keep(entries, !self.ledger.are_answers_promises);
        self.ledger.is_hasty = false;
        self.ledger.put_checkpoints_off(self.mover.is_some());
        if kept.is_ok() {
            self.has_had_turns = true;
            self.complete(batches, true);
        }
        kept.is_ok()
    }

    /// Whether there is something for the writer's thread, which sleeps.
    pub(super) fn wants_its_thread(&self) -> bool {
        let ledger = &self.ledger;
        self.unkept.wants(self.sleeps)
            || ledger.is_far_ahead()
            || ledger.is_trim_due()
            || ledger.is_look_due()
            || self.idle_after() < self.sleeps
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
    use crate::live_log::{self, LogReader};
    use crate::metrics::StoreMetrics;
    use crate::record::{self, Published, Record};
    use crate::writer::ledger::tests::{ledger, with_session};
    use crate::writer::slow::tests::{HEAVY, work};
    use crate::writer::{From, Group};

    /// A queue whose desk nobody sits at, and a session that waits for `t`.
    fn queue(dir: &TempDir) -> (WriterQueue, LogReader) {
        let (log, reader, _) = live_log::open(&config::LiveLog::default()).unwrap();
        let mut ledger = ledger(dir, &Limits::default());
        with_session(&mut ledger);
        let works = Arc::new(AtomicBool::new(true));
        let metrics = StoreMetrics::register(&works, Duration::from_secs(10));
        (at(Work::new(Arc::new(log), ledger, metrics)), reader)
    }

    fn at(work: Work) -> WriterQueue {
        let queue = WriterQueue::default();
        let _ = queue.desk.set(Arc::new(Mutex::new(Some(work))));
        queue
    }

    fn append(queue: &WriterQueue, payload: &str) {
        let mut entry = Vec::new();
        let published = Published::by_broker("t", QoS::AtLeastOnce, payload.as_bytes());
        record::append(&mut entry, &Entry::Publish(published));
        queue.append(From::session(1_001), &entry, 1, None);
    }

    fn at_desk<T>(queue: &WriterQueue, act: impl FnOnce(&mut Work) -> T) -> T {
        act(queue.desk.get().unwrap().lock().unwrap().as_mut().unwrap())
    }

    /// The payloads of the next record, all of them kept.
    async fn next(reader: &mut LogReader) -> Vec<String> {
        let next = tokio::time::timeout(Duration::from_secs(20), reader.next());
        let bytes = next.await.expect("a record").unwrap();
        let entries = Record::parse(&bytes).unwrap().entries;
        let payload = |entry| match entry {
            Entry::Publish(published) if published.seq > 0 => {
                Some(String::from_utf8(published.payload.to_vec()).unwrap())
            }
            // A charge that comes back alone.
            Entry::End(0) => None,
            other => panic!("{other:?}"),
        };
        entries.filter_map(payload).collect()
    }

    #[tokio::test]
    async fn what_was_kept_in_a_turn_goes_on_when_it_is_finished() {
        let dir = TempDir::new().unwrap();
        let (queue, mut reader) = queue(&dir);
        assert_eq!(queue.take_turn(), Turn::Idle);
        append(&queue, "1");
        assert_eq!(queue.take_turn(), Turn::Taken);
        tokio::select! {
            biased;
            _ = reader.next() => panic!("it goes on before whoever waits has an answer"),
            () = std::future::ready(()) => {}
        }
        queue.finish_turn();
        assert_eq!(next(&mut reader).await, ["1"]);
        // Whoever comes next lets it go on where nobody has finished.
        append(&queue, "2");
        assert_eq!(queue.take_turn(), Turn::Taken);
        append(&queue, "3");
        assert_eq!(queue.take_turn(), Turn::Taken);
        assert_eq!(next(&mut reader).await, ["2"]);
        append(&queue, "4");
        append(&queue, "5");
        assert_eq!(queue.take_turn(), Turn::Declined, "two are the writer's");
    }

    #[tokio::test]
    async fn what_cannot_be_kept_now_is_first_again_and_nothing_passes_it() {
        let dir = TempDir::new().unwrap();
        let (queue, mut reader) = queue(&dir);
        let other = rusqlite::Connection::open(dockside_store::file(dir.path())).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        append(&queue, "1");
        assert_eq!(queue.take_turn(), Turn::Declined);
        append(&queue, "2");
        let mut group = std::mem::take(&mut *queue.group.lock().unwrap());
        at_desk(&queue, |work| {
            assert!(!work.may_be_anywhere(), "the writer's own thread is patient");
            work.pause_until = None;
            work.group(&group.entries, &mut group.batches);
            assert!(!work.may_be_anywhere(), "something is held");
        });
        other.execute_batch("ROLLBACK").unwrap();
        append(&queue, "3");
        assert_eq!(queue.take_turn(), Turn::Declined);
        let mut group = std::mem::take(&mut *queue.group.lock().unwrap());
        at_desk(&queue, |work| {
            work.group(&group.entries, &mut group.batches);
            work.retry();
        });
        let mut all = Vec::new();
        while all.len() < 3 {
            all.extend(next(&mut reader).await);
        }
        assert_eq!(all, ["1", "2", "3"]);
        assert!(at_desk(&queue, |work| work.may_be_anywhere()));
    }

    #[tokio::test]
    async fn what_may_take_long_or_waits_for_the_disk_is_the_writers() {
        let dir = TempDir::new().unwrap();
        let (queue, _reader) = queue(&dir);
        let decline = |entry: &Entry<'_>| {
            let mut bytes = Vec::new();
            record::append(&mut bytes, entry);
            queue.append(From::session(1_001), &bytes, 1, None);
            assert_eq!(queue.take_turn(), Turn::Declined, "{entry:?}");
            *queue.group.lock().unwrap() = Group::default();
        };
        decline(&Entry::End(1));
        decline(&Entry::Unsubscribe(1, "t"));
        let long = "x".repeat(QUICK_BYTES);
        decline(&Entry::Publish(Published::by_broker("t", QoS::AtLeastOnce, long.as_bytes())));
        let many_dir = TempDir::new().unwrap();
        let (work, _reader) = work(&many_dir, 1_000);
        let for_many = at(work);
        let mut entry = Vec::new();
        record::append(
            &mut entry,
            &Entry::Publish(Published::by_broker(HEAVY, QoS::AtLeastOnce, b"1")),
        );
        for_many.append(From::session(1_001), &entry, 1, None);
        assert_eq!(for_many.take_turn(), Turn::Declined);
        // The first that is written behind a checkpoint is synced.
        at_desk(&queue, |work| work.checkpoint());
        append(&queue, "1");
        assert_eq!(queue.take_turn(), Turn::Declined);
        let mut group = std::mem::take(&mut *queue.group.lock().unwrap());
        at_desk(&queue, |work| work.group(&group.entries, &mut group.batches));
        append(&queue, "2");
        assert_eq!(queue.take_turn(), Turn::Taken);
    }

    #[tokio::test]
    async fn after_a_turn_that_was_slow_the_writer_is_alone_for_a_while() {
        let dir = TempDir::new().unwrap();
        let (queue, _reader) = queue(&dir);
        at_desk(&queue, |work| work.pause_until = Some(Instant::now() + PAUSE));
        append(&queue, "1");
        assert_eq!(queue.take_turn(), Turn::Declined);
        at_desk(&queue, |work| work.pause_until = Some(Instant::now()));
        assert_eq!(queue.take_turn(), Turn::Taken);
    }
}
