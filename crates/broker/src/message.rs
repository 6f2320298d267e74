//! A message, owned, and what one session gets of it.

use std::sync::Arc;

use dockside_mqtt::QoS;
use dockside_store::Seq;

use crate::record::Published;
use crate::timing::Timing;

/// What a message counts for besides its bytes.
pub(crate) const MESSAGE_OVERHEAD: usize = 64;

/// A message, owned: what all its deliveries share.
#[derive(Debug)]
pub(crate) struct Message {
    topic_len: u16,
    /// As published.
    pub(crate) qos: QoS,
    /// As published.
    pub(crate) retain: bool,
    properties_len: u32,
    /// Topic, properties, payload.
    bytes: Box<[u8]>,
    /// Monotonic milliseconds; `u64::MAX` is never.
    pub(crate) expires_ms: u64,
    /// Its number in the store; 0 if it is not there.
    pub(crate) seq: Seq,
    /// Of those that are timed.
    pub(crate) timing: Option<Arc<Timing>>,
}

impl Message {
    pub(crate) fn new(published: &Published<'_>) -> Self {
        let parts = [published.topic.as_bytes(), published.properties, published.payload];
        Self {
            topic_len: published.topic.len() as u16,
            qos: published.qos,
            retain: published.retain,
            properties_len: published.properties.len() as u32,
            bytes: parts.concat().into_boxed_slice(),
            expires_ms: published.expires_ms,
            seq: published.seq,
            timing: published.read.map(|read| Arc::new(Timing::since(read))),
        }
    }

    pub(crate) fn topic(&self) -> &str {
        std::str::from_utf8(self.topic_bytes()).expect("made from a str")
    }

    pub(crate) fn properties(&self) -> &[u8] {
        let start = usize::from(self.topic_len);
        &self.bytes[start..start + self.properties_len as usize]
    }

    /// Without a look at each of its bytes.
    pub(crate) fn topic_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.topic_len)]
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.bytes[usize::from(self.topic_len) + self.properties_len as usize..]
    }

    /// What it counts for wherever it waits.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + MESSAGE_OVERHEAD
    }
}

/// The number of a shared subscription's group.
pub(crate) type GroupId = u64;

/// Why a session gets a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// It was published, and the session has a subscription.
    Published,
    /// It was published, and it is this session's turn in the group.
    Shared(GroupId),
    /// It was retained when the session subscribed.
    Retained,
    /// So it was, and its connection ended before it was sent.
    Unread,
}

/// A message for one session.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) message: Arc<Message>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) origin: Origin,
    /// Identifiers of all subscriptions that matched.
    pub(crate) subscription_ids: Arc<[u32]>,
}

impl Delivery {
    /// Whether a session that is kept finds it in the store, in its own queue.
    pub(crate) fn is_stored(&self) -> bool {
        self.origin == Origin::Published && self.message.seq > 0 && self.qos != QoS::AtMostOnce
    }

    /// Whether it is for any one member of a group.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.origin, Origin::Shared(_))
    }
}
