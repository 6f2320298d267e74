//! What goes because it is old, or because room is short.

use std::time::{Duration, Instant};

use dockside_store::{Error, Mover, Usage};

use super::Ledger;
use crate::writer::room::{Look, Room};

/// Rows that go in a step when room is short: some may be large.
const STEP_ROWS: u32 = 32;

/// How long room is made at once: what need not be kept waits meanwhile.
const AT_MOST: Duration = Duration::from_millis(50);

/// What a look at the room has found, and what went.
pub(crate) struct Space {
    pub(crate) usage: Usage,
    pub(crate) is_disk_short: bool,
    pub(crate) events: usize,
    pub(crate) messages: usize,
}

impl Ledger {
    /// Whether enough events have come to look for what is too old.
    pub(crate) fn is_trim_due(&self) -> bool {
        self.history.is_trim_due() || self.is_audit_trim_due()
    }

    /// Whether anything may be too old, or too many; an error is that of whoever trims then.
    pub(crate) fn is_anything_old(&mut self) -> bool {
        let now_ms = self.age_ms();
        self.is_audit_trim_due()
            || self.history.is_anything_old(&self.store, now_ms).unwrap_or(true)
    }

    /// The time by which things are too old: none are while it is in doubt.
    fn age_ms(&self) -> u64 {
        if self.clock.doubt().is_none() { self.clock.kept_ms() } else { 0 }
    }

    /// Forgets a part of the oldest events that are too old, or too many.
    pub(crate) fn trim(&mut self) -> Result<(), Error> {
        let now_ms = self.age_ms();
        if self.is_audit_trim_due() {
            self.trim_audit(now_ms)?;
        }
        self.history.trim(&mut self.store, &self.board, now_ms)
    }

    /// Whether flight tasks do not stand yet as the events say.
    pub(crate) fn is_ahead(&self) -> bool {
        self.history.is_ahead()
    }

    /// Whether that is so for long.
    pub(crate) fn is_far_ahead(&self) -> bool {
        self.history.is_far_ahead()
    }

    /// Lets them follow, in a transaction of its own.
    pub(crate) fn follow(&mut self) -> Result<(), Error> {
        self.history.follow(&mut self.store, &self.board)
    }

    /// Whether it is time to look at the room that is left.
    pub(crate) fn is_look_due(&self) -> bool {
        self.room.is_due()
    }

    /// Whether the next commit waits for the disk.
    pub(crate) fn waits_for_the_disk(&self) -> bool {
        self.store.waits_for_the_disk()
    }

    /// Whether commits leave it to somebody else to move the store's log into its file.
    pub(crate) fn put_checkpoints_off(&mut self, are_put_off: bool) {
        self.store.put_checkpoints_off(are_put_off);
    }

    /// Whether somebody reads, and the mover could not move all.
    pub(crate) fn is_log_read(&self) -> bool {
        self.store.is_log_read()
    }

    /// Nothing is committed for a while.
    pub(crate) fn let_marks_go(&mut self) {
        self.store.let_marks_go();
    }

    /// Pages of the store's log that nobody has moved yet.
    pub(crate) fn log_rest(&self) -> u32 {
        self.store.log_rest()
    }

    pub(crate) fn is_checkpoint_due(&self) -> bool {
        self.store.is_checkpoint_due()
    }

    pub(crate) fn log_fill(&self) -> f64 {
        self.store.log_fill()
    }

    pub(crate) fn is_checkpoint_overdue(&self) -> bool {
        self.store.is_checkpoint_overdue()
    }

    pub(crate) fn mover(&self) -> Result<Mover, Error> {
        self.store.mover()
    }

    pub(crate) fn checkpoint(&mut self) {
        self.store.checkpoint();
    }

    /// Whether the last look has not made all the room that it wanted.
    pub(crate) fn wants_room(&self) -> bool {
        self.room.goes_on()
    }

