//! Retained messages for whoever looks at them, in the order of their topics.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Retained;
use crate::message::Message;
use crate::record::Instance;

/// A message by its topic.
#[derive(Debug)]
pub(super) struct ByTopic(pub(super) Arc<Message>);

impl Borrow<str> for ByTopic {
    fn borrow(&self) -> &str {
        self.0.topic()
    }
}

impl Ord for ByTopic {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.topic().cmp(other.0.topic())
    }
}

impl PartialOrd for ByTopic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByTopic {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByTopic {}

/// Where a message is from, of those that came since the start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    publisher: Instance,
    since: Instant,
}

impl Origin {
    pub(super) fn now(publisher: Instance) -> Self {
        Self { publisher, since: Instant::now() }
    }
}

/// A retained message, at one instant.
pub(crate) struct Listed {
    pub(crate) message: Arc<Message>,
    /// Who published it, 0 for the broker itself, and how long it is here; none if that was before the last start.
    pub(crate) origin: Option<(Instance, Duration)>,
}

impl Retained {
    /// Whether a topic has one.
    pub(crate) fn has(&self, topic: &str) -> bool {
        self.by_topic.contains_key(topic)
    }

    /// So many of them behind this topic, in their order; those that have expired too.
    pub(crate) fn piece(&self, behind: &str, count: usize) -> Vec<Listed> {
        // No topic is empty (MQTT 5.0 section 4.7.3).
        let range = (Bound::Excluded(behind), Bound::Unbounded);
        let found = self.by_topic.range::<str, _>(range).take(count);
        let listed = found.map(|(ByTopic(message), origin)| Listed {
            message: Arc::clone(message),
            origin: origin.map(|origin| (origin.publisher, origin.since.elapsed())),
        });
        listed.collect()
    }
}
