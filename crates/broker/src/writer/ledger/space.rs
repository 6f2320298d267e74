//! What goes because it is old, or because room is short.

use dockside_store::Error;

use super::Ledger;
use crate::writer::room::Look;

/// Rows that go at once when room is short.
const SPACE_ROWS: u32 = 2_000;

impl Ledger {
    /// Whether enough events have come to look for what is too old.
    pub(crate) fn is_trim_due(&self) -> bool {
        self.history.is_trim_due()
    }

    /// Forgets a part of the oldest events that are too old, or too many.
    pub(crate) fn trim(&mut self) -> Result<(), Error> {
        let now_ms = match self.clock.doubt() {
            None => self.clock.kept_ms(),
            // Then nothing is too old.
            Some(_) => 0,
        };
        self.history.trim(&mut self.store, now_ms)
    }

    /// Whether it is time to look at the room that is left.
    pub(crate) fn is_look_due(&mut self) -> bool {
        self.room.is_due()
    }

    /// Makes room, in transactions of its own: the oldest events go, then the oldest messages of the
    /// reader that most wait for. How many of each.
    pub(crate) fn make_space(&mut self) -> Result<(usize, usize), Error> {
        match self.room.look(&self.store)? {
            Look::Enough => Ok((0, 0)),
            Look::Loose => self.room.give_back(&mut self.store).map(|()| (0, 0)),
            Look::Short => {
                self.store.begin()?;
                let events = self.store.drop_oldest_events(SPACE_ROWS)?;
                let messages = if events == 0 { self.drop_of_largest()? } else { 0 };
                self.store.commit()?;
                self.waiting.commit();
                Ok((events, messages))
            }
        }
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
