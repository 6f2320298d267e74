//! Who did what.

use rusqlite::params;

use crate::write::signed;
use crate::{Error, Reader, Store};

/// Somebody did something.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Audit {
    /// When, milliseconds since 1970.
    pub time_ms: u64,
    /// What kind of thing.
    pub what: String,
    /// Client identifier of who did it.
    pub client_id: Option<String>,
    /// User who did it.
    pub user: Option<String>,
    /// Where from.
    pub address: Option<String>,
    /// Serial number of the gateway that it is about.
    pub gateway: Option<String>,
    /// Method, or what else it is about.
    pub method: Option<String>,
    /// Transaction identifier.
    pub tid: Option<String>,
    /// Code of a reply; 0 is well.
    pub result: Option<i64>,
}

impl Store {
    /// Adds to the audit log.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn audit(&mut self, entry: &Audit) -> Result<(), Error> {
        self.cached(
            "INSERT INTO audit (time_ms, what, client_id, user, address, gateway, method, tid, result)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            signed(entry.time_ms),
            entry.what,
            entry.client_id,
            entry.user,
            entry.address,
            entry.gateway,
            entry.method,
            entry.tid,
            entry.result,
        ])?;
        Ok(())
    }

    /// Forgets entries: at most `at_most` of those made before then, and those beyond `rows`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn trim_audit(&mut self, before_ms: u64, rows: u64, at_most: u32) -> Result<usize, Error> {
        self.cached(
            "DELETE FROM audit WHERE id IN (
               SELECT id FROM (SELECT id, time_ms FROM audit ORDER BY id LIMIT ?3)
               WHERE time_ms < ?1 OR id <= (SELECT max(id) FROM audit) - ?2)",
        )?
        .execute(params![signed(before_ms), signed(rows), at_most])
    }
}

impl Reader {
    /// Entries since then (milliseconds since 1970), the oldest first, those last that were made last, so many
    /// at most.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn audit(&self, since_ms: u64, at_most: usize) -> Result<Vec<Audit>, Error> {
        // Later than there are times.
        let since = i64::try_from(since_ms).unwrap_or(i64::MAX);
        let mut statement = self.connection.prepare_cached(
            "SELECT time_ms, what, client_id, user, address, gateway, method, tid, result
             FROM audit WHERE time_ms >= ?1 ORDER BY id DESC LIMIT ?2",
        )?;
        let rows = statement.query_map(params![since, signed(at_most as u64)], |row| {
            Ok(Audit {
                time_ms: row.get::<_, i64>(0)?.cast_unsigned(),
                what: row.get(1)?,
                client_id: row.get(2)?,
                user: row.get(3)?,
                address: row.get(4)?,
                gateway: row.get(5)?,
                method: row.get(6)?,
                tid: row.get(7)?,
                result: row.get(8)?,
            })
        })?;
        let mut entries: Vec<_> = rows.collect::<Result<_, _>>()?;
        entries.reverse();
        Ok(entries)
    }
}
