//! From the live log to the mailboxes.
//!
//! [`directory`] is the pure part: who gets a message, and how. This file drives it: it tails the
//! log and fills mailboxes, one lock a mailbox for each batch. It waits for nothing but its link.

#[cfg(feature = "bench")]
pub(crate) mod bench;
mod directory;
pub(crate) mod groups;
#[cfg(test)]
mod model;
pub(crate) mod routes;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use dockside_store::Seq;
use metrics::Counter;

use self::directory::{Directory, Wanted};
use self::routes::Slot;
use crate::keep::{self, KeepAside};
use crate::live_log::{Aside, Dead, LogReader};
use crate::mailbox::{Command, Mailbox, Undelivered};
use crate::message::{Delivery, GroupId, Message};
use crate::metrics::DispatcherMetrics;
use crate::record::{Entries, Entry, Instance, Lane, Published, Record, Subscribed};
use crate::shared::Shared;
use crate::tail;

/// Records handled before other tasks get their turn.
const RECORDS_A_TURN: usize = 32;

/// Entries, deliveries and looks at what is retained before other tasks get their turn: a flood of messages for many
/// sessions, each of them short, would hold a worker and every task that waits for it.
const STEPS_A_TURN: usize = 5_000;

pub(crate) struct Dispatcher {
    shared: Arc<Shared>,
    metrics: DispatcherMetrics,
    directory: Directory,
    outlets: Outlets,
    /// What the subscription asks for that came last: until it is there nothing else is looked at.
    wanted: Option<Wanted>,
}

/// The mailboxes of all sessions, and what goes into them next.
#[derive(Default)]
struct Outlets {
    by_slot: HashMap<Slot, Outlet>,
    /// Outlets with something in their outbox.
    filled: Vec<Slot>,
    /// Entries, deliveries and looks of this turn.
    steps: usize,
}

struct Outlet {
    mailbox: Arc<Mailbox>,
    outbox: Vec<Delivery>,
}

impl directory::Outlets for Outlets {
    fn takes_shared(&self, slot: Slot, size: usize) -> bool {
        let outlet = self.by_slot.get(&slot);
        outlet.is_some_and(|outlet| outlet.mailbox.takes_shared(outlet.outbox.len(), size))
    }

    fn retained_room(&self, slot: Slot) -> usize {
        self.by_slot.get(&slot).map_or(0, |outlet| outlet.mailbox.retained_room())
    }

    fn looked(&mut self, looks: usize) {
        self.steps += looks;
    }

    fn refuse_retained(&mut self, slot: Slot) {
        if let Some(outlet) = self.by_slot.get(&slot) {
            // It subscribes on and on without reading.
            outlet.mailbox.command(Command::SlowConsumer);
        }
    }

    fn put(&mut self, slot: Slot, delivery: Delivery) {
        let Some(outlet) = self.by_slot.get_mut(&slot) else { return };
        self.steps += 1;
        if outlet.outbox.is_empty() {
            self.filled.push(slot);
        }
        outlet.outbox.push(delivery);
    }
}

impl Outlets {
    /// Fills the mailboxes; what did not go in comes back.
    fn fill(&mut self) -> Undelivered {
        let mut undelivered = Undelivered::default();
        for slot in self.filled.drain(..) {
            if let Some(outlet) = self.by_slot.get_mut(&slot) {
                outlet.mailbox.deliver(&mut outlet.outbox, &mut undelivered);
            }
        }
        undelivered
    }
}

