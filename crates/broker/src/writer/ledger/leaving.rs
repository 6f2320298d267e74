//! What readers leave behind that have ended: it goes in pieces, a few rows with each transaction. All of it at once
//! would be waited for by whoever has something to be kept.

use std::collections::{HashMap, HashSet, VecDeque};

use dockside_store::{Error, Kept, ReaderId};

use super::Ledger;

/// Rows that go with a transaction, besides one for each that is added by it.
const ROWS: usize = 32;

/// Readers that have ended, and whose messages are in the store.
#[derive(Default)]
pub(super) struct Leaving {
    readers: VecDeque<ReaderId>,
    /// How many of them, at the end, have ended in the transaction that is open.
    ended: usize,
    /// Of which nothing is left in that transaction.
    gone: Vec<ReaderId>,
}

impl Leaving {
    /// Those of whom the last process has not forgotten everything; and what waits for the others.
    pub(super) fn new(kept: &Kept) -> (Self, HashMap<ReaderId, (usize, usize)>) {
        let sessions = kept.sessions.iter().map(|session| session.id);
        let known: HashSet<_> = sessions.chain(kept.shares.iter().map(|share| share.id)).collect();
        let mut waiting = kept.waiting.clone();
        let ended = waiting.extract_if(|reader, _| !known.contains(reader));
        let readers = ended.map(|(reader, _)| reader).collect();
        (Self { readers, ..Self::default() }, waiting)
    }

    /// A reader has ended that messages wait for.
    pub(super) fn end(&mut self, reader: ReaderId) {
        self.readers.push_back(reader);
        self.ended += 1;
    }

    /// Nothing of a reader is left.
    fn forget(&mut self, at: usize) {
        let is_of_this = at + self.ended >= self.readers.len();
        let Some(reader) = self.readers.remove(at) else { return };
        if is_of_this {
            self.ended -= 1;
        } else {
            self.gone.push(reader);
        }
    }

    pub(super) fn commit(&mut self) {
        self.ended = 0;
        self.gone.clear();
    }

    pub(super) fn roll_back(&mut self) {
        self.readers.truncate(self.readers.len() - self.ended);
        self.ended = 0;
        self.readers.extend(self.gone.drain(..));
    }
}

impl Ledger {
    /// Without a member that is kept, nothing is kept for a group.
    pub(super) fn end_group(&mut self, filter: &str) -> Result<(), Error> {
        if !filter.starts_with("$share/") || self.routes.groups.of(filter).is_some() {
            return Ok(());
        }
        let group = crate::dispatcher::groups::id(filter);
        self.leave_behind(group);
        self.store.end_share(group)
    }

    pub(super) fn leave_behind(&mut self, reader: ReaderId) {
        if self.waiting.forget(reader) {
            self.leaving.end(reader);
        }
    }

    /// Whether something is left of readers that have ended.
    pub(crate) fn is_leaving(&self) -> bool {
        !self.leaving.readers.is_empty()
    }

    /// What goes with every transaction: whatever is added, what is left does not grow.
    pub(super) fn leave_some(&mut self) -> Result<(), Error> {
        self.leave(ROWS + self.queued).map(|_| ())
    }

    /// Forgets so many messages of readers that have ended; how many there were.
    pub(crate) fn leave(&mut self, rows: usize) -> Result<usize, Error> {
        let (mut steps, mut forgotten) = (0, 0);
        while steps < rows
            && let Some(&reader) = self.leaving.readers.front()
        {
            let asked = rows - steps;
            let count = self.store.forget_waiting(reader, asked)?;
            forgotten += count;
            // Whoever waits for nothing takes time too.
            steps += count.max(1);
            if count < asked {
                self.leaving.forget(0);
            }
        }
        Ok(forgotten)
    }