    /// Makes room, in transactions of its own and for so long, or longer where the file is nearly full or its log is emptied first: what readers have
    /// left that have ended goes, then the oldest events, then the oldest messages of the reader that most wait for.
    pub(crate) fn make_space(&mut self, time: Duration) -> Result<Space, Error> {
        let began = Instant::now();
        self.room.begin_look();
        let usage = self.store.usage()?;
        let look = self.room.look(&usage);
        self.room.looked(look);
        let time = (time * self.room.haste(&usage)).min(AT_MOST);
        let is_disk_short = self.room.is_disk_short(look);
        let mut space = Space { usage, is_disk_short, events: 0, messages: 0 };
        match look {
            Look::Enough => {}
            Look::DiskLoose => {
                // First what needs no room of its own.
                self.store.empty_log()?;
                self.give_back(look, time)?;
                self.store.empty_log()?;
                let left = self.store.usage()?;
                self.room.is_stuck(left.log);
                let is_less = left.free + left.log < space.usage.free + space.usage.log;
                if is_less || self.room.look(&left) == Look::DiskShort {
                    self.room.look_again();
                }
            }
            Look::Loose => {
                if !self.give_back(look, time)? {
                    self.room.look_again();
                }
            }
            Look::Short | Look::DiskShort => self.free(look, began, time, &mut space)?,
        }
        Ok(space)
    }

    /// Lets go of what may for so long, or until there is something else to do.
    fn free(
        &mut self,
        look: Look,
        began: Instant,
        time: Duration,
        space: &mut Space,
    ) -> Result<(), Error> {
        if self.is_ahead() {
            // If it cannot, the newest events are not those that go.
            let _ = self.follow();
        }
        self.store.begin()?;
        // On the disk there is nothing more before it is given back.
        let mut is_to_go_on = look == Look::DiskShort;
        let mut is_all = false;
        while self.room.look(&self.store.usage()?) == look {
            let has_more = self.free_some(space)?;
            if !has_more || began.elapsed() >= time {
                is_to_go_on = has_more || space.events > 0;
                is_all = !is_to_go_on;
                break;
            }
        }
        self.store.commit()?;
        self.waiting.commit();
        self.leaving.commit();
        if is_all && look == Look::DiskShort && Room::is_worth_giving_back(&self.store.usage()?) {
            self.room.give_back(&mut self.store, look)?;
            self.store.empty_log()?;
            is_to_go_on = true;
        }
        if is_to_go_on {
            self.room.look_again();
        }
        Ok(())
    }

    /// Gives free bytes of the file back for so long, some in any case, or until there is something else to do: whether
    /// there is.
    fn give_back(&mut self, look: Look, time: Duration) -> Result<bool, Error> {
        let began = Instant::now();
        loop {
            let usage = self.store.usage()?;
            if usage.free == 0 || self.room.look(&usage) != look {
                return Ok(true);
            }
            self.room.give_back(&mut self.store, look)?;
            if began.elapsed() >= time {
                return Ok(false);
            }
        }
    }

    /// Whether something has gone. Messages do where no event has with the same look: that may have been enough.
    fn free_some(&mut self, space: &mut Space) -> Result<bool, Error> {
        if self.leave(STEP_ROWS as usize)? > 0 {
            return Ok(true);
        }
        let events = self.store.drop_oldest_events(STEP_ROWS)?;
        space.events += events;
        if space.events > 0 {
            return Ok(events > 0);
        }
        let messages = self.drop_of_largest()?;
        space.messages += messages;
        Ok(messages > 0)
    }

    fn drop_of_largest(&mut self) -> Result<usize, Error> {
        let Some(reader) = self.waiting.largest() else { return Ok(0) };
        let mut dropped = 0;
        while dropped < STEP_ROWS as usize
            && let Some(oldest) = self.store.oldest(reader)?
        {
            self.done(reader, oldest)?;
            dropped += 1;
        }
        Ok(dropped)
    }
}
