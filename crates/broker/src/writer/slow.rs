//! What takes long does not make the quick ones wait: where more has come than is done in a few milliseconds, the few
//! messages of a connection go first, and the rest follows in slices.
//!
//! Nobody sees it but by the clock. A connection's own jobs keep their order: behind one that is slow all are. Only
//! messages pass, never the beginning or the end of a session, a subscription or a barrier; and between connections
//! there is no order of messages that have not been acknowledged.

use std::collections::{HashMap, VecDeque};

use super::ahead::Begun;
use super::work::{Work, publish_aside, published};
use super::{Batch, Group};
use crate::keep::{Keep, KeepAside};
use crate::live_log::Aside;
use crate::record::{self, AsideNumber, Entries, Entry, Instance};

/// Rows that take the store some two milliseconds, three on a slow machine: a dock's event waits for one slice or two.
pub(super) const SLICE: usize = 128;

/// More rows of one connection in a group are not quick: a dock has no more events on their way.
const QUICK: usize = 64;

/// Rows that the end of a session, or of some of its subscriptions, counts for.
const END_ROWS: usize = 16;

/// Rows that something besides a message counts for: it is on a page of its own, perhaps.
const ASIDE_ROWS: usize = 3;

/// What has come and is done later, in its order.
#[derive(Default)]
pub(super) struct Slow {
    batches: VecDeque<Waiting>,
    /// How many of each connection.
    from: HashMap<Instance, usize>,
    /// How far the first is queued ahead, if it is one for many.
    pub(super) begun: Option<Begun>,
}

struct Waiting {
    entries: Vec<u8>,
    batch: Batch,
    rows: usize,
    /// Whether its messages can be queued ahead.
    is_settled: bool,
}

/// What a batch will take.
#[derive(Clone, Copy)]
struct Cost {
    rows: usize,
    /// Whether it may pass others.
    are_messages: bool,
    /// Whether nothing in it changes who waits for its messages.
    is_settled: bool,
}

impl Slow {
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    fn push(&mut self, entries: &[u8], batch: Batch, cost: Cost) {
        *self.from.entry(batch.from.session).or_default() += 1;
        let Cost { rows, is_settled, .. } = cost;
        self.batches.push_back(Waiting { entries: entries.to_vec(), batch, rows, is_settled });
    }

    /// Entries of the first.
    pub(super) fn first(&self) -> &[u8] {
        self.batches.front().map_or(&[], |first| &first.entries)
    }

    pub(super) fn take_first(&mut self) -> Option<(Vec<u8>, Batch)> {
        self.pop().map(|first| (first.entries, first.batch))
    }

    /// Whether the first adds much to the store's log.
    pub(super) fn first_waits_for_log(&self) -> bool {
        self.batches.front().is_some_and(|first| first.rows > END_ROWS)
    }

    /// Whether the first is too much for one slice, and can be done in several.
    fn first_is_for_many(&self) -> bool {
        self.batches.front().is_some_and(|first| first.rows > SLICE && first.is_settled)
    }

    fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.batches.pop_front()?;
        let session = waiting.batch.from.session;
        if let Some(count) = self.from.get_mut(&session) {
            *count -= 1;
            if *count == 0 {
                self.from.remove(&session);
            }
        }
        Some(waiting)
    }
}

impl Work {
    /// Leaves in a group what goes first, if it is not all done soon; the rows that takes.
    pub(super) fn sort(&mut self, group: &mut Group) -> usize {
        if !self.ledger.are_answers_promises {
            return 0;
        }
        let mut costs = Vec::with_capacity(group.batches.len());
        let mut by_connection: HashMap<Instance, usize> = HashMap::new();
        let (mut start, mut rows) = (0, 0);
        for batch in &group.batches {
            let cost = self.cost(&group.entries[start..batch.end]);
            start = batch.end;
            rows += cost.rows;
            *by_connection.entry(batch.from.session).or_default() += cost.rows;
            costs.push(cost);
        }
        if self.slow.is_empty() && rows <= SLICE {
            return rows;
        }
        let numbers = self.ledger.numbers_left();
        let entries = &mut group.entries;
        let (mut start, mut end, mut rows) = (0, 0, 0);
        for (batch, cost) in std::mem::take(&mut group.batches).into_iter().zip(costs) {
            let own = start..batch.end;
            start = batch.end;
            let session = batch.from.session;
            // The broker's own jobs are from nobody.
            let may_pass = cost.are_messages
                && session != 0
                && by_connection[&session] <= QUICK
                && rows + cost.rows <= numbers
                && !self.slow.from.contains_key(&session);
            if may_pass {
                rows += cost.rows;
                let length = own.len();
                if own.start > end {
                    entries.copy_within(own, end);
                }
                end += length;
                group.batches.push(Batch { end, ..batch });
            } else {
                self.slow.push(&entries[own], batch, cost);
            }
        }
        entries.truncate(end);
        rows
    }