    /// A group begins that may have ended before: it waits for nothing that came then.
    pub(super) fn leave_group(&mut self, group: ReaderId) -> Result<(), Error> {
        let Some(at) = self.leaving.readers.iter().position(|reader| *reader == group) else {
            return Ok(());
        };
        while self.store.forget_waiting(group, usize::from(u16::MAX))? > 0 {}
        self.leaving.forget(at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dockside_mqtt::QoS;
    use dockside_mqtt::packet::SubscriptionOptions;
    use tempfile::TempDir;

    use super::super::tests::{ledger, publish, with_session};
    use super::*;
    use crate::config::Limits;
    use crate::dispatcher::groups;
    use crate::record::Subscribed;

    /// Messages that readers wait for, and all that are kept.
    fn rows(dir: &TempDir) -> [usize; 2] {
        let connection = rusqlite::Connection::open(dockside_store::file(dir.path())).unwrap();
        ["queue", "message"].map(|table| {
            let count = format!("SELECT count(*) FROM {table}");
            connection.query_row(&count, [], |row| row.get::<_, isize>(0)).unwrap().cast_unsigned()
        })
    }

    /// One session and a group, for each of which so many messages wait.
    fn with_messages(ledger: &mut Ledger, each: usize) {
        with_session(ledger);
        ledger.begin().unwrap();
        for _ in 1..each {
            assert!(publish(ledger, "t", b"1") > 0 && publish(ledger, "u", b"1") > 0);
        }
        ledger.commit().unwrap();
    }

    fn end_of_session(ledger: &mut Ledger) {
        ledger.begin().unwrap();
        ledger.end(1).unwrap();
    }

    #[test]
    fn what_is_left_goes_in_pieces_also_after_a_restart() {
        let dir = TempDir::new().unwrap();
        let mut first = ledger(&dir, &Limits::default());
        with_messages(&mut first, 100);
        assert_eq!(rows(&dir), [200, 200]);
        end_of_session(&mut first);
        first.roll_back();
        assert!(!first.is_leaving(), "it has not ended");
        end_of_session(&mut first);
        first.commit().unwrap();
        assert_eq!(rows(&dir), [200 - ROWS; 2]);
        // What is not committed is to be forgotten again.
        first.begin().unwrap();
        assert_eq!(first.leave(150).unwrap(), 150);
        first.roll_back();
        assert_eq!(rows(&dir), [200 - ROWS; 2]);
        drop(first);
        let mut second = ledger(&dir, &Limits::default());
        assert!(second.is_leaving() && second.waiting.largest().is_none());
        let mut pieces = 0;
        while second.is_leaving() {
            second.begin().unwrap();
            second.commit().unwrap();
            pieces += 1;
        }
        assert_eq!(rows(&dir), [0, 0]);
        assert!(pieces >= 5, "{pieces}");
    }

    /// As long as messages come, what is left is not added to.
    #[test]
    fn more_goes_than_is_added() {
        let dir = TempDir::new().unwrap();
        let mut ledger = ledger(&dir, &Limits::default());
        with_messages(&mut ledger, 100);
        end_of_session(&mut ledger);
        ledger.queued = 100;
        ledger.commit().unwrap();
        assert_eq!(rows(&dir)[0], 100 - ROWS);
    }

    #[test]
    fn a_group_that_begins_again_waits_for_nothing_from_before() {
        let dir = TempDir::new().unwrap();
        let mut ledger = ledger(&dir, &Limits::default());
        with_messages(&mut ledger, 100);
        for is_one_transaction in [true, false] {
            let session =
                dockside_store::Session { client_id: "a".to_owned(), user: None, expiry_s: 60 };
            end_of_session(&mut ledger);
            if !is_one_transaction {
                ledger.commit().unwrap();
                ledger.begin().unwrap();
            }
            ledger.session(2, &session).unwrap();
            let options = SubscriptionOptions::qos(QoS::AtLeastOnce);
            let filter = "$share/g/u";
            ledger.subscribe(&Subscribed { instance: 2, options, id: 0, filter }).unwrap();
            let seq = publish(&mut ledger, "u", b"2");
            ledger.commit().unwrap();
            let all = (0, u64::MAX >> 1);
            let reader = ledger.store.reader().unwrap();
            let waits = reader.chunk(groups::id(filter), all, (1_000, 1_000_000)).unwrap();
            assert_eq!(waits.messages.iter().map(|m| m.seq).collect::<Vec<_>>(), [seq]);
            ledger.begin().unwrap();
            ledger.end(2).unwrap();
            while ledger.is_leaving() {
                ledger.commit().unwrap();
                ledger.begin().unwrap();
            }
            ledger.commit().unwrap();
            assert_eq!(rows(&dir), [0, 0]);
            with_messages(&mut ledger, 100);
        }
    }
}
