//! What the broker takes into memory when it starts.

use std::collections::HashMap;

use rusqlite::params;

use crate::write::signed;
use crate::{Dock, Error, FlightTask, Queued, Reader, ReaderId, Seen, Session, Subscription, Will};

/// Everything but the messages of sessions, which are read when their clients come back.
#[derive(Debug, Default)]
pub struct Kept {
    /// Sessions.
    pub sessions: Vec<KeptSession>,
    /// Groups of shared subscriptions.
    pub shares: Vec<KeptShare>,
    /// Retained messages.
    pub retained: Vec<KeptRetained>,
    /// Wills of connections that have not ended, by session.
    pub wills: Vec<(ReaderId, Will)>,
    /// Messages that each reader waits for, and their bytes.
    pub waiting: HashMap<ReaderId, (usize, usize)>,
    /// Keys of the newest events, oldest first.
    pub events: Vec<Vec<u8>>,
    /// Flight tasks, the one that was heard of least recently first.
    pub flight_tasks: Vec<FlightTask>,
    /// Gateways.
    pub docks: Vec<Dock>,
    /// When the broker was last sure of the time.
    pub seen: Option<Seen>,
}

/// A session.
#[derive(Debug)]
pub struct KeptSession {
    /// Its number.
    pub id: ReaderId,
    /// What it is.
    pub session: Session,
    /// When it ends, wall clock; none if it was connected.
    pub expires_ms: Option<u64>,
    /// Its subscriptions.
    pub subscriptions: Vec<Subscription>,
}

/// A group, with what waits for it.
#[derive(Debug)]
pub struct KeptShare {
    /// Its number.
    pub id: ReaderId,
    /// As it stands in SUBSCRIBE.
    pub filter: String,
    /// Messages that no member has acknowledged.
    pub messages: Vec<Queued>,
}

/// A retained message: its quality and flag for a reader mean nothing.
pub type KeptRetained = Queued;

impl Reader {
    /// Reads it all: the keys of so many events, and so many flight tasks and gateways.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn kept(&self, events: usize, tasks: usize, docks: usize) -> Result<Kept, Error> {
        Ok(Kept {
            sessions: self.sessions()?,
            shares: self.shares()?,
            retained: self.retained()?,
            wills: self.wills()?,
            waiting: self.waiting()?,
            events: self.newest_event_keys(events)?,
            flight_tasks: self.flight_tasks(tasks)?,
            docks: self.docks(docks)?,
            seen: self.last_seen()?,
        })
    }

    fn sessions(&self) -> Result<Vec<KeptSession>, Error> {
        let mut subscriptions: HashMap<i64, Vec<Subscription>> = HashMap::new();
        let sql = "SELECT session, filter, options, identifier FROM subscription";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (filter, options, identifier) = (row.get(1)?, row.get(2)?, row.get(3)?);
            let subscription = Subscription { filter, options, identifier };
            subscriptions.entry(row.get(0)?).or_default().push(subscription);
        }
        let sql = "SELECT id, client_id, user, expiry_s, expires_ms FROM session ORDER BY id";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            let id: i64 = row.get(0)?;
            Ok(KeptSession {
                id: id.cast_unsigned(),
                session: Session {
                    client_id: row.get(1)?,
                    user: row.get(2)?,
                    expiry_s: row.get(3)?,
                },
                expires_ms: row.get::<_, Option<i64>>(4)?.map(i64::cast_unsigned),
                subscriptions: subscriptions.remove(&id).unwrap_or_default(),
            })
        })?;
        rows.collect()
    }

    fn shares(&self) -> Result<Vec<KeptShare>, Error> {
        let mut statement = self.connection.prepare("SELECT id, filter FROM share")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
        let shares: Vec<(i64, String)> = rows.collect::<Result<_, _>>()?;
        let read = |(id, filter): (i64, String)| {
            let id = id.cast_unsigned();
            let all = (0, u64::MAX >> 1);
            let messages = self.chunk(id, all, (usize::MAX, usize::MAX))?.messages;
            Ok(KeptShare { id, filter, messages })
        };
        shares.into_iter().map(read).collect()
    }

    fn retained(&self) -> Result<Vec<KeptRetained>, Error> {
        let mut statement = self.connection.prepare(
            "SELECT m.seq, m.topic, m.qos, m.retain, m.properties, m.payload, m.expires_ms,
                    m.qos, m.retain, NULL
             FROM retained r JOIN message m ON m.seq = r.seq ORDER BY r.seq",
        )?;
        let rows = statement.query_map([], crate::read::read_queued)?;
        rows.collect()
    }

    fn wills(&self) -> Result<Vec<(ReaderId, Will)>, Error> {
        let mut statement = self.connection.prepare(
            "SELECT session, client_id, user, topic, qos, retain, properties, payload, expiry_s, delay_s
             FROM will ORDER BY session",
        )?;
        let rows = statement.query_map([], |row| {
            let will = Will {
                client_id: row.get(1)?,
                user: row.get(2)?,
                topic: row.get(3)?,
                qos: row.get(4)?,
                retain: row.get(5)?,
                properties: row.get(6)?,
                payload: row.get(7)?,
                expiry_s: row.get(8)?,
                delay_s: row.get(9)?,
            };
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), will))
        })?;
        rows.collect()
    }

    fn waiting(&self) -> Result<HashMap<ReaderId, (usize, usize)>, Error> {
        let sql = "SELECT reader, count(*), sum(bytes) FROM queue GROUP BY reader";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map([], |row| {
            let (messages, bytes): (i64, i64) = (row.get(1)?, row.get(2)?);
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), (messages as usize, bytes as usize)))
        })?;
        rows.collect()
    }

    fn newest_event_keys(&self, at_most: usize) -> Result<Vec<Vec<u8>>, Error> {
        let sql = "SELECT key FROM event ORDER BY id DESC LIMIT ?1";
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map(params![signed(at_most as u64)], |row| row.get(0))?;
        let mut keys: Vec<Vec<u8>> = rows.collect::<Result<_, _>>()?;
        keys.reverse();
        Ok(keys)
    }
}
