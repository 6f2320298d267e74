//! The store is told the time now and then: after a start it says whether the clock may be believed.

use dockside_store::{Error, Seen};

use super::Ledger;
use crate::clock::Moment;

/// How often.
const SEE_MS: u64 = 10_000;

impl Ledger {
    /// What it is to be told, if that was long ago and the time is known.
    fn to_be_told(&self) -> Option<Moment> {
        let now_ms = self.clock.now_ms();
        let is_recent = self.seen_ms.is_some_and(|seen_ms| now_ms < seen_ms + SEE_MS);
        if is_recent { None } else { self.clock.believed() }
    }

    pub(super) fn is_time_to_be_told(&self) -> bool {
        self.to_be_told().is_some()
    }

    /// Tells it; when it was told last.
    pub(super) fn see(&mut self) -> Result<Option<u64>, Error> {
        let Some(Moment { wall_ms, boot, uptime_ms }) = self.to_be_told() else {
            return Ok(self.seen_ms);
        };
        self.store.seen(&Seen { wall_ms, boot, uptime_ms })?;
        Ok(Some(self.clock.now_ms()))
    }

    /// The store hears of it with this transaction.
    pub(crate) fn clock_accepted(&mut self) -> Result<(), Error> {
        self.seen_ms = None;
        Ok(())
    }
}
