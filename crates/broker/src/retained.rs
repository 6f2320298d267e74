//! Retained messages: at most one a topic, found by filter (MQTT 5.0 section 3.3.1.3).
//!
//! The dispatcher sets and clears them in the order of the log, between the same live messages that
//! subscribers see them between. Connections only ask whether there is room.

#[cfg(feature = "bench")]
pub(crate) mod bench;
mod listed;
mod search;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use dockside_store::Seq;

pub(crate) use self::listed::Listed;
use self::listed::{ByTopic, Origin};
pub(crate) use self::search::Search;
use crate::config::Limits;
use crate::message::Message;
use crate::record::Instance;

/// What a place in the order of topics takes.
const PLACE_BYTES: usize = 64;

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
    /// All of them in the order of their topics: a list is read, and a filter looked for, piece by piece.
    by_topic: BTreeMap<ByTopic, Option<Origin>>,
    messages: usize,
    /// Topics of messages on their way that a place was promised to, and how many.
    promised: Mutex<HashMap<Box<str>, usize>>,
    /// Of messages and their places.
    bytes: usize,
    /// Those that expire one day, by when.
    mortal: BTreeSet<(u64, Box<str>)>,
    messages_at_most: usize,
    bytes_at_most: usize,
}

impl Retained {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            by_topic: BTreeMap::new(),
            messages: 0,
            promised: Mutex::default(),
            bytes: 0,
            mortal: BTreeSet::new(),
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
        let known = self.get(topic);
        self.fits(known.map(room_of), size + PLACE_BYTES)?;
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

    fn get(&self, topic: &str) -> Option<&Arc<Message>> {
        self.by_topic.get_key_value(topic).map(|(ByTopic(message), _)| message)
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
            self.fits(None, room_of(message))?;
            let promised = self.promised().len();
            if !known && self.messages + promised >= self.messages_at_most {
                return Err(Full);
            }
        }
        if !is_own(topic) {
            self.messages += 1;
            self.bytes += room_of(message);
            if message.expires_ms != u64::MAX {
                self.mortal.insert((message.expires_ms, topic.into()));
            }
        }
        self.by_topic.insert(ByTopic(Arc::clone(message)), origin);
        Ok(())
    }

    /// Whether there was one.
    fn clear(&mut self, topic: &str) -> bool {
        let Some((ByTopic(message), _)) = self.by_topic.remove_entry(topic) else { return false };
        if !is_own(topic) {
            self.messages -= 1;
            self.bytes -= room_of(&message);
            self.mortal.remove(&(message.expires_ms, topic.into()));
        }
        true
    }

    /// Drops what has expired [MQTT-3.3.2-5]: topics, and numbers in the store.
    pub(crate) fn expire(&mut self, now_ms: u64) -> Vec<(Box<str>, Seq)> {
        let mut gone = Vec::new();
        while self.mortal.first().is_some_and(|(expires_ms, _)| *expires_ms <= now_ms) {
            if let Some((_, topic)) = self.mortal.pop_first() {
                let seq = self.get(&topic).map_or(0, |message| message.seq);
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

/// What a message takes, with its place.
fn room_of(message: &Arc<Message>) -> usize {
    message.size() + PLACE_BYTES
}

#[cfg(test)]
mod tests;
