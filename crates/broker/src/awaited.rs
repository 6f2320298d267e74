//! Replies that wait until an application has acknowledged the event that they are for.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use dockside_interceptor::{After, Reply};

use crate::message::Delivery;

/// How long a reply waits, milliseconds. Without it the dock sends its event again.
const WAITS_MS: u64 = 5_000;

/// Replies that wait; beyond that the oldest is given up.
const AT_MOST: usize = 10_000;

/// All of them.
#[derive(Default)]
pub(crate) struct Awaited {
    inner: Mutex<Inner>,
    count: AtomicUsize,
    hasher: RandomState,
}

#[derive(Default)]
struct Inner {
    /// By topic and payload of the event: whoever sends it again waits for the same acknowledgement.
    waiting: HashMap<u64, Vec<Waiting>>,
    /// Deadline, number and key, in their order; of those that are not waiting any more as well.
    deadlines: VecDeque<(u64, u64, u64)>,
    next: u64,
    /// Given up because they were too many, until somebody asks.
    given_up: Vec<Waiting>,
    /// So many more.
    uncounted: usize,
}

/// A reply that waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Waiting {
    number: u64,
    until_ms: u64,
    /// Where the event came from.
    pub(crate) peer: SocketAddr,
    /// Whose event it is, if it is a gateway's.
    pub(crate) gateway: Option<Box<str>>,
    pub(crate) reply: Reply,
}

impl Awaited {
    /// A reply to an event waits, from now on.
    pub(crate) fn wait(
        &self,
        (topic, payload): (&str, &[u8]),
        (peer, gateway, reply): (SocketAddr, Option<Box<str>>, Reply),
        now_ms: u64,
    ) {
        let key = self.hasher.hash_one((topic, payload));
        let mut inner = self.inner.lock().expect("no panic while it is held");
        let number = inner.next;
        inner.next += 1;
        inner.waiting.entry(key).or_default().push(Waiting {
            number,
            until_ms: now_ms + WAITS_MS,
            peer,
            gateway,
            reply,
        });
        inner.deadlines.push_back((now_ms + WAITS_MS, number, key));
        self.count.fetch_add(1, Ordering::Relaxed);
        let gone = inner.expire(0);
        self.count.fetch_sub(gone.len(), Ordering::Relaxed);
        for waiting in gone {
            if inner.given_up.len() < AT_MOST {
                inner.given_up.push(waiting);
            } else {
                inner.uncounted += 1;
            }
        }
    }

    /// The replies that wait for this client to acknowledge this message.
    pub(crate) fn acknowledged(
        &self,
        delivery: &Delivery,
        (client_id, user): (&str, Option<&str>),
        now_ms: u64,
    ) -> Vec<Waiting> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Vec::new();
        }
        let message = &delivery.message;
        let key = self.hasher.hash_one((message.topic(), message.payload()));
        let is_theirs = |waiting: &Waiting| match &waiting.reply.after {
            _ if waiting.until_ms <= now_ms => false,
            After::Kept => false,
            After::User(name) => user == Some(&**name),
            After::Client(id) => client_id == &**id,
        };
        let mut inner = self.inner.lock().expect("no panic while it is held");
        let Some(waiting) = inner.waiting.get_mut(&key) else { return Vec::new() };
        let gone: Vec<_> = waiting.extract_if(.., |waiting| is_theirs(waiting)).collect();
        if waiting.is_empty() {
            inner.waiting.remove(&key);
        }
        self.count.fetch_sub(gone.len(), Ordering::Relaxed);
        gone
    }

    /// Gives up those that have waited too long; they, those that were too many, and how many more there were.
    pub(crate) fn expire(&self, now_ms: u64) -> (Vec<Waiting>, usize) {
        let mut inner = self.inner.lock().expect("no panic while it is held");
        let late = inner.expire(now_ms);
        self.count.fetch_sub(late.len(), Ordering::Relaxed);
        let mut gone = std::mem::take(&mut inner.given_up);
        gone.extend(late);
        (gone, std::mem::take(&mut inner.uncounted))
    }
}

