//! While the store fails: what must be kept is held, everything else passes.

use std::hash::BuildHasher;
use std::time::Duration;

use dockside_mqtt::QoS;
use dockside_store::{Error, is_of_one_job};

use super::held::{HeldBatch, Order};
use super::work::{Work, publish_aside, published};
use super::{Batch, Completion};
use crate::keep::Keep;
use crate::mailbox::Command;
use crate::record::{self, Entries, Entry, Published};

/// How long room is made where there is none.
const SPACE: Duration = Duration::from_millis(50);

impl Work {
    /// Batches with nothing to keep pass, the others are held. Their charges come back as long as there is
    /// room for what is held, so that nobody else waits for them.
    pub(super) fn apart(&mut self, entries: &[u8], batches: &mut Vec<Batch>) {
        let mut start = 0;
        for batch in batches.drain(..) {
            let own = &entries[start..batch.end];
            start = batch.end;
            self.one_apart(own, batch);
        }
        if self.held.is_empty() {
            self.metrics.works(true);
        }
    }

    fn one_apart(&mut self, own: &[u8], batch: Batch) {
        self.out.clear();
        let orders = self.orders(own);
        let must_wait = self.must_keep(own)
            || self.held.begins_what_ends(own)
            || self.held.holds_before(&orders);
        let Batch { mut charge, completion, from, .. } = batch;
        // Before its charge is given back: whoever that wakes may send more.
        drop(from);
        let (entries, bytes) = if must_wait {
            (own.to_vec(), self.bytes(own))
        } else {
            self.out.extend_from_slice(own);
            match &completion {
                // Answers keep their order: its own waits for those before it.
                Some(completion) if self.held.waits(&completion.mailbox) => (Vec::new(), 0),
                _ => {
                    self.append(charge);
                    return completion.into_iter().for_each(Completion::complete);
                }
            }
        };
        let are_messages = are_messages(own);
        let mut held = HeldBatch {
            are_messages,
            is_forgettable: must_wait && are_messages && self.is_forgettable(own, &completion),
            is_published: !orders.is_empty(),
            entries,
            completion,
            charge: 0,
            bytes,
            orders: if must_wait { orders } else { Vec::new() },
        };
        if self.held.is_full() && !held.is_forgettable {
            // Its publisher waits for room in the budget, like everybody who sends more now.
            held.charge = std::mem::take(&mut charge);
        }
        self.append(charge);
        if let Err(forgotten) = self.held.hold(held) {
            self.forget(&forgotten.entries);
        }
    }

    /// Who publishes where in a batch.
    fn orders(&self, entries: &[u8]) -> Vec<Order> {
        let mut orders = Vec::new();
        self.for_each_message(entries, |published| {
            orders.push(self.hashes.hash_one((published.publisher, published.topic)));
        });
        orders
    }

    fn for_each_message(&self, entries: &[u8], mut look: impl FnMut(&Published<'_>)) {
        for entry in Entries::new(entries) {
            match entry {
                Entry::Publish(p) => look(&p),
                Entry::Large(number, _) => {
                    let bytes = publish_aside(&self.log, number).unwrap_or_default();
                    published(&bytes).iter().for_each(&mut look);
                }
                _ => {}
            }
        }
    }

    /// What a batch holds, beside the log too.
    fn bytes(&self, entries: &[u8]) -> usize {
        let aside = |entry| match entry {
            Entry::Large(number, _) => publish_aside(&self.log, number).map_or(0, |b| b.len()),
            _ => 0,
        };
        entries.len() + Entries::new(entries).map(aside).sum::<usize>()
    }

    /// Whether messages are only what their publisher sends again when it is back (QoS 2 is not, as its
    /// identifier is known), or what nobody waits for: QoS 0, or anything where answers promise nothing.
    fn is_forgettable(&self, messages: &[u8], awaited: &Option<Completion>) -> bool {
        let mut are_repeated = true;
        self.for_each_message(messages, |p| are_repeated &= p.qos == QoS::AtLeastOnce);
        are_repeated || awaited.is_none()
    }

    /// Lets go of what a batch has beside the log.
    fn forget(&self, entries: &[u8]) {
        let mut messages = 0;
        for entry in Entries::new(entries) {
            match entry {
                Entry::Large(number, _) => drop(self.log.fetch(number)),
                Entry::Publish(_) => {}
                _ => continue,
            }
            messages += 1;
        }
        self.metrics.forgotten(messages);
    }

    /// Tries to keep what is held, in its order.
    pub(super) fn retry(&mut self) {
        while let Some(first) = self.held.first() {
            let entries = first.entries.clone();
            self.out.clear();
            if let Err(error) = self.keep(&entries, false) {
                if !is_of_one_job(&error) {
                    return self.failed(&error);
                }
                self.refuse(&error);
                continue;
            }
            self.first_is_kept();
        }
        if self.metrics.works(true) {
            tracing::info!("the store works again; everything that waited for it is kept");
        }
    }

    fn first_is_kept(&mut self) {
        let Some(HeldBatch { charge, completion, .. }) = self.held.pop() else { return };
        self.append(charge);
        completion.into_iter().for_each(Completion::complete);
    }

    /// The first cannot be kept, though others can: it must not be in their way for ever. Messages go, the
    /// rest goes on as if nothing had to be kept; whoever waits for it hears of it by the end of its
    /// connection.
    fn refuse(&mut self, error: &Error) {
        let Some(first) = self.held.pop() else { return };
        self.metrics.refused();
        tracing::error!(
            %error,
            bytes = first.bytes,
            "something cannot be kept although the store works: it is not acknowledged, and its client is sent away; please report this"
        );
        if let Some(completion) = &first.completion {
            completion.mailbox.command(Command::Refused);
        }
        self.out.clear();
        if first.are_messages {
            self.forget(&first.entries);
        } else {
            self.pass_unkept(&first.entries);
        }
        self.append(first.charge);
    }

    /// Everything that somebody besides the store must hear of.
    fn pass_unkept(&mut self, entries: &[u8]) {
        let mut rest = Entries::new(entries);
        while let Some(bytes) = rest.take_up_to(1) {
            match record::parse(bytes) {
                Some(Entry::Keep(Keep::Aside(number))) => drop(self.log.fetch(number)),
                None | Some(Entry::Keep(_)) => {}
                Some(_) => self.out.extend_from_slice(bytes),
            }
        }
    }

    pub(super) fn failed(&mut self, error: &Error) {
        // The bound may be what it failed for.
        self.make_space(SPACE);
        self.metrics.failed();
        if self.metrics.works(false) {
            tracing::error!(
                %error,
                "the store cannot be written: free space on its file system or see to its disk; what must be kept waits unacknowledged, everything else goes on"
            );
        }
        let was_stalled = self.held.is_stalled();
        self.held.failed(self.metrics.stall_timeout);
        if self.held.is_stalled() && !was_stalled {
            tracing::error!(
                "publishers that wait for the store are sent away (store.stall_timeout_ms)"
            );
        }
    }
}

/// Whether a batch is nothing but messages and what is recorded of them.
fn are_messages(entries: &[u8]) -> bool {
    Entries::new(entries).all(|entry| {
        matches!(entry, Entry::Publish(_) | Entry::Large(..) | Entry::Keep(Keep::Event(_)))
    })
}
