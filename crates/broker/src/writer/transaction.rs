//! What of a group is kept, in one transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dockside_store::{Error, Seq};

use super::Ledger;
use super::work::{Work, publish_aside, published};
use crate::keep::{Event, Keep, KeepAside};
use crate::live_log::Aside;
use crate::record::{self, AsideNumber, Entries, Entry};

/// What of a group is done at its end.
struct Later<'e> {
    /// Whether events are left where nobody waits for them.
    leaves_events: bool,
    /// What travels beside the log and was kept.
    kept: Vec<AsideNumber>,
    events: Vec<Event<'e>>,
}

impl Work {
    /// One transaction; without anything to keep none is opened. Whether one was committed.
    pub(super) fn keep(&mut self, entries: &[u8], leaves_events: bool) -> Result<bool, Error> {
        let began = Instant::now();
        let mut is_open = false;
        let mut later = Later { leaves_events, kept: Vec::new(), events: Vec::new() };
        let unkept = self.unkept.mark();
        let done = self.entries(entries, &mut is_open, &mut later);
        let count = match done {
            Ok(count) if !is_open && later.events.is_empty() => {
                self.took(count, began);
                return Ok(false);
            }
            Err(error) if !is_open => {
                self.unkept.back_to(unkept);
                return Err(error);
            }
            other => other,
        };
        let committed = count.and_then(|count| self.commit(count, began, is_open, &later.events));
        match committed {
            Ok(dropped) => {
                self.committed(began.elapsed(), dropped);
                for number in later.kept {
                    self.log.fetch(number);
                }
                Ok(true)
            }
            Err(error) => {
                self.ledger.roll_back();
                self.unkept.back_to(unkept);
                Err(error)
            }
        }
    }

    /// Ends a transaction of so many entries with their events; `is_open` says whether it was begun for others of them.
    fn commit(
        &mut self,
        count: usize,
        began: Instant,
        is_open: bool,
        events: &[Event<'_>],
    ) -> Result<u64, Error> {
        if let ([event], false) = (events, is_open) {
            self.took(count, began);
            return self.ledger.event_alone(event);
        }
        if !is_open {
            self.ledger.begin()?;
        }
        self.ledger.events(events)?;
        self.took(count, began);
        self.ledger.commit()
    }

    fn took(&mut self, count: usize, began: Instant) {
        self.effort.took(count, began.elapsed() + std::mem::take(&mut self.ahead_took));
    }

    /// A transaction is committed that took so long.
    pub(super) fn committed(&mut self, time: Duration, dropped: u64) {
        self.cannot_leave = false;
        self.metrics.committed(time, dropped);
        self.metrics.queued(self.ledger.queued());
        self.metrics.sessions(self.ledger.session_bytes());
    }

    #[cfg(test)]
    pub(super) fn checkpoint(&mut self) {
        self.ledger.checkpoint();
    }

    /// Entries into `out`, but those for the store only; how many there are, without those that are left. Events come
    /// last, in `later`.
    fn entries<'e>(
        &mut self,
        entries: &'e [u8],
        is_open: &mut bool,
        later: &mut Later<'e>,
    ) -> Result<usize, Error> {
        let mut count = 0;
        let mut rest = Entries::new(entries);
        while let Some(bytes) = rest.take_up_to(1) {
            if later.leaves_events && record::is_event(bytes) {
                self.unkept.push(bytes);
                continue;
            }
            count += 1;
            let Some(entry) = record::parse(bytes) else { continue };
            if let Entry::Keep(Keep::Event(event)) = entry {
                later.events.push(event);
                continue;
            }
            if !*is_open && self.must_keep_entry(&entry) {
                self.ledger.begin()?;
                *is_open = true;
            }
            let seq = if *is_open { self.entry(&entry, later)? } else { 0 };
            if !matches!(entry, Entry::Keep(_)) {
                let start = self.out.len();
                self.out.extend_from_slice(bytes);
                if seq > 0 {
                    record::set_seq(&mut self.out[start..], seq);
                }
            }
        }
        Ok(count)
    }

    /// Whether anything of a batch must be kept.
    pub(super) fn must_keep(&mut self, entries: &[u8]) -> bool {
        Entries::new(entries).any(|entry| self.must_keep_entry(&entry))
    }

    fn must_keep_entry(&mut self, entry: &Entry<'_>) -> bool {
        let ledger = &mut self.ledger;
        match entry {
            Entry::Keep(_) => true,
            Entry::Publish(published) => ledger.wants(published),
            Entry::Large(number, _) => publish_aside(&self.log, *number)
                .is_some_and(|bytes| published(&bytes).is_some_and(|p| ledger.wants(&p))),
            Entry::End(session) | Entry::Unsubscribe(session, _) | Entry::Revoke(session, _) => {
                ledger.is_kept(*session)
            }
            Entry::Subscribe(subscribed) => ledger.is_kept(subscribed.instance),
            Entry::Begin(..) | Entry::Attach(..) | Entry::Barrier(_) => false,
            Entry::Return(_) | Entry::Awake(_) => false,
        }
    }

    /// The number of the message, if it is one and was kept.
    fn entry<'e>(&mut self, entry: &Entry<'e>, later: &mut Later<'e>) -> Result<Seq, Error> {
        let ledger = &mut self.ledger;
        match entry {
            Entry::Publish(published) => return ledger.publish(published),
            Entry::Large(number, _) => {
                let bytes = publish_aside(&self.log, *number).unwrap_or_default();
                return published(&bytes).map_or(Ok(0), |published| ledger.publish(&published));
            }
            Entry::End(session) => ledger.end(*session)?,
            Entry::Subscribe(subscribed) => ledger.subscribe(subscribed)?,
            Entry::Unsubscribe(session, filter) => ledger.unsubscribe(*session, filter)?,
            Entry::Revoke(session, number) => {
                let filters = self.log.look(*number, |aside| match aside {
                    Aside::Filters(filters) => Some(Arc::clone(filters)),
                    _ => None,
                });
                for filter in filters.flatten().iter().flat_map(|filters| filters.iter()) {
                    ledger.unsubscribe(*session, filter)?;
                }
            }
            Entry::Keep(Keep::Step(step)) => ledger.step(step)?,
            Entry::Keep(Keep::Aside(number)) => {
                later.kept.push(*number);
                let keep = self.log.look(*number, |aside| match aside {
                    Aside::Keep(keep) => Some(Arc::clone(keep)),
                    _ => None,
                });
                if let Some(keep) = keep.flatten() {
                    aside_kept(ledger, &keep)?;
                }
            }
            Entry::Begin(..) | Entry::Attach(..) | Entry::Barrier(_) => {}
            Entry::Return(_) | Entry::Awake(_) | Entry::Keep(Keep::Event(_)) => {}
        }
        Ok(0)
    }
}

fn aside_kept(ledger: &mut Ledger, keep: &KeepAside) -> Result<(), Error> {
    match keep {
        KeepAside::Session(id, session) => ledger.session(*id, session),
        KeepAside::Asleep(id, expires_ms) => ledger.asleep(*id, *expires_ms),
        KeepAside::Will(id, will) => ledger.will(*id, will.as_ref()),
        KeepAside::Clock => ledger.clock_accepted(),
        KeepAside::NotRetained(topic, seq) => ledger.not_retained(topic, *seq),
        KeepAside::Dock(dock) => ledger.dock(dock),
        KeepAside::NoDock(gateway) => ledger.forget_dock(gateway),
        KeepAside::Audit(entry) => ledger.audit(entry),
    }
}
