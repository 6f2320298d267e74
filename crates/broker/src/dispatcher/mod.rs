//! From the live log to the mailboxes.
//!
//! [`routes`] is the pure part: who wants a message, and how. This file drives it: it tails the
//! log, shares one owned copy of a message among its receivers and fills their mailboxes, one lock
//! a mailbox for each batch. It waits for nothing but its link.

mod routes;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use self::routes::{Routes, Slot};
use crate::live_log::{Aside, Dead, LogReader};
use crate::mailbox::{Delivery, Mailbox, Message};
use crate::metrics::DispatcherMetrics;
use crate::record::{Entries, Entry, Instance, Lane, Published, Record};
use crate::shared::Shared;

/// Records handled before other tasks get their turn.
const RECORDS_A_TURN: usize = 32;

/// Deliveries that are gathered before they go to their mailboxes.
const DELIVERIES_AT_ONCE: usize = 10_000;

pub(crate) struct Dispatcher {
    shared: Arc<Shared>,
    metrics: DispatcherMetrics,
    routes: Routes,
    outlets: HashMap<Slot, Outlet>,
    /// Outlets with something in their outbox.
    filled: Vec<Slot>,
    /// Deliveries in all outboxes.
    undelivered: usize,
}

struct Outlet {
    mailbox: Arc<Mailbox>,
    outbox: Vec<Delivery>,
}

impl Dispatcher {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            metrics: DispatcherMetrics::register(),
            shared,
            routes: Routes::default(),
            outlets: HashMap::new(),
            filled: Vec::new(),
            undelivered: 0,
        }
    }

    /// Tails the log until it ends.
    pub(crate) async fn run(mut self, mut reader: LogReader) -> Dead {
        loop {
            let mut record = match reader.next().await {
                Ok(record) => record,
                Err(dead) => return dead,
            };
            for _ in 0..RECORDS_A_TURN {
                self.record(&record);
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
                self.record(&record);
            }
            self.fill_mailboxes();
            tokio::task::yield_now().await;
        }
    }

    fn record(&mut self, bytes: &Bytes) {
        let Some(record) = Record::parse(bytes) else { return };
        self.entries(record.entries);
        let budget = match record.lane {
            Lane::Direct => &self.shared.direct_budget,
            Lane::Writer => &self.shared.writer_budget,
        };
        if record.charge > 0 {
            budget.give_back(record.charge);
        }
    }

    fn entries(&mut self, entries: Entries<'_>) {
        for entry in entries {
            match entry {
                Entry::Publish(published) => self.publish(&published),
                Entry::Large(number) => {
                    if let Some(Aside::Entry(bytes)) = self.shared.log.fetch(number) {
                        self.entries(Entries::new(&bytes));
                    }
                }
                Entry::Begin(instance, number) => {
                    if let Some(Aside::Mailbox(mailbox)) = self.shared.log.fetch(number) {
                        let slot = self.routes.begin(instance);
                        self.outlets.insert(slot, Outlet { mailbox, outbox: Vec::new() });
                    }
                }
                Entry::End(instance) => self.end(instance),
                Entry::Subscribe(subscribed) => {
                    self.routes.subscribe(&subscribed);
                    self.count_subscriptions();
                }
                Entry::Unsubscribe(instance, filter) => {
                    self.routes.unsubscribe(instance, filter);
                    self.count_subscriptions();
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
    }

    fn count_subscriptions(&self) {
        self.metrics.subscriptions.set(self.routes.subscriptions() as f64);
    }

    fn end(&mut self, instance: Instance) {
        if let Some(slot) = self.routes.end(instance) {
            // Its connection is gone: what is left has no receiver.
            self.outlets.remove(&slot);
            self.filled.retain(|filled| *filled != slot);
            self.count_subscriptions();
        }
    }

    fn publish(&mut self, published: &Published<'_>) {
        let mut message: Option<Arc<Message>> = None;
        for route in &*self.routes.matches(published.topic) {
            let Some(grant) = route.grant(published) else { continue };
            let Some(outlet) = self.outlets.get_mut(&route.slot) else { continue };
            self.undelivered += 1;
            let message = message.get_or_insert_with(|| Arc::new(Message::new(published)));
            if outlet.outbox.is_empty() {
                self.filled.push(route.slot);
            }
            outlet.outbox.push(Delivery {
                message: Arc::clone(message),
                qos: grant.qos.min(published.qos),
                retain: grant.retain_as_published && published.retain,
                subscription_ids: Arc::clone(&grant.subscription_ids),
            });
        }
        if self.undelivered >= DELIVERIES_AT_ONCE {
            self.fill_mailboxes();
        }
        if message.is_none() && !published.except_publisher {
            self.metrics.no_subscriber.increment(1);
        }
    }

    fn fill_mailboxes(&mut self) {
        self.undelivered = 0;
        for slot in self.filled.drain(..) {
            if let Some(outlet) = self.outlets.get_mut(&slot) {
                let dropped = outlet.mailbox.deliver(&mut outlet.outbox);
                if dropped > 0 {
                    self.metrics.mailbox_full.increment(dropped);
                }
            }
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
