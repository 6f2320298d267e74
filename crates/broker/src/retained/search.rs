//! Which retained messages match a filter: a piece at a time, so that nobody waits for a search through all of them.

use std::ops::Bound;
use std::sync::Arc;

use dockside_mqtt::topic;

use super::Retained;
use super::listed::ByTopic;
use crate::message::Message;

/// A search for a filter, and how far it is.
#[derive(Debug)]
pub(crate) struct Search {
    filter: Box<str>,
    /// Length of what all topics that match begin with, all of the filter where it has no wildcard.
    prefix: usize,
    now_ms: u64,
    /// The topic that was looked at last.
    behind: Option<Box<str>>,
    is_done: bool,
}

impl Search {
    /// For messages that have not expired by `now_ms` [MQTT-3.3.1-9]; without the share of a shared subscription.
    pub(crate) fn new(filter: &str, now_ms: u64) -> Self {
        let prefix = filter.find(['+', '#']).unwrap_or(filter.len());
        Self { filter: filter.into(), prefix, now_ms, behind: None, is_done: false }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Whether a message matches that begins with the prefix.
    fn finds(&self, message: &Message) -> bool {
        let (filter, topic) = (self.filter.as_bytes(), message.topic_bytes());
        // [MQTT-4.7.2-1]
        let is_hidden = self.prefix == 0 && topic.starts_with(b"$");
        let matches = || topic::matches_bytes(&filter[self.prefix..], &topic[self.prefix..]);
        message.expires_ms > self.now_ms && !is_hidden && matches()
    }
}

impl Retained {
    /// Goes on with a search for so many looks, each at one topic, as long as `found` wants more. How many there were.
    pub(crate) fn search(
        &self,
        search: &mut Search,
        looks: usize,
        mut found: impl FnMut(&Arc<Message>) -> bool,
    ) -> usize {
        let prefix = &search.filter[..search.prefix];
        let mut looked = 0;
        if search.behind.is_none() {
            // The level above `/#` matches too (section 4.7.1.2), and others may stand between it and the rest.
            let only = prefix.strip_suffix('/').filter(|_| search.filter[search.prefix..] == *"#");
            let only = only.or_else(|| (prefix.len() == search.filter.len()).then_some(prefix));
            looked = usize::from(only.is_some());
            let wants_more = only
                .and_then(|topic| self.get(topic))
                .filter(|message| message.expires_ms > search.now_ms)
                .is_none_or(&mut found);
            if !wants_more || prefix.len() == search.filter.len() {
                search.is_done = true;
                return looked;
            }
        }
        let from = search.behind.as_deref().map_or(Bound::Included(prefix), Bound::Excluded);
        let mut range = self.by_topic.range::<str, _>((from, Bound::Unbounded));
        let mut last = None;
        let is_done = loop {
            let Some((ByTopic(message), _)) = range.next() else { break true };
            looked += 1;
            let is_beyond = !message.topic_bytes().starts_with(prefix.as_bytes());
            if is_beyond || search.finds(message) && !found(message) {
                break true;
            }
            if looked >= looks {
                last = Some(message.topic().into());
                break false;
            }
        };
        search.is_done = is_done;
        search.behind = last.or(search.behind.take());
        looked
    }
}
