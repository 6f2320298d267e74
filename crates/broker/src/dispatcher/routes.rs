//! Who wants a message, and how: subscriptions as a state machine without I/O.

use std::collections::HashMap;
use std::sync::Arc;

use dockside_mqtt::QoS;
use dockside_mqtt::filter_tree::FilterTree;
use dockside_mqtt::packet::SubscriptionOptions;

use crate::record::{Instance, Published, Subscribed};

/// A session's place in the table of outlets.
pub(crate) type Slot = usize;

/// Topics whose routes are remembered, and routes in all; longer topics are looked up every time.
const REMEMBERED_TOPICS: usize = 10_000;
const REMEMBERED_ROUTES: usize = 100_000;
const REMEMBERED_TOPIC_BYTES: usize = 256;

/// All subscriptions of all sessions.
#[derive(Default)]
pub(crate) struct Routes {
    tree: FilterTree<Subscription>,
    sessions: HashMap<Instance, Session>,
    free: Vec<Slot>,
    slots: Slot,
    subscriptions: usize,
    /// Emptied by every change of a subscription, and when it is full.
    remembered: HashMap<Box<str>, Arc<[Route]>>,
    remembered_routes: usize,
}

struct Session {
    slot: Slot,
    filters: Vec<Box<str>>,
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
    instance: Instance,
    /// Messages of others.
    others: Grant,
    /// The session's own messages; none if every subscription that matches is no-local.
    own: Option<Grant>,
}

