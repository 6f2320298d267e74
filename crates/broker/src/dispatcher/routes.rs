//! Who wants a message, and how: subscriptions as a state machine without I/O.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use dockside_mqtt::QoS;
use dockside_mqtt::filter_tree::FilterTree;
use dockside_mqtt::packet::SubscriptionOptions;

use super::groups::Groups;
use crate::config::Limits;
use crate::mailbox::AsleepBytes;
use crate::message::GroupId;
use crate::record::{Instance, Published, Subscribed};

/// A session's place in the table of outlets.
pub(crate) type Slot = usize;

/// Topics whose routes are remembered, and routes in all; longer topics are looked up every time.
const REMEMBERED_TOPICS: usize = 10_000;
const REMEMBERED_ROUTES: usize = 100_000;
const REMEMBERED_TOPIC_BYTES: usize = 256;

/// All subscriptions of all sessions.
pub(crate) struct Routes {
    tree: FilterTree<Subscription>,
    pub(crate) groups: Groups,
    sessions: HashMap<Instance, Session>,
    free: Vec<Slot>,
    slots: Slot,
    subscriptions: usize,
    shared: usize,
    /// Emptied by every change of a subscription, and when it is full.
    remembered: HashMap<Box<str>, Arc<Matches>>,
    remembered_routes: usize,
}

/// Who gets messages of one topic.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Matches {
    /// One for each session with a subscription of its own that matches.
    pub(crate) routes: Box<[Route]>,
    /// The groups of shared subscriptions that match.
    pub(crate) groups: Box<[GroupId]>,
}

/// A subscription that was made.
pub(crate) struct Made {
    pub(crate) slot: Slot,
    /// Whether there was none with this filter before.
    pub(crate) new: bool,
}

struct Session {
    slot: Slot,
    filters: BTreeSet<Box<str>>,
}

#[derive(Clone, Copy)]
struct Subscription {
    instance: Instance,
    slot: Slot,
    options: SubscriptionOptions,
    id: u32,
}

/// How one session gets messages of one topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Route {
    pub(crate) slot: Slot,
    pub(crate) instance: Instance,
    /// Messages of others.
    others: Grant,
    /// The session's own messages; none if every subscription that matches is no-local.
    own: Option<Grant>,
}

/// What the subscriptions of one session that match a topic amount to: one delivery with the
/// highest QoS [MQTT-3.3.4-2] and all their identifiers [MQTT-3.3.4-3] [MQTT-3.3.4-4].
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Grant {
    pub(crate) qos: QoS,
    pub(crate) retain_as_published: bool,
    pub(crate) subscription_ids: Arc<[u32]>,
}

impl Route {
    /// How the session gets this message, if it does.
    pub(crate) fn grant(&self, published: &Published<'_>) -> Option<&Grant> {
        if published.publisher != self.instance {
            Some(&self.others)
        } else if published.except_publisher {
            None
        } else {
            self.own.as_ref()
        }
    }
}

impl Grant {
    fn of(subscriptions: &[Subscription]) -> Option<Self> {
        let ids = subscriptions.iter().map(|s| s.id).filter(|id| *id != 0);
        Some(Self {
            qos: subscriptions.iter().map(|s| s.options.qos).max()?,
            retain_as_published: subscriptions.iter().any(|s| s.options.retain_as_published),
            subscription_ids: ids.collect(),
        })
    }
}

impl Routes {
    pub(crate) fn new(limits: &Limits, asleep: Arc<AsleepBytes>) -> Self {
        Self {
            tree: FilterTree::default(),
            groups: Groups::new(limits, asleep),
            sessions: HashMap::new(),
            free: Vec::new(),
            slots: 0,
            subscriptions: 0,
            shared: 0,
            remembered: HashMap::new(),
            remembered_routes: 0,
        }
    }

    /// Whether anybody may want anything.
    pub(crate) fn has_subscriptions(&self) -> bool {
        self.subscriptions + self.shared > 0
    }

    /// Whether a session is here.
    pub(crate) fn contains(&self, instance: Instance) -> bool {
        self.sessions.contains_key(&instance)
    }

    /// The place of a session, and its shared subscriptions.
    pub(crate) fn session(&self, instance: Instance) -> Option<(Slot, Vec<Box<str>>)> {
        let session = self.sessions.get(&instance)?;
        let shared = session.filters.iter().filter(|filter| is_shared(filter));
        Some((session.slot, shared.cloned().collect()))
    }

