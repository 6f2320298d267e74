//! What the writer does where nobody waits: behind a commit, and when nothing has come.

use std::time::Duration;

use super::history::FOLLOW;
use super::room::LOOK;
use super::work::Work;

/// Times that room is made at once, and where nobody waits.
pub(super) const SPACE_TRIES: usize = 8;
const IDLE_SPACE_TRIES: usize = 64;

/// What is added to the log before the mover is asked once more, in parts of what it may have before that.
const ASK_AGAIN: f64 = 0.25;

/// Messages of ended sessions that are forgotten at once where nobody waits.
const LEAVE_ROWS: usize = 100;

impl Work {
    /// What is done where no group waits; how long to sleep then.
    pub(super) fn rest(&mut self) -> Duration {
        match self.held.retry_in() {
            Some(time) if time.is_zero() => self.retry(),
            Some(_) => {}
            None if std::mem::take(&mut self.has_had_turns) => self.trim(),
            None => self.idle(),
        }
        self.sleeps = self.held.retry_in().unwrap_or_else(|| self.idle_after());
        self.sleeps
    }

    /// Events that are too old go in a transaction of their own, which may fail.
    pub(super) fn trim(&mut self) {
        self.checkpoint_if_due();
        if self.ledger.is_look_due() {
            self.make_space(SPACE_TRIES);
        }
        if self.ledger.is_far_ahead() {
            self.follow();
        }
        if !self.ledger.is_trim_due() {
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

    /// The mover's work. What is added while it is at it stays in the log, which begins anew only where nothing was: if
    /// something always is, the writer moves the rest before the log is too long, and that is a little.
    pub(super) fn checkpoint_if_due(&mut self) {
        if !self.ledger.is_checkpoint_due() {
            self.asked_at = 0.0;
            return;
        }
        match &self.mover {
            Some(mover) if !self.ledger.is_checkpoint_overdue() => {
                let fill = self.ledger.log_fill();
                if fill >= self.asked_at + ASK_AGAIN {
                    self.asked_at = fill;
                    mover.ask();
                }
            }
            _ => self.ledger.checkpoint(),
        }
    }

    /// Nothing has come for a while.
    pub(super) fn idle(&mut self) {
        if self.leaves_now() {
            self.leave();
        }
        self.checkpoint_if_due();
        if self.ledger.is_far_ahead() {
            self.follow();
        }
        if self.held.is_empty() && self.ledger.is_look_due() {
            self.make_space(IDLE_SPACE_TRIES);
        }
    }

    /// How long it may be idle before there is something to do.
    pub(super) fn idle_after(&self) -> Duration {
        if self.leaves_now() {
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
    pub(super) fn make_space(&mut self, tries: usize) {
        // More may have come since the last look than goes at once.
        for _ in 0..tries {
            match self.ledger.make_space() {
                Ok(space) => {
                    self.is_stuck = false;
                    if self.metrics.looked(&space) {
                        tracing::warn!(
                            "the file system has less free space than store.min_free_bytes: the oldest events go, then the oldest messages of the largest queue; free some"
                        );
                    }
                    if !space.goes_on() {
                        return;
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_stuck, true) {
                        tracing::warn!(%error, "room could not be made in the store; it is tried again");
                    }
                    return self.ledger.roll_back();
                }
            }
        }
    }
}
