//! Sessions that are kept, and where they are while they have no connection (MQTT 5.0 section 4.1).
//!
//! A session belongs to a client identifier *and* a user: another user with the same identifier
//! neither gets nor ends it.

mod listed;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use dockside_mqtt::PacketId;
use dockside_mqtt::session::{Incoming, Outgoing};
use dockside_store::Seq;

pub(crate) use self::listed::SeenAsleep;
use crate::access::{Denied, Identity};
use crate::config::Limits;
use crate::connection::{Subscriptions, may_subscribe, under_way};
use crate::live_log::Aside;
use crate::mailbox::{AsleepBytes, Mailbox};
use crate::message::Delivery;
use crate::record::{self, Entry, Instance};
use crate::shared::Shared;
use crate::will::WillMessage;

/// What a session is besides its connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) subscriptions: Subscriptions,
    pub(crate) incoming: Incoming,
    /// What was sent and not acknowledged.
    pub(crate) outgoing: Outgoing<Delivery>,
    /// One of `limits.sessions`; none if the session ends with its connection.
    pub(crate) kept: Option<Place>,
    /// The last message of its queue in the store that it has had.
    pub(crate) cursor: Seq,
    /// It has lost a subscription to new rules: what was queued for that must not reach it.
    pub(crate) narrowed: bool,
}

impl Session {
    /// A new session; see [`Incoming::new`] and [`Outgoing::new`].
    pub(crate) fn new(kept: Option<Place>, window: &Window) -> Self {
        Self {
            subscriptions: Subscriptions::default(),
            incoming: Incoming::new(window.from_client, window.aliases),
            outgoing: Outgoing::new(window.to_client, window.bytes_to_client),
            kept,
            cursor: 0,
            narrowed: false,
        }
    }

    /// Goes on with a new connection.
    pub(crate) fn resumed(self, window: &Window) -> Self {
        Self {
            incoming: self.incoming.resumed(window.from_client, window.aliases),
            outgoing: self.outgoing.resumed(window.to_client),
            ..self
        }
    }

    /// Takes the session out of a connection that ends.
    pub(crate) fn take(&mut self) -> Self {
        let none = Window { from_client: 0, to_client: 0, bytes_to_client: 0, aliases: 0 };
        let taken = std::mem::replace(self, Self::new(None, &none));
        Self { incoming: taken.incoming.at_rest(), ..taken }
    }
}

/// What a connection may have under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Unacknowledged messages from the client.
    pub(crate) from_client: u32,
    /// Unacknowledged messages to it.
    pub(crate) to_client: u16,
    /// Bytes of those.
    pub(crate) bytes_to_client: usize,
    /// Topic aliases it may define.
    pub(crate) aliases: u16,
}

/// A session without a connection.
pub(crate) struct Asleep {
    pub(crate) instance: Instance,
    pub(crate) client_id: Arc<str>,
    pub(crate) identity: Identity,
    pub(crate) session: Session,
    /// What was not sent, and what has come since.
    pub(crate) mailbox: Arc<Mailbox>,
    /// It is from before a restart: what was under way is in the store.
    pub(crate) restored: bool,
    pub(crate) expires_ms: u64,
    /// When it is published, unless the client is back before.
    pub(crate) will: Option<(u64, WillMessage)>,
    /// What it has not acknowledged counts for what waits.
    pub(crate) _unacknowledged: Held,
}

/// Bytes of what was sent and not acknowledged, counted while it is held.
pub(crate) struct Held {
    all: Arc<AsleepBytes>,
    bytes: usize,
}

impl Held {
    /// Counts what a session holds; at the bound of all it loses its oldest first, which come back.
    pub(crate) fn of(
        outgoing: &mut Outgoing<Delivery>,
        all: &Arc<AsleepBytes>,
    ) -> (Self, Vec<(PacketId, Delivery)>) {
        let dropped = match all.excess(outgoing.bytes()) {
            0 => Vec::new(),
            excess => outgoing.shed(excess),
        };
        let bytes = outgoing.bytes();
        all.add(bytes);
        (Self { all: Arc::clone(all), bytes }, dropped)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.subtract(self.bytes);
    }
}

impl Asleep {
    /// Ends the session; a will that still waits is published now [MQTT-3.1.3-9].
    fn end(mut self, shared: &Shared) {
        self.publish_will(shared);
        end_session(shared, self.instance, self.mailbox.close(Default::default()));
    }

    fn publish_will(&mut self, shared: &Shared) {
        if let Some((_, will)) = self.will.take() {
            will.publish(shared, self.instance);
        }
    }

    fn is_will_due(&self, now_ms: u64) -> bool {
        self.will.as_ref().is_some_and(|(due_ms, _)| *due_ms <= now_ms)
    }

