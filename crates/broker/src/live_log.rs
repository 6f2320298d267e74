//! The live log: every accepted message is appended once and read by the dispatcher.
//!
//! The only file of the broker that names rumqttd. Its router is used for what it is best at, an in-memory commit
//! log that a reader tails in batches; nothing that a client chooses reaches it as a name. There is
//! one topic, one link that sends, behind one lock, one link that reads, and one that looks on
//! ([`Onlooker`]); all live as long as the process.
//!
//! The log drops what was not read in time without a word, so records are numbered and the budgets
//! in front of it keep what is under way smaller than what it keeps. A gap, or a router whose
//! thread is gone, is the end of the process: [`Dead`].
//!
//! Where the reader has read everything it is handed what comes next at once ([`early`]), and finds it in the log
//! again, where it passes it over.

mod early;
mod onlooker;
mod reader;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use rumqttd::local::{LinkBuilder, LinkError, LinkRx, LinkTx};
use rumqttd::protocol::{Packet, Publish};
use rumqttd::{Notification, Router, RouterConfig};
use tokio::sync::{Notify, oneshot};

use self::early::Early;
pub(crate) use self::onlooker::{Onlooker, PassedBy};
pub(crate) use self::reader::LogReader;
use crate::config;
use crate::keep::KeepAside;
use crate::mailbox::Mailbox;
use crate::message::Delivery;
use crate::record::{AsideNumber, Entries, LARGE, Lane, RECORD_HEADER, Record};

const TOPIC: &str = "dockside";

/// The router is told at the latest when there are so many bytes, with what each record costs it besides.
const UNTOLD_BYTES: usize = 256 << 10;
const RECORD_OVERHEAD: usize = 256;

/// With so many bytes that the router has not taken nothing more is handed over: what the reader has had is not in the
/// budgets any more.
const UNTAKEN_BYTES: usize = 4 << 20;

/// The live log or another part does not work any more: the process must end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dead(String);

impl fmt::Display for Dead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Dead {}

impl Dead {
    pub(crate) fn thread(name: &str, error: &std::io::Error) -> Self {
        Self(format!("the {name} thread cannot be started: {error}"))
    }

    /// A task that must never end has ended, by a panic that its thread has printed.
    pub(crate) fn room() -> Self {
        Self("a part of the broker that must never end has ended".to_owned())
    }
}

/// Reports a thread that ends by a panic: without it the broker would be one only in part.
pub(crate) struct Watch<'a>(&'a LiveLog);

impl<'a> Watch<'a> {
    pub(crate) fn new(log: &'a LiveLog) -> Self {
        Self(log)
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.report(Dead::room());
        }
    }
}

fn router_gone(error: &LinkError) -> Dead {
    Dead(format!("the live log is broken: its router thread is gone ({error})"))
}

/// What cannot be bytes in a record, or is too large for one, and is fetched by number.
#[derive(Debug)]
pub(crate) enum Aside {
    /// One entry, as bytes.
    Entry(Bytes),
    /// Where a session's messages go.
    Mailbox(Arc<Mailbox>),
    /// Who waits for a barrier.
    Barrier(oneshot::Sender<()>),
    /// Shared messages that nobody has acknowledged.
    Returned(Vec<Delivery>),
    /// Filters of subscriptions that end.
    Filters(Arc<[Box<str>]>),
    /// What the writer keeps.
    Keep(Arc<KeepAside>),
}

/// The writing end.
pub(crate) struct LiveLog {
    producer: Mutex<Producer>,
    asides: Mutex<(AsideNumber, HashMap<AsideNumber, Aside>)>,
    dead: Mutex<Option<Dead>>,
    died: Notify,
}

struct Producer {
    link: LinkTx,
    next_number: u64,
    /// Entries of the direct lane that wait for the doorbell.
    pending: Vec<u8>,
    pending_charge: u64,
    early: Arc<Early>,
    /// Bytes that the router has not been told of: nobody waits for what the reader has been handed.
    untold: usize,
    /// Bytes that the router has not taken.
    untaken: usize,
    /// The next record is not handed over.
    by_the_log: bool,
    /// Whether an onlooker waits for it.
    is_looked_at: bool,
}

