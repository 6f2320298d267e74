//! Retained messages: at most one a topic, found by filter (MQTT 5.0 section 3.3.1.3).
//!
//! The dispatcher sets and clears them in the order of the log, between the same live messages that
//! subscribers see them between. Connections only ask whether there is room.

mod listed;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use dockside_store::Seq;

pub(crate) use self::listed::Listed;
use self::listed::{ByTopic, Origin};
use crate::config::Limits;
use crate::message::Message;
use crate::record::Instance;

/// What one level of a topic that no other topic shares takes.
const LEVEL_BYTES: usize = 160;

/// There is no room for another retained message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

/// Whether room was asked for before a message was acknowledged. What was promised is kept.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[repr(u8)]
pub(crate) enum Room {
    /// It was not: there is room when the message is set, or there is not.
    #[default]
    Unasked,
    /// Its topic had a message already, which it replaces.
    Replaces,
    /// A place was promised.
    Promised,
}

impl Room {
    /// From two bits.
    pub(crate) fn from_bits(bits: u8) -> Option<Self> {
        [Self::Unasked, Self::Replaces, Self::Promised].into_iter().find(|r| *r as u8 == bits)
    }
}

/// All retained messages.
#[derive(Debug)]
pub(crate) struct Retained {
    root: Node,
    messages: usize,
    /// Topics of messages on their way that a place was promised to, and how many.
    promised: Mutex<HashMap<Box<str>, usize>>,
    /// Of messages and of the levels of their topics.
    bytes: usize,
    /// Those that expire one day, by when.
    mortal: BTreeSet<(u64, Box<str>)>,
    /// All of them in the order of their topics, so that a list can be read piece by piece.
    by_topic: BTreeMap<ByTopic, Option<Origin>>,
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
            promised: Mutex::default(),
            bytes: 0,
            mortal: BTreeSet::new(),
            by_topic: BTreeMap::new(),
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

    /// Asks for room for a message of `size` bytes (see [`Message::size`]) of this topic. Bytes that
    /// are on their way are not counted; the budgets bound them.
    ///
    /// # Errors
    /// [`Full`].
    pub(crate) fn promise(&self, topic: &str, size: usize) -> Result<Room, Full> {
        let known = self.root.find(topic).and_then(|node| node.message.as_ref());
        self.fits(known.map(|message| message.size()), size + self.new_levels(topic))?;
        if known.is_some() {
            return Ok(Room::Replaces);
        }
        let mut promised = self.promised();
        if let Some(count) = promised.get_mut(topic) {
            *count += 1;
        } else if self.messages + promised.len() < self.messages_at_most {
            promised.insert(topic.into(), 1);
        } else {
            return Err(Full);
        }
        Ok(Room::Promised)
    }