    /// A session begins.
    pub(crate) fn begin(&mut self, instance: Instance) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots
        });
        self.sessions.insert(instance, Session { slot, filters: BTreeSet::new() });
        slot
    }

    /// A session ends, with its subscriptions; its place, and how many messages waited for it alone.
    pub(crate) fn end(&mut self, instance: Instance) -> Option<(Slot, u64)> {
        let session = self.sessions.remove(&instance)?;
        let waited = session.filters.iter().map(|filter| self.remove(instance, filter)).sum();
        self.free.push(session.slot);
        Some((session.slot, waited))
    }

    /// Adds a subscription, or replaces the one with the same filter [MQTT-3.8.4-3].
    pub(crate) fn subscribe(&mut self, new: &Subscribed<'_>) -> Option<Made> {
        let session = self.sessions.get_mut(&new.instance)?;
        let slot = session.slot;
        let known = session.filters.contains(new.filter);
        if !known {
            session.filters.insert(new.filter.into());
            *self.count(new.filter) += 1;
        }
        if is_shared(new.filter) {
            self.groups.subscribe(new, slot);
        } else {
            if known {
                self.tree.remove(new.filter, |s| s.instance == new.instance);
            }
            let (instance, options, id) = (new.instance, new.options, new.id);
            self.tree.insert(new.filter, Subscription { instance, slot, options, id });
        }
        self.forget();
        Some(Made { slot, new: !known })
    }

    fn count(&mut self, filter: &str) -> &mut usize {
        if is_shared(filter) { &mut self.shared } else { &mut self.subscriptions }
    }

    fn remove(&mut self, instance: Instance, filter: &str) -> u64 {
        *self.count(filter) -= 1;
        self.forget();
        if is_shared(filter) {
            return self.groups.unsubscribe(instance, filter);
        }
        self.tree.remove(filter, |subscription| subscription.instance == instance);
        0
    }

    /// Removes a subscription: nothing more is added for it [MQTT-3.10.4-2]; what is on its way arrives
    /// [MQTT-3.10.4-3]. How many messages waited in a group that it was the last member of.
    pub(crate) fn unsubscribe(&mut self, instance: Instance, filter: &str) -> u64 {
        let Some(session) = self.sessions.get_mut(&instance) else { return 0 };
        if !session.filters.remove(filter) {
            return 0;
        }
        self.remove(instance, filter)
    }

    /// Subscriptions of all sessions, and shared ones.
    pub(crate) fn subscriptions(&self) -> (usize, usize) {
        (self.subscriptions, self.shared)
    }

    /// Who gets messages of a topic.
    pub(crate) fn matches(&mut self, topic: &str) -> Arc<Matches> {
        if let Some(routes) = self.remembered.get(topic) {
            return Arc::clone(routes);
        }
        let matches = Arc::new(self.look_up(topic));
        if topic.len() > REMEMBERED_TOPIC_BYTES {
            return matches;
        }
        if self.remembered.len() >= REMEMBERED_TOPICS || self.remembered_routes >= REMEMBERED_ROUTES
        {
            self.forget();
        }
        self.remembered_routes += matches.routes.len() + matches.groups.len();
        self.remembered.insert(topic.into(), Arc::clone(&matches));
        matches
    }

    fn forget(&mut self) {
        self.remembered.clear();
        self.remembered_routes = 0;
    }

    /// Whoever has a subscription that matches, and nobody else [MQTT-3.3.2-3].
    fn look_up(&self, topic: &str) -> Matches {
        let mut found: Vec<Subscription> = Vec::new();
        self.tree.matches(topic, |subscription| found.push(*subscription));
        found.sort_unstable_by_key(|s| (s.slot, s.id));
        let routes = found
            .chunk_by(|a, b| a.slot == b.slot)
            .filter_map(|subscriptions| {
                // [MQTT-3.8.3-3]
                let local: Vec<_> =
                    subscriptions.iter().copied().filter(|s| !s.options.no_local).collect();
                Some(Route {
                    slot: subscriptions[0].slot,
                    instance: subscriptions[0].instance,
                    others: Grant::of(subscriptions)?,
                    own: Grant::of(&local),
                })
            })
            .collect();
        Matches { routes, groups: self.groups.matches(topic) }
    }
}

fn is_shared(filter: &str) -> bool {
    filter.starts_with("$share/")
}