    /// Does a slice of what was left: no less than what went first.
    pub(super) fn slice(&mut self, at_least: usize) {
        if self.slow.first_is_for_many() {
            return self.for_many();
        }
        let (mut entries, mut batches, mut rows) = (Vec::new(), Vec::new(), 0);
        let is_moved = self.is_log_moved();
        while rows < SLICE.max(at_least)
            && !self.slow.first_is_for_many()
            && !(is_moved && self.slow.first_waits_for_log())
            && let Some(next) = self.slow.pop()
        {
            entries.extend_from_slice(&next.entries);
            batches.push(Batch { end: entries.len(), ..next.batch });
            rows += next.rows.max(1);
        }
        if !batches.is_empty() {
            self.group(&entries, &mut batches);
        }
    }

    /// Whether it takes longer than anybody should wait for it.
    pub(super) fn is_for_many(&mut self, entries: &[u8]) -> bool {
        self.cost(entries).rows > SLICE
    }

    fn cost(&mut self, entries: &[u8]) -> Cost {
        let mut cost = Cost { rows: 0, are_messages: true, is_settled: true };
        let mut rest = Entries::new(entries);
        while let Some(bytes) = rest.take_up_to(0) {
            if record::is_event(bytes) {
                cost.rows += 1;
                continue;
            }
            let Some(entry) = record::parse(bytes) else { continue };
            cost.rows += match entry {
                Entry::Publish(published) => self.ledger.rows(&published),
                Entry::Large(number, _) => {
                    let bytes = publish_aside(&self.log, number).unwrap_or_default();
                    published(&bytes).map_or(0, |published| self.ledger.rows(&published))
                }
                Entry::Keep(Keep::Step(_)) => 1,
                Entry::Keep(Keep::Aside(number)) if self.is_audit(number) => 1,
                // A charge that comes back alone.
                Entry::End(0) => 0,
                other => {
                    cost.are_messages = false;
                    cost.is_settled &= matches!(other, Entry::Keep(_));
                    match other {
                        Entry::End(session) if self.ledger.is_kept(session) => END_ROWS,
                        Entry::Revoke(..) => END_ROWS,
                        Entry::Keep(Keep::Aside(_)) => ASIDE_ROWS,
                        _ => 1,
                    }
                }
            };
        }
        cost
    }

    /// Whether it says who commanded what: that goes with the message.
    fn is_audit(&self, number: AsideNumber) -> bool {
        let is_audit = |aside: &Aside| match aside {
            Aside::Keep(keep) => matches!(**keep, KeepAside::Audit(_)),
            _ => false,
        };
        self.log.look(number, is_audit).unwrap_or(false)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use dockside_mqtt::QoS;
    use dockside_mqtt::packet::SubscriptionOptions;
    use dockside_store::Session;
    use tempfile::TempDir;

    use super::*;
    use crate::config::{self, Limits};
    use crate::live_log::{self, LogReader};
    use crate::metrics::StoreMetrics;
    use crate::record::{self, Published, Subscribed};
    use crate::writer::From;
    use crate::writer::ledger::tests::ledger;

    /// Sessions that wait for `many`; one of them for `one` too.
    const SESSIONS: u64 = 80;

    pub(in crate::writer) const LIGHT: &str = "one";
    pub(in crate::writer) const HEAVY: &str = "many";

    pub(in crate::writer) fn work(dir: &TempDir, sessions: u64) -> (Work, LogReader) {
        let (log, reader, _) = live_log::open(&config::LiveLog::default()).unwrap();
        let mut ledger = ledger(dir, &Limits::default());
        ledger.begin().unwrap();
        for id in 1..=sessions {
            let session = Session { client_id: id.to_string(), user: None, expiry_s: 60 };
            ledger.session(id, &session).unwrap();
            let options = SubscriptionOptions::qos(QoS::AtLeastOnce);
            ledger.subscribe(&Subscribed { instance: id, options, id: 0, filter: HEAVY }).unwrap();
        }
        let options = SubscriptionOptions::qos(QoS::AtLeastOnce);
        ledger.subscribe(&Subscribed { instance: 1, options, id: 0, filter: LIGHT }).unwrap();
        ledger.commit().unwrap();
        let works = Arc::new(AtomicBool::new(true));
        let metrics = StoreMetrics::register(&works, Duration::from_secs(10));
        (Work::new(Arc::new(log), ledger, metrics), reader)
    }

    /// A batch of a connection, with a message for each of these topics.
    pub(in crate::writer) fn add(group: &mut Group, from: Instance, topics: &[&str]) {
        for topic in topics {
            let published = Published::by_broker(topic, QoS::AtLeastOnce, b"1");
            let published = Published { publisher: from, ..published };
            record::append(&mut group.entries, &Entry::Publish(published));
        }
        end(group, from);
    }

    fn end(group: &mut Group, from: Instance) {
        let end = group.entries.len();
        let from = From::session(from);
        group.batches.push(Batch { end, charge: 1, completion: None, from });
    }

    fn froms(batches: &[Batch]) -> Vec<Instance> {
        batches.iter().map(|batch| batch.from.session).collect()
    }

    fn slow(work: &Work) -> Vec<Instance> {
        work.slow.batches.iter().map(|waiting| waiting.batch.from.session).collect()
    }

    /// What was left, entry by entry.
    fn texts(work: &Work) -> Vec<String> {
        let bytes = work.slow.batches.iter().flat_map(|waiting| Entries::new(&waiting.entries));
        let text = |entry: Entry<'_>| match entry {
            Entry::Publish(published) => format!("{} {}", published.publisher, published.topic),
            Entry::Barrier(number) => format!("barrier {number}"),
            Entry::Unsubscribe(session, filter) => format!("{session} left {filter}"),
            other => panic!("{other:?}"),
        };
        bytes.map(text).collect()
    }

