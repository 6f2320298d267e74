//! When the write-ahead log is moved into the file. It waits for the disk, so it has an hour of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::Connection;

use crate::open::CHECKPOINT_PAGES;
use crate::{Error, Store};

/// How long the log is, and from when on it is too long.
pub(crate) struct Checkpoints {
    pages: Arc<AtomicU32>,
    pub(crate) at: u32,
    is_put_off: bool,
    /// What is committed next may be the first in the log.
    pub(crate) begins_log: bool,
}

impl Checkpoints {
    /// In place of SQLite's own, which come with the commit that makes the log too long.
    pub(crate) fn new(connection: &mut Connection) -> Result<Self, Error> {
        let pages = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&pages);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            seen.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { pages, at: CHECKPOINT_PAGES, is_put_off: false, begins_log: true })
    }

    /// The log was moved into the file, or emptied.
    pub(crate) fn moved(&mut self) {
        // The next commit tells how long it is then.
        self.pages.store(0, Ordering::Relaxed);
        self.begins_log = true;
    }

    fn is_due(&self) -> bool {
        self.pages.load(Ordering::Relaxed) >= self.at
    }
}

impl Store {
    /// Whether commits from now on leave the log as long as it is: somebody else moves it into the file.
    pub fn put_checkpoints_off(&mut self, are_put_off: bool) {
        self.checkpoints.is_put_off = are_put_off;
    }

    /// Whether the log is so long that it should be moved.
    #[must_use]
    pub fn is_checkpoint_due(&self) -> bool {
        self.checkpoints.is_due()
    }

    /// Moves the log into the file, as far as nobody reads it. Where it cannot, the next one does: nothing that
    /// was committed depends on it.
    pub fn checkpoint(&mut self) {
        self.checkpoints.moved();
        let moved = self.cached("PRAGMA wal_checkpoint(PASSIVE)");
        let _ = moved.and_then(|mut statement| statement.query_row([], |_| Ok(())));
    }

    pub(crate) fn checkpoint_if_due(&mut self) {
        if !self.checkpoints.is_put_off && self.checkpoints.is_due() {
            self.checkpoint();
        }
    }
}
