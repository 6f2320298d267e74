//! What a session reads at its own pace.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, Row, params};

use crate::checkpoint::Log;
use crate::write::signed;
use crate::{Error, Exchange, Queued, ReaderId, Seq, Store, file};

/// A connection that only reads, and sees what was committed.
pub struct Reader {
    // Closed before the log goes, which has the file.
    pub(crate) connection: Connection,
    /// Of the store that it reads for.
    log: Option<Arc<Log>>,
}

/// Messages that a reader has not had, in their order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// The messages.
    pub messages: Vec<Queued>,
    /// There are none between the last of them and where reading was to end.
    pub is_last: bool,
}

/// Columns of a message as a reader gets it, from `message m` and a table with the grant.
macro_rules! queued {
    ($grant:literal) => {
        concat!(
            "m.seq, m.topic, m.qos, m.retain, m.properties, m.payload, m.expires_ms, ",
            $grant,
            ".qos, ",
            $grant,
            ".retain, ",
            $grant,
            ".identifiers"
        )
    };
}

impl Store {
    /// A connection for reading.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn reader(&self) -> Result<Reader, Error> {
        Ok(Reader { log: Some(self.checkpoints.log()), ..Reader::at(self.path())? })
    }
}

impl Reader {
    /// A connection to the file of a directory that a broker runs on.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        Self::at(&file(dir))
    }

    fn at(path: &Path) -> Result<Self, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.set_prepared_statement_cache_capacity(16);
        Ok(Self { connection, log: None })
    }

    /// Messages of a reader behind `after` up to `to`, at most `messages` and about `bytes` of them.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn chunk(
        &self,
        reader: ReaderId,
        (after, to): (Seq, Seq),
        (messages, bytes): (usize, usize),
    ) -> Result<Chunk, Error> {
        let _read = self.log.as_ref().map(|log| log.read());
        let mut statement = self.connection.prepare_cached(concat!(
            "SELECT ",
            queued!("q"),
            " FROM queue q JOIN message m ON m.seq = q.seq
              WHERE q.reader = ?1 AND q.seq > ?2 AND q.seq <= ?3 ORDER BY q.seq"
        ))?;
        let mut rows = statement.query(params![signed(reader), signed(after), signed(to)])?;
        let mut chunk = Chunk { messages: Vec::new(), is_last: true };
        let mut size = 0;
        while let Some(row) = rows.next()? {
            if chunk.messages.len() >= messages || size >= bytes {
                chunk.is_last = false;
                break;
            }
            let message = read_queued(row)?;
            size += message.payload.len() + message.topic.len() + message.properties.len();
            chunk.messages.push(message);
        }
        Ok(chunk)
    }

    /// How many messages a reader has not acknowledged, and what they count for in bytes.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn waiting_for(&self, reader: ReaderId) -> Result<(u64, u64), Error> {
        let sql = "SELECT count(*), coalesce(sum(bytes), 0) FROM queue WHERE reader = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.query_row(params![signed(reader)], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
        })
    }

    /// What was sent to a session with a packet identifier and is not over, in its order.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn exchanges(&self, session: ReaderId) -> Result<Vec<Exchange>, Error> {
        let _read = self.log.as_ref().map(|log| log.read());
        let mut statement = self.connection.prepare_cached(concat!(
            "SELECT ",
            queued!("o"),
            ", o.packet_id FROM outgoing o LEFT JOIN message m ON m.seq = o.seq
              WHERE o.session = ?1 ORDER BY o.turn"
        ))?;
        let rows = statement.query_map(params![signed(session)], |row| {
            let message = match row.get::<_, Option<i64>>(0)? {
                Some(_) => Some(read_queued(row)?),
                None => None,
            };
            Ok(Exchange { packet_id: row.get(10)?, qos: row.get(7)?, message })
        })?;
        rows.collect()
    }

    /// Packet identifiers of QoS 2 messages from a session's client that were not released.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn incoming(&self, session: ReaderId) -> Result<Vec<u16>, Error> {
        let sql = "SELECT packet_id FROM incoming WHERE session = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![signed(session)], |row| row.get(0))?;
        rows.collect()
    }
}

pub(crate) fn read_queued(row: &Row<'_>) -> Result<Queued, Error> {
    let identifiers = row.get_ref(9)?.as_blob_or_null()?.unwrap_or_default();
    let identifiers = identifiers.as_chunks::<4>().0.iter().map(|id| u32::from_le_bytes(*id));
    Ok(Queued {
        seq: row.get::<_, i64>(0)?.cast_unsigned(),
        topic: row.get(1)?,
        published_qos: row.get(2)?,
        published_retain: row.get(3)?,
        properties: row.get(4)?,
        payload: row.get(5)?,
        expires_ms: row.get::<_, Option<i64>>(6)?.map(i64::cast_unsigned),
        qos: row.get(7)?,
        retain: row.get(8)?,
        identifiers: identifiers.collect(),
    })
}
