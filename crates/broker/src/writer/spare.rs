//! What the writer does where nobody waits: behind a commit, and when nothing has come.

use std::time::Duration;

use super::history::FOLLOW;
use super::mover::Mover;
use super::room::LOOK;
use super::work::Work;

/// How long room is made behind a commit: somebody may wait for the next.
const SPACE: Duration = Duration::from_millis(1);

/// What is not in the store's file yet when the writer moves it itself, pages: that takes some 3 ms.
const FINISH_PAGES: f64 = 64.0;

/// By how much of that it is more for each length that the log may have before it is moved: where much is added while the mover
/// is at it, less is never left, and in the end all of it would be the writer's.
const FINISH_MORE: f64 = 8.0;

/// What is added to a log that could not begin anew before the mover is asked once more, in parts of what it may have
/// before that.
const ASK_AGAIN: f64 = 0.25;

/// Messages of ended sessions that are forgotten at once where nobody waits.
const LEAVE_ROWS: usize = 100;

/// The mover is done sooner.
const MOVES: Duration = Duration::from_secs(1);

impl Work {
    /// Whether there is something slow that goes on now. While the log is long, messages for more than a few wait for the
    /// mover, who is asked: the log begins anew where nothing is added while it is moved, and if somebody has to
    /// wait for that it is whoever adds most.
    pub(super) fn goes_on_with_slow(&mut self) -> bool {
        if self.slow.is_empty() {
            return false;
        }
        if self.mover.is_none() || !self.held.is_empty() {
            return true;
        }
        self.checkpoint_if_due();
        !(self.is_log_moved() && self.slow.first_waits_for_log())
    }

    /// Whether the log is long, and the mover is at it.
    pub(super) fn is_log_moved(&self) -> bool {
        let is_at_it = self.mover.as_ref().is_some_and(Mover::is_at_it);
        is_at_it && self.held.is_empty() && self.ledger.is_checkpoint_due()
    }

    /// What is done where no group waits; how long to sleep then.
    pub(super) fn rest(&mut self) -> Duration {
        if !self.slow.is_empty() {
            // The mover calls.
            self.sleeps = MOVES;
            return MOVES;
        }
        if self.unkept.is_due() {
            self.keep_unkept();
        }
        match self.held.retry_in() {
            Some(time) if time.is_zero() => self.retry(),
            Some(_) => {}
            None if std::mem::take(&mut self.has_had_turns) => self.trim(),
            None => self.idle(),
        }
        let sleeps = self.held.retry_in().unwrap_or_else(|| self.idle_after());
        self.sleeps = self.unkept.due_in().map_or(sleeps, |due_in| due_in.min(sleeps));
        self.sleeps
    }

    /// Events that are too old go in a transaction of their own, which may fail.
    pub(super) fn trim(&mut self) {
        self.checkpoint_if_due();
        if self.ledger.is_look_due() {
            self.make_space(SPACE);
        }
        if self.ledger.is_far_ahead() {
            self.follow();
        }
        if !self.ledger.is_trim_due() || !self.ledger.is_anything_old() {
            return;
        }
        if !self.follow() {
            return;
        }
        let ledger = &mut self.ledger;
        let trimmed = ledger.begin().and_then(|()| ledger.trim()).and_then(|()| ledger.commit());
        if let Err(error) = trimmed {
            tracing::warn!(%error, "old events could not be removed; they are when more have come");
            ledger.roll_back();
        }
    }

    /// The mover's work. What is added while it is at it stays in the log, which begins anew only where nothing was: when
    /// that is little, the writer moves it itself.
    pub(super) fn checkpoint_if_due(&mut self) {
        if self.is_log_to_finish() || !self.ask_mover() {
            self.is_moved = false;
            self.ledger.checkpoint();
        }
    }

    /// Whether the mover was there, and has left little.
    pub(super) fn is_log_to_finish(&self) -> bool {
        let is_idle = self.mover.as_ref().is_some_and(|mover| !mover.is_at_it());
        let ledger = &self.ledger;
        let is_little = f64::from(ledger.log_rest()) <= finish_pages(ledger.log_fill());
        self.is_moved && is_idle && ledger.is_checkpoint_due() && is_little
    }

    /// Asks the mover where the log is long; `false` if the writer must move it.
    pub(super) fn ask_mover(&mut self) -> bool {
        if !self.ledger.is_checkpoint_due() {
            (self.asked_at, self.is_moved) = (0.0, false);
            return true;
        }
        let Some(mover) = self.mover.as_ref().filter(|_| !self.ledger.is_checkpoint_overdue())
        else {
            return false;
        };
        let fill = self.ledger.log_fill();
        // Again where much was added; later where somebody reads, and it could not begin anew.
        let is_soon = self.is_moved && !self.ledger.is_log_read();
        if !mover.is_at_it() && (is_soon || fill >= self.asked_at + ASK_AGAIN) {
            (self.asked_at, self.is_moved) = (fill, true);
            mover.ask();
        }
        true
    }

