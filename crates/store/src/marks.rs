//! Read marks that are held, so that transactions are shorter.
//!
//! Whoever reads, and every transaction begins with that, moves one of the four read marks of the write-ahead log to its
//! end and locks it: with the lock of who writes six calls of the system, as the locks are the system's. Within one
//! process SQLite counts them itself, and a mark that somebody has locked is not moved. Where connections of this
//! process hold all four, a transaction takes two calls.
//!
//! What comes behind a mark is not moved into the file while it is held, and the log does not begin anew: so they are let
//! go before the log should be moved, where nothing is committed, and where a transaction fails, as it does while another process moves
//! the log (<https://www.sqlite.org/walformat.html>, section 2.3.2, "WAL locks").

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::Error;

/// There is a fifth, for those who need nothing of the log.
const MARKS: usize = 4;

/// Commits before the first is held: it is worth more of them.
const COMMITS: u32 = 64;

/// How long the log may be, in parts of that at which it is moved. Who begins to read while marks are held shares the newest of
/// them, as old as it may be: there is time for that to be over before the log is moved.
pub(crate) const LOG_FILL: f64 = 0.75;

/// Connections that hold a mark each, or none.
pub(crate) struct Marks {
    holders: Vec<Connection>,
    held: usize,
    commits: u32,
    /// How long the log was when one was held last.
    at: u32,
}

impl Marks {
    pub(crate) fn new(path: &Path) -> Result<Self, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let holders = (0..MARKS).map(|_| Connection::open_with_flags(path, flags));
        let holders = holders.collect::<Result<Vec<_>, _>>()?;
        holders.iter().try_for_each(|holder| holder.busy_timeout(Duration::ZERO))?;
        let marks = Self { holders, held: 0, commits: 0, at: 0 };
        // They read the schema now, and not when somebody waits.
        marks.holders.iter().try_for_each(|holder| hold(holder).and_then(|()| let_go(holder)))?;
        Ok(marks)
    }

    /// Something was committed to a log that is not long: one more mark is held, until all are.
    pub(crate) fn committed(&mut self, log_pages: u32) {
        let Some(holder) = self.holders.get(self.held) else { return };
        self.commits += 1;
        // Two that begin at the same end of the log hold one mark.
        if self.commits < COMMITS || log_pages == self.at {
            return;
        }
        self.at = log_pages;
        match hold(holder) {
            Ok(()) => self.held += 1,
            Err(_) => self.let_go(),
        }
    }

    /// Holds none.
    pub(crate) fn let_go(&mut self) {
        (self.commits, self.at) = (0, 0);
        let held = std::mem::take(&mut self.held);
        for holder in &self.holders[..held] {
            let _ = let_go(holder);
        }
        // One that would still hold its mark goes with it.
        self.holders.retain(Connection::is_autocommit);
    }

    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held
    }
}

fn hold(holder: &Connection) -> Result<(), Error> {
    holder.execute_batch("BEGIN; SELECT 1 FROM about LIMIT 1")
}

fn let_go(holder: &Connection) -> Result<(), Error> {
    holder.execute_batch("COMMIT")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::{COMMITS, LOG_FILL, MARKS};
    use crate::tests::model;
    use crate::{Durability, Seq, Store};

    /// The read marks but the first, which is none (<https://www.sqlite.org/walformat.html>, section 2.1).
    fn marks(store: &Store) -> Vec<u32> {
        // Ends the process's locks on it, as whoever closes it does: nobody else is at it.
        let bytes = fs::read(format!("{}-shm", store.path().display())).unwrap();
        let number = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        (1..=MARKS).map(|mark| number(100 + 4 * mark)).collect()
    }

    fn commit(store: &mut Store, numbers: &mut Vec<Seq>) {
        model::go_on(store, numbers, 1);
    }

    /// Commits until all are held.
    fn hold_all(store: &mut Store, numbers: &mut Vec<Seq>) {
        for _ in 0..COMMITS as usize + MARKS {
            commit(store, numbers);
        }
        assert_eq!(store.marks.held(), MARKS);
    }

    #[test]
    fn commits_move_no_mark_while_all_are_held() {
        let (dir, mut numbers) = (TempDir::new().unwrap(), Vec::new());
        let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
        for _ in 1..COMMITS {
            commit(&mut store, &mut numbers);
        }
        let before = marks(&store);
        assert_eq!(store.marks.held(), 0);
        commit(&mut store, &mut numbers);
        assert_ne!(marks(&store), before, "each commit moves one");
        for _ in 0..MARKS {
            commit(&mut store, &mut numbers);
            // One that wrote nothing.
            store.committed();
        }
        assert_eq!(store.marks.held(), MARKS);
        let held = marks(&store);
        assert!(held.is_sorted_by(|a, b| a < b), "{held:?}");
        commit(&mut store, &mut numbers);
        assert_eq!(marks(&store), held);
        // Who reads sees all of it.
        let reader = store.reader().unwrap();
        assert_eq!(model::found(&reader.connection), model::expected(&numbers));
        drop(reader);
        store.let_marks_go();
        commit(&mut store, &mut numbers);
        assert_ne!(marks(&store), held);
        store.close().unwrap();
        assert!(!dir.path().join("dockside.db-wal").exists(), "the file stands alone");
    }

    #[test]
    fn none_is_held_where_the_log_should_be_moved_and_it_begins_anew() {
        let (dir, mut numbers) = (TempDir::new().unwrap(), Vec::new());
        let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
        store.put_checkpoints_off(true);
        let mover = store.mover().unwrap();
        hold_all(&mut store, &mut numbers);
        store.checkpoints.at = store.log_pages() + 1;
        commit(&mut store, &mut numbers);
        assert!(store.is_checkpoint_due() && store.marks.held() == 0);
        mover.move_log();
        let before = store.log_pages();
        commit(&mut store, &mut numbers);
        assert!(store.log_pages() < before, "it has begun anew");
        store.checkpoints.at = u32::MAX;
        hold_all(&mut store, &mut numbers);
        // No holder is behind what is added before it is moved.
        store.checkpoints.at = (f64::from(store.log_pages()) / LOG_FILL) as u32;
        commit(&mut store, &mut numbers);
        assert!(!store.is_checkpoint_due() && store.marks.held() == 0);
        store.checkpoints.at = u32::MAX;
        hold_all(&mut store, &mut numbers);
        // Also where it is moved though it is short.
        store.empty_log().unwrap();
        assert_eq!(fs::metadata(dir.path().join("dockside.db-wal")).unwrap().len(), 0);
        drop(mover);
        hold_all(&mut store, &mut numbers);
        store.close().unwrap();
        assert!(!dir.path().join("dockside.db-wal").exists(), "the file stands alone");
    }

    #[test]
    fn another_process_that_moves_the_log_waits_for_none() {
        let (dir, mut numbers) = (TempDir::new().unwrap(), Vec::new());
        let mut store = Store::open(dir.path(), Durability::Commit).unwrap();
        hold_all(&mut store, &mut numbers);
        let path = store.path().to_owned();
        let other = std::thread::spawn(move || {
            let other = Connection::open(path).unwrap();
            other.busy_timeout(Duration::from_secs(20)).unwrap();
            let move_all = "PRAGMA wal_checkpoint(TRUNCATE)";
            other.query_row(move_all, [], |row| row.get::<_, bool>(0)).unwrap()
        });
        while !other.is_finished() {
            match store.begin() {
                Ok(()) => store.commit().unwrap(),
                Err(_) => assert_eq!(store.marks.held(), 0),
            }
        }
        assert!(!other.join().unwrap(), "it was in its way to the end");
    }
}
