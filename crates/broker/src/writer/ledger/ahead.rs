//! A message for many is queued for them ahead of it, a part in each of several transactions: all in one would be waited
//! for by whoever has something to be kept.
//!
//! Its number is fixed at the first of them, behind a reserve of numbers for the messages that pass it meanwhile: so it
//! still is the greatest when it comes into the store, the live log and the mailboxes. It comes with the last
//! transaction; before that nobody reads for whom it is queued, and a process that begins forgets it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use dockside_mqtt::QoS;
use dockside_store::{Error, Grant, Seq};

use super::{Ledger, grants, size};
use crate::dispatcher::routes::Matches;
use crate::record::Published;

/// Numbers for what passes.
const RESERVE: Seq = 4_096;

/// What is known of messages that are queued ahead.
#[derive(Default)]
pub(super) struct Ahead {
    /// The last number of the reserve, while there is one.
    behind: Option<Seq>,
    /// For the next messages that are kept: none is whatever is next.
    numbers: VecDeque<Option<Seq>>,
    /// Numbers of messages that come with the next transaction.
    coming: Option<Range<Seq>>,
    /// Numbers of messages that did not come.
    given_up: Option<Range<Seq>>,
}

/// A message, and who waits for it.
pub(crate) struct Many {
    pub(crate) seq: Seq,
    matches: Arc<Matches>,
    /// Places in `matches`, behind its routes those of its groups, by the number of the reader: what is side by side in
    /// the store is written at once.
    order: Vec<usize>,
    /// For how many of them it is queued.
    done: usize,
}

impl Many {
    pub(crate) fn is_done(&self) -> bool {
        self.done == self.order.len()
    }
}

impl Ledger {
    /// Numbers that what passes may have. Half of the reserve: what cannot be kept with others is tried alone, and has others
    /// then.
    pub(crate) fn numbers_left(&self) -> usize {
        let left = |behind: Seq| (behind.saturating_sub(self.last_seq) / 2) as usize;
        self.ahead.behind.map_or(usize::MAX, left)
    }

    /// Who waits for a message, if they are more than a few; it is the `nth` entry of those that belong together.
    pub(crate) fn many(
        &mut self,
        published: &Published<'_>,
        nth: usize,
        few: usize,
    ) -> Option<Many> {
        if published.qos == QoS::AtMostOnce {
            return None;
        }
        let matches = self.routes.matches(published.topic);
        let routes = matches.routes.len();
        let mut order: Vec<_> = (0..routes + matches.groups.len())
            .filter(|&at| matches.routes.get(at).is_none_or(|route| grants(route, published)))
            .collect();
        if order.len() <= few {
            return None;
        }
        let behind = self.ahead.behind.unwrap_or(self.last_seq + RESERVE);
        let seq = behind + 1 + nth as Seq;
        if seq > self.store.last_number() {
            return None;
        }
        self.ahead.behind = Some(behind);
        order.sort_unstable_by_key(|&at| match matches.routes.get(at) {
            Some(route) => route.instance,
            None => matches.groups[at - routes],
        });
        Some(Many { seq, matches, order, done: 0 })
    }

    /// Queues a message for so many of those who wait for it.
    pub(crate) fn queue_ahead(
        &mut self,
        published: &Published<'_>,
        many: &mut Many,
        at_most: usize,
    ) -> Result<usize, Error> {
        let part = many.order[many.done..].iter().take(at_most);
        let count = part.len();
        for &at in part {
            self.queue_for(&many.matches, at, many.seq, published)?;
        }
        many.done += count;
        Ok(count)
    }

    /// Queues a message for the reader with this place in `matches`: behind its routes come its groups.
    pub(super) fn queue_for(
        &mut self,
        matches: &Matches,
        at: usize,
        seq: Seq,
        published: &Published<'_>,
    ) -> Result<(), Error> {
        let bytes = size(published);
        let Some(route) = matches.routes.get(at) else {
            let group = matches.groups[at - matches.routes.len()];
            // Its members have qualities of their own.
            let grant = Grant { qos: published.qos.bits(), retain: false, identifiers: &[] };
            self.store.queue(group, seq, &grant, bytes)?;
            return self.make_room(group, seq, bytes);
        };
        let Some(granted) = route.grant(published) else { return Ok(()) };
        let grant = Grant {
            qos: granted.qos.min(published.qos).bits(),
            retain: granted.retain_as_published && published.retain,
            identifiers: &granted.subscription_ids,
        };
        self.store.queue(route.instance, seq, &grant, bytes)?;
        self.make_room(route.instance, seq, bytes)
    }

    /// The next messages that are kept have these numbers, where one is there; they are of so many entries. Nothing
    /// passes them any more.
    pub(crate) fn comes(&mut self, numbers: VecDeque<Option<Seq>>, entries: usize) {
        let Some(behind) = self.ahead.behind.take() else { return };
        self.last_seq = behind;
        self.ahead.numbers = numbers;
        self.ahead.coming = Some(behind + 1..behind + 1 + entries as Seq);
    }

    /// The number of the next message that is kept, if it was queued ahead.
    pub(super) fn next_ahead(&mut self) -> Option<Seq> {
        self.ahead.numbers.pop_front().flatten()
    }

    /// What was queued ahead is for messages that do not come: they come anew, under other numbers. They are of so many
    /// entries.
    pub(crate) fn give_up_ahead(&mut self, entries: usize) {
        self.comes(VecDeque::new(), entries);
        self.roll_back_ahead();
    }

    pub(super) fn roll_back_ahead(&mut self) {
        self.ahead.numbers.clear();
        let Some(numbers) = self.ahead.coming.take() else { return };
        self.last_seq = self.last_seq.max(numbers.end);
        let first = self.ahead.given_up.as_ref().map_or(numbers.start, |given_up| given_up.start);
        self.ahead.given_up = Some(first..numbers.end);
    }

    /// Forgets what was queued for messages that did not come, in this transaction.
    pub(super) fn has_given_up(&self) -> bool {
        self.ahead.given_up.is_some()
    }

    pub(super) fn forget_given_up(&mut self) -> Result<(), Error> {
        let Some(numbers) = self.ahead.given_up.clone() else { return Ok(()) };
        for (reader, bytes) in self.store.forget_ahead(numbers)? {
            self.waiting.change(reader, -1, -(bytes as i64));
        }
        Ok(())
    }

    pub(super) fn commit_ahead(&mut self) {
        self.ahead.given_up = None;
        self.ahead.coming = None;
        self.ahead.numbers.clear();
    }
}