    /// Nothing has come for a while.
    pub(super) fn idle(&mut self) {
        self.ledger.let_marks_go();
        if self.leaves_now() {
            self.leave();
        }
        self.checkpoint_if_due();
        if self.ledger.is_far_ahead() {
            self.follow();
        }
        if self.held.is_empty() && self.ledger.is_look_due() {
            self.make_space(SPACE);
        }
    }

    /// How long it may be idle before there is something to do.
    pub(super) fn idle_after(&self) -> Duration {
        if self.leaves_now() || self.ledger.wants_room() && self.held.is_empty() {
            return Duration::ZERO;
        }
        if self.ledger.is_ahead() { FOLLOW } else { LOOK }
    }

    /// Whether there is something to forget of readers that have ended, and nothing speaks against it.
    fn leaves_now(&self) -> bool {
        self.ledger.is_leaving() && self.held.is_empty() && !self.cannot_leave
    }

    /// A piece at a time: whoever has something to be kept waits for no more than that.
    fn leave(&mut self) {
        let ledger = &mut self.ledger;
        let left = ledger.begin().and_then(|()| ledger.leave(LEAVE_ROWS));
        if let Err(error) = left.and_then(|_| ledger.commit()) {
            tracing::warn!(%error, "what sessions have left that ended could not be removed; it goes with the next messages");
            self.cannot_leave = true;
            ledger.roll_back();
        }
    }

    /// Lets flight tasks stand as the events say; whether they do.
    pub(super) fn follow(&mut self) -> bool {
        if !self.held.is_empty() || !self.ledger.is_ahead() {
            return self.held.is_empty();
        }
        match self.ledger.follow() {
            Ok(()) => {
                self.is_behind = false;
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_behind, true) {
                    tracing::warn!(%error, "flight tasks cannot follow their events; it is tried again");
                }
                false
            }
        }
    }

    /// `store.max_bytes` and `store.min_free_bytes`: what goes for them is counted, so that somebody can be
    /// told.
    pub(super) fn make_space(&mut self, time: Duration) {
        match self.ledger.make_space(time) {
            Ok(space) => {
                self.is_stuck = false;
                if self.metrics.looked(&space) {
                    tracing::warn!(
                        "the file system has less free space than store.min_free_bytes: the oldest events go, then the oldest messages of the largest queue; free some"
                    );
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_stuck, true) {
                    tracing::warn!(%error, "room could not be made in the store; it is tried again");
                }
                self.ledger.roll_back();
            }
        }
    }
}

