//! Transactions whose rows belong together, and what must be there after any number of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use rusqlite::{Connection, params};

use crate::{Error, Event, Grant, Message, ReaderId, Seq, Store, Subscription};

const READERS: [ReaderId; 2] = [7, 8];
/// So many messages wait; older ones are acknowledged.
const WAITING: usize = 50;
const GATEWAY: &str = "DOCK1";

/// Every row of the tables that [`transaction`] touches.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    messages: Vec<(Seq, String, Vec<u8>)>,
    queue: Vec<(ReaderId, Seq)>,
    events: Vec<(String, Vec<u8>)>,
    /// Task, its last step, and its events.
    tasks: Vec<(String, i64, i64)>,
    retained: Vec<(String, Seq)>,
    subscriptions: Vec<String>,
}

/// How many of each: whole rows are more than anybody reads.
impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            ("messages", self.messages.len()),
            ("queued", self.queue.len()),
            ("events", self.events.len()),
            ("tasks", self.tasks.len()),
            ("retained", self.retained.len()),
            ("subscriptions", self.subscriptions.len()),
        ];
        counts.iter().try_for_each(|(name, count)| write!(f, "{count} {name} "))
    }
}

fn topic(index: usize) -> String {
    format!("thing/{}", index % 5)
}

fn task(index: usize) -> String {
    format!("task-{}", index % 7)
}

/// Some are longer than a page.
fn payload(index: usize) -> Vec<u8> {
    vec![index as u8; 40 + index * 631 % 5_000]
}

pub(super) fn message(payload: &[u8]) -> Message<'_> {
    let (topic, properties) = ("thing/x", &[][..]);
    let (qos, retain, accepted_ms, expires_ms) = (1, false, 1, None);
    Message { topic, qos, retain, properties, payload, accepted_ms, expires_ms }
}

/// Writes the last of these numbers, after all the others, without beginning or ending the transaction.
pub(crate) fn write(store: &mut Store, numbers: &[Seq]) -> Result<(), Error> {
    let (seq, index) = (*numbers.last().unwrap(), numbers.len() - 1);
    let (topic, task, payload) = (topic(index), task(index), payload(index));
    let (tid, key) = (format!("tid-{index}"), [index as u8; 16]);
    let filter = format!("filter/{index}");
    store.message(seq, &Message { topic: &topic, ..message(&payload) })?;
    for reader in READERS {
        let grant = Grant { qos: 1, retain: false, identifiers: &[] };
        store.queue(reader, seq, &grant, payload.len())?;
    }
    store.event(&Event {
        received_ms: 1_000 + index as u64,
        gateway: GATEWAY,
        method: "flighttask_progress",
        tid: &tid,
        task: Some(&task),
        status: Some("in_progress"),
        step: Some(index as i64),
        percent: None,
        result: Some(0),
        key: &key,
        payload: &payload,
    })?;
    store.connection.execute(
        "INSERT INTO flight_task (gateway, task, step, first_ms, last_ms, events)
         VALUES (?1, ?2, ?3, 1, 1, 1)
         ON CONFLICT (gateway, task) DO UPDATE SET step = excluded.step, events = events + 1",
        params![GATEWAY, task, index as i64],
    )?;
    store.retain(&topic, Some(seq))?;
    store.subscribe(READERS[0], &Subscription { filter, options: 1, identifier: 0 })?;
    if let Some(read) = index.checked_sub(WAITING) {
        for reader in READERS {
            store.unqueue(reader, numbers[read])?;
        }
        store.release(numbers[read])?;
    }
    Ok(())
}

/// Keeps the last of these numbers.
pub(crate) fn transaction(store: &mut Store, numbers: &[Seq]) -> Result<(), Error> {
    store.begin()?;
    write(store, numbers)?;
    store.commit()
}

/// Keeps so many more, with numbers of this start.
pub(crate) fn go_on(store: &mut Store, numbers: &mut Vec<Seq>, more: usize) {
    let mut next = store.first_number();
    if let Some(last) = numbers.last() {
        next = next.max(*last);
    }
    for _ in 0..more {
        next += 1;
        numbers.push(next);
        transaction(store, numbers).unwrap();
    }
}

/// What must be there after the transactions with these numbers.
pub(crate) fn expected(numbers: &[Seq]) -> Rows {
    let waiting = numbers.len().saturating_sub(WAITING)..numbers.len();
    let retained: BTreeMap<_, _> =
        numbers.iter().enumerate().map(|(i, s)| (topic(i), *s)).collect();
    let kept: BTreeSet<_> = retained.values().chain(&numbers[waiting.clone()]).copied().collect();
    let kept = numbers.iter().enumerate().filter(|(_, seq)| kept.contains(seq));
    let queue = READERS.iter().flat_map(|r| numbers[waiting.clone()].iter().map(|s| (*r, *s)));
    let mut tasks = BTreeMap::new();
    for index in 0..numbers.len() {
        let known: &mut (i64, i64) = tasks.entry(task(index)).or_default();
        *known = (index as i64, known.1 + 1);
    }
    let subscriptions: BTreeSet<_> = (0..numbers.len()).map(|i| format!("filter/{i}")).collect();
    Rows {
        messages: kept.map(|(index, seq)| (*seq, topic(index), payload(index))).collect(),
        queue: queue.collect(),
        events: (0..numbers.len()).map(|i| (format!("tid-{i}"), payload(i))).collect(),
        tasks: tasks.into_iter().map(|(task, (step, events))| (task, step, events)).collect(),
        retained: retained.into_iter().collect(),
        subscriptions: subscriptions.into_iter().collect(),
    }
}

/// What is there.
pub(crate) fn found(connection: &Connection) -> Rows {
    fn all<T>(
        connection: &Connection,
        sql: &str,
        row: fn(&rusqlite::Row<'_>) -> Result<T, Error>,
    ) -> Vec<T> {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], row).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }
    Rows {
        messages: all(connection, "SELECT seq, topic, payload FROM message ORDER BY seq", |row| {
            Ok((unsigned(row, 0)?, row.get(1)?, row.get(2)?))
        }),
        queue: all(connection, "SELECT reader, seq FROM queue ORDER BY reader, seq", |row| {
            Ok((unsigned(row, 0)?, unsigned(row, 1)?))
        }),
        events: all(connection, "SELECT tid, payload FROM event ORDER BY id", |row| {
            Ok((row.get(0)?, row.get(1)?))
        }),
        tasks: all(connection, "SELECT task, step, events FROM flight_task ORDER BY task", |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        }),
        retained: all(connection, "SELECT topic, seq FROM retained ORDER BY topic", |row| {
            Ok((row.get(0)?, unsigned(row, 1)?))
        }),
        subscriptions: all(connection, "SELECT filter FROM subscription ORDER BY filter", |row| {
            row.get(0)
        }),
    }
}

fn unsigned(row: &rusqlite::Row<'_>, at: usize) -> Result<u64, Error> {
    row.get::<_, i64>(at).map(i64::cast_unsigned)
}

/// What SQLite says of a file, and its schema.
pub(super) fn soundness(connection: &Connection) -> (String, i64) {
    let check = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    let schema = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    (check, schema)
}

/// A file in its own right, without changing it.
pub(super) fn look(path: &Path) -> Connection {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    Connection::open_with_flags(path, flags).unwrap()
}
