//! What takes part in a transaction: messages, and who waits for them.

use std::ops::Range;

use rusqlite::{CachedStatement, OptionalExtension, Params, params};

use crate::{Error, Grant, Message, ReaderId, Seq, Store};

/// Numbers are below 2^63 by their making.
pub(crate) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

fn identifiers(list: &[u32]) -> Option<Vec<u8>> {
    (!list.is_empty()).then(|| list.iter().flat_map(|id| id.to_le_bytes()).collect())
}

impl Store {
    pub(crate) fn cached(&self, sql: &str) -> Result<CachedStatement<'_>, Error> {
        self.connection.prepare_cached(sql)
    }

    /// A message that somebody waits for.
    ///
    /// # Errors
    /// What SQLite says, as for all that follows.
    pub fn message(&mut self, seq: Seq, message: &Message<'_>) -> Result<(), Error> {
        self.cached(
            "INSERT INTO message (seq, topic, qos, retain, properties, payload, accepted_ms, expires_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            signed(seq),
            message.topic,
            message.qos,
            message.retain,
            message.properties,
            message.payload,
            signed(message.accepted_ms),
            message.expires_ms.map(signed),
        ])?;
        Ok(())
    }

    /// A reader waits for a message; it counts for so many bytes. The message may come in a later transaction: nobody
    /// reads what has none, and if the process ends before, the next one forgets it ([`Store::open`]). It has a greater
    /// number than all messages until then.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn queue(
        &mut self,
        reader: ReaderId,
        seq: Seq,
        grant: &Grant<'_>,
        bytes: usize,
    ) -> Result<(), Error> {
        self.cached(
            "INSERT OR REPLACE INTO queue (reader, seq, qos, retain, identifiers, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            signed(reader),
            signed(seq),
            grant.qos,
            grant.retain,
            identifiers(grant.identifiers),
            bytes as i64,
        ])?;
        Ok(())
    }

    /// A reader waits for a message no longer; how many bytes it counted for, if it did.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn unqueue(&mut self, reader: ReaderId, seq: Seq) -> Result<Option<usize>, Error> {
        let bytes = self
            .cached("DELETE FROM queue WHERE reader = ?1 AND seq = ?2 RETURNING bytes")?
            .query_row(params![signed(reader), signed(seq)], |row| row.get::<_, i64>(0))
            .optional()?;
        Ok(bytes.map(|bytes| bytes as usize))
    }

    /// The oldest message that a reader waits for.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn oldest(&self, reader: ReaderId) -> Result<Option<Seq>, Error> {
        let seq = self
            .cached("SELECT seq FROM queue WHERE reader = ?1 ORDER BY seq LIMIT 1")?
            .query_row(params![signed(reader)], |row| row.get::<_, i64>(0))
            .optional()?;
        Ok(seq.map(i64::cast_unsigned))
    }

    /// Forgets a message that nobody waits for any more.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn release(&mut self, seq: Seq) -> Result<(), Error> {
        self.cached(
            "DELETE FROM message WHERE seq = ?1
               AND NOT EXISTS (SELECT 1 FROM queue WHERE seq = ?1)
               AND NOT EXISTS (SELECT 1 FROM outgoing WHERE seq = ?1)
               AND NOT EXISTS (SELECT 1 FROM retained WHERE seq = ?1)",
        )?
        .execute(params![signed(seq)])?;
        Ok(())
    }

    /// A message goes out to a session with a packet identifier; its reader waits for it no longer.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn sent(
        &mut self,
        session: ReaderId,
        packet_id: u16,
        seq: Option<Seq>,
        turn: Seq,
        grant: &Grant<'_>,
    ) -> Result<(), Error> {
        self.cached(
            "INSERT OR REPLACE INTO outgoing (session, packet_id, seq, turn, qos, retain, identifiers)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            signed(session),
            packet_id,
            seq.map(signed),
            signed(turn),
            grant.qos,
            grant.retain,
            identifiers(grant.identifiers),
        ])?;
        Ok(())
    }

    /// The client has it (PUBREC); the number of the message, if it was known.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn received(&mut self, session: ReaderId, packet_id: u16) -> Result<Option<Seq>, Error> {
        let seq = self
            .cached("SELECT seq FROM outgoing WHERE session = ?1 AND packet_id = ?2")?
            .query_row(params![signed(session), packet_id], |row| row.get::<_, Option<i64>>(0))
            .optional()?
            .flatten();
        self.cached("UPDATE outgoing SET seq = NULL WHERE session = ?1 AND packet_id = ?2")?
            .execute(params![signed(session), packet_id])?;
        Ok(seq.map(i64::cast_unsigned))
    }

    /// An exchange is over; the number of its message, if it still had one.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn completed(&mut self, session: ReaderId, packet_id: u16) -> Result<Option<Seq>, Error> {
        let seq = self
            .cached("DELETE FROM outgoing WHERE session = ?1 AND packet_id = ?2 RETURNING seq")?
            .query_row(params![signed(session), packet_id], |row| row.get::<_, Option<i64>>(0))
            .optional()?
            .flatten();
        Ok(seq.map(i64::cast_unsigned))
    }

    /// A QoS 2 message from a session's client is kept under its packet identifier.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn arrived(&mut self, session: ReaderId, packet_id: u16) -> Result<(), Error> {
        self.cached("INSERT OR REPLACE INTO incoming (session, packet_id) VALUES (?1, ?2)")?
            .execute(params![signed(session), packet_id])?;
        Ok(())
    }

    /// It was released (PUBREL).
    ///
    /// # Errors
    /// What SQLite says.
    pub fn released(&mut self, session: ReaderId, packet_id: u16) -> Result<(), Error> {
        self.cached("DELETE FROM incoming WHERE session = ?1 AND packet_id = ?2")?
            .execute(params![signed(session), packet_id])?;
        Ok(())
    }

    /// A group has no member any more; what it waited for goes with [`Store::forget_waiting`].
    ///
    /// # Errors
    /// What SQLite says.
    pub fn end_share(&mut self, id: ReaderId) -> Result<(), Error> {
        self.cached("DELETE FROM share WHERE id = ?1")?.execute(params![signed(id)])?;
        Ok(())
    }

    /// Nobody reads for a reader any more: forgets that it waits for its oldest messages, so many at most. How many
    /// there were; fewer than asked for are all.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn forget_waiting(&mut self, reader: ReaderId, at_most: usize) -> Result<usize, Error> {
        let sql = "DELETE FROM queue WHERE reader = ?1 AND seq IN
                     (SELECT seq FROM queue WHERE reader = ?1 ORDER BY seq LIMIT ?2)
                   RETURNING seq";
        let gone = self.numbers(sql, params![signed(reader), signed(at_most as u64)])?;
        gone.iter().try_for_each(|seq| self.release(*seq))?;
        Ok(gone.len())
    }

    /// Forgets what was queued under these numbers ahead of messages that did not come after all: for whom, and how many
    /// bytes each counted for.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn forget_ahead(&mut self, numbers: Range<Seq>) -> Result<Vec<(ReaderId, usize)>, Error> {
        let mut statement = self.cached(
            "DELETE FROM queue WHERE seq >= ?1 AND seq < ?2
               AND NOT EXISTS (SELECT 1 FROM message WHERE message.seq = queue.seq)
             RETURNING reader, bytes",
        )?;
        let rows = statement
            .query_map(params![signed(numbers.start), signed(numbers.end)], |row| {
                Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)? as usize))
            })?;
        rows.collect()
    }

    pub(crate) fn numbers(&self, sql: &str, params: impl Params) -> Result<Vec<Seq>, Error> {
        let mut statement = self.cached(sql)?;
        let rows = statement.query_map(params, |row| row.get::<_, Option<i64>>(0))?;
        let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
        Ok(rows.into_iter().flatten().map(i64::cast_unsigned).collect())
    }

    /// A group of shared subscriptions with a session that is kept.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn share(&mut self, id: ReaderId, filter: &str) -> Result<(), Error> {
        self.cached("INSERT OR IGNORE INTO share (id, filter) VALUES (?1, ?2)")?
            .execute(params![signed(id), filter])?;
        Ok(())
    }

    /// A message is retained instead of its topic's last one; none clears it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn retain(&mut self, topic: &str, seq: Option<Seq>) -> Result<(), Error> {
        let before = self
            .cached("DELETE FROM retained WHERE topic = ?1 RETURNING seq")?
            .query_row(params![topic], |row| row.get::<_, i64>(0))
            .optional()?;
        if let Some(seq) = seq {
            self.cached("INSERT INTO retained (topic, seq) VALUES (?1, ?2)")?
                .execute(params![topic, signed(seq)])?;
        }
        before.map_or(Ok(()), |before| self.release(before.cast_unsigned()))
    }

    /// A message is not retained after all, if it still is.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn not_retained(&mut self, topic: &str, seq: Seq) -> Result<(), Error> {
        self.cached("DELETE FROM retained WHERE topic = ?1 AND seq = ?2")?
            .execute(params![topic, signed(seq)])?;
        self.release(seq)
    }
}