fn finish_pages(fill: f64) -> f64 {
    FINISH_PAGES * (1.0 + FINISH_MORE * (fill - 1.0).max(0.0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, channel};

    use tempfile::TempDir;

    use super::*;
    use crate::live_log::LogReader;
    use crate::writer::Group;
    use crate::writer::slow::tests::{HEAVY, LIGHT, add, work};

    /// With a small log, and a mover whose calls come.
    fn with_mover(dir: &TempDir) -> (Work, LogReader, Receiver<()>) {
        let (mut work, reader) = work(dir, 1);
        work.ledger.bound_log(8 << 20);
        let mover = work.ledger.mover().unwrap();
        let (done, is_done) = channel();
        let call = move || {
            let _ = done.send(());
        };
        let log = Arc::clone(&work.log);
        work.moves_with(Mover::start(move || mover.move_log(), log, call).unwrap());
        (work, reader, is_done)
    }

    #[test]
    fn where_nothing_comes_others_may_move_the_log() {
        let dir = TempDir::new().unwrap();
        let (mut work, _reader) = work(&dir, 1);
        for _ in 0..100 {
            let mut group = Group::default();
            add(&mut group, 2_001, &[LIGHT]);
            work.keep(&group.entries, false).unwrap();
        }
        let other = rusqlite::Connection::open(dockside_store::file(dir.path())).unwrap();
        other.busy_timeout(Duration::ZERO).unwrap();
        let move_all = "PRAGMA wal_checkpoint(TRUNCATE)";
        let is_busy = || other.query_row(move_all, [], |row| row.get::<_, bool>(0)).unwrap();
        assert!(is_busy());
        work.idle();
        assert!(!is_busy());
    }

    #[test]
    fn what_somebody_reads_is_asked_for_later_and_never_the_writers() {
        let dir = TempDir::new().unwrap();
        let (mut work, _reader, is_done) = with_mover(&dir);
        let other = rusqlite::Connection::open(dockside_store::file(dir.path())).unwrap();
        other.execute_batch("BEGIN; SELECT 1 FROM about").unwrap();
        while !work.ledger.is_checkpoint_due() {
            let mut group = Group::default();
            add(&mut group, 2_001, &[LIGHT]);
            work.keep(&group.entries, false).unwrap();
        }
        let moved = || {
            is_done.recv_timeout(Duration::from_secs(20)).expect("the mover is asked, and calls");
        };
        work.checkpoint_if_due();
        moved();
        let (rest, asked_at) = (work.ledger.log_rest(), work.asked_at);
        assert!(f64::from(rest) > finish_pages(work.ledger.log_fill()), "{rest}");
        work.checkpoint_if_due();
        // Not again at once, nor where nothing comes: it calls each time.
        work.idle();
        assert!(work.is_moved && work.asked_at <= asked_at);
        assert!(!work.mover.as_ref().unwrap().is_at_it() && is_done.try_recv().is_err());
        other.execute_batch("COMMIT").unwrap();
        while work.ledger.log_fill() < asked_at + ASK_AGAIN {
            let mut group = Group::default();
            add(&mut group, 2_001, &[LIGHT]);
            work.keep(&group.entries, false).unwrap();
        }
        work.checkpoint_if_due();
        moved();
        assert_eq!(work.ledger.log_rest(), 0);
        work.idle();
        assert!(!work.ledger.is_checkpoint_due(), "the writer has moved the little that was left");
    }

    #[test]
    fn the_log_begins_anew_though_much_is_added_whenever_it_is_moved() {
        let dir = TempDir::new().unwrap();
        let (mut work, _reader, is_done) = with_mover(&dir);
        let (mut asked, mut longest) = (0, 0.0_f64);
        for _ in 0..100_000 {
            let mut group = Group::default();
            add(&mut group, 2_001, &[LIGHT]);
            work.keep(&group.entries, false).unwrap();
            longest = longest.max(work.ledger.log_fill());
            // More than the writer takes at first, each time.
            if f64::from(work.ledger.log_rest()) > 1.5 * FINISH_PAGES {
                work.checkpoint_if_due();
                if work.mover.as_ref().unwrap().is_at_it() {
                    is_done.recv_timeout(Duration::from_secs(20)).expect("the mover calls");
                    asked += 1;
                } else if asked > 0 && !work.ledger.is_checkpoint_due() {
                    assert!(longest < 1.5, "{longest}");
                    return;
                }
            }
        }
        panic!("the log never began anew: {asked} {longest}");
    }

    #[test]
    fn while_the_log_is_long_what_is_slow_waits_for_the_mover_and_the_quick_does_not() {
        let dir = TempDir::new().unwrap();
        let (mut work, _reader) = work(&dir, 1_000);
        work.ledger.bound_log(8 << 20);
        let mover = work.ledger.mover().unwrap();
        let (done, is_done) = channel();
        let (goes, may_go) = channel();
        let moves = move || {
            // Or the test is over.
            let _ = may_go.recv();
            mover.move_log();
        };
        let call = move || {
            let _ = done.send(());
        };
        work.moves_with(Mover::start(moves, Arc::clone(&work.log), call).unwrap());
        let mut group = Group::default();
        let mut seen = [false; 2];
        for _ in 0..1_000 {
            if work.slow.is_empty() {
                add(&mut group, 2_001, &[HEAVY]);
            } else {
                add(&mut group, 2_002, &[LIGHT]);
            }
            let quick = work.ledger.queued().0;
            let is_heavy = work.slow.is_empty();
            work.sort(&mut group);
            if !is_heavy {
                work.group(&group.entries, &mut group.batches);
                assert_eq!(work.ledger.queued().0, quick + 1);
            }
            group = Group::default();
            let is_long = work.ledger.is_checkpoint_due();
            let goes_on = work.goes_on_with_slow();
            assert!(goes_on || is_long, "it waits for nothing");
            if goes_on {
                work.slice(0);
            } else {
                assert_eq!(work.rest(), MOVES);
                goes.send(()).unwrap();
                is_done.recv_timeout(Duration::from_secs(20)).expect("the mover calls");
                // One of those that it was not there for is finished by the writer.
                assert!(work.goes_on_with_slow() && !work.ledger.is_checkpoint_due());
                seen[0] = true;
            }
            seen[1] |= seen[0] && goes_on;
            if seen == [true; 2] {
                return;
            }
        }
        panic!("the log never was long: {seen:?}");
    }
}
