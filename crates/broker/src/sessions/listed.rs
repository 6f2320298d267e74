//! Sessions without a connection, for whoever looks at them or ends one.

use std::ops::Bound;
use std::sync::Arc;

use super::{Asleep, Owner, Sessions};
use crate::record::Instance;
use crate::shared::Shared;

/// A session without a connection, at one instant.
pub(crate) struct SeenAsleep {
    pub(crate) owner: Owner,
    pub(crate) instance: Instance,
    /// Monotonic.
    pub(crate) expires_ms: u64,
    pub(crate) subscriptions: usize,
    /// Messages, and their bytes, that wait in memory and were not sent.
    pub(crate) queued: (usize, usize),
    /// Messages from and to the client that are not acknowledged.
    pub(crate) inflight: [u32; 2],
}

impl SeenAsleep {
    fn of(owner: &Owner, asleep: &Asleep) -> Self {
        let session = &asleep.session;
        Self {
            owner: owner.clone(),
            instance: asleep.instance,
            expires_ms: asleep.expires_ms,
            subscriptions: session.subscriptions.len(),
            queued: asleep.mailbox.waiting(),
            inflight: [session.incoming.outstanding(), session.outgoing.len() as u32],
        }
    }
}

impl Sessions {
    /// Messages that wait for sessions without a connection.
    pub(crate) fn waiting(&self) -> usize {
        self.asleep().values().map(|a| a.mailbox.len() + a.session.outgoing.len()).sum()
    }

    /// So many of them behind this one, in the order of their client identifiers.
    pub(crate) fn piece(&self, behind: &Owner, count: usize) -> Vec<SeenAsleep> {
        let asleep = self.asleep();
        let range = (Bound::Excluded(behind), Bound::Unbounded);
        let found = asleep.range(range).take(count);
        found.map(|(owner, asleep)| SeenAsleep::of(owner, asleep)).collect()
    }

    /// Ends those of a client identifier, whoever's they are; how many.
    pub(crate) fn forget(&self, shared: &Shared, client_id: &Arc<str>) -> usize {
        let is_its = |owner: &Owner| owner.0 == *client_id;
        let first = (Arc::clone(client_id), None);
        let mut asleep = self.asleep();
        let theirs: Vec<Owner> = asleep
            .range(first..)
            .map(|(owner, _)| owner)
            .take_while(|o| is_its(o))
            .cloned()
            .collect();
        let gone: Vec<_> = theirs.iter().filter_map(|owner| asleep.remove(owner)).collect();
        drop(asleep);
        let count = gone.len();
        gone.into_iter().for_each(|asleep| asleep.end(shared));
        count
    }

    /// Whether one of a client identifier is there.
    pub(crate) fn has(&self, client_id: &Arc<str>) -> bool {
        let first = (Arc::clone(client_id), None);
        self.asleep().range(first..).next().is_some_and(|(owner, _)| owner.0 == *client_id)
    }
}
