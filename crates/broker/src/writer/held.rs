//! What cannot be kept now: it waits in its order until the store works again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Batch, Completion};
use crate::mailbox::{Command, Mailbox};

/// Between two tries.
const RETRY: Duration = Duration::from_millis(250);

/// Publishers whose messages do not fit are told to go elsewhere.
const BYTES_AT_MOST: usize = 64 << 20;

/// Batches that are held.
#[derive(Default)]
pub(super) struct Held {
    batches: VecDeque<HeldBatch>,
    bytes: usize,
    next_try: Option<Instant>,
    stalled: bool,
    since: Option<Instant>,
}

pub(super) struct HeldBatch {
    pub(super) entries: Vec<u8>,
    pub(super) completion: Option<Completion>,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Holds a batch behind the others. One for which there is no room is held as well, as whoever
    /// handed it over has no other place for it, but its publisher is told to go.
    pub(super) fn hold(&mut self, entries: &[u8], batch: &mut Batch) {
        let now = Instant::now();
        self.next_try.get_or_insert(now + RETRY);
        self.since.get_or_insert(now);
        self.bytes += entries.len();
        let completion = batch.completion.take();
        if self.bytes > BYTES_AT_MOST
            && let Some(completion) = &completion
        {
            completion.mailbox.command(Command::Stalled);
        }
        self.batches.push_back(HeldBatch { entries: entries.to_vec(), completion });
    }

    /// Whether an answer to this connection must wait for one that is held.
    pub(super) fn waits(&self, mailbox: &Arc<Mailbox>) -> bool {
        let mut all = self.batches.iter().filter_map(|batch| batch.completion.as_ref());
        all.any(|completion| Arc::ptr_eq(&completion.mailbox, mailbox))
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
        self.bytes -= batch.entries.len();
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
