//! Retained messages: at most one a topic, found by filter (MQTT 5.0 section 3.3.1.3).
//!
//! The dispatcher sets and clears them in the order of the log, between the same live messages that
//! subscribers see them between. Connections only ask whether there is room.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::Limits;
use crate::message::Message;

/// There is no room for another retained message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

/// All retained messages.
#[derive(Debug)]
pub(crate) struct Retained {
    root: Node,
    messages: usize,
    bytes: usize,
    /// Those that expire one day.
    mortal: usize,
    messages_at_most: usize,
    bytes_at_most: usize,
}

#[derive(Debug, Default)]
struct Node {
    message: Option<Arc<Message>>,
    names: HashMap<Box<str>, Node>,
}

impl Retained {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            root: Node::default(),
            messages: 0,
            bytes: 0,
            mortal: 0,
            messages_at_most: limits.retained_messages,
            bytes_at_most: limits.retained_bytes,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.messages
    }

    /// What they hold.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a message of `size` bytes (see [`Message::size`]) may be retained for this topic,
    /// instead of the one there may be.
    pub(crate) fn admits(&self, topic: &str, size: usize) -> Result<(), Full> {
        if is_own(topic) {
            return Ok(());
        }
        let known = self.root.find(topic).and_then(|node| node.message.as_ref());
        let messages = self.messages - usize::from(known.is_some());
        let bytes = self.bytes - known.map_or(0, |message| message.size());
        if messages < self.messages_at_most && bytes + size <= self.bytes_at_most {
            Ok(())
        } else {
            Err(Full)
        }
    }

    /// Retains a message instead of the one its topic has [MQTT-3.3.1-5]; one without payload only
    /// clears it [MQTT-3.3.1-6] and is not retained itself [MQTT-3.3.1-7].
    ///
    /// # Errors
    /// [`Full`]: the topic has none afterwards; what it had was older than what could not be kept.
    pub(crate) fn set(&mut self, message: &Arc<Message>) -> Result<(), Full> {
        let admitted = self.admits(message.topic(), message.size());
        self.clear(message.topic());
        if message.payload().is_empty() {
            return Ok(());
        }
        admitted?;
        if !is_own(message.topic()) {
            self.messages += 1;
            self.bytes += message.size();
            self.mortal += usize::from(message.expires_ms != u64::MAX);
        }
        self.root.make(message.topic()).message = Some(Arc::clone(message));
        Ok(())
    }

    fn clear(&mut self, topic: &str) {
        let levels: Vec<&str> = topic.split('/').collect();
        let gone = self.root.clear(&levels);
        self.forget(gone.as_deref());
    }

    fn forget(&mut self, gone: Option<&Message>) {
        if let Some(message) = gone.filter(|message| !is_own(message.topic())) {
            self.messages -= 1;
            self.bytes -= message.size();
            self.mortal -= usize::from(message.expires_ms != u64::MAX);
        }
    }

    /// Every retained message whose topic matches `filter` and that has not expired [MQTT-3.3.1-9].
    pub(crate) fn matches(&self, filter: &str, now_ms: u64, mut found: impl FnMut(&Arc<Message>)) {
        let levels: Vec<&str> = filter.split('/').collect();
        let mut alive = |message: &Arc<Message>| {
            if message.expires_ms > now_ms {
                found(message);
            }
        };
        self.root.matches(&levels, true, &mut alive);
    }

    /// Drops what has expired [MQTT-3.3.2-5].
    pub(crate) fn expire(&mut self, now_ms: u64) {
        if self.mortal > 0 {
            let mut gone = Vec::new();
            self.root.expire(now_ms, &mut gone);
            gone.iter().for_each(|message| self.forget(Some(message)));
        }
    }
}

/// What the broker says of itself, which only it can: a few dozen topics, not counted.
fn is_own(topic: &str) -> bool {
    topic.starts_with("$SYS/")
}

impl Node {
    fn find(&self, topic: &str) -> Option<&Self> {
        topic.split('/').try_fold(self, |node, level| node.names.get(level))
    }

    fn make(&mut self, topic: &str) -> &mut Self {
        topic.split('/').fold(self, |node, level| node.names.entry(level.into()).or_default())
    }

    fn is_empty(&self) -> bool {
        self.message.is_none() && self.names.is_empty()
    }

    fn clear(&mut self, levels: &[&str]) -> Option<Arc<Message>> {
        let Some((level, rest)) = levels.split_first() else { return self.message.take() };
        let node = self.names.get_mut(*level)?;
        let gone = node.clear(rest);
        if node.is_empty() {
            self.names.remove(*level);
        }
        gone
    }

