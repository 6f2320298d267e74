//! What the writer does with a group that must be kept, without queue, thread and live log behind it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use dockside_interceptor as interceptor;
use dockside_mqtt::QoS;
use dockside_mqtt::packet::SubscriptionOptions;
use dockside_store::{Durability, Session, Store};

use super::{Ledger, Work};
use crate::board::Board;
use crate::clock::Clock;
use crate::config::{self, Limits};
use crate::keep::{self, Details, Event, Keep, Step};
use crate::live_log::{self, LogReader};
use crate::metrics::StoreMetrics;
use crate::record::{self, Entries, Entry, Published, Subscribed};

/// The session that is kept.
const SESSION: u64 = 1;

/// A writer with a store, and a session that is kept.
pub struct Keeping {
    work: Work,
    entries: Vec<u8>,
    /// Groups until now.
    groups: u64,
    // The log is dead without it.
    _reader: LogReader,
}

impl Keeping {
    /// With a store in an empty directory; the session subscribes to this filter.
    #[must_use]
    pub fn new(dir: &Path, filter: &str) -> Self {
        let (log, reader, _) =
            live_log::open(&config::LiveLog::default()).expect("the defaults are sound");
        let store = Store::open(dir, Durability::Commit).expect("the directory is empty");
        let kept = store.reader().and_then(|reader| reader.kept(0, 10, 10)).expect("a new store");
        let rooms = (Arc::new(Clock::wrong_by(0)), Arc::new(Board::new(Vec::new())));
        let limits = (&Limits::default(), &config::Store::default());
        let mut ledger = Ledger::new(store, &kept, rooms, limits).expect("a new store");
        let session = Session { client_id: "a".to_owned(), user: None, expiry_s: 60 };
        let options = SubscriptionOptions::qos(QoS::AtLeastOnce);
        let subscribed = Subscribed { instance: SESSION, options, id: 0, filter };
        let began = ledger.begin().and_then(|()| ledger.session(SESSION, &session));
        let done =
            began.and_then(|()| ledger.subscribe(&subscribed)).and_then(|()| ledger.commit());
        done.expect("a new store");
        let works = Arc::new(AtomicBool::new(true));
        let metrics = StoreMetrics::register(&works, Duration::from_secs(10));
        let work = Work::new(Arc::new(log), ledger, metrics);
        Self { work, entries: Vec::new(), groups: 0, _reader: reader }
    }

    /// A group of so many messages of a topic, and the acknowledgements of those of the group before; how many are
    /// kept.
    pub fn messages(&mut self, count: usize, topic: &str, payload: &[u8]) -> usize {
        self.entries.clear();
        for seq in numbers(&self.work.out) {
            record::append(&mut self.entries, &Entry::Keep(Keep::Step(Step::done(SESSION, seq))));
        }
        for _ in 0..count {
            let published = Published::by_broker(topic, QoS::AtLeastOnce, payload);
            record::append(&mut self.entries, &Entry::Publish(published));
        }
        self.keep();
        numbers(&self.work.out).count()
    }

    /// A group of so many events, each another one.
    pub fn events(&mut self, count: u64, gateway: &str, payload: &[u8]) {
        self.entries.clear();
        let said = keep::numbers(&interceptor::Details::default());
        for number in self.groups * count..(self.groups + 1) * count {
            let event = Event {
                received_ms: number,
                gateway,
                method: "flighttask_progress",
                tid: "e0a6f3c2-7f37-4a55-8b0e-1d0f7c1a9b02",
                task: Some("1ca7d2b5-4c5c-4f6c-9f0a-5c8f2f6f4e01"),
                status: Some("in_progress"),
                step: Some(25),
                percent: Some(40),
                result: Some(0),
                key: (u128::from(number) + 1).to_be_bytes(),
                details: Some(Details { numbers: &said, track: None }),
                payload,
            };
            record::append(&mut self.entries, &Entry::Keep(Keep::Event(event)));
        }
        self.keep();
    }

    /// The flight tasks follow all events until now.
    pub fn follow(&mut self) {
        assert!(self.work.follow(), "they can");
    }

    fn keep(&mut self) {
        self.groups += 1;
        self.work.out.clear();
        let committed = self.work.keep(&self.entries, false).expect("there is room");
        assert!(committed, "there was something to keep");
    }
}

/// Numbers of the messages that are in the store.
fn numbers(entries: &[u8]) -> impl Iterator<Item = u64> {
    Entries::new(entries).filter_map(|entry| match entry {
        Entry::Publish(published) if published.seq > 0 => Some(published.seq),
        _ => None,
    })
}
