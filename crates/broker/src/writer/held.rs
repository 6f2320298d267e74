//! What cannot be kept now: it waits in its order until the store works again.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Batch, Completion};
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
    next_try: Option<Instant>,
    stalled: bool,
    since: Option<Instant>,
}

pub(super) struct HeldBatch {
    pub(super) entries: Vec<u8>,
    pub(super) completion: Option<Completion>,
    bytes: usize,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Holds a batch behind the others; with what is beside the log it counts for so many bytes. Beyond the
    /// bound its publisher is told to go, and a batch of messages that it `can_repeat` is forgotten: nothing
    /// was promised for it. `false` if so.
    pub(super) fn hold(
        &mut self,
        entries: &[u8],
        batch: &mut Batch,
        (bytes, can_repeat): (usize, bool),
    ) -> bool {
        let now = Instant::now();
        self.next_try.get_or_insert(now + RETRY);
        self.since.get_or_insert(now);
        let completion = batch.completion.take();
        if self.bytes + bytes > BYTES_AT_MOST
            && let Some(completion) = &completion
        {
            completion.mailbox.command(Command::Stalled);
            if can_repeat {
                return false;
            }
        }
        self.bytes += bytes;
        let begun = Entries::new(entries).filter_map(|entry| match entry {
            Entry::Begin(session, _) | Entry::Attach(session, _) => Some(session),
            _ => None,
        });
        self.begun.extend(begun);
        self.batches.push_back(HeldBatch { entries: entries.to_vec(), completion, bytes });
        true
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

    /// The first has been kept.
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
            for waiting in self.batches.iter().filter_map(|batch| batch.completion.as_ref()) {
                waiting.mailbox.command(Command::Stalled);
            }
        }
    }

    /// Whether publishers were told to go.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled
    }
}
