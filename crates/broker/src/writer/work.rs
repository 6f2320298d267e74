//! One group after the other: keep, append, complete.

use std::hash::RandomState;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dockside_store::is_of_one_job;

use super::effort::Effort;
use super::held::Held;
use super::mover::Mover;
use super::slow::Slow;
use super::unkept::Unkept;
use super::{Batch, Completion, From, Group, Ledger};
use crate::live_log::{Aside, LiveLog};
use crate::metrics::StoreMetrics;
use crate::record::{self, AsideNumber, Entries, Entry, Published};

pub(super) struct Work {
    pub(super) log: Arc<LiveLog>,
    pub(super) ledger: Ledger,
    pub(super) effort: Effort,
    /// What the messages of the next group took that were queued ahead.
    pub(super) ahead_took: Duration,
    pub(super) held: Held,
    pub(super) slow: Slow,
    pub(super) unkept: Unkept,
    /// None moves the store's log itself.
    pub(super) mover: Option<Mover>,
    /// How long the log was when it was asked; 0 is not since the log began.
    pub(super) asked_at: f64,
    /// It was asked since the writer last tried to finish the log.
    pub(super) is_moved: bool,
    pub(super) metrics: StoreMetrics,
    /// Of publishers and topics whose order is kept.
    pub(super) hashes: RandomState,
    /// Flight tasks could not follow lately.
    pub(super) is_behind: bool,
    /// Room could not be made lately.
    pub(super) is_stuck: bool,
    /// Sessions that ended could not be forgotten, and nothing was committed since.
    pub(super) cannot_leave: bool,
    /// The buffers of a group that was done in a turn.
    pub(super) spare: Group,
    /// Entries of the group that go on, with the numbers of their messages.
    pub(super) out: Vec<u8>,
    /// The charge of a group that is kept and has not gone on yet.
    kept: Option<u64>,
    /// Groups were done elsewhere since the writer's thread last looked.
    pub(super) has_had_turns: bool,
    /// How long the writer's thread sleeps.
    pub(super) sleeps: Duration,
    /// Until then only the writer's own thread does anything.
    pub(super) pause_until: Option<Instant>,
}

impl Work {
    pub(super) fn new(log: Arc<LiveLog>, ledger: Ledger, metrics: StoreMetrics) -> Self {
        // What waited before a restart waits still.
        metrics.queued(ledger.queued());
        metrics.sessions(ledger.session_bytes());
        Self {
            log,
            ledger,
            effort: Effort::default(),
            ahead_took: Duration::ZERO,
            held: Held::default(),
            slow: Slow::default(),
            unkept: Unkept::default(),
            mover: None,
            asked_at: 0.0,
            is_moved: false,
            metrics,
            hashes: RandomState::new(),
            is_behind: false,
            is_stuck: false,
            cannot_leave: false,
            spare: Group::default(),
            out: Vec::new(),
            kept: None,
            has_had_turns: false,
            sleeps: Duration::ZERO,
            pause_until: None,
        }
    }

    /// Commits leave the store's log to a thread of its own.
    pub(super) fn moves_with(&mut self, mover: Mover) {
        self.ledger.put_checkpoints_off(true);
        self.mover = Some(mover);
    }

    /// Lets a group go on that is kept.
    pub(super) fn go_on(&mut self) {
        if let Some(charge) = self.kept.take() {
            self.append(charge);
        }
    }

    /// Keeps what of a group must be kept, and lets all of it go on.
    pub(super) fn group(&mut self, entries: &[u8], batches: &mut Vec<Batch>) {
        let leaves_events = !self.ledger.are_answers_promises && !Unkept::are_many_in(entries);
        if !leaves_events && self.unkept.mark().is_any() {
            // They came before.
            self.keep_unkept();
        }
        self.group_of(entries, batches, leaves_events);
        if self.unkept.is_due() {
            self.keep_unkept();
        }
    }

    /// Keeps the events that were left. One that cannot be does not take others along.
    pub(super) fn keep_unkept(&mut self) {
        let entries = self.unkept.take();
        let (mut rest, mut end) = (Entries::new(&entries), 0);
        let ends = std::iter::from_fn(|| {
            end += rest.take_up_to(1).map(<[u8]>::len)?;
            Some(end)
        });
        let batch = |end| Batch { end, charge: 0, completion: None, from: From::broker() };
        let mut batches = ends.map(batch).collect();
        self.group_of(&entries, &mut batches, false);
        self.unkept.put_back(entries);
    }

    fn group_of(&mut self, entries: &[u8], batches: &mut Vec<Batch>, leaves_events: bool) {
        self.go_on();
        if self.held.is_due() {
            self.retry();
        }
        if !self.held.is_empty() {
            return self.apart(entries, batches);
        }
        self.out.clear();
        let is_committed = match self.keep(entries, leaves_events) {
            Ok(is_committed) => is_committed,
            Err(error) => {
                let is_of_one = is_of_one_job(&error);
                if !is_of_one {
                    self.failed(&error);
                }
                if self.unkept.mark().is_any() {
                    // They came before.
                    self.keep_unkept();
                }
                self.apart(entries, batches);
                if is_of_one {
                    self.retry();
                }
                return;
            }
        };
        self.complete(batches, false);
        if is_committed {
            // Nobody waits for this.
            self.trim();
        }
    }

    /// Completes the jobs of a group that is kept, and lets it go on: now, or later where nobody minds.
    pub(super) fn complete(&mut self, batches: &mut Vec<Batch>, may_be_later: bool) {
        // Before their charges are: whoever these wake may send more.
        batches.iter_mut().for_each(|batch| batch.from.on_its_way = None);
        let charge = batches.iter().map(|batch| batch.charge).sum();
        let completions = batches.iter_mut().filter_map(|batch| batch.completion.take());
        let completions: Vec<_> = completions.collect();
        // All or none: a job that is done stands for those of its connection before it.
        if completions.iter().all(|completion| completion.once_kept) {
            completions.into_iter().for_each(Completion::complete);
            self.kept = Some(charge);
            if !may_be_later {
                self.go_on();
            }
        } else {
            self.append(charge);
            completions.into_iter().for_each(Completion::complete);
        }
        batches.clear();
    }

    pub(super) fn append(&mut self, charge: u64) {
        if self.out.is_empty() && charge > 0 {
            // The charge comes back with its record, and a record needs an entry.
            record::append(&mut self.out, &Entry::End(0));
        }
        if !self.out.is_empty() {
            self.log.append_group(&self.out, charge);
        }
    }

    /// Everything is done; what was kept goes into the file.
    pub(super) fn end(mut self) {
        self.keep_unkept();
        if !self.held.is_empty() {
            // It may work again by now.
            self.retry();
        }
        if !self.held.is_empty() {
            tracing::error!(
                "the store did not work to the end: what waited for it was not acknowledged"
            );
        }
        self.follow();
        drop(self.mover);
        if let Err(error) = self.ledger.into_store().close() {
            tracing::warn!(%error, "the store's log could not be moved into its file; it is when it is opened next");
        }
    }
}

/// The bytes of a publish beside the log, which stays there.
pub(super) fn publish_aside(log: &LiveLog, number: AsideNumber) -> Option<Bytes> {
    let bytes = log.look(number, |aside| match aside {
        Aside::Entry(bytes) => Some(bytes.clone()),
        _ => None,
    });
    bytes.flatten()
}

pub(super) fn published(entry: &[u8]) -> Option<Published<'_>> {
    match Entries::new(entry).next() {
        Some(Entry::Publish(published)) => Some(published),
        _ => None,
    }
}