    fn promised(&self) -> MutexGuard<'_, HashMap<Box<str>, usize>> {
        self.promised.lock().expect("no panic while it is held")
    }

    /// A message that a place was promised to has come.
    fn redeem(&self, topic: &str) {
        let mut promised = self.promised();
        if let Some(count) = promised.get_mut(topic) {
            *count -= 1;
            if *count == 0 {
                promised.remove(topic);
            }
        }
    }

    /// Bytes of the levels that a topic would add.
    fn new_levels(&self, topic: &str) -> usize {
        let mut node = Some(&self.root);
        let levels = topic.split('/').filter(|level| {
            node = node.and_then(|node| node.names.get(*level));
            node.is_none()
        });
        levels.count() * LEVEL_BYTES
    }

    /// Whether the bytes fit beside, or instead of, those of the topic's own.
    fn fits(&self, known: Option<usize>, size: usize) -> Result<(), Full> {
        let bytes = self.bytes - known.unwrap_or(0) + size;
        if bytes <= self.bytes_at_most { Ok(()) } else { Err(Full) }
    }

    /// As [`Retained::set`], for a message that has just been published.
    ///
    /// # Errors
    /// Those of [`Retained::set`].
    pub(crate) fn publish(
        &mut self,
        message: &Arc<Message>,
        room: Room,
        publisher: Instance,
    ) -> Result<(), Full> {
        self.put(message, room, Some(Origin::now(publisher)))
    }

    /// Retains a message instead of the one its topic has [MQTT-3.3.1-5]; one without payload only
    /// clears it [MQTT-3.3.1-6] and is not retained itself [MQTT-3.3.1-7].
    ///
    /// # Errors
    /// [`Full`]: the topic has none afterwards; what it had was older than what could not be kept.
    pub(crate) fn set(&mut self, message: &Arc<Message>, room: Room) -> Result<(), Full> {
        self.put(message, room, None)
    }

    fn put(
        &mut self,
        message: &Arc<Message>,
        room: Room,
        origin: Option<Origin>,
    ) -> Result<(), Full> {
        let topic = message.topic();
        if room == Room::Promised {
            self.redeem(topic);
        }
        let known = self.clear(topic);
        if message.payload().is_empty() {
            return Ok(());
        }
        if room == Room::Unasked && !is_own(topic) {
            self.fits(None, message.size() + self.new_levels(topic))?;
            let promised = self.promised().len();
            if !known && self.messages + promised >= self.messages_at_most {
                return Err(Full);
            }
        }
        if !is_own(topic) {
            self.messages += 1;
            self.bytes += message.size() + self.new_levels(topic);
            if message.expires_ms != u64::MAX {
                self.mortal.insert((message.expires_ms, topic.into()));
            }
        }
        self.root.make(topic).message = Some(Arc::clone(message));
        self.by_topic.insert(ByTopic(Arc::clone(message)), origin);
        Ok(())
    }

    /// Whether there was one.
    fn clear(&mut self, topic: &str) -> bool {
        let levels: Vec<&str> = topic.split('/').collect();
        let mut emptied = 0;
        let Some(message) = self.root.clear(&levels, &mut emptied) else { return false };
        self.by_topic.remove(topic);
        if !is_own(topic) {
            self.messages -= 1;
            self.bytes -= message.size() + emptied * LEVEL_BYTES;
            self.mortal.remove(&(message.expires_ms, topic.into()));
        }
        true
    }

    /// Every retained message whose topic matches `filter` and that has not expired [MQTT-3.3.1-9],
    /// as long as `found` wants more.
    pub(crate) fn matches(
        &self,
        filter: &str,
        now_ms: u64,
        mut found: impl FnMut(&Arc<Message>) -> bool,
    ) {
        let levels: Vec<&str> = filter.split('/').collect();
        let mut alive = |message: &Arc<Message>| message.expires_ms <= now_ms || found(message);
        self.root.matches(&levels, true, &mut alive);
    }

    /// Drops what has expired [MQTT-3.3.2-5]: topics, and numbers in the store.
    pub(crate) fn expire(&mut self, now_ms: u64) -> Vec<(Box<str>, Seq)> {
        let mut gone = Vec::new();
        while self.mortal.first().is_some_and(|(expires_ms, _)| *expires_ms <= now_ms) {
            if let Some((_, topic)) = self.mortal.pop_first() {
                let seq = self.root.find(&topic).and_then(|node| node.message.as_ref());
                let seq = seq.map_or(0, |message| message.seq);
                self.clear(&topic);
                gone.push((topic, seq));
            }
        }
        gone
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

    /// Takes the message out; how many levels are gone with it is counted.
    fn clear(&mut self, levels: &[&str], emptied: &mut usize) -> Option<Arc<Message>> {
        let Some((level, rest)) = levels.split_first() else { return self.message.take() };
        let node = self.names.get_mut(*level)?;
        let gone = node.clear(rest, emptied);
        if node.is_empty() {
            self.names.remove(*level);
            *emptied += 1;
        }
        gone
    }

    /// `false` if no more is wanted.
    fn matches(
        &self,
        levels: &[&str],
        first: bool,
        found: &mut impl FnMut(&Arc<Message>) -> bool,
    ) -> bool {
        // Wildcards at the start do not match topics of the server [MQTT-4.7.2-1].
        let mut visible = self.names.iter().filter(|(name, _)| !first || !name.starts_with('$'));
        match levels.split_first() {
            None => self.message.iter().all(found),
            // The level above is matched too (section 4.7.1.2).
            Some((&"#", _)) => {
                self.message.iter().all(&mut *found)
                    && visible.all(|(_, node)| node.matches(&["#"], false, found))
            }
            Some((&"+", rest)) => visible.all(|(_, node)| node.matches(rest, false, found)),
            Some((level, rest)) => {
                self.names.get(*level).is_none_or(|node| node.matches(rest, false, found))
            }
        }
    }
}

#[cfg(test)]
mod tests;
