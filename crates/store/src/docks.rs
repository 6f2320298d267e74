//! Gateways as they were last heard of.

use rusqlite::params;

use crate::write::signed;
use crate::{Error, Reader, Store};

/// A gateway as it was last heard of.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Dock {
    /// Serial number.
    pub gateway: String,
    /// `domain`, `type` and `sub_type`.
    pub model: Option<[i64; 3]>,
    /// Firmware.
    pub firmware: Option<String>,
    /// Serial numbers of its aircraft.
    pub aircraft: Vec<String>,
    /// When it was first and last heard of, milliseconds since 1970.
    pub heard_ms: (u64, u64),
    /// Its clock less the broker's, milliseconds.
    pub offset_ms: Option<i64>,
    /// Its events, and those that were answered.
    pub counts: [u64; 2],
}

impl Store {
    /// Keeps a gateway as it was last heard of.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn dock(&mut self, dock: &Dock) -> Result<(), Error> {
        let [domain, kind, sub_type] = dock.model.map_or([None; 3], |model| model.map(Some));
        let [events, replies] = dock.counts.map(signed);
        self.cached(
            "INSERT OR REPLACE INTO dock (gateway, domain, type, sub_type, firmware, aircraft,
               first_ms, last_ms, offset_ms, events, replies)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            dock.gateway,
            domain,
            kind,
            sub_type,
            dock.firmware,
            dock.aircraft.join(" "),
            signed(dock.heard_ms.0),
            signed(dock.heard_ms.1),
            dock.offset_ms,
            events,
            replies,
        ])?;
        Ok(())
    }

    /// Forgets a gateway.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn forget_dock(&mut self, gateway: &str) -> Result<(), Error> {
        self.cached("DELETE FROM dock WHERE gateway = ?1")?.execute(params![gateway])?;
        Ok(())
    }
}

impl Reader {
    /// The gateways that were heard of latest, so many at most.
    pub(crate) fn docks(&self, at_most: usize) -> Result<Vec<Dock>, Error> {
        let mut statement = self.connection.prepare(
            "SELECT gateway, domain, type, sub_type, firmware, aircraft, first_ms, last_ms, offset_ms,
                    events, replies
             FROM dock ORDER BY last_ms DESC LIMIT ?1",
        )?;
        let rows = statement.query_map(params![signed(at_most as u64)], |row| {
            let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
            let model = [row.get(1)?, row.get(2)?, row.get(3)?];
            let aircraft: String = row.get(5)?;
            Ok(Dock {
                gateway: row.get(0)?,
                model: match model {
                    [Some(domain), Some(kind), Some(sub_type)] => Some([domain, kind, sub_type]),
                    _ => None,
                },
                firmware: row.get(4)?,
                aircraft: aircraft.split_whitespace().map(str::to_owned).collect(),
                heard_ms: (number(6)?, number(7)?),
                offset_ms: row.get(8)?,
                counts: [number(9)?, number(10)?],
            })
        })?;
        rows.collect()
    }
}
