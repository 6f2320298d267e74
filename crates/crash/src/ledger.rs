//! What was sent, acknowledged, delivered and answered, and what that must have led to. No I/O: a
//! client tells it what it did or got in the order in which it happened.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use dockside_mqtt::QoS;
use dockside_mqtt::topic;

use crate::finding::Finding;
use crate::payload;
use crate::retained::RetainedBook;

/// Findings that are kept; a broken broker makes one a message.
const FINDINGS: usize = 1_000;

/// One run's books.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    topics: BTreeMap<String, Topic>,
    subscribers: Vec<Subscriber>,
    pub(crate) retained: RetainedBook,
    /// Events that were answered: `tid` and the gateway's serial number.
    events: BTreeMap<String, String>,
    findings: Vec<Finding>,
    counts: Counts,
}

/// Figures for the summary.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// PUBACK or PUBREC, retained messages with them.
    pub(crate) acknowledged: u64,
    /// To durable subscribers, repeats with them.
    pub(crate) deliveries: u64,
    /// At QoS 1, where the specification allows them.
    pub(crate) repeats: u64,
    pub(crate) events: u64,
}

#[derive(Debug)]
struct Topic {
    publisher: String,
    qos: QoS,
    /// One a message that was sent, in order of the counters from 1: whether it was acknowledged.
    acknowledged: Vec<bool>,
}

impl Topic {
    fn sent(&self) -> u64 {
        self.acknowledged.len() as u64
    }
}

#[derive(Debug)]
struct Subscriber {
    name: String,
    qos: QoS,
    filters: Vec<String>,
    /// Every topic that a filter matches, from its SUBACK on.
    seen: BTreeMap<String, Seen>,
}

/// One topic as one subscriber saw it.
#[derive(Debug)]
struct Seen {
    /// Counters up to this one were sent before the SUBACK: they may come or not.
    before: u64,
    /// The highest counter that came.
    highest: u64,
    came: BTreeSet<u64>,
    /// How many of those that were sent after the SUBACK came.
    owed_and_came: u64,
}

impl Seen {
    /// Notes a delivery; whether it was the first.
    fn came(&mut self, counter: u64) -> bool {
        let first = self.came.insert(counter);
        self.owed_and_came += u64::from(first && counter > self.before);
        first
    }
}

impl Ledger {
    /// Notes a topic with its only publisher.
    pub(crate) fn add_topic(&mut self, name: &str, publisher: &str, qos: QoS) {
        let topic = Topic { publisher: publisher.to_owned(), qos, acknowledged: Vec::new() };
        self.topics.insert(name.to_owned(), topic);
    }

    /// Notes a subscriber; its number. `filters` do not overlap.
    pub(crate) fn add_subscriber(&mut self, name: &str, qos: QoS, filters: &[&str]) -> usize {
        let filters = filters.iter().map(|&filter| filter.to_owned()).collect();
        let seen = BTreeMap::new();
        self.subscribers.push(Subscriber { name: name.to_owned(), qos, filters, seen });
        self.subscribers.len() - 1
    }

    /// The subscriber has its SUBACK.
    pub(crate) fn subscribed(&mut self, subscriber: usize) {
        let Subscriber { filters, seen, .. } = &mut self.subscribers[subscriber];
        for (name, topic) in &self.topics {
            if filters.iter().any(|filter| topic::matches(filter, name)) {
                let seen_before = Seen {
                    before: topic.sent(),
                    highest: 0,
                    came: BTreeSet::new(),
                    owed_and_came: 0,
                };
                seen.insert(name.clone(), seen_before);
            }
        }
    }

    /// Whether every subscriber has its SUBACK.
    pub(crate) fn all_subscribed(&self) -> bool {
        self.subscribers.iter().all(|subscriber| !subscriber.seen.is_empty())
    }

    /// A message is about to be sent; its counter.
    pub(crate) fn sent(&mut self, topic: &str) -> u64 {
        let Some(topic) = self.topics.get_mut(topic) else { return 0 };
        topic.acknowledged.push(false);
        topic.sent()
    }

    /// Its publisher has PUBACK or PUBREC.
    pub(crate) fn acknowledged(&mut self, topic: &str, counter: u64) {
        self.counts.acknowledged += 1;
        match self.topics.get_mut(topic) {
            Some(topic) => {
                let place = topic.acknowledged.get_mut(counter.wrapping_sub(1) as usize);
                place.into_iter().for_each(|place| *place = true);
            }
            None => self.retained.acknowledged(topic, counter),
        }
    }