struct Link {
    rx: LinkRx,
    // Dropping it would not close the link, but leave it without an owner.
    _tx: LinkTx,
    /// The router has paused this link and waits to hear that it is ready.
    paused: bool,
}

/// Starts the router and opens all ends.
pub(crate) fn open(config: &config::LiveLog) -> Result<(LiveLog, LogReader, Onlooker), Dead> {
    let router = Router::new(
        0,
        RouterConfig {
            max_connections: 3,
            max_outgoing_packet_count: 100,
            max_segment_size: config.segment_bytes,
            max_segment_count: config.segments,
            ..RouterConfig::default()
        },
    );
    let router = router.spawn();
    let build =
        |name| LinkBuilder::new(name, router.clone()).build().map_err(|error| router_gone(&error));
    let reads = |name| {
        let (mut tx, rx, _) = build(name)?;
        tx.subscribe(TOPIC).map_err(|error| router_gone(&error))?;
        Ok(Link { rx, _tx: tx, paused: false })
    };
    let early = Arc::new(Early::default());
    let reader = LogReader::new(reads("dispatcher")?, Arc::clone(&early));
    let onlooker = Onlooker::new(reads("onlooker")?);
    let (link, _, _) = build("producer")?;
    let pending = Vec::with_capacity(LARGE);
    let producer = Producer {
        link,
        next_number: 0,
        pending,
        pending_charge: 0,
        early,
        untold: 0,
        untaken: 0,
        by_the_log: false,
        is_looked_at: false,
    };
    let log = LiveLog {
        producer: Mutex::new(producer),
        asides: Mutex::default(),
        dead: Mutex::default(),
        died: Notify::new(),
    };
    Ok((log, reader, onlooker))
}

impl LiveLog {
    /// Takes entries of the direct lane; they go out with the next [`LiveLog::flush`], or at once
    /// when they fill a record. `true` if they are the first: the doorbell must be rung.
    pub(crate) fn append_direct(&self, entries: &[u8], charge: u64) -> bool {
        let mut producer = self.producer();
        let first = producer.pending.is_empty();
        producer.pending.extend_from_slice(entries);
        producer.pending_charge += charge;
        if producer.pending.len() >= LARGE {
            let flushed = producer.flush();
            drop(producer);
            self.watch(flushed);
            return false;
        }
        first
    }

    /// Sends what the direct lane has gathered.
    pub(crate) fn flush(&self) {
        let flushed = self.producer().flush();
        self.watch(flushed);
    }

    /// As [`LiveLog::flush`], with nothing handed over: it is there when the router has it.
    pub(crate) fn flush_by_the_log(&self) {
        let mut producer = self.producer();
        producer.by_the_log = true;
        let flushed = producer.flush();
        producer.by_the_log = false;
        drop(producer);
        self.watch(flushed);
    }

    /// Appends a group of the writer, behind everything the direct lane has gathered.
    pub(crate) fn append_group(&self, entries: &[u8], charge: u64) {
        let mut producer = self.producer();
        let appended = producer.flush().and_then(|()| {
            let mut rest = Entries::new(entries);
            let mut run = rest.take_up_to(LARGE);
            while let Some(now) = run {
                run = rest.take_up_to(LARGE);
                // The charge comes back when the group has been dispatched whole.
                producer.send(Lane::Writer, now, if run.is_none() { charge } else { 0 })?;
            }
            Ok(())
        });
        drop(producer);
        self.watch(appended);
    }

    /// Puts something beside the log, to be fetched by the number an entry carries.
    pub(crate) fn put_aside(&self, aside: Aside) -> AsideNumber {
        let mut asides = self.asides.lock().expect("no panic while it is held");
        asides.0 += 1;
        let number = asides.0;
        asides.1.insert(number, aside);
        number
    }

    /// Fetches what was put aside, once.
    pub(crate) fn fetch(&self, number: AsideNumber) -> Option<Aside> {
        self.asides.lock().expect("no panic while it is held").1.remove(&number)
    }

    /// Looks at what was put aside and leaves it there; nobody else can put anything meanwhile.
    pub(crate) fn look<T>(&self, number: AsideNumber, look: impl FnOnce(&Aside) -> T) -> Option<T> {
        self.asides.lock().expect("no panic while it is held").1.get(&number).map(look)
    }

