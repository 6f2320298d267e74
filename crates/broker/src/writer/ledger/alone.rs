//! An event with which nothing else is kept.

use dockside_store::Error;

use super::Ledger;
use crate::keep::Event;

impl Ledger {
    /// Keeps an event in a transaction of its own, which its statement begins and ends where there is nothing else to
    /// do in it: one event after the other costs least so. As [`Ledger::commit`].
    pub(crate) fn event_alone(&mut self, event: &Event<'_>) -> Result<u64, Error> {
        let events = std::slice::from_ref(event);
        if !self.is_hasty || self.has_given_up() || self.is_time_to_be_told() {
            self.begin()?;
            self.events(events)?;
            return self.commit();
        }
        self.events(events)?;
        self.store.committed();
        Ok(self.committed())
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::config::Limits;
    use crate::writer::ledger::tests::ledger;

    #[test]
    fn an_event_alone_is_kept_once_and_not_if_it_cannot_be() {
        let dir = TempDir::new().unwrap();
        let mut ledger = ledger(&dir, &Limits::default());
        ledger.is_hasty = true;
        let kept =
            |ledger: &Ledger| ledger.store.reader().unwrap().kept(9, 9, 9).unwrap().events.len();
        let seen = |ledger: &Ledger| ledger.store.reader().unwrap().kept(0, 9, 9).unwrap().seen;
        ledger.event_alone(&Event::numbered(1)).unwrap();
        let told = seen(&ledger);
        assert!(told.is_some(), "the first transaction tells the time");
        for event in [2, 2, 3].map(Event::numbered) {
            ledger.event_alone(&event).unwrap();
        }
        assert_eq!((kept(&ledger), seen(&ledger)), (3, told));
        let other = rusqlite::Connection::open(dockside_store::file(dir.path())).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert!(ledger.event_alone(&Event::numbered(4)).is_err());
        ledger.roll_back();
        other.execute_batch("ROLLBACK").unwrap();
        ledger.event_alone(&Event::numbered(4)).unwrap();
        assert_eq!(kept(&ledger), 4, "it was not taken for known");
        // Where the time is to be told it is in a transaction with that.
        ledger.seen_ms = None;
        assert!(ledger.is_time_to_be_told());
        ledger.event_alone(&Event::numbered(5)).unwrap();
        assert!(!ledger.is_time_to_be_told());
        assert_eq!(kept(&ledger), 5);
    }
}
