//! The naive half: lists, and matching written out by hand.

use std::collections::{BTreeMap, BTreeSet};

use dockside_mqtt::QoS;
use dockside_mqtt::packet::SubscriptionOptions;

use crate::record::Instance;

pub(super) const FILTERS: [&str; 9] =
    ["a", "a/b", "a/+", "a/#", "#", "+/b", "$SYS/#", "$share/g/a/#", "$share/h/a/b"];
pub(super) const TOPICS: [&str; 5] = ["a", "a/b", "a/c", "b", "$SYS/x"];

/// Matches by hand, one line a filter of the test.
fn naive(filter: &str, topic: &str) -> bool {
    match filter {
        "a/+" => topic == "a/b" || topic == "a/c",
        "a/#" | "$share/g/a/#" => topic.starts_with('a'),
        "#" => !topic.starts_with('$'),
        "+/b" | "$share/h/a/b" => topic == "a/b",
        "$SYS/#" => topic.starts_with('$'),
        exact => exact == topic,
    }
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Begin(Instance),
    End(Instance),
    Sleep(Instance),
    Wake(Instance),
    Subscribe { by: Instance, filter: &'static str, options: SubscriptionOptions, id: u32 },
    Unsubscribe(Instance, &'static str),
    Publish { by: Instance, topic: &'static str, qos: QoS, retain: bool, empty: bool, except: bool },
}

/// One delivery as the model says it: session, payload, QoS, retain, identifiers, whether shared.
pub(super) type Expected = (Instance, u32, u8, bool, Vec<u32>, bool);

pub(super) struct Subscription {
    pub(super) by: Instance,
    pub(super) filter: &'static str,
    pub(super) options: SubscriptionOptions,
    pub(super) id: u32,
}

/// What everything amounts to, as lists.
#[derive(Default)]
pub(super) struct Model {
    pub(super) sessions: BTreeMap<Instance, bool>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) retained: BTreeMap<&'static str, (u32, u8)>,
    /// Messages that wait, by shared filter.
    pub(super) waiting: BTreeMap<&'static str, Vec<(u32, u8, bool)>>,
}

impl Model {
    pub(super) fn subscribe(&mut self, new: Subscription) -> Vec<Expected> {
        if !self.sessions.contains_key(&new.by) {
            return Vec::new();
        }
        let (by, filter, options) = (new.by, new.filter, new.options);
        let ids: Vec<u32> = Some(new.id).filter(|id| *id > 0).into_iter().collect();
        let same = |s: &&mut Subscription| s.by == by && s.filter == filter;
        let known = self.subscriptions.iter_mut().find(same);
        let is_new = known.is_none();
        match known {
            Some(known) => *known = new,
            None => self.subscriptions.push(new),
        }
        let wanted = match options.retain_handling {
            0 => true,
            1 => is_new,
            _ => false,
        };
        if !wanted || filter.starts_with("$share") {
            return Vec::new();
        }
        let matching = self.retained.iter().filter(|(topic, _)| naive(filter, topic));
        let delivery =
            |(n, qos): (u32, u8)| (by, n, qos.min(options.qos.bits()), true, ids.clone(), false);
        matching.map(|(_, retained)| delivery(*retained)).collect()
    }

    /// What sessions get by subscriptions of their own.
    pub(super) fn plain(&self, step: &Step, number: u32) -> Vec<Expected> {
        let Step::Publish { by, topic, qos, retain, except, .. } = step else { return Vec::new() };
        let mut all = Vec::new();
        for session in self.sessions.keys().filter(|s| !(*except && *s == by)) {
            let mut matching: Vec<_> = self
                .subscriptions
                .iter()
                .filter(|s| s.by == *session && !s.filter.starts_with("$share"))
                .filter(|s| naive(s.filter, topic) && !(s.options.no_local && session == by))
                .collect();
            matching.sort_by_key(|s| s.id);
            let Some(granted) = matching.iter().map(|s| s.options.qos.bits()).max() else {
                continue;
            };
            let keeps = matching.iter().any(|s| s.options.retain_as_published);
            let ids = matching.iter().map(|s| s.id).filter(|id| *id > 0).collect();
            all.push((*session, number, granted.min(qos.bits()), keeps && *retain, ids, false));
        }
        all
    }

    /// The shared filters that match and have members.
    pub(super) fn groups(&self, topic: &str) -> BTreeSet<&'static str> {
        let shared = self.subscriptions.iter().filter(|s| s.filter.starts_with("$share"));
        shared.filter(|s| naive(s.filter, topic)).map(|s| s.filter).collect()
    }

    pub(super) fn members(&self, filter: &str) -> Vec<&Subscription> {
        let online = |s: &&Subscription| s.filter == filter && self.sessions[&s.by];
        self.subscriptions.iter().filter(online).collect()
    }

    pub(super) fn end(&mut self, instance: Instance) {
        self.sessions.remove(&instance);
        self.subscriptions.retain(|s| s.by != instance);
        self.forget_groups();
    }

    pub(super) fn forget_groups(&mut self) {
        let live: BTreeSet<_> = self.subscriptions.iter().map(|s| s.filter).collect();
        self.waiting.retain(|filter, _| live.contains(filter));
    }
}
