//! What a connection knows of its own session's subscriptions: enough to give it a reply on the
//! direct path. Delivery is the dispatcher's business.

use std::collections::BTreeMap;
use std::sync::Arc;

use dockside_mqtt::packet::SubscriptionOptions;
use dockside_mqtt::{QoS, topic};

/// A session's subscriptions.
#[derive(Default, Debug)]
pub(crate) struct Subscriptions {
    by_filter: BTreeMap<Box<str>, (SubscriptionOptions, u32)>,
    /// Of all filters.
    bytes: usize,
    /// The last topic asked for; a dock asks for the same one all its life.
    remembered: Option<(Box<str>, Option<Direct>)>,
}

/// How the session gets a reply: the highest QoS of its matching subscriptions and all their
/// identifiers. No-local does not apply, the publisher is the broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Direct {
    pub(super) qos: QoS,
    pub(super) subscription_ids: Arc<[u32]>,
}

impl Subscriptions {
    pub(crate) fn len(&self) -> usize {
        self.by_filter.len()
    }

    /// Bytes of all filters.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn contains(&self, filter: &str) -> bool {
        self.by_filter.contains_key(filter)
    }

    /// Removes every subscription whose filter `which` picks.
    pub(crate) fn remove_all(&mut self, which: impl Fn(&str) -> bool) -> Vec<Box<str>> {
        self.remembered = None;
        let gone = self.by_filter.extract_if(.., |filter, _| which(filter));
        let gone: Vec<_> = gone.map(|(filter, _)| filter).collect();
        self.bytes -= gone.iter().map(|filter| filter.len()).sum::<usize>();
        gone
    }

    pub(crate) fn insert(&mut self, filter: &str, options: SubscriptionOptions, id: u32) {
        self.remembered = None;
        if self.by_filter.insert(filter.into(), (options, id)).is_none() {
            self.bytes += filter.len();
        }
    }

    pub(super) fn remove(&mut self, filter: &str) -> bool {
        self.remembered = None;
        let is_known = self.by_filter.remove(filter).is_some();
        if is_known {
            self.bytes -= filter.len();
        }
        is_known
    }

    /// How this session gets a message on `topic`, if it does.
    pub(super) fn direct(&mut self, topic: &str) -> Option<Direct> {
        match &self.remembered {
            Some((known, direct)) if **known == *topic => direct.clone(),
            _ => {
                let direct = self.look_up(topic);
                self.remembered = Some((topic.into(), direct.clone()));
                direct
            }
        }
    }

    fn look_up(&self, topic: &str) -> Option<Direct> {
        let all = || self.by_filter.iter();
        let matching = || all().filter(|(filter, _)| topic::matches(filter, topic)).map(|(_, s)| s);
        Some(Direct {
            qos: matching().map(|(options, _)| options.qos).max()?,
            subscription_ids: matching().map(|(_, id)| *id).filter(|id| *id != 0).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_direct_copy_follows_the_subscriptions() {
        let mut subscriptions = Subscriptions::default();
        let topic = "thing/product/X/events_reply";
        assert_eq!(subscriptions.direct(topic), None);
        let qos = SubscriptionOptions::qos;
        subscriptions.insert("thing/product/+/events_reply", qos(QoS::AtMostOnce), 4);
        subscriptions.insert("thing/#", qos(QoS::AtLeastOnce), 0);
        let direct = subscriptions.direct(topic).unwrap();
        assert_eq!((direct.qos, &*direct.subscription_ids), (QoS::AtLeastOnce, &[4][..]));
        assert!(subscriptions.remove("thing/#"));
        assert_eq!(subscriptions.direct(topic).unwrap().qos, QoS::AtMostOnce);
        assert!(!subscriptions.remove("thing/#"));
        assert_eq!((subscriptions.len(), subscriptions.bytes()), (1, 28));
        subscriptions.remove("thing/product/+/events_reply");
        assert_eq!(subscriptions.direct(topic), None);
        for filter in ["a", "bc", "bc", "d"] {
            subscriptions.insert(filter, qos(QoS::AtMostOnce), 0);
        }
        assert_eq!((subscriptions.len(), subscriptions.bytes()), (3, 4));
        assert_eq!(subscriptions.remove_all(|filter| filter < "c"), ["a".into(), "bc".into()]);
        assert_eq!((subscriptions.len(), subscriptions.bytes()), (1, 1));
    }
}