    /// Reports the end of the log, found by its reader.
    pub(crate) fn report(&self, dead: Dead) {
        self.watch(Err(dead));
    }

    /// An onlooker begins. The number of the next record: whatever is accepted from now on is in it, or behind it.
    pub(crate) fn begin_to_look(&self) -> u64 {
        let mut producer = self.producer();
        producer.is_looked_at = true;
        producer.next_number
    }

    /// Nobody looks on any more.
    pub(crate) fn end_to_look(&self) {
        self.producer().is_looked_at = false;
    }

    /// Whether the log still works.
    pub(crate) fn is_alive(&self) -> bool {
        self.dead.lock().expect("no panic while it is held").is_none()
    }

    /// Waits for the end of the log.
    pub(crate) async fn died(&self) -> Dead {
        loop {
            let died = self.died.notified();
            if let Some(dead) = self.dead.lock().expect("no panic while it is held").clone() {
                return dead;
            }
            died.await;
        }
    }

    fn producer(&self) -> MutexGuard<'_, Producer> {
        self.producer.lock().expect("no panic while it is held")
    }

    fn watch(&self, result: Result<(), Dead>) {
        if let Err(dead) = result {
            self.dead.lock().expect("no panic while it is held").get_or_insert(dead);
            self.died.notify_waiters();
        }
    }
}

impl Producer {
    fn flush(&mut self) -> Result<(), Dead> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut entries = std::mem::take(&mut self.pending);
        let charge = std::mem::take(&mut self.pending_charge);
        let sent = self.send(Lane::Direct, &entries, charge);
        entries.clear();
        entries.shrink_to(4 * LARGE);
        self.pending = entries;
        sent
    }

    /// One record: an exactly sized buffer, so that the log holds no more than it counts.
    fn send(&mut self, lane: Lane, entries: &[u8], charge: u64) -> Result<(), Dead> {
        let mut record = Vec::with_capacity(RECORD_HEADER + entries.len());
        record.extend_from_slice(&Record::header(self.next_number, lane, charge));
        record.extend_from_slice(entries);
        let record = Bytes::from(record);
        let mut buffer = self.link.buffer();
        if buffer.is_empty() {
            (self.untold, self.untaken) = (0, 0);
        }
        let may_be_handed = !self.by_the_log && self.untaken < UNTAKEN_BYTES;
        let is_handed = may_be_handed && self.early.hand(self.next_number, &record);
        self.next_number += 1;
        self.untaken += record.len() + RECORD_OVERHEAD;
        // The router takes the whole buffer at each event, so with what it was told of an event is on its way already.
        let is_told = !buffer.is_empty() && self.untold == 0;
        let untold = self.untold + record.len() + RECORD_OVERHEAD;
        let may_wait = is_handed && !self.is_looked_at && untold <= UNTOLD_BYTES;
        if is_told || may_wait {
            self.untold = if is_told { 0 } else { untold };
            let publish = Publish::new(Bytes::from_static(TOPIC.as_bytes()), record, false);
            buffer.push_back(Packet::Publish(publish, None));
            return Ok(());
        }
        drop(buffer);
        self.untold = 0;
        self.link.publish(TOPIC, record).map(|_| ()).map_err(|error| router_gone(&error))
    }
}

impl Link {
    /// What comes next. Nothing is lost if the future is dropped.
    async fn next(&mut self) -> Result<Bytes, Dead> {
        loop {
            if self.paused {
                self.rx.wake().await.map_err(|error| router_gone(&error))?;
                self.paused = false;
            }
            if let Some(bytes) = self.taken().await? {
                return Ok(bytes);
            }
        }
    }

    /// What comes next, or nothing once the router has paused.
    async fn taken(&mut self) -> Result<Option<Bytes>, Dead> {
        while !self.paused {
            let notification = self.rx.next().await.map_err(|error| router_gone(&error))?;
            match notification {
                Some(Notification::Forward(forward)) => return Ok(Some(forward.publish.payload)),
                // Without an answer the router sends this link nothing more.
                Some(Notification::Unschedule) => self.paused = true,
                _ => {}
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
