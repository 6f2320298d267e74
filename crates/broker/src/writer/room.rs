//! The room that the store may take: before it is used up, the oldest goes.

use std::time::{Duration, Instant};

use dockside_store::{Error, Store, Usage};

use crate::config;

/// What the write-ahead log may take of the bound; it is moved into the file at a quarter of it.
const LOG_BYTES: u64 = 64 << 20;

/// Commits between two looks, and how long a look lasts without any.
const LOOK_COMMITS: u32 = 64;
pub(super) const LOOK: Duration = Duration::from_secs(10);

/// Free bytes of the file that are not worth giving back to the file system.
const LOOSE_BYTES: u64 = 4 << 20;

/// Those that are given back at once.
const GIVE_BACK_BYTES: u64 = 256 << 10;

/// Free bytes of the file that are worth giving back when the disk is short.
const WORTH_BYTES: u64 = 256 << 10;

/// Bytes of the log that are: nothing goes for what has only not been moved yet.
const WORTH_LOG_BYTES: u64 = 4 << 20;

const HASTE: u32 = 10;

/// The bounds on the file and its file system.
pub(super) struct Room {
    bytes: u64,
    min_free: u64,
    commits: u32,
    looked: Instant,
    /// The last look has not made all the room that it wanted.
    goes_on: bool,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    Enough,
    /// Something must go: the file is near its bound.
    Short,
    /// Something must go: the file system is.
    DiskShort,
    /// Much of the file is free.
    Loose,
    /// The file or its log has what the file system needs.
    DiskLoose,
}

impl Room {
    /// # Errors
    /// What SQLite says.
    pub(super) fn new(store: &mut Store, config: &config::Store) -> Result<Self, Error> {
        let bytes = (config.max_bytes / 2).max(config.max_bytes.saturating_sub(LOG_BYTES));
        store.bound(bytes, config.max_bytes - bytes)?;
        Ok(Self {
            bytes,
            min_free: config.min_free_bytes,
            commits: 0,
            looked: Instant::now(),
            goes_on: false,
        })
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&self) -> bool {
        self.goes_on || self.commits >= LOOK_COMMITS || self.looked.elapsed() >= LOOK
    }

    /// There was a transaction.
    pub(super) fn committed(&mut self) {
        self.commits += 1;
    }

    /// Whether the last look has not made all the room that it wanted.
    pub(super) fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// Somebody looks, whatever comes of it.
    pub(super) fn begin_look(&mut self) {
        (self.commits, self.looked, self.goes_on) = (0, Instant::now(), false);
    }

    pub(super) fn look_again(&mut self) {
        self.goes_on = true;
    }

    /// How much more than usual has to go at once: near the bound everything that comes next could fail.
    pub(super) fn haste(&self, usage: &Usage) -> u32 {
        if usage.file - usage.free > self.bytes / 10 * 9 { HASTE } else { 1 }
    }

    pub(super) fn look(&self, usage: &Usage) -> Look {
        let used = usage.file - usage.free;
        let is_disk_short = usage.disk_free.is_some_and(|free| free < self.min_free);
        if used > self.bytes / 10 * 8 {
            Look::Short
        } else if is_disk_short && (usage.free > WORTH_BYTES || usage.log > WORTH_LOG_BYTES) {
            Look::DiskLoose
        } else if is_disk_short {
            Look::DiskShort
        } else if usage.free > usage.file / 4 && usage.free > LOOSE_BYTES {
            Look::Loose
        } else {
            Look::Enough
        }
    }

    pub(super) fn give_back(store: &mut Store) -> Result<(), Error> {
        store.give_back(GIVE_BACK_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_is_short_decides_what_goes() {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(dir.path(), dockside_store::Durability::Commit).unwrap();
        let config =
            config::Store { max_bytes: 256 << 20, min_free_bytes: 1_000, ..Default::default() };
        let mut room = Room::new(&mut store, &config).unwrap();
        let mib = |file: u64, free: u64, disk_free| Usage {
            file: file << 20,
            free: free << 20,
            log: 4 << 20,
            disk_free,
        };
        for (usage, expected) in [
            (mib(100, 0, Some(1_000)), Look::Enough),
            (mib(100, 20, Some(1_000)), Look::Enough),
            (mib(100, 30, Some(1_000)), Look::Loose),
            (mib(100, 0, Some(999)), Look::DiskShort),
            (mib(100, 1, Some(999)), Look::DiskLoose),
            (mib(160, 0, Some(0)), Look::Short),
            (mib(100, 0, None), Look::Enough),
        ] {
            assert_eq!(room.look(&usage), expected, "{usage:?}");
        }
        assert_eq!(room.haste(&mib(172, 0, None)), 1);
        assert!(room.haste(&mib(173, 0, None)) > 1, "nine tenths of 192 MiB");
        let long_log = Usage { log: 5 << 20, ..mib(100, 0, Some(999)) };
        assert_eq!(room.look(&long_log), Look::DiskLoose, "the log goes before anything is lost");
        room.min_free = 0;
        assert_eq!(room.look(&mib(100, 0, Some(0))), Look::Enough, "off");
    }
}
