//! What cannot be kept now: it waits in its order until the store works again.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Completion;
use crate::mailbox::{Command, Mailbox};
use crate::record::{Entries, Entry, Instance};

/// Between two tries.
const RETRY: Duration = Duration::from_millis(250);

/// Publishers whose messages do not fit are told to go elsewhere.
const BYTES_AT_MOST: usize = 64 << 20;

/// Batches that are held.
#[derive(Default)]
pub(super) struct Held {
    batches: VecDeque<HeldBatch>,
    bytes: usize,
    /// Sessions whose beginning is held: what follows must not overtake it.
    begun: HashSet<Instance>,
    /// What must not be passed.
    orders: HashSet<Order>,
    /// Mailboxes of publishers of whom something was forgotten.
    gone: HashSet<usize>,
    next_try: Option<Instant>,
    stalled: bool,
    since: Option<Instant>,
}

/// A publisher and a topic, hashed: two that are taken for one cost a delay.
pub(super) type Order = u64;

pub(super) struct HeldBatch {
    pub(super) entries: Vec<u8>,
    pub(super) completion: Option<Completion>,
    /// Kept from the budget until it is done.
    pub(super) charge: u64,
    /// What it holds, beside the log too.
    pub(super) bytes: usize,
    pub(super) orders: Vec<Order>,
    /// Whether it holds messages, among others.
    pub(super) is_published: bool,
    /// Whether it holds nothing else.
    pub(super) are_messages: bool,
    /// Whether it is only what its publisher sends again when it is back, or was promised nothing for.
    pub(super) is_forgettable: bool,
}

impl HeldBatch {
    /// Which mailbox waits for it.
    fn mailbox(&self) -> Option<usize> {
        self.completion.as_ref().map(|completion| Arc::as_ptr(&completion.mailbox).addr())
    }

    /// Tells its publisher to go. Whoever waits for something else has nowhere better to go.
    fn send_away(&self) {
        if let Some(completion) = self.completion.as_ref().filter(|_| self.is_published) {
            completion.mailbox.command(Command::Stalled);
        }
    }
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Holds a batch behind the others. Beyond the bound its publisher is told to go, and messages that
    /// nothing was promised for are forgotten: the batch comes back.
    pub(super) fn hold(&mut self, batch: HeldBatch) -> Result<(), HeldBatch> {
        // What comes behind one that was forgotten would pass it: its publisher sends both again.
        let is_gone = batch.mailbox().is_some_and(|mailbox| self.gone.contains(&mailbox));
        if is_gone || self.bytes + batch.bytes > BYTES_AT_MOST {
            batch.send_away();
            if batch.is_forgettable {
                self.gone.extend(batch.mailbox());
                return Err(batch);
            }
        }
        let now = Instant::now();
        self.next_try.get_or_insert(now + RETRY);
        self.since.get_or_insert(now);
        self.bytes += batch.bytes;
        let begun = Entries::new(&batch.entries).filter_map(|entry| match entry {
            Entry::Begin(session, _) | Entry::Attach(session, _) => Some(session),
            _ => None,
        });
        self.begun.extend(begun);
        self.orders.extend(&batch.orders);
        self.batches.push_back(batch);
        Ok(())
    }

    /// Whether the bound is reached.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BYTES_AT_MOST
    }

    /// Whether one of these must not pass what is held: a publisher's messages of a topic keep their order.
    pub(super) fn holds_before(&self, orders: &[Order]) -> bool {
        orders.iter().any(|order| self.orders.contains(order))
    }

    /// Whether an answer to this connection must wait for one that is held.
    pub(super) fn waits(&self, mailbox: &Arc<Mailbox>) -> bool {
        let mut all = self.batches.iter().filter_map(|batch| batch.completion.as_ref());
        all.any(|completion| Arc::ptr_eq(&completion.mailbox, mailbox))
    }

    /// Whether a batch ends a session whose beginning is held.
    pub(super) fn begins_what_ends(&self, entries: &[u8]) -> bool {
        let ends = |entry| matches!(entry, Entry::End(session) if self.begun.contains(&session));
        !self.begun.is_empty() && Entries::new(entries).any(ends)
    }

    pub(super) fn retry_in(&self) -> Option<Duration> {
        self.next_try.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether it is time to try again.
    pub(super) fn is_due(&self) -> bool {
        self.next_try.is_some_and(|at| at <= Instant::now())
    }

    /// The first, to be kept now.
    pub(super) fn first(&self) -> Option<&HeldBatch> {
        self.batches.front()
    }

    /// The first has been kept, or cannot be.
    pub(super) fn pop(&mut self) -> Option<HeldBatch> {
        let batch = self.batches.pop_front()?;
        self.bytes -= batch.bytes;
        if self.batches.is_empty() {
            *self = Self::default();
        }
        Some(batch)
    }

    /// The store still fails. Publishers that have waited for too long are told to go elsewhere.
    pub(super) fn failed(&mut self, stall_timeout: Duration) {
        self.next_try = (!self.batches.is_empty()).then(|| Instant::now() + RETRY);
        let is_late = self.since.is_some_and(|since| since.elapsed() >= stall_timeout);
        if is_late {
            self.stalled = true;
            self.batches.iter().for_each(HeldBatch::send_away);
        }
    }

    /// Whether publishers were told to go.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use crate::mailbox::AsleepBytes;

    fn batch(bytes: usize, is_forgettable: bool) -> HeldBatch {
        let limits = Limits::default();
        let mailbox = Arc::new(Mailbox::new(&limits, &Arc::new(AsleepBytes::new(&limits))));
        HeldBatch {
            entries: vec![0; 8],
            completion: Some(Completion { mailbox, ticket: 1, once_kept: true }),
            charge: 0,
            bytes,
            orders: vec![bytes as u64],
            is_published: true,
            are_messages: true,
            is_forgettable,
        }
    }

    /// At every level of durability, and whether or not somebody waits.
    #[test]
    fn no_more_is_held_than_there_is_room_for() {
        let mut held = Held::default();
        let half = BYTES_AT_MOST / 2;
        assert!(held.hold(batch(half, true)).is_ok() && !held.is_full());
        assert!(held.hold(batch(half, true)).is_ok() && held.is_full());
        let anonymous = HeldBatch { completion: None, ..batch(1, true) };
        assert!(held.hold(anonymous).is_err() && held.hold(batch(1, true)).is_err());
        assert!(held.hold(batch(1, false)).is_ok(), "its budget is kept instead");
        assert!(held.pop().is_some());
        let again = |mailbox: &Arc<Mailbox>, bytes| HeldBatch {
            completion: Some(Completion {
                mailbox: Arc::clone(mailbox),
                ticket: 2,
                once_kept: true,
            }),
            ..batch(bytes, true)
        };
        let forgotten = held.hold(batch(half + 2, true)).err().unwrap();
        let mailbox = forgotten.completion.unwrap().mailbox;
        assert!(held.hold(again(&mailbox, 1)).is_err(), "it would pass the one before");
        assert!(held.hold(batch(1, true)).is_ok());
        assert!(held.holds_before(&[5, half as u64]) && !held.holds_before(&[5]));
        while held.pop().is_some() {}
        assert!(held.hold(again(&mailbox, 1)).is_ok(), "all over");
        assert!(held.pop().is_some() && !held.is_full() && !held.holds_before(&[half as u64]));
    }
}