    /// A message was delivered to a subscriber, behind its check of the packet identifier.
    pub(crate) fn delivered(&mut self, subscriber: usize, topic: &str, qos: QoS, payload: &[u8]) {
        self.counts.deliveries += 1;
        if let Some(finding) = self.deliver(subscriber, topic, qos, payload) {
            self.report(finding);
        }
    }

    fn deliver(&mut self, who: usize, name: &str, qos: QoS, payload: &[u8]) -> Option<Finding> {
        let Subscriber { name: subscriber, qos: granted, seen, .. } = &mut self.subscribers[who];
        let (client, subscriber) = (subscriber.clone(), subscriber.clone());
        let (topic, bytes) = (name.to_owned(), payload.len());
        let content = payload::read(payload).filter(|content| content.topic == name);
        let Some(content) = content else {
            return Some(Finding::Corrupt { client, topic, bytes });
        };
        let counter = content.counter;
        let published = self.topics.get(name).filter(|topic| {
            content.publisher == topic.publisher && (1..=topic.sent()).contains(&counter)
        });
        let Some(published) = published else {
            return Some(Finding::Invented { client, topic, counter });
        };
        let Some(seen) = seen.get_mut(name) else {
            return Some(Finding::NotAsked { subscriber, topic });
        };
        let right = published.qos.min(*granted);
        if !seen.came(counter) {
            self.counts.repeats += 1;
            let once = right == QoS::ExactlyOnce;
            return once.then_some(Finding::Doubled { subscriber, topic, counter });
        }
        let behind = seen.highest;
        seen.highest = behind.max(counter);
        if counter < behind {
            return Some(Finding::OutOfOrder { subscriber, topic, counter, behind });
        }
        let qos_is_right = qos == right;
        let qos = qos.bits();
        (!qos_is_right).then_some(Finding::WrongQos { subscriber, topic, counter, qos })
    }

    /// An event was answered with result 0.
    pub(crate) fn answered(&mut self, tid: &str, gateway: &str) {
        if self.events.insert(tid.to_owned(), gateway.to_owned()).is_none() {
            self.counts.events += 1;
        }
    }

    /// Whether this event was answered.
    pub(crate) fn is_answered(&self, tid: &str) -> bool {
        self.events.contains_key(tid)
    }

    /// Whether everything that was sent has been acknowledged and has reached every subscriber: the
    /// moment to check.
    pub(crate) fn drained(&self) -> bool {
        let acknowledged = |topic: &Topic| topic.acknowledged.iter().rev().all(|&yes| yes);
        self.undelivered() == 0 && self.topics.values().all(acknowledged)
    }

    /// Messages that were sent and have not reached a subscriber, counted once a subscriber.
    pub(crate) fn undelivered(&self) -> u64 {
        let of = |(name, seen): (&String, &Seen)| {
            let sent = self.topics.get(name).map_or(0, Topic::sent);
            sent.saturating_sub(seen.before).saturating_sub(seen.owed_and_came)
        };
        self.subscribers.iter().flat_map(|subscriber| subscriber.seen.iter().map(of)).sum()
    }

    /// Every message that was acknowledged has reached every subscriber that it was for.
    pub(crate) fn check_messages(&mut self) {
        for subscriber in &self.subscribers {
            for (name, seen) in &subscriber.seen {
                let Some(topic) = self.topics.get(name) else { continue };
                let owed = (1..).zip(&topic.acknowledged).filter(|&(counter, &acknowledged)| {
                    acknowledged && counter > seen.before && !seen.came.contains(&counter)
                });
                let counters: Vec<u64> = owed.map(|(counter, _)| counter).collect();
                if !counters.is_empty() {
                    let (subscriber, topic) = (subscriber.name.clone(), name.clone());
                    self.findings.push(Finding::Lost { subscriber, topic, counters });
                }
            }
        }
    }

    /// Every retained topic has the value it must have; `values` is what a new subscriber got.
    pub(crate) fn check_retained(&mut self, values: &BTreeMap<String, Vec<u8>>) {
        self.retained.check(values).into_iter().for_each(|finding| self.report(finding));
    }

    /// Every event that was answered is in the history, `tid` and gateway.
    pub(crate) fn check_history(&mut self, history: &BTreeSet<(String, String)>) {
        for (tid, gateway) in self.events.clone() {
            let event = (tid, gateway);
            if !history.contains(&event) {
                let (tid, gateway) = event;
                self.report(Finding::EventMissing { tid, gateway });
            }
        }
    }

    /// Notes what must not have happened.
    pub(crate) fn report(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS {
            self.findings.push(finding);
        }
    }

    pub(crate) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }
}
