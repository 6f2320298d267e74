//! When the broker was last sure of what time it was.

use rusqlite::{OptionalExtension, params};

use crate::write::signed;
use crate::{Error, Reader, Store};

/// A moment that is known by two clocks.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Seen {
    /// Milliseconds since 1970.
    pub wall_ms: u64,
    /// Which start of the machine, below 2^63; 0 if that is not known.
    pub boot: u64,
    /// Milliseconds since then.
    pub uptime_ms: u64,
}

impl Store {
    /// It is now.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn seen(&mut self, seen: &Seen) -> Result<(), Error> {
        let mut statement = self.cached(
            "INSERT INTO about (name, value) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?;
        for (name, value) in [
            ("last_seen_ms", seen.wall_ms),
            ("last_seen_boot", seen.boot),
            ("last_seen_uptime_ms", seen.uptime_ms),
        ] {
            statement.execute(params![name, signed(value)])?;
        }
        Ok(())
    }
}

impl Reader {
    /// When that was; in a file that does not say it, when its newest row came.
    pub(crate) fn last_seen(&self) -> Result<Option<Seen>, Error> {
        let number = |sql: &str| -> Result<Option<u64>, Error> {
            let found = self.connection.query_row(sql, [], |row| row.get::<_, i64>(0));
            Ok(found.optional()?.map(i64::cast_unsigned))
        };
        let about = |name: &str| number(&format!("SELECT value FROM about WHERE name = '{name}'"));
        if let Some(wall_ms) = about("last_seen_ms")? {
            let boot = about("last_seen_boot")?.unwrap_or(0);
            let uptime_ms = about("last_seen_uptime_ms")?.unwrap_or(0);
            return Ok(Some(Seen { wall_ms, boot, uptime_ms }));
        }
        let message = number("SELECT accepted_ms FROM message ORDER BY seq DESC LIMIT 1")?;
        let event = number("SELECT received_ms FROM event ORDER BY id DESC LIMIT 1")?;
        Ok(message.max(event).map(|wall_ms| Seen { wall_ms, ..Seen::default() }))
    }
}
