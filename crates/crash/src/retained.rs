//! What is retained on each topic: which values were sent in which order, which was acknowledged last.

use std::collections::BTreeMap;

use crate::finding::Finding;
use crate::payload;

/// The topics of the one publisher that sets and clears retained values.
#[derive(Debug, Default)]
pub(crate) struct RetainedBook {
    topics: BTreeMap<String, Topic>,
}

#[derive(Debug, Default)]
struct Topic {
    /// One a message that was sent, in order of the counters from 1: whether it cleared the topic.
    clears: Vec<bool>,
    /// The highest counter that was acknowledged; 0 is none.
    acknowledged: u64,
}

impl Topic {
    fn sent(&self) -> u64 {
        self.clears.len() as u64
    }

    /// Whether this counter left the topic without a value; 0 is the beginning.
    fn cleared_by(&self, counter: u64) -> bool {
        counter == 0 || self.clears.get(counter as usize - 1).is_some_and(|&clear| clear)
    }

    /// Whether the topic may have this value, or none: the last acknowledged one, or a later one that
    /// was sent and so may have been taken over.
    fn allows(&self, found: Option<u64>) -> bool {
        let mut in_doubt = self.acknowledged..=self.sent();
        match found {
            Some(counter) => in_doubt.contains(&counter) && !self.cleared_by(counter),
            None => in_doubt.any(|counter| self.cleared_by(counter)),
        }
    }
}

impl RetainedBook {
    /// A value, or a clear, is about to be sent; its counter.
    pub(crate) fn sent(&mut self, topic: &str, clear: bool) -> u64 {
        let topic = self.topics.entry(topic.to_owned()).or_default();
        topic.clears.push(clear);
        topic.sent()
    }

    /// The publisher has its PUBACK.
    pub(crate) fn acknowledged(&mut self, topic: &str, counter: u64) {
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.acknowledged = topic.acknowledged.max(counter);
        }
    }

    /// What is wrong with the values that a new subscriber got.
    pub(crate) fn check(&self, values: &BTreeMap<String, Vec<u8>>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let client = || "the new subscriber".to_owned();
        let mut found = BTreeMap::new();
        for (topic, value) in values {
            let (name, bytes) = (topic.clone(), value.len());
            match payload::read(value).filter(|content| content.topic == topic) {
                None => findings.push(Finding::Corrupt { client: client(), topic: name, bytes }),
                Some(content) => {
                    let counter = content.counter;
                    let sent = self.topics.get(topic).map_or(0, Topic::sent);
                    if (1..=sent).contains(&counter) {
                        found.insert(topic, counter);
                    } else {
                        findings.push(Finding::Invented { client: client(), topic: name, counter });
                    }
                }
            }
        }
        for (name, topic) in &self.topics {
            let found = found.get(name).copied();
            if !topic.allows(found) {
                findings.push(Finding::Retained {
                    topic: name.clone(),
                    found,
                    acknowledged: topic.acknowledged,
                    cleared: topic.cleared_by(topic.acknowledged),
                    sent: topic.sent(),
                });
            }
        }
        findings
    }
}
