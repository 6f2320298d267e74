//! What goes because it is old, or because room is short.

use dockside_store::{Error, Mover, Usage};

use super::Ledger;
use crate::writer::room::{Look, Room};

/// Rows that go at once when room is short.
const SPACE_ROWS: u32 = 2_000;

/// What a look at the room has found, and what went.
pub(crate) struct Space {
    pub(crate) usage: Usage,
    pub(crate) is_disk_short: bool,
    /// Free bytes of the file went back to the file system.
    pub(crate) gave_back: bool,
    pub(crate) events: usize,
    pub(crate) messages: usize,
    /// Messages of readers that had ended.
    pub(crate) left: usize,
}

impl Space {
    fn of(usage: Usage) -> Self {
        Self { usage, is_disk_short: false, gave_back: false, events: 0, messages: 0, left: 0 }
    }

    /// Whether another look may find more.
    pub(crate) fn goes_on(&self) -> bool {
        self.gave_back || self.events + self.messages + self.left > 0
    }
}

impl Ledger {
    /// Whether enough events have come to look for what is too old.
    pub(crate) fn is_trim_due(&self) -> bool {
        self.history.is_trim_due() || self.is_audit_trim_due()
    }

    /// Forgets a part of the oldest events that are too old, or too many.
    pub(crate) fn trim(&mut self) -> Result<(), Error> {
        let now_ms = match self.clock.doubt() {
            None => self.clock.kept_ms(),
            // Then nothing is too old.
            Some(_) => 0,
        };
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
        self.board.follow(&mut self.store)?;
        self.history.has_followed();
        Ok(())
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

    /// Makes room, in transactions of its own: what readers have left that have ended goes, then the oldest events, then
    /// the oldest messages of the reader that most wait for.
    pub(crate) fn make_space(&mut self) -> Result<Space, Error> {
        self.room.begin_look();
        let usage = self.store.usage()?;
        let look = self.room.look(&usage);
        let mut space = Space::of(usage);
        match look {
            Look::Enough => {}
            Look::Loose => Room::give_back(&mut self.store)?,
            Look::DiskLoose => {
                (space.is_disk_short, space.gave_back) = (true, true);
                self.store.give_all_back()?;
            }
            Look::Short | Look::DiskShort => {
                space.is_disk_short = look == Look::DiskShort;
                if self.is_ahead() {
                    // If it cannot, the newest events are not those that go.
                    let _ = self.follow();
                }
                self.store.begin()?;
                space.left = self.leave(SPACE_ROWS as usize)?;
                if space.left == 0 {
                    space.events = self.store.drop_oldest_events(SPACE_ROWS)?;
                }
                if space.left + space.events == 0 {
                    space.messages = self.drop_of_largest()?;
                }
                self.store.commit()?;
                self.waiting.commit();
                self.leaving.commit();
            }
        }
        Ok(space)
    }

    fn drop_of_largest(&mut self) -> Result<usize, Error> {
        let Some(reader) = self.waiting.largest() else { return Ok(0) };
        let mut dropped = 0;
        while dropped < SPACE_ROWS as usize
            && let Some(oldest) = self.store.oldest(reader)?
        {
            self.done(reader, oldest)?;
            dropped += 1;
        }
        Ok(dropped)
    }
}