impl Inner {
    fn expire(&mut self, now_ms: u64) -> Vec<Waiting> {
        let mut gone = Vec::new();
        while let Some((deadline, number, key)) = self.deadlines.front().copied()
            && (deadline <= now_ms || self.deadlines.len() > AT_MOST)
        {
            self.deadlines.pop_front();
            let Some(waiting) = self.waiting.get_mut(&key) else { continue };
            gone.extend(waiting.extract_if(.., |waiting| waiting.number == number));
            if waiting.is_empty() {
                self.waiting.remove(&key);
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dockside_mqtt::QoS;

    use super::*;
    use crate::message::{Message, Origin};
    use crate::record::Published;
    use crate::retained::Room;

    const PEER: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

    fn reply(after: After) -> Reply {
        let payload = b"{}".to_vec();
        Reply { topic: "t/events_reply".to_owned(), payload, qos: QoS::AtLeastOnce, after }
    }

    fn delivery(topic: &str, payload: &[u8]) -> Delivery {
        let published = Published {
            publisher: 1,
            except_publisher: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            room: Room::Unasked,
            expires_ms: u64::MAX,
            seq: 0,
            topic,
            read: None,
            properties: b"",
            payload,
        };
        Delivery {
            message: Arc::new(Message::new(&published)),
            qos: QoS::AtLeastOnce,
            retain: false,
            origin: Origin::Published,
            subscription_ids: Arc::default(),
        }
    }

    #[test]
    fn only_the_one_that_is_waited_for_releases_it_and_only_once() {
        let awaited = Awaited::default();
        awaited.wait(("t/events", b"1"), (PEER, None, reply(After::User("backend".into()))), 0);
        awaited.wait(("t/events", b"1"), (PEER, None, reply(After::Client("map-1".into()))), 0);
        let event = delivery("t/events", b"1");
        assert!(awaited.acknowledged(&event, ("other", None), 0).is_empty());
        assert!(awaited.acknowledged(&event, ("other", Some("map")), 0).is_empty());
        assert!(
            awaited.acknowledged(&delivery("t/events", b"2"), ("x", Some("backend")), 0).is_empty()
        );
        assert!(
            awaited.acknowledged(&delivery("u/events", b"1"), ("x", Some("backend")), 0).is_empty()
        );
        let released = awaited.acknowledged(&event, ("x", Some("backend")), 0);
        assert_eq!(released[0].reply, reply(After::User("backend".into())));
        assert_eq!(released.len(), 1);
        assert!(awaited.acknowledged(&event, ("x", Some("backend")), 0).is_empty());
        assert_eq!(awaited.acknowledged(&event, ("map-1", None), 0).len(), 1);
    }

    #[test]
    fn what_waits_too_long_is_given_up() {
        let awaited = Awaited::default();
        let by = || reply(After::User("backend".into()));
        awaited.wait(("t/events", b"1"), (PEER, None, by()), 0);
        awaited.wait(("t/events", b"1"), (PEER, None, by()), 1);
        let late = ("x", Some("backend"));
        assert!(awaited.acknowledged(&delivery("t/events", b"1"), late, WAITS_MS + 1).is_empty());
        assert!(awaited.expire(WAITS_MS - 1).0.is_empty());
        assert_eq!(awaited.expire(WAITS_MS).0.len(), 1);
        assert_eq!(
            awaited.acknowledged(&delivery("t/events", b"1"), ("x", Some("backend")), 0).len(),
            1
        );
        assert!(awaited.expire(u64::MAX).0.is_empty());
        assert_eq!(awaited.count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn so_many_wait_and_the_oldest_is_given_up() {
        let awaited = Awaited::default();
        for n in 0..=AT_MOST as u64 {
            awaited.wait(("t", &n.to_le_bytes()), (PEER, None, reply(After::User("u".into()))), n);
        }
        assert_eq!(awaited.count.load(Ordering::Relaxed), AT_MOST);
        let first = delivery("t", &0u64.to_le_bytes());
        assert!(awaited.acknowledged(&first, ("x", Some("u")), 0).is_empty());
        let told = |(given_up, more): (Vec<Waiting>, usize)| (given_up.len(), more);
        assert_eq!(told(awaited.expire(0)), (1, 0));
        for n in 0..=AT_MOST as u64 {
            let by = (PEER, None, reply(After::User("u".into())));
            awaited.wait(("u", &n.to_le_bytes()), by, 0);
        }
        assert_eq!(told(awaited.expire(0)), (AT_MOST, 1));
    }
}