    #[test]
    fn what_is_done_soon_stays_as_it_came() {
        let dir = TempDir::new().unwrap();
        let (mut work, _reader) = work(&dir, SESSIONS);
        let mut group = Group::default();
        add(&mut group, 1_001, &[HEAVY]);
        add(&mut group, 1_002, &[LIGHT]);
        work.sort(&mut group);
        assert_eq!(froms(&group.batches), [1_001, 1_002]);
        assert!(work.slow.is_empty());
        let mut alone = Group::default();
        add(&mut alone, 1_001, &[HEAVY, HEAVY]);
        work.sort(&mut alone);
        assert_eq!((froms(&alone.batches), slow(&work)), (vec![], vec![1_001]), "160 rows");
        assert!(alone.entries.is_empty());
    }

    #[test]
    fn a_few_messages_pass_and_each_connection_keeps_its_order() {
        let dir = TempDir::new().unwrap();
        let (mut work, _reader) = work(&dir, SESSIONS);
        let mut group = Group::default();
        add(&mut group, 1_001, &[HEAVY]);
        add(&mut group, 1_002, &[LIGHT]);
        add(&mut group, 1_003, &[HEAVY]);
        add(&mut group, 1_003, &[LIGHT]);
        record::append(&mut group.entries, &Entry::Barrier(7));
        end(&mut group, 0);
        add(&mut group, 0, &[LIGHT]);
        record::append(&mut group.entries, &Entry::Unsubscribe(1_004, "x"));
        end(&mut group, 1_004);
        add(&mut group, 1_004, &[LIGHT]);
        add(&mut group, 1_005, &[LIGHT; QUICK + 1]);
        add(&mut group, 1_006, &[LIGHT]);
        work.sort(&mut group);
        assert_eq!(froms(&group.batches), [1_002, 1_006]);
        assert_eq!(slow(&work), [1_001, 1_003, 1_003, 0, 0, 1_004, 1_004, 1_005]);
        let topics = Entries::new(&group.entries).map(|entry| match entry {
            Entry::Publish(published) => (published.publisher, published.topic.to_owned()),
            other => panic!("{other:?}"),
        });
        let expected = [1_002, 1_006].map(|from| (from, LIGHT.to_owned()));
        assert_eq!(topics.collect::<Vec<_>>(), expected);
        let left =
            ["1001 many", "1003 many", "1003 one", "barrier 7", "0 one", "1004 left x", "1004 one"];
        let left = left.into_iter().chain(["1005 one"; QUICK + 1]);
        assert_eq!(texts(&work), left.collect::<Vec<_>>());
        // As long as something of it is left.
        let mut next = Group::default();
        add(&mut next, 1_003, &[LIGHT]);
        add(&mut next, 1_002, &[LIGHT]);
        work.sort(&mut next);
        assert_eq!((froms(&next.batches), slow(&work).len()), (vec![1_002], 9));
        work.slice(0);
        assert_eq!(slow(&work), [1_003, 0, 0, 1_004, 1_004, 1_005, 1_003], "some 160 rows");
        work.slice(0);
        assert_eq!(slow(&work), [1_005, 1_003], "more than a slice is begun alone");
        while !work.slow.is_empty() {
            work.slice(0);
        }
        assert!(work.slow.from.is_empty());
    }
}