    /// Under new rules: ends what is not allowed any more.
    fn review(&mut self, shared: &Shared) -> Result<(), Denied> {
        self.identity = shared.access.renew(&self.identity, &self.client_id)?;
        let identity = &self.identity;
        let denied = |(_, will): &mut (u64, WillMessage)| identity.publish(&will.topic).is_err();
        if let Some((_, will)) = self.will.take_if(denied) {
            will.forget(shared, self.instance);
        }
        if !identity.is_known() {
            return Ok(());
        }
        let revoked = self.session.subscriptions.remove_all(|f| !may_subscribe(identity, f));
        if !revoked.is_empty() {
            self.session.narrowed = true;
            shared.append_ordered(&revoke(shared, self.instance, revoked));
        }
        Ok(())
    }
}

/// Tells the dispatcher that a session has ended, and gives its shared messages to others.
pub(crate) fn end_session(shared: &Shared, instance: Instance, returned: Vec<Delivery>) {
    let mut entries = Vec::new();
    record::append(&mut entries, &Entry::End(instance));
    append_return(shared, &mut entries, returned);
    shared.append_ordered(&entries);
}

/// The entry that ends subscriptions, whose filters travel beside the log.
pub(crate) fn revoke(shared: &Shared, instance: Instance, filters: Vec<Box<str>>) -> Vec<u8> {
    let number = shared.log.put_aside(Aside::Filters(filters.into()));
    let mut entry = Vec::new();
    record::append(&mut entry, &Entry::Revoke(instance, number));
    entry
}

/// Appends shared messages that others may have.
pub(crate) fn append_return(shared: &Shared, entries: &mut Vec<u8>, returned: Vec<Delivery>) {
    if !returned.is_empty() {
        let number = shared.log.put_aside(Aside::Returned(returned));
        record::append(entries, &Entry::Return(number));
    }
}

/// Client identifier and user [MQTT-3.1.3-2].
pub(crate) type Owner = (Arc<str>, Option<Arc<str>>);

/// A will of a connection that a restart has ended, whose session is not kept.
pub(crate) struct Orphan {
    pub(crate) instance: Instance,
    /// Whose it is, with the client identifier.
    pub(crate) identity: (Identity, Arc<str>),
    pub(crate) due_ms: u64,
    pub(crate) will: WillMessage,
}

/// All sessions that are kept.
pub(crate) struct Sessions {
    asleep: Mutex<BTreeMap<Owner, Asleep>>,
    orphans: Mutex<Vec<Orphan>>,
    kept: Arc<AtomicUsize>,
    at_most: usize,
    pub(crate) bytes: Arc<AsleepBytes>,
}