impl Dispatcher {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            metrics: DispatcherMetrics::register(),
            directory: Directory::new(
                &shared.config.limits,
                Arc::clone(&shared.retained),
                Arc::clone(&shared.sessions.bytes),
            ),
            outlets: Outlets::default(),
            wanted: None,
            shared,
        }
    }

    /// A session from before a restart.
    pub(crate) fn restore_session(
        &mut self,
        instance: Instance,
        mailbox: &Arc<Mailbox>,
        subscriptions: &[Subscribed<'_>],
    ) {
        let slot = self.directory.begin(instance);
        let outlet = Outlet { mailbox: Arc::clone(mailbox), outbox: Vec::new() };
        self.outlets.by_slot.insert(slot, outlet);
        for subscribed in subscriptions {
            self.directory.restore(subscribed);
        }
        self.count_subscriptions();
    }

    /// What waited in a group before a restart.
    pub(crate) fn restore_group(&mut self, group: GroupId, messages: &[Arc<Message>]) {
        self.directory.restore_group(group, messages);
    }

    /// Tails the log until it ends.
    pub(crate) async fn run(mut self, mut reader: LogReader) -> Dead {
        loop {
            let mut record = match reader.next().await {
                Ok(record) => record,
                Err(dead) => return dead,
            };
            for _ in 0..RECORDS_A_TURN {
                self.record(&record).await;
                match now_or_never(reader.next()).await {
                    Some(Ok(next)) => record = next,
                    Some(Err(dead)) => return dead,
                    None => {
                        record = Bytes::new();
                        break;
                    }
                }
            }
            if !record.is_empty() {
                self.record(&record).await;
            }
            self.end_turn().await;
        }
    }

    async fn end_turn(&mut self) {
        self.fill_mailboxes();
        self.outlets.steps = 0;
        self.shared.pulse.moves();
        tokio::task::yield_now().await;
    }

    async fn record(&mut self, bytes: &Bytes) {
        let Some(record) = Record::parse(bytes) else { return };
        for entry in record.entries {
            self.entry(entry);
            self.outlets.steps += 1;
            while self.outlets.steps >= STEPS_A_TURN {
                self.end_turn().await;
                self.search();
            }
        }
        let budget = match record.lane {
            Lane::Direct => &self.shared.direct_budget,
            Lane::Writer => &self.shared.writer_budget,
        };
        if record.charge > 0 {
            budget.give_back(record.charge);
        }
    }

    fn entry(&mut self, entry: Entry<'_>) {
        match entry {
            Entry::Publish(published) => self.publish(&published),
            Entry::Subscribe(subscribed) => {
                let now_ms = self.shared.clock.now_ms();
                self.wanted = self.directory.subscribe(&subscribed, now_ms, &mut self.outlets);
                self.count_subscriptions();
                self.search();
            }
            Entry::Unsubscribe(instance, filter) => self.unsubscribe(instance, filter),
            Entry::Revoke(instance, number) => {
                if let Some(Aside::Filters(filters)) = self.shared.log.fetch(number) {
                    filters.iter().for_each(|filter| self.unsubscribe(instance, filter));
                }
            }
            Entry::Awake(instance) => self.directory.attached(instance, &mut self.outlets),
            Entry::End(instance) => self.end(instance),
            Entry::Begin(instance, number) => self.begin(instance, number),
            Entry::Attach(instance, number) => self.attach(instance, number),
            Entry::Large(number, seq) => self.large(number, seq),
            // The writer keeps it back.
            Entry::Keep(_) => {}
            Entry::Return(number) => {
                if let Some(Aside::Returned(returned)) = self.shared.log.fetch(number) {
                    self.give_to_others(&returned);
                }
            }
            Entry::Barrier(number) => {
                self.fill_mailboxes();
                if let Some(Aside::Barrier(waiting)) = self.shared.log.fetch(number) {
                    // Whoever waited may have given up.
                    let _ = waiting.send(());
                }
            }
        }
    }

    /// Goes on with what the last subscription asks for, to the end of the turn or its own.
    fn search(&mut self) {
        let Some(wanted) = &mut self.wanted else { return };
        let looks = STEPS_A_TURN.saturating_sub(self.outlets.steps).max(1);
        if !self.directory.search(wanted, looks, &mut self.outlets) {
            self.wanted = None;
        }
        // They count for their bound once they are in the mailbox.
        self.fill_mailboxes();
    }

    fn large(&mut self, number: u64, seq: Seq) {
        if self.shared.tail.is_watched() {
            // Whoever looks on may come to it later than this.
            self.shared.log.look(number, |aside| {
                if let Aside::Entry(bytes) = aside
                    && let Some(published) = tail::first_publish(bytes)
                {
                    self.shared.tail.passes(number, &published);
                }
            });
        }
        let Some(Aside::Entry(bytes)) = self.shared.log.fetch(number) else { return };
        for entry in Entries::new(&bytes) {
            if let Entry::Publish(published) = entry {
                self.publish(&Published { seq, ..published });
            }
        }
    }

    fn count_subscriptions(&self) {
        let (plain, shared) = self.directory.subscriptions();
        self.metrics.subscriptions(plain, shared);
        self.shared.sys.subscriptions(plain, shared);
    }

    fn unsubscribe(&mut self, instance: Instance, filter: &str) {
        let waited = self.directory.unsubscribe(instance, filter);
        self.dropped(waited, &self.metrics.no_subscriber);
        self.count_subscriptions();
    }

    fn begin(&mut self, instance: Instance, number: u64) {
        if let Some(Aside::Mailbox(mailbox)) = self.shared.log.fetch(number) {
            let slot = self.directory.begin(instance);
            self.outlets.by_slot.insert(slot, Outlet { mailbox, outbox: Vec::new() });
        }
    }

    /// From here on everything goes to the new mailbox, behind what waits in the old one.
    fn attach(&mut self, instance: Instance, number: u64) {
        let Some(Aside::Mailbox(mailbox)) = self.shared.log.fetch(number) else { return };
        self.fill_mailboxes();
        let slot = self.directory.slot(instance);
        let outlet = slot.and_then(|slot| self.outlets.by_slot.get_mut(&slot));
        if let Some(outlet) = outlet {
            mailbox.inherit(&outlet.mailbox);
            outlet.mailbox = mailbox;
            self.directory.attached(instance, &mut self.outlets);
        }
    }

    fn end(&mut self, instance: Instance) {
        let Some((slot, waited)) = self.directory.end(instance) else { return };
        self.dropped(waited, &self.metrics.no_subscriber);
        if let Some(outlet) = self.outlets.by_slot.remove(&slot) {
            // Shared messages on their way to it are for others to have.
            self.outlets.filled.retain(|filled| *filled != slot);
            let shared: Vec<_> = outlet.outbox.into_iter().filter(Delivery::is_shared).collect();
            self.give_to_others(&shared);
        }
        self.count_subscriptions();
    }

    fn give_to_others(&mut self, shared: &[Delivery]) {
        let dropped = self.directory.returned(shared, &mut self.outlets);
        self.dropped(dropped, &self.metrics.queue_full);
    }

    fn publish(&mut self, published: &Published<'_>) {
        let outcome = self.directory.publish(published, &mut self.outlets);
        self.dropped(outcome.dropped, &self.metrics.queue_full);
        if outcome.not_retained {
            self.metrics.retained_full.increment(1);
            self.not_retained(published);
        }
        if !outcome.wanted && !published.except_publisher && !published.retain {
            self.metrics.no_subscriber.increment(1);
        }
    }

    /// The store has retained it, in the order of the writer.
    fn not_retained(&self, published: &Published<'_>) {
        if published.seq > 0 {
            let mut entry = Vec::new();
            let keep = KeepAside::NotRetained(published.topic.into(), published.seq);
            keep::append_aside(&self.shared.log, &mut entry, keep);
            self.shared.append_ordered(&entry);
        }
    }

    fn dropped(&self, count: u64, why: &Counter) {
        if count > 0 {
            why.increment(count);
            self.shared.sys.dropped(count);
        }
    }

    fn fill_mailboxes(&mut self) {
        // Shared messages that found their member gone go to another one; each time one less has a
        // connection, so this ends.
        loop {
            let undelivered = self.outlets.fill();
            self.dropped(undelivered.full, &self.metrics.queue_full);
            self.dropped(undelivered.full_qos0, &self.metrics.full_qos0);
            self.dropped(undelivered.offline, &self.metrics.offline);
            if undelivered.shared.is_empty() {
                return;
            }
            self.give_to_others(&undelivered.shared);
        }
    }
}

/// Polls once.
async fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}
