//! The room that the store may take: before it is used up, the oldest goes.

use dockside_store::{Error, Store};

use crate::config;

/// What the write-ahead log may take of the bound; it is moved into the file at a quarter of it.
const LOG_BYTES: u64 = 64 << 20;

/// Commits between two looks.
const LOOK_COMMITS: u32 = 64;

/// Free bytes that are given back to the file system at once.
const GIVE_BACK_BYTES: u64 = 4 << 20;

/// The bound on the file.
pub(super) struct Room {
    bytes: u64,
    commits: u32,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    Enough,
    /// Something must go.
    Short,
    /// Much of the file is free.
    Loose,
}

impl Room {
    /// # Errors
    /// What SQLite says.
    pub(super) fn new(store: &mut Store, config: &config::Store) -> Result<Self, Error> {
        let bytes = (config.max_bytes / 2).max(config.max_bytes.saturating_sub(LOG_BYTES));
        store.bound(bytes, config.max_bytes - bytes)?;
        Ok(Self { bytes, commits: 0 })
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&mut self) -> bool {
        self.commits += 1;
        self.commits.is_multiple_of(LOOK_COMMITS)
    }

    pub(super) fn look(&self, store: &Store) -> Result<Look, Error> {
        let usage = store.usage()?;
        let used = usage.file - usage.free;
        Ok(if used > self.bytes / 10 * 8 {
            Look::Short
        } else if usage.free > usage.file / 4 && usage.free > GIVE_BACK_BYTES {
            Look::Loose
        } else {
            Look::Enough
        })
    }

    pub(super) fn give_back(&self, store: &mut Store) -> Result<(), Error> {
        store.give_back(GIVE_BACK_BYTES)
    }
}
