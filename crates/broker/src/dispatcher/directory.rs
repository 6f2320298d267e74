//! Who gets what: subscriptions, groups and retained messages as one state machine without I/O.
//!
//! Every method says at once what is to be put where; nothing here waits.

use std::sync::{Arc, RwLock};

use dockside_mqtt::QoS;
use dockside_mqtt::topic::Filter;

use super::groups::Assigned;
use super::routes::{Routes, Slot};
use crate::config::Limits;
use crate::mailbox::AsleepBytes;
use crate::message::{Delivery, GroupId, Message, Origin};
use crate::record::{Instance, Published, Subscribed};
use crate::retained::{Retained, Search};

/// Where deliveries go.
pub(super) trait Outlets {
    /// Whether the session has a connection that takes a shared message of so many bytes.
    fn takes_shared(&self, slot: Slot, size: usize) -> bool;
    /// How many retained messages it takes.
    fn retained_room(&self, slot: Slot) -> usize;
    /// So many were looked at.
    fn looked(&mut self, looks: usize);
    /// It does not take them all.
    fn refuse_retained(&mut self, slot: Slot);
    /// Puts a delivery behind what was put there before.
    fn put(&mut self, slot: Slot, delivery: Delivery);
}

/// What became of a message besides its deliveries.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Outcome {
    /// Somebody got it, or will.
    pub(super) wanted: bool,
    /// Messages that waited in a group and were dropped for it, or itself.
    pub(super) dropped: u64,
    /// It was to be retained, and there was no room.
    pub(super) not_retained: bool,
}

/// Retained messages that a new subscription asks for.
pub(super) struct Wanted {
    slot: Slot,
    qos: QoS,
    subscription_ids: Arc<[u32]>,
    search: Search,
}

pub(super) struct Directory {
    routes: Routes,
    retained: Arc<RwLock<Retained>>,
}

impl Directory {
    pub(super) fn new(
        limits: &Limits,
        retained: Arc<RwLock<Retained>>,
        asleep: Arc<AsleepBytes>,
    ) -> Self {
        Self { routes: Routes::new(limits, asleep), retained }
    }

    /// A session begins.
    pub(super) fn begin(&mut self, instance: Instance) -> Slot {
        self.routes.begin(instance)
    }

    /// A session ends, with its subscriptions; its place, and how many messages waited for it alone.
    pub(super) fn end(&mut self, instance: Instance) -> Option<(Slot, u64)> {
        self.routes.end(instance)
    }

    /// The place of a session.
    pub(super) fn slot(&self, instance: Instance) -> Option<Slot> {
        self.routes.session(instance).map(|(slot, _)| slot)
    }

    /// Subscriptions, and shared ones.
    pub(super) fn subscriptions(&self) -> (usize, usize) {
        self.routes.subscriptions()
    }

    /// Adds or replaces a subscription; retained messages that match follow at once, unless its
    /// options say otherwise: 0 always [MQTT-3.3.1-9] [MQTT-3.8.4-4], 1 for a new one [MQTT-3.3.1-10], 2 never
    /// [MQTT-3.3.1-11]. A shared one gets none (section 4.8.2).
    /// They come with [`Directory::search`].
    pub(super) fn subscribe(
        &mut self,
        new: &Subscribed<'_>,
        now_ms: u64,
        out: &mut impl Outlets,
    ) -> Option<Wanted> {
        let made = self.routes.subscribe(new)?;
        let Filter { share, levels } = Filter::parse(new.filter).ok()?;
        if share.is_some() {
            if let Some(group) = self.routes.groups.of(new.filter) {
                self.awake(group, out);
            }
            return None;
        }
        let is_asked =
            new.options.retain_handling == 0 || (new.options.retain_handling == 1 && made.new);
        is_asked.then(|| Wanted {
            slot: made.slot,
            qos: new.options.qos,
            subscription_ids: Some(new.id).filter(|id| *id != 0).into_iter().collect(),
            search: Search::new(levels, now_ms),
        })
    }

    /// A subscription from before a restart: its client knows what was retained.
    pub(super) fn restore(&mut self, kept: &Subscribed<'_>) {
        self.routes.subscribe(kept);
    }

    /// What waited in a group before a restart.
    pub(super) fn restore_group(&mut self, group: GroupId, messages: &[Arc<Message>]) {
        self.routes.groups.restore(group, messages);
    }