/// A place among the sessions that are kept.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Sessions {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            asleep: Mutex::default(),
            orphans: Mutex::default(),
            kept: Arc::default(),
            at_most: limits.sessions,
            bytes: Arc::new(AsleepBytes::new(limits)),
        }
    }

    /// A place for one that was kept before, whatever the limit is now.
    pub(crate) fn place_again(&self) -> Place {
        self.kept.fetch_add(1, Ordering::SeqCst);
        Place(Arc::clone(&self.kept))
    }

    /// Whether any session is kept, connected or not.
    pub(crate) fn any_kept(&self) -> bool {
        self.kept.load(Ordering::SeqCst) > 0
    }

    /// A place for one more; `None` at the limit.
    pub(crate) fn place(&self) -> Option<Place> {
        let fits = |kept: usize| (kept < self.at_most).then_some(kept + 1);
        let taken = self.kept.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits);
        taken.ok().map(|_| Place(Arc::clone(&self.kept)))
    }

    /// Sessions that are kept, and those of them without a connection.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.kept.load(Ordering::SeqCst), self.asleep().len())
    }

    /// A session from before a restart; it is over if its user is gone.
    pub(crate) fn restore(&self, shared: &Shared, mut asleep: Asleep) {
        let owner = (Arc::clone(&asleep.client_id), asleep.identity.user().cloned());
        if asleep.review(shared).is_ok() {
            self.asleep().insert(owner, asleep);
        } else {
            asleep.will = None;
            asleep.end(shared);
        }
    }

    /// A connection has ended and its session goes on.
    pub(crate) fn put(&self, shared: &Shared, mut asleep: Asleep) {
        let owner = (Arc::clone(&asleep.client_id), asleep.identity.user().cloned());
        let mut all = self.asleep();
        // Rules that came while its connection ended would miss it; under the lock they cannot.
        let allowed = shared.access.is_current(&asleep.identity) || asleep.review(shared).is_ok();
        if allowed {
            all.insert(owner, asleep);
        } else {
            drop(all);
            asleep.will = None;
            asleep.end(shared);
        }
    }

    /// The session of a client that connects: goes on with it, or ends here if it starts clean
    /// [MQTT-3.1.2-4] [MQTT-3.1.2-5] or has expired, and then its number comes back.
    pub(crate) fn take(
        &self,
        shared: &Shared,
        (identity, client_id): (&Identity, &Arc<str>),
        clean_start: bool,
    ) -> (Option<Asleep>, Option<Instance>) {
        self.forget_orphans(shared, identity.user(), client_id);
        let owner = (Arc::clone(client_id), identity.user().cloned());
        let Some(mut found) = self.asleep().remove(&owner) else { return (None, None) };
        if found.is_will_due(shared.clock.now_ms()) {
            found.publish_will(shared);
        } else if let Some((_, will)) = found.will.take_if(|_| found.restored) {
            // It was a restart that ended its connection, and it is back in time.
            will.forget(shared, found.instance);
        }
        if clean_start || found.expires_ms <= expiry_clock_ms(shared) {
            let ended = found.instance;
            found.end(shared);
            return (None, Some(ended));
        }
        (Some(found), None)
    }

    /// A will that waits for its client after a restart.
    pub(crate) fn restore_will(&self, orphan: Orphan) {
        self.orphans.lock().expect("no panic while it is held").push(orphan);
    }

    /// Publishes the wills of connections that a restart has ended, unless their clients are back.
    fn publish_orphans(&self, shared: &Shared) {
        let now_ms = shared.clock.now_ms();
        let mut orphans = self.orphans.lock().expect("no panic while it is held");
        for Orphan { instance, will, identity, .. } in
            orphans.extract_if(.., |orphan| orphan.due_ms <= now_ms)
        {
            // Rules may be others than they were at its CONNECT.
            let identity = shared.access.renew(&identity.0, &identity.1);
            if identity.is_ok_and(|identity| identity.publish(&will.topic).is_ok()) {
                will.publish(shared, instance);
            } else {
                will.forget(shared, instance);
            }
        }
    }

    /// A client is back whose connection a restart has ended: whatever it does next, that was no loss of it.
    fn forget_orphans(&self, shared: &Shared, user: Option<&Arc<str>>, client_id: &Arc<str>) {
        let mut orphans = self.orphans.lock().expect("no panic while it is held");
        let is_its = |orphan: &mut Orphan| {
            orphan.identity.1 == *client_id && orphan.identity.0.user() == user
        };
        for orphan in orphans.extract_if(.., is_its) {
            orphan.will.forget(shared, orphan.instance);
        }
    }

    /// The broker stops: QoS 1 messages of sessions without a connection keep the identifiers that they were
    /// sent with [MQTT-4.4.0-1].
    pub(crate) fn save_exchanges(&self, shared: &Shared) {
        for asleep in self.asleep().values().filter(|asleep| !asleep.restored) {
            let mut entries = Vec::new();
            under_way(asleep.instance, &asleep.session.outgoing, &mut entries);
            if !entries.is_empty() {
                shared.append_ordered(&entries);
            }
        }
    }

    /// Publishes wills that are due and ends sessions that have expired [MQTT-4.1.0-2]; how many.
    pub(crate) fn expire(&self, shared: &Shared) -> u64 {
        self.publish_orphans(shared);
        let now_ms = shared.clock.now_ms();
        let mut asleep = self.asleep();
        for session in asleep.values_mut().filter(|asleep| asleep.is_will_due(now_ms)) {
            session.publish_will(shared);
        }
        let over_ms = expiry_clock_ms(shared);
        let expired: Vec<_> =
            asleep.extract_if(.., |_, session| session.expires_ms <= over_ms).collect();
        drop(asleep);
        let count = expired.len() as u64;
        expired.into_iter().for_each(|(_, session)| session.end(shared));
        count
    }

    /// Looks at sessions without a connection under new rules: those of `user`, or all.
    pub(crate) fn review(&self, shared: &Shared, user: Option<&str>) {
        let mut asleep = self.asleep();
        let gone = asleep.extract_if(.., |(_, owner), session| {
            (user.is_none() || owner.as_deref() == user) && session.review(shared).is_err()
        });
        let gone: Vec<_> = gone.collect();
        drop(asleep);
        for (_, mut session) in gone {
            session.will = None;
            session.end(shared);
        }
    }

    /// The broker stops: wills that wait for a client are published now.
    pub(crate) fn publish_wills(&self, shared: &Shared) {
        self.asleep().values_mut().for_each(|asleep| asleep.publish_will(shared));
    }

    fn asleep(&self) -> MutexGuard<'_, BTreeMap<Owner, Asleep>> {
        self.asleep.lock().expect("no panic while it is held")
    }
}

/// What sessions expire by: nothing is over while it is not known what time it is.
fn expiry_clock_ms(shared: &Shared) -> u64 {
    if shared.clock.doubt().is_some() { 0 } else { shared.clock.now_ms() }
}