/// What the subscriptions of one session that match a topic amount to: one delivery with the
/// highest QoS [MQTT-3.3.4-2] and all their identifiers [MQTT-3.3.4-3].
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
    /// A session begins.
    pub(crate) fn begin(&mut self, instance: Instance) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots
        });
        self.sessions.insert(instance, Session { slot, filters: Vec::new() });
        slot
    }

    /// A session ends, with its subscriptions.
    pub(crate) fn end(&mut self, instance: Instance) -> Option<Slot> {
        let session = self.sessions.remove(&instance)?;
        for filter in &session.filters {
            self.tree.remove(filter, |subscription| subscription.instance == instance);
        }
        if !session.filters.is_empty() {
            self.subscriptions -= session.filters.len();
            self.forget();
        }
        self.free.push(session.slot);
        Some(session.slot)
    }

    /// Adds a subscription, or replaces the one with the same filter [MQTT-3.8.4-3].
    pub(crate) fn subscribe(&mut self, new: &Subscribed<'_>) {
        let Some(session) = self.sessions.get_mut(&new.instance) else { return };
        if session.filters.iter().any(|filter| **filter == *new.filter) {
            self.tree.remove(new.filter, |subscription| subscription.instance == new.instance);
        } else {
            session.filters.push(new.filter.into());
            self.subscriptions += 1;
        }
        let subscription = Subscription {
            instance: new.instance,
            slot: session.slot,
            options: new.options,
            id: new.id,
        };
        self.tree.insert(new.filter, subscription);
        self.forget();
    }

    /// Removes a subscription.
    pub(crate) fn unsubscribe(&mut self, instance: Instance, filter: &str) {
        let Some(session) = self.sessions.get_mut(&instance) else { return };
        let Some(at) = session.filters.iter().position(|known| **known == *filter) else { return };
        session.filters.swap_remove(at);
        self.subscriptions -= 1;
        self.tree.remove(filter, |subscription| subscription.instance == instance);
        self.forget();
    }

    /// Subscriptions of all sessions.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// The routes of a topic, one for each session that has a matching subscription.
    pub(crate) fn matches(&mut self, topic: &str) -> Arc<[Route]> {
        if let Some(routes) = self.remembered.get(topic) {
            return Arc::clone(routes);
        }
        let routes = self.look_up(topic);
        if topic.len() > REMEMBERED_TOPIC_BYTES {
            return routes;
        }
        if self.remembered.len() >= REMEMBERED_TOPICS || self.remembered_routes >= REMEMBERED_ROUTES
        {
            self.forget();
        }
        self.remembered_routes += routes.len();
        self.remembered.insert(topic.into(), Arc::clone(&routes));
        routes
    }

    fn forget(&mut self) {
        self.remembered.clear();
        self.remembered_routes = 0;
    }

    fn look_up(&self, topic: &str) -> Arc<[Route]> {
        let mut found: Vec<Subscription> = Vec::new();
        self.tree.matches(topic, |subscription| found.push(*subscription));
        found.sort_unstable_by_key(|s| (s.slot, s.id));
        found
            .chunk_by(|a, b| a.slot == b.slot)
            .filter_map(|subscriptions| {
                let local: Vec<_> =
                    subscriptions.iter().copied().filter(|s| !s.options.no_local).collect();
                Some(Route {
                    slot: subscriptions[0].slot,
                    instance: subscriptions[0].instance,
                    others: Grant::of(subscriptions)?,
                    own: Grant::of(&local),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options(qos: u8, no_local: bool) -> SubscriptionOptions {
        SubscriptionOptions { no_local, ..SubscriptionOptions::qos(QoS::from_bits(qos).unwrap()) }
    }

    fn published(topic: &str, publisher: Instance, except_publisher: bool) -> Published<'_> {
        Published {
            publisher,
            except_publisher,
            qos: QoS::ExactlyOnce,
            retain: false,
            expires_ms: u64::MAX,
            topic,
            properties: b"",
            payload: b"",
        }
    }

    #[test]
    fn overlapping_subscriptions_are_one_delivery() {
        let mut routes = Routes::default();
        routes.begin(1);
        for (filter, qos, id) in [("a/#", 0, 7), ("a/+", 2, 9), ("a/b", 1, 0)] {
            routes.subscribe(&Subscribed { instance: 1, options: options(qos, false), id, filter });
        }
        let found = routes.matches("a/b");
        assert_eq!(found.len(), 1);
        let grant = found[0].grant(&published("a/b", 5, false)).unwrap();
        assert_eq!((grant.qos, &*grant.subscription_ids), (QoS::ExactlyOnce, &[7, 9][..]));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Begin(Instance),
        End(Instance),
        Subscribe(Instance, &'static str, u8, bool, u32),
        Unsubscribe(Instance, &'static str),
        Publish(Instance, &'static str, bool),
    }

    const FILTERS: [&str; 7] = ["a", "a/b", "a/+", "a/#", "#", "+/b", "$SYS/#"];
    const TOPICS: [&str; 5] = ["a", "a/b", "a/c", "b", "$SYS/x"];

    fn step() -> impl Strategy<Value = Step> {
        let filter = || prop::sample::select(FILTERS.to_vec());
        prop_oneof![
            (1u64..4).prop_map(Step::Begin),
            (1u64..4).prop_map(Step::End),
            (1u64..4, filter(), 0u8..3, any::<bool>(), 0u32..4)
                .prop_map(|(s, f, q, l, i)| Step::Subscribe(s, f, q, l, i)),
            (1u64..4, filter()).prop_map(|(s, f)| Step::Unsubscribe(s, f)),
            (1u64..4, prop::sample::select(TOPICS.to_vec()), any::<bool>())
                .prop_map(|(s, t, e)| Step::Publish(s, t, e)),
        ]
    }

    /// Matches by hand, one line a filter of the test.
    fn naive(filter: &str, topic: &str) -> bool {
        match filter {
            "a/+" => topic == "a/b" || topic == "a/c",
            "a/#" => topic.starts_with('a'),
            "#" => !topic.starts_with('$'),
            "+/b" => topic == "a/b",
            "$SYS/#" => topic.starts_with('$'),
            exact => exact == topic,
        }
    }

    type Model = Vec<(Instance, Vec<(&'static str, u8, bool, u32)>)>;

    fn expected(
        model: &Model,
        by: Instance,
        topic: &str,
        except: bool,
    ) -> Vec<(Instance, u8, Vec<u32>)> {
        let mut all = Vec::new();
        for (session, subscriptions) in model {
            if *session == by && except {
                continue;
            }
            let matching: Vec<_> = subscriptions
                .iter()
                .filter(|(f, _, no_local, _)| naive(f, topic) && !(*no_local && *session == by))
                .collect();
            if let Some(qos) = matching.iter().map(|s| s.1).max() {
                let mut ids: Vec<u32> = matching.iter().map(|s| s.3).filter(|i| *i > 0).collect();
                ids.sort_unstable();
                all.push((*session, qos, ids));
            }
        }
        all.sort_unstable();
        all
    }

    proptest! {
        #[test]
        fn routes_are_what_a_list_of_subscriptions_says(steps in proptest::collection::vec(step(), 1..80)) {
            let mut routes = Routes::default();
            let mut model: Model = Vec::new();
            for step in steps {
                match step {
                    Step::Begin(s) => if !model.iter().any(|(m, _)| *m == s) {
                        routes.begin(s);
                        model.push((s, Vec::new()));
                    },
                    Step::End(s) => {
                        routes.end(s);
                        model.retain(|(m, _)| *m != s);
                    }
                    Step::Subscribe(s, filter, qos, no_local, id) => {
                        routes.subscribe(&Subscribed { instance: s, options: options(qos, no_local), id, filter });
                        if let Some((_, list)) = model.iter_mut().find(|(m, _)| *m == s) {
                            list.retain(|(f, ..)| *f != filter);
                            list.push((filter, qos, no_local, id));
                        }
                    }
                    Step::Unsubscribe(s, filter) => {
                        routes.unsubscribe(s, filter);
                        if let Some((_, list)) = model.iter_mut().find(|(m, _)| *m == s) {
                            list.retain(|(f, ..)| *f != filter);
                        }
                    }
                    Step::Publish(by, topic, except) => {
                        let publish = published(topic, by, except);
                        let mut found: Vec<_> = routes.matches(topic).iter().filter_map(|route| {
                            let grant = route.grant(&publish)?;
                            Some((route.instance, grant.qos.bits(), grant.subscription_ids.to_vec()))
                        }).collect();
                        found.sort_unstable();
                        prop_assert_eq!(found, expected(&model, by, topic, except));
                    }
                }
                let count: usize = model.iter().map(|(_, list)| list.len()).sum();
                prop_assert_eq!(routes.subscriptions(), count);
            }
        }
    }
}
