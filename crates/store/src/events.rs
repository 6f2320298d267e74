//! The history of events, and the room that it and everything else takes.

use rusqlite::{OptionalExtension, params};

use crate::open::CHECKPOINT_PAGES;
use crate::write::signed;
use crate::{Error, Event, Store};

/// What the file takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Bytes of the file.
    pub file: u64,
    /// Bytes of it that are free.
    pub free: u64,
    /// Bytes of its write-ahead log.
    pub log: u64,
    /// Bytes of its file system that are free; none if that cannot be told.
    pub disk_free: Option<u64>,
}

impl Store {
    /// An event of a gateway.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn event(&mut self, event: &Event<'_>) -> Result<(), Error> {
        self.events([*event].into_iter())
    }

    /// Events of gateways, in their order: one after the other they cost more.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn events<'e>(&mut self, events: impl Iterator<Item = Event<'e>>) -> Result<(), Error> {
        let mut insert = self.cached(
            "INSERT INTO event
               (received_ms, gateway, method, tid, task, status, step, percent, result, key, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        for event in events {
            insert.execute(params![
                signed(event.received_ms),
                event.gateway,
                event.method,
                event.tid,
                event.task,
                event.status,
                event.step,
                event.percent,
                event.result,
                event.key,
                event.payload,
            ])?;
        }
        Ok(())
    }

    /// Whether the oldest event was received before then, or is beyond `rows`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn is_oldest_event_old(&self, before_ms: u64, rows: u64) -> Result<bool, Error> {
        let is_old = self
            .cached(
                "SELECT received_ms < ?1 OR id <= (SELECT max(id) FROM event) - ?2
                 FROM event ORDER BY id LIMIT 1",
            )?
            .query_row(params![signed(before_ms), signed(rows)], |row| row.get(0))
            .optional()?;
        Ok(is_old.unwrap_or(false))
    }

    /// Forgets events, which flight tasks have followed: at most `at_most` of those received before then, and
    /// those beyond `rows`. How many went.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn trim_events(&mut self, before_ms: u64, rows: u64, at_most: u32) -> Result<usize, Error> {
        // The oldest by number: an index on both conditions would cost every event.
        let gone = self
            .cached(
                "DELETE FROM event WHERE id IN (
               SELECT id FROM (SELECT id, received_ms FROM event ORDER BY id LIMIT ?3)
               WHERE received_ms < ?1 OR id <= (SELECT max(id) FROM event) - ?2)",
            )?
            .execute(params![signed(before_ms), signed(rows), at_most])?;
        self.clamp_followed()?;
        Ok(gone)
    }

    /// Forgets an eighth of the events, which flight tasks have followed, the oldest, at most so many; how many there were.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn drop_oldest_events(&mut self, at_most: u32) -> Result<usize, Error> {
        let gone = self
            .cached(
                "DELETE FROM event WHERE id < (SELECT min(id) FROM event)
               + min(?1, ((SELECT max(id) FROM event) - (SELECT min(id) FROM event)) / 8 + 1)",
            )?
            .execute(params![at_most])?;
        self.clamp_followed()?;
        Ok(gone)
    }

    /// What the file takes, without its write-ahead log.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn usage(&self) -> Result<Usage, Error> {
        let number = |pragma: &str| {
            self.cached(pragma)?.query_row([], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
        };
        let page = number("PRAGMA page_size")?;
        let (pages, free) = (number("PRAGMA page_count")?, number("PRAGMA freelist_count")?);
        let disk = rustix::fs::statvfs(self.path()).ok();
        let disk_free = disk.map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        let mut log = self.path().as_os_str().to_owned();
        log.push("-wal");
        // None is there before the first commit.
        let log = std::fs::metadata(log).map_or(0, |log| log.len());
        Ok(Usage { file: pages * page, free: free * page, log, disk_free })
    }

    /// Gives so many free bytes back to the file system, outside a transaction.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn give_back(&mut self, bytes: u64) -> Result<(), Error> {
        let pragma = format!("PRAGMA incremental_vacuum({})", bytes / 4_096);
        let mut statement = self.connection.prepare(&pragma)?;
        // One page a step.
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        drop(rows);
        drop(statement);
        self.checkpoint_if_due();
        Ok(())
    }

    /// The file never grows beyond so many bytes: what does not fit fails. Its write-ahead log is moved into
    /// it from a quarter of `log_bytes` on, and is waited for at that length, as long as nobody reads for long.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn bound(&mut self, bytes: u64, log_bytes: u64) -> Result<(), Error> {
        let pages = log_bytes / 4 / 4_096;
        let pages = u32::try_from(pages).unwrap_or(CHECKPOINT_PAGES).clamp(1, CHECKPOINT_PAGES);
        self.checkpoints.at = pages;
        self.connection.execute_batch(&format!(
            "PRAGMA max_page_count = {}; PRAGMA journal_size_limit = {}",
            bytes / 4_096,
            2 * u64::from(pages) * 4_096,
        ))
    }
}