    /// Puts more of the retained messages that are wanted, after so many looks at most; `false` when all are.
    pub(super) fn search(&self, wanted: &mut Wanted, looks: usize, out: &mut impl Outlets) -> bool {
        let slot = wanted.slot;
        let mut room = out.retained_room(slot);
        let mut refused = false;
        let retained = self.retained.read().expect("no panic while it is held");
        let looked = retained.search(&mut wanted.search, looks, |message| {
            refused = room == 0;
            if refused {
                return false;
            }
            room -= 1;
            let delivery = Delivery {
                message: Arc::clone(message),
                qos: wanted.qos.min(message.qos),
                // [MQTT-3.3.1-8] of 3.1.1
                retain: true,
                origin: Origin::Retained,
                subscription_ids: Arc::clone(&wanted.subscription_ids),
            };
            out.put(slot, delivery);
            true
        });
        out.looked(looked);
        if refused {
            out.refuse_retained(slot);
        }
        !wanted.search.is_done()
    }

    /// Removes a subscription.
    pub(super) fn unsubscribe(&mut self, instance: Instance, filter: &str) -> u64 {
        self.routes.unsubscribe(instance, filter)
    }

    /// A message: to every session with a subscription that matches, to one member of every group,
    /// and to those who subscribe later if it is retained.
    pub(super) fn publish(&mut self, published: &Published<'_>, out: &mut impl Outlets) -> Outcome {
        let mut outcome = Outcome::default();
        let mut message: Option<Arc<Message>> = None;
        let mut owned =
            || Arc::clone(message.get_or_insert_with(|| Arc::new(Message::new(published))));
        let matches = self.routes.matches(published.topic);
        for route in &matches.routes {
            let Some(grant) = route.grant(published) else { continue };
            outcome.wanted = true;
            let delivery = Delivery {
                message: owned(),
                qos: grant.qos.min(published.qos),
                // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
                retain: grant.retain_as_published && published.retain,
                origin: Origin::Published,
                subscription_ids: Arc::clone(&grant.subscription_ids),
            };
            out.put(route.slot, delivery);
        }
        for &group in &matches.groups {
            outcome.wanted = true;
            outcome.dropped += self.share(group, &owned(), out);
        }
        if published.retain {
            let mut retained = self.retained.write().expect("no panic while it is held");
            outcome.not_retained =
                retained.publish(&owned(), published.room, published.publisher).is_err();
        }
        outcome
    }

    fn share(&mut self, group: GroupId, message: &Arc<Message>, out: &mut impl Outlets) -> u64 {
        // What waits goes first.
        self.awake(group, out);
        let takes = |slot, size| out.takes_shared(slot, size);
        match self.routes.groups.assign(group, message, takes) {
            Assigned::To(slot, delivery) => {
                out.put(slot, delivery);
                0
            }
            Assigned::Waits(dropped) => dropped,
            Assigned::Dropped => 1,
        }
    }

    /// Shared messages, in their order, that whoever had them has not acknowledged; how many nobody
    /// can have.
    pub(super) fn returned(&mut self, returned: &[Delivery], out: &mut impl Outlets) -> u64 {
        let mut groups: Vec<(GroupId, Vec<Arc<Message>>)> = Vec::new();
        for delivery in returned {
            let Origin::Shared(group) = delivery.origin else { continue };
            let message = Arc::clone(&delivery.message);
            match groups.iter_mut().find(|(known, _)| *known == group) {
                Some((_, messages)) => messages.push(message),
                None => groups.push((group, vec![message])),
            }
        }
        let mut dropped = 0;
        for (group, messages) in groups {
            let mut put = Vec::new();
            let takes = |slot, size| out.takes_shared(slot, size);
            let groups = &mut self.routes.groups;
            dropped += groups.give_back(group, &messages, takes, |slot, d| put.push((slot, d)));
            put.into_iter().for_each(|(slot, delivery)| out.put(slot, delivery));
        }
        dropped
    }

    /// A session has a connection again, or room: what waited in its groups goes on.
    pub(super) fn attached(&mut self, instance: Instance, out: &mut impl Outlets) {
        let Some((_, shared)) = self.routes.session(instance) else { return };
        for filter in &shared {
            if let Some(group) = self.routes.groups.of(filter) {
                self.awake(group, out);
            }
        }
    }

    fn awake(&mut self, group: GroupId, out: &mut impl Outlets) {
        let mut put = Vec::new();
        let takes = |slot, size| out.takes_shared(slot, size);
        self.routes.groups.awake(group, takes, |slot, delivery| put.push((slot, delivery)));
        put.into_iter().for_each(|(slot, delivery)| out.put(slot, delivery));
    }
}
