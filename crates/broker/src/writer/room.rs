//! The room that the store may take: before it is used up, the oldest goes.

use std::time::{Duration, Instant};

use dockside_store::{Error, Store, Usage};

use crate::config;

/// What the write-ahead log may take of the bound; it is moved into the file at a quarter of it.
const LOG_BYTES: u64 = 64 << 20;

/// Commits between two looks, and how long a look lasts without any.
const LOOK_COMMITS: u32 = 64;
pub(super) const LOOK: Duration = Duration::from_secs(10);

/// Bytes of the log between two looks besides, while there is enough: a look costs as much as some events, and they may be all
/// that was committed.
const LOOK_BYTES: u64 = 4 << 20;

/// So many times as much is looked at after fewer commits, too. A small store has few pages between two looks.
const TOO_MUCH: u32 = 4;
const LEAST_PAGES: u32 = 16;

/// Free bytes of the file that are not worth giving back to the file system.
const LOOSE_BYTES: u64 = 4 << 20;

/// Those that are given back at once: where nobody waits for them, and where the disk is short, or each time waits for it.
const GIVE_BACK_BYTES: u64 = 64 << 10;
const GIVE_BACK_MORE_BYTES: u64 = 256 << 10;

/// What is freed in the file before it is given back when the disk is short: as much as is missing, between these.
/// Freeing needs about as much in the log.
const LEAST_BYTES: u64 = 128 << 10;
const MOST_BYTES: u64 = 4 << 20;

/// Bytes of the log that are worth giving back then: nothing goes for what has only not been moved yet.
const WORTH_LOG_BYTES: u64 = 4 << 20;

const HASTE: u32 = 10;

