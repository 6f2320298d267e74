//! How each flight task stands: what its events say, folded by whoever understands them.

use rusqlite::params;

use crate::write::signed;
use crate::{Error, Reader, Store};

/// How a task stands. What no event said is none.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct FlightTask {
    /// Serial number of the topic.
    pub gateway: String,
    /// The task.
    pub task: String,
    /// Its status.
    pub status: Option<String>,
    /// Number of the step.
    pub step: Option<i64>,
    /// Progress, 0 to 100.
    pub percent: Option<f64>,
    /// Waypoint, wayline, state of the mission, files, reason of the last interruption, in this order.
    pub details: [Option<i64>; 5],
    /// Code of the device; 0 is well.
    pub result: Option<i64>,
    /// The track that was flown.
    pub track: Option<String>,
    /// The device's own time of what it said last, milliseconds since 1970.
    pub device_ms: Option<u64>,
    /// When it was first and last heard of, milliseconds since 1970.
    pub heard_ms: (u64, u64),
    /// Its events, those of them that came late, and how often it went on after it was over.
    pub counts: [u64; 3],
}

/// An event whose task has to follow it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Followed<'a> {
    /// Its number.
    pub id: u64,
    /// When it came, milliseconds since 1970.
    pub received_ms: u64,
    /// Serial number of the topic.
    pub gateway: &'a str,
    /// Application message.
    pub payload: &'a [u8],
}

impl Store {
    /// Keeps how a task stands.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn flight_task(&mut self, task: &FlightTask) -> Result<(), Error> {
        let ([waypoint, wayline, mission_state, media, break_reason], (first_ms, last_ms)) =
            (task.details, task.heard_ms);
        let [events, late, reopened] = task.counts.map(signed);
        self.cached(
            "INSERT OR REPLACE INTO flight_task
               (gateway, task, status, step, percent, waypoint, wayline, mission_state, media_count,
                break_reason, result, track, device_ms, first_ms, last_ms, events, late, reopened)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
        )?
        .execute(params![
            task.gateway,
            task.task,
            task.status,
            task.step,
            task.percent,
            waypoint,
            wayline,
            mission_state,
            media,
            break_reason,
            task.result,
            task.track,
            task.device_ms.map(signed),
            signed(first_ms),
            signed(last_ms),
            events,
            late,
            reopened,
        ])?;
        Ok(())
    }

    /// Shows every event of a method that the flight tasks have not followed yet, in their order, and notes that
    /// they have.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn follow_events(
        &mut self,
        method: &str,
        mut follow: impl FnMut(&Followed<'_>),
    ) -> Result<(), Error> {
        let mut statement = self.cached(
            "SELECT id, received_ms, gateway, payload FROM event
             WHERE id > coalesce((SELECT value FROM about WHERE name = 'flight_task_event'), 0)
               AND method = ?1
             ORDER BY id",
        )?;
        let mut rows = statement.query(params![method])?;
        while let Some(row) = rows.next()? {
            follow(&Followed {
                id: row.get::<_, i64>(0)?.cast_unsigned(),
                received_ms: row.get::<_, i64>(1)?.cast_unsigned(),
                gateway: row.get_ref(2)?.as_str()?,
                payload: row.get_ref(3)?.as_blob()?,
            });
        }
        drop(rows);
        drop(statement);
        self.events_followed()
    }

    /// Numbers begin again where no event is left.
    pub(crate) fn clamp_followed(&self) -> Result<(), Error> {
        self.cached(
            "UPDATE about SET value = min(value, coalesce((SELECT max(id) FROM event), 0))
             WHERE name = 'flight_task_event'",
        )?
        .execute([])?;
        Ok(())
    }

    /// Notes that the flight tasks have followed every event, by whatever the caller knows of them.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn events_followed(&mut self) -> Result<(), Error> {
        self.cached(
            "INSERT INTO about (name, value)
             VALUES ('flight_task_event', coalesce((SELECT max(id) FROM event), 0))
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?
        .execute([])?;
        Ok(())
    }

    /// Forgets flight tasks that nothing was heard of since then.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn trim_flight_tasks(&mut self, before_ms: u64) -> Result<usize, Error> {
        self.cached("DELETE FROM flight_task WHERE last_ms < ?1")?
            .execute(params![signed(before_ms)])
    }
}

impl Reader {
    /// The tasks that were heard of latest, so many at most, the least recent first.
    pub(crate) fn flight_tasks(&self, at_most: usize) -> Result<Vec<FlightTask>, Error> {
        let mut statement = self.connection.prepare(
            "SELECT gateway, task, status, step, percent, waypoint, wayline, mission_state, media_count,
                    break_reason, result, track, device_ms, first_ms, last_ms, events, late, reopened
             FROM flight_task ORDER BY last_ms DESC LIMIT ?1",
        )?;
        let rows = statement.query_map(params![signed(at_most as u64)], |row| {
            let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
            Ok(FlightTask {
                gateway: row.get(0)?,
                task: row.get(1)?,
                status: row.get(2)?,
                step: row.get(3)?,
                percent: row.get(4)?,
                details: [row.get(5)?, row.get(6)?, row.get(7)?, row.get(8)?, row.get(9)?],
                result: row.get(10)?,
                track: row.get(11)?,
                device_ms: row.get::<_, Option<i64>>(12)?.map(i64::cast_unsigned),
                heard_ms: (number(13)?, number(14)?),
                counts: [number(15)?, number(16)?, number(17)?],
            })
        })?;
        let mut tasks: Vec<_> = rows.collect::<Result<_, _>>()?;
        tasks.reverse();
        Ok(tasks)
    }

    /// Events of a method and a task, or those that name none, the newest first, so many at most: when they came,
    /// and what they said.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn events_of(
        &self,
        (gateway, task): (&str, Option<&str>),
        method: &str,
        at_most: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT received_ms, payload FROM event
             WHERE gateway = ?1 AND task IS ?2 AND method = ?4 ORDER BY id DESC LIMIT ?3",
        )?;
        let parameters = params![gateway, task, signed(at_most as u64), method];
        let rows = statement.query_map(parameters, |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?))
        })?;
        rows.collect()
    }
}
