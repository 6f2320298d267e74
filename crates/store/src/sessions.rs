//! Sessions, their subscriptions and wills, and how many bytes of text and payload those are.

use rusqlite::{Connection, OptionalExtension, params};

use crate::write::signed;
use crate::{Error, ReaderId, Session, Store, Subscription, Will};

/// Bytes of client identifiers, user names, filters and wills: a sum that goes with the rows, as counting them takes as
/// long as there are rows.
#[derive(Debug)]
pub(crate) struct SessionBytes {
    now: i64,
    committed: i64,
}

impl SessionBytes {
    /// Of what is there.
    pub(crate) fn new(connection: &Connection) -> Result<Self, Error> {
        let sql = "SELECT
             (SELECT total(octet_length(client_id) + coalesce(octet_length(user), 0)) FROM session)
           + (SELECT total(octet_length(filter)) FROM subscription)
           + (SELECT total(octet_length(client_id) + coalesce(octet_length(user), 0) + octet_length(topic)
                         + octet_length(properties) + octet_length(payload)) FROM will)";
        let bytes: f64 = connection.query_row(sql, [], |row| row.get(0))?;
        let bytes = bytes as i64;
        Ok(Self { now: bytes, committed: bytes })
    }

    pub(crate) fn bytes(&self) -> u64 {
        u64::try_from(self.now).unwrap_or(0)
    }

    pub(crate) fn commit(&mut self) {
        self.committed = self.now;
    }

    pub(crate) fn roll_back(&mut self) {
        self.now = self.committed;
    }
}

fn owner_bytes(client_id: &str, user: Option<&String>) -> i64 {
    (client_id.len() + user.map_or(0, String::len)) as i64
}

impl Store {
    /// Bytes of client identifiers, user names, filters and wills that are kept with sessions.
    #[must_use]
    pub fn session_bytes(&self) -> u64 {
        self.session_bytes.bytes()
    }

    /// A session is connected.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn session(&mut self, id: ReaderId, session: &Session) -> Result<(), Error> {
        let known = self
            .cached("UPDATE session SET expiry_s = ?2, expires_ms = NULL WHERE id = ?1")?
            .execute(params![signed(id), session.expiry_s])?;
        if known == 0 {
            self.cached(
                "INSERT INTO session (id, client_id, user, expiry_s, expires_ms) VALUES (?1, ?2, ?3, ?4, NULL)",
            )?
            .execute(params![signed(id), session.client_id, session.user, session.expiry_s])?;
            self.session_bytes.now += owner_bytes(&session.client_id, session.user.as_ref());
        }
        Ok(())
    }

    /// A session has lost its connection and is kept until then.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn asleep(&mut self, id: ReaderId, expires_ms: u64) -> Result<(), Error> {
        self.cached("UPDATE session SET expires_ms = ?2 WHERE id = ?1")?
            .execute(params![signed(id), signed(expires_ms)])?;
        Ok(())
    }

    /// A session has ended; what it waited for goes with [`Store::forget_waiting`].
    ///
    /// # Errors
    /// What SQLite says.
    pub fn end_session(&mut self, id: ReaderId) -> Result<(), Error> {
        for sql in [
            "DELETE FROM session WHERE id = ?1
             RETURNING octet_length(client_id) + coalesce(octet_length(user), 0)",
            "DELETE FROM subscription WHERE session = ?1 RETURNING octet_length(filter)",
        ] {
            self.session_bytes.now -= self.sum(sql, id)?;
        }
        self.cached("DELETE FROM incoming WHERE session = ?1")?.execute(params![signed(id)])?;
        let sent = "DELETE FROM outgoing WHERE session = ?1 RETURNING seq";
        for seq in self.numbers(sent, params![signed(id)])? {
            self.release(seq)?;
        }
        Ok(())
    }

    fn sum(&self, sql: &str, id: ReaderId) -> Result<i64, Error> {
        let mut statement = self.cached(sql)?;
        let rows = statement.query_map(params![signed(id)], |row| row.get::<_, i64>(0))?;
        rows.sum()
    }

    /// A session subscribes.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn subscribe(&mut self, session: ReaderId, new: &Subscription) -> Result<(), Error> {
        let row = params![signed(session), new.filter, new.options, new.identifier];
        let known = self
            .cached(
                "UPDATE subscription SET options = ?3, identifier = ?4 WHERE session = ?1 AND filter = ?2",
            )?
            .execute(row)?;
        if known == 0 {
            self.cached(
                "INSERT INTO subscription (session, filter, options, identifier) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(row)?;
            self.session_bytes.now += new.filter.len() as i64;
        }
        Ok(())
    }

    /// A session unsubscribes.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn unsubscribe(&mut self, session: ReaderId, filter: &str) -> Result<(), Error> {
        let gone = self
            .cached("DELETE FROM subscription WHERE session = ?1 AND filter = ?2")?
            .execute(params![signed(session), filter])?;
        self.session_bytes.now -= (gone * filter.len()) as i64;
        Ok(())
    }

    /// A connection has a will, or none any more.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn will(&mut self, session: ReaderId, will: Option<&Will>) -> Result<(), Error> {
        let gone = self
            .cached(
                "DELETE FROM will WHERE session = ?1
                 RETURNING octet_length(client_id) + coalesce(octet_length(user), 0) + octet_length(topic)
                         + octet_length(properties) + octet_length(payload)",
            )?
            .query_row(params![signed(session)], |row| row.get::<_, i64>(0))
            .optional()?;
        self.session_bytes.now -= gone.unwrap_or(0);
        let Some(will) = will else { return Ok(()) };
        self.cached(
            "INSERT INTO will
               (session, client_id, user, topic, qos, retain, properties, payload, expiry_s, delay_s)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            signed(session),
            will.client_id,
            will.user,
            will.topic,
            will.qos,
            will.retain,
            will.properties,
            will.payload,
            will.expiry_s,
            will.delay_s,
        ])?;
        let message = will.topic.len() + will.properties.len() + will.payload.len();
        self.session_bytes.now += owner_bytes(&will.client_id, will.user.as_ref()) + message as i64;
        Ok(())
    }
}