/// The bounds on the file and its file system.
pub(super) struct Room {
    bytes: u64,
    min_free: u64,
    is_synced: bool,
    commits: u32,
    /// Pages of the log since the last look, and as it was last.
    pages: u32,
    log_pages: u32,
    /// How many there are between two looks, while there is enough.
    pages_a_look: u32,
    /// What the last look has found was not [`Look::Enough`].
    is_tight: bool,
    looked: Instant,
    /// The last look has not made all the room that it wanted.
    goes_on: bool,
    /// Bytes of the log that could not be emptied when that was tried last.
    stuck: u64,
    /// When the disk was found short last.
    disk_short: Option<Instant>,
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
        // A part of what there is, and of what must stay free.
        let of_disk = if config.min_free_bytes > 0 { config.min_free_bytes / 16 } else { u64::MAX };
        let pages_a_look = LOOK_BYTES.min(bytes / 64).min(of_disk) / 4_096;
        Ok(Self {
            bytes,
            min_free: config.min_free_bytes,
            is_synced: config.durability == config::Durability::Sync,
            commits: 0,
            pages: 0,
            log_pages: 0,
            pages_a_look: u32::try_from(pages_a_look).unwrap_or(u32::MAX),
            is_tight: false,
            looked: Instant::now(),
            goes_on: false,
            stuck: 0,
            disk_short: None,
        })
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&self) -> bool {
        let is_much = self.is_tight || self.pages >= self.pages_a_look;
        // A commit can be of many events.
        let is_too_much = self.pages / TOO_MUCH >= self.pages_a_look.max(LEAST_PAGES);
        let is_due = is_too_much || (self.commits >= LOOK_COMMITS && is_much);
        self.goes_on || is_due || self.looked.elapsed() >= LOOK
    }

    /// There was a transaction; the log has so many pages now.
    pub(super) fn committed(&mut self, log_pages: u32) {
        self.commits = self.commits.saturating_add(1);
        // One that has begun anew is shorter than it was.
        let added = log_pages.checked_sub(self.log_pages).unwrap_or(log_pages);
        self.pages = self.pages.saturating_add(added);
        self.log_pages = log_pages;
    }

    /// Whether the last look has not made all the room that it wanted.
    pub(super) fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// Somebody looks, whatever comes of it.
    pub(super) fn begin_look(&mut self) {
        if !self.goes_on {
            // Whoever read may be gone.
            self.stuck = 0;
        }
        (self.commits, self.pages) = (0, 0);
        (self.looked, self.goes_on) = (Instant::now(), false);
    }

    /// What it has found.
    pub(super) fn looked(&mut self, look: Look) {
        self.is_tight = look != Look::Enough;
    }

    /// Bytes of the log that could not be emptied: somebody reads, and may for long. They make no room.
    pub(super) fn is_stuck(&mut self, log: u64) {
        self.stuck = log;
    }

    pub(super) fn look_again(&mut self) {
        self.goes_on = true;
    }

    /// Whether the disk is short, or was a moment ago: under load it comes and goes.
    pub(super) fn is_disk_short(&mut self, look: Look) -> bool {
        if matches!(look, Look::DiskLoose | Look::DiskShort) {
            self.disk_short = Some(Instant::now());
        }
        self.disk_short = self.disk_short.filter(|at| at.elapsed() < LOOK);
        self.disk_short.is_some()
    }

    /// How much more than usual has to go at once: near the bound everything that comes next could fail, and what must
    /// stay free on the disk is somebody else's.
    pub(super) fn haste(&self, usage: &Usage) -> u32 {
        let is_file_full = usage.file - usage.free > self.bytes / 10 * 9;
        let is_disk_full = usage.disk_free.is_some_and(|free| free < self.min_free / 10 * 9);
        if is_file_full || is_disk_full { HASTE } else { 1 }
    }

    pub(super) fn look(&self, usage: &Usage) -> Look {
        let used = usage.file - usage.free;
        let disk_free = usage.disk_free.unwrap_or(u64::MAX);
        let missing = self.min_free.saturating_sub(disk_free);
        if used > self.bytes / 10 * 8 {
            Look::Short
        } else if missing > 0 {
            let worth = missing.min(disk_free / 2).clamp(LEAST_BYTES, MOST_BYTES);
            let log = usage.log.saturating_sub(self.stuck);
            let is_log_long = log > WORTH_LOG_BYTES.min(disk_free) || log >= missing;
            if is_log_long || usage.free >= worth { Look::DiskLoose } else { Look::DiskShort }
        } else if usage.free > usage.file / 4 && usage.free > LOOSE_BYTES {
            Look::Loose
        } else {
            Look::Enough
        }
    }

    /// Whether free bytes of the file are worth it where nothing more can go: what comes next is not to go with them at once.
    pub(super) fn is_worth_giving_back(usage: &Usage) -> bool {
        usage.free >= LEAST_BYTES
    }

    pub(super) fn give_back(&self, store: &mut Store, look: Look) -> Result<(), Error> {
        store.give_back(match look {
            Look::Loose if !self.is_synced => GIVE_BACK_BYTES,
            _ => GIVE_BACK_MORE_BYTES,
        })
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
            config::Store { max_bytes: 256 << 20, min_free_bytes: 40 << 20, ..Default::default() };
        let mut room = Room::new(&mut store, &config).unwrap();
        let bytes = |file: u64, free: u64, disk_free: Option<u64>| Usage {
            file: file << 20,
            free,
            log: 0,
            disk_free: disk_free.map(|free| free << 20),
        };
        let mib = |file, free: u64, disk_free| bytes(file, free << 20, disk_free);
        for (usage, expected) in [
            (mib(100, 0, Some(40)), Look::Enough),
            (mib(100, 20, Some(40)), Look::Enough),
            (mib(100, 30, Some(40)), Look::Loose),
            (mib(100, 0, Some(39)), Look::DiskShort),
            (bytes(100, (1 << 20) - 1, Some(39)), Look::DiskShort),
            (mib(100, 1, Some(39)), Look::DiskLoose),
            (mib(100, 3, Some(20)), Look::DiskShort),
            (mib(100, 4, Some(20)), Look::DiskLoose),
            (mib(160, 0, Some(0)), Look::Short),
            (mib(100, 0, None), Look::Enough),
        ] {
            assert_eq!(room.look(&usage), expected, "{usage:?}");
        }
        let log = |log: u64, usage| Usage { log, ..usage };
        for (usage, expected) in [
            // The log goes before anything is lost,
            (log(5 << 20, mib(100, 0, Some(39))), Look::DiskLoose),
            (log(1 << 20, mib(100, 0, Some(39))), Look::DiskLoose),
            (log((1 << 20) - 1, mib(100, 0, Some(39))), Look::DiskShort),
            (log(1, mib(100, 0, Some(0))), Look::DiskLoose),
            // and little is freed where little fits into it.
            (log(0, bytes(100, LEAST_BYTES - 1, Some(0))), Look::DiskShort),
            (log(0, bytes(100, LEAST_BYTES, Some(0))), Look::DiskLoose),
            (log(0, bytes(100, (1 << 20) - 1, Some(2))), Look::DiskShort),
            (log(0, mib(100, 1, Some(2))), Look::DiskLoose),
        ] {
            assert_eq!(room.look(&usage), expected, "{usage:?}");
        }
        for (usage, is_hasty) in [
            (mib(172, 0, None), false),
            (mib(173, 0, None), true),
            (mib(100, 0, Some(36)), false),
            (mib(100, 0, Some(35)), true),
        ] {
            assert_eq!(room.haste(&usage) > 1, is_hasty, "{usage:?}");
        }
        room.min_free = 0;
        assert_eq!(room.look(&mib(100, 0, Some(0))), Look::Enough, "off");
    }

    #[test]
    fn a_disk_that_is_short_now_and_then_is_short() {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(dir.path(), dockside_store::Durability::Commit).unwrap();
        let mut room = Room::new(&mut store, &config::Store::default()).unwrap();
        assert!(!room.is_disk_short(Look::Short));
        assert!(room.is_disk_short(Look::DiskShort) && room.is_disk_short(Look::Enough));
        room.disk_short = Instant::now().checked_sub(LOOK);
        assert!(!room.is_disk_short(Look::Enough) && room.is_disk_short(Look::DiskLoose));
    }

    #[test]
    fn a_look_is_due_when_much_was_added_and_sooner_where_room_is_short() {
        let dir = TempDir::new().unwrap();
        let mut store = Store::open(dir.path(), dockside_store::Durability::Commit).unwrap();
        let config =
            config::Store { max_bytes: 1 << 30, min_free_bytes: 16 << 20, ..Default::default() };
        let mut room = Room::new(&mut store, &config).unwrap();
        assert_eq!(room.pages_a_look, 256, "a part of what must stay free");
        (1..=LOOK_COMMITS).for_each(|page| room.committed(page));
        assert!(!room.is_due(), "not much");
        room.committed(256);
        assert!(room.is_due());
        room.begin_look();
        room.looked(Look::Enough);
        // The log begins anew.
        (1..=LOOK_COMMITS).for_each(|_| room.committed(255));
        assert!(!room.is_due(), "much of it was there before");
        room.committed(256);
        assert!(room.is_due());
        room.begin_look();
        room.looked(Look::DiskShort);
        (1..LOOK_COMMITS).for_each(|_| room.committed(8));
        assert!(!room.is_due());
        room.committed(8);
        assert!(room.is_due());
        room.begin_look();
        room.looked(Look::Enough);
        (1..TOO_MUCH).for_each(|nth| room.committed(8 + nth * 256));
        assert!(!room.is_due());
        room.committed(8 + TOO_MUCH * 256);
        assert!(room.is_due(), "large commits, though few");
        room.begin_look();
        room.pages_a_look = 1;
        room.committed(LEAST_PAGES * TOO_MUCH - 1);
        assert!(!room.is_due(), "a store so small");
        room.committed(LEAST_PAGES * TOO_MUCH);
        assert!(room.is_due());
    }
}