    fn matches(&self, levels: &[&str], first: bool, found: &mut impl FnMut(&Arc<Message>)) {
        // Wildcards at the start do not match topics of the server [MQTT-4.7.2-1].
        let visible = |name: &str| !first || !name.starts_with('$');
        match levels.split_first() {
            None => self.message.iter().for_each(found),
            Some((&"#", _)) => {
                // The level above is matched too (section 4.7.1.2).
                self.message.iter().for_each(&mut *found);
                for (_, node) in self.names.iter().filter(|(name, _)| visible(name)) {
                    node.matches(&["#"], false, found);
                }
            }
            Some((&"+", rest)) => {
                for (_, node) in self.names.iter().filter(|(name, _)| visible(name)) {
                    node.matches(rest, false, found);
                }
            }
            Some((level, rest)) => {
                if let Some(node) = self.names.get(*level) {
                    node.matches(rest, false, found);
                }
            }
        }
    }

    fn expire(&mut self, now_ms: u64, gone: &mut Vec<Arc<Message>>) {
        gone.extend(self.message.take_if(|message| message.expires_ms <= now_ms));
        self.names.retain(|_, node| {
            node.expire(now_ms, gone);
            !node.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Published;
    use dockside_mqtt::QoS;

    fn message(topic: &str, payload: &[u8], expires_ms: u64) -> Arc<Message> {
        Arc::new(Message::new(&Published {
            publisher: 1,
            except_publisher: false,
            qos: QoS::AtLeastOnce,
            retain: true,
            expires_ms,
            topic,
            properties: b"",
            payload,
        }))
    }

    fn found(retained: &Retained, filter: &str, now_ms: u64) -> Vec<String> {
        let mut found = Vec::new();
        retained.matches(filter, now_ms, |message| {
            found.push(String::from_utf8_lossy(message.payload()).into_owned());
        });
        found.sort();
        found
    }

    #[test]
    fn the_last_one_of_a_topic_counts_and_an_empty_one_clears() {
        let mut retained = Retained::new(&Limits::default());
        for payload in [b"1", b"2"] {
            retained.set(&message("a/b", payload, u64::MAX)).unwrap();
        }
        assert_eq!((found(&retained, "a/b", 0), retained.len()), (vec!["2".to_owned()], 1));
        retained.set(&message("a/b", b"", u64::MAX)).unwrap();
        retained.set(&message("never", b"", u64::MAX)).unwrap();
        assert_eq!((retained.len(), retained.bytes()), (0, 0));
        assert!(retained.root.is_empty(), "no node is left behind");
    }

    #[test]
    fn what_has_expired_is_not_found_and_then_gone() {
        let mut retained = Retained::new(&Limits::default());
        retained.set(&message("a", b"x", 100)).unwrap();
        retained.set(&message("a/b", b"y", u64::MAX)).unwrap();
        assert_eq!(found(&retained, "#", 99), ["x", "y"]);
        assert_eq!(found(&retained, "#", 100), ["y"]);
        retained.expire(100);
        assert_eq!((retained.len(), retained.mortal), (1, 0));
    }

    #[test]
    fn beyond_the_bounds_only_what_is_there_may_change() {
        let limits = Limits { retained_messages: 2, retained_bytes: 200, ..Limits::default() };
        let mut retained = Retained::new(&limits);
        retained.set(&message("a", b"1", u64::MAX)).unwrap();
        retained.set(&message("b", b"1", u64::MAX)).unwrap();
        assert_eq!(retained.set(&message("c", b"1", u64::MAX)), Err(Full));
        retained.set(&message("a", b"2", u64::MAX)).unwrap();
        assert_eq!(retained.set(&message("a", &[0; 100], u64::MAX)), Err(Full));
        assert_eq!(found(&retained, "+", 0), ["1"], "an old one does not stand for a new one");
    }

    proptest::proptest! {
        #[test]
        fn filters_find_what_a_list_says(
            topics in proptest::collection::vec("[ab$]{0,1}(/[ab]{0,1}){0,3}", 0..20),
            filter in "([ab$]{0,1}|\\+)(/([ab]{0,1}|\\+)){0,3}(/#)?|#",
        ) {
            let mut retained = Retained::new(&Limits::default());
            let mut expected = Vec::new();
            for topic in topics.iter().filter(|topic| !topic.is_empty()) {
                retained.set(&message(topic, topic.as_bytes(), u64::MAX)).unwrap();
                if dockside_mqtt::topic::matches(&filter, topic) && !expected.contains(topic) {
                    expected.push(topic.clone());
                }
            }
            expected.sort();
            proptest::prop_assert_eq!(found(&retained, &filter, 0), expected);
        }
    }
}
