//! Shared subscriptions (MQTT 5.0 section 4.8.2): each message of a group goes to one member that
//! has a connection. A group is its share name and its filter.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use dockside_mqtt::QoS;
use dockside_mqtt::filter_tree::FilterTree;
use dockside_mqtt::packet::SubscriptionOptions;
use dockside_mqtt::topic::Filter;
use ring::digest::{SHA256, digest};

use super::routes::Slot;
use crate::config::Limits;
use crate::mailbox::AsleepBytes;
use crate::message::{Delivery, GroupId, Message, Origin};
use crate::record::{Instance, Subscribed};

/// All groups.
pub(crate) struct Groups {
    tree: FilterTree<GroupId>,
    /// By the filter as it stands in a SUBSCRIBE, name and all.
    ids: HashMap<Box<str>, GroupId>,
    groups: HashMap<GroupId, Group>,
    bounds: Bounds,
}

/// What may wait in a group, and in all that waits for nobody.
#[derive(Clone)]
struct Bounds {
    messages_at_most: usize,
    bytes_at_most: usize,
    asleep: Arc<AsleepBytes>,
}

struct Group {
    members: Vec<Member>,
    turn: usize,
    /// QoS 1 and 2 messages that no member with a connection was there for.
    waiting: VecDeque<Arc<Message>>,
    waiting_bytes: usize,
    bounds: Bounds,
}

impl Drop for Group {
    fn drop(&mut self) {
        self.bounds.asleep.subtract(self.waiting_bytes);
    }
}

struct Member {
    instance: Instance,
    slot: Slot,
    options: SubscriptionOptions,
    ids: Arc<[u32]>,
}

/// What a group does with a message.
pub(crate) enum Assigned {
    To(Slot, Delivery),
    /// It waits; so many older ones were dropped for it.
    Waits(u64),
    /// Nobody is there, and QoS 0 does not wait.
    Dropped,
}

impl Groups {
    pub(crate) fn new(limits: &Limits, asleep: Arc<AsleepBytes>) -> Self {
        Self {
            tree: FilterTree::default(),
            ids: HashMap::new(),
            groups: HashMap::new(),
            bounds: Bounds {
                messages_at_most: limits.mailbox_messages,
                bytes_at_most: limits.mailbox_bytes,
                asleep,
            },
        }
    }

    /// Adds a member, or gives it new options.
    pub(crate) fn subscribe(&mut self, new: &Subscribed<'_>, slot: Slot) -> GroupId {
        let id = match self.ids.get(new.filter) {
            Some(id) => *id,
            None => self.found(new.filter),
        };
        let ids: Arc<[u32]> = Some(new.id).filter(|id| *id != 0).into_iter().collect();
        let member = Member { instance: new.instance, slot, options: new.options, ids };
        if let Some(group) = self.groups.get_mut(&id) {
            match group.members.iter_mut().find(|known| known.instance == new.instance) {
                Some(known) => *known = member,
                None => group.members.push(member),
            }
        }
        id
    }

    fn found(&mut self, filter: &str) -> GroupId {
        let id = id(filter);
        self.ids.insert(filter.into(), id);
        self.tree.insert(levels(filter), id);
        let group = Group {
            members: Vec::new(),
            turn: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            bounds: self.bounds.clone(),
        };
        self.groups.insert(id, group);
        id
    }

    /// Removes a member; without any the group is gone, and what waited for one: so many messages.
    pub(crate) fn unsubscribe(&mut self, instance: Instance, filter: &str) -> u64 {
        let Some(&id) = self.ids.get(filter) else { return 0 };
        let Some(group) = self.groups.get_mut(&id) else { return 0 };
        group.members.retain(|member| member.instance != instance);
        if !group.members.is_empty() {
            return 0;
        }
        let waited = group.waiting.len() as u64;
        self.groups.remove(&id);
        self.ids.remove(filter);
        self.tree.remove(levels(filter), |known| *known == id);
        waited
    }

    /// The groups that want messages of a topic.
    pub(crate) fn matches(&self, topic: &str) -> Box<[GroupId]> {
        let mut found = Vec::new();
        self.tree.matches(topic, |id| found.push(*id));
        found.into()
    }

    /// Whose turn it is: one member gets a message, with its own QoS (section 4.8.2). Behind those that
    /// wait already.
    pub(crate) fn assign(
        &mut self,
        id: GroupId,
        message: &Arc<Message>,
        takes: impl Fn(Slot, usize) -> bool,
    ) -> Assigned {
        let Some(group) = self.groups.get_mut(&id) else { return Assigned::Dropped };
        let is_first = group.waiting.is_empty() || message.qos == QoS::AtMostOnce;
        if is_first && let Some((slot, delivery)) = group.next(id, message, takes) {
            return Assigned::To(slot, delivery);
        }
        if message.qos == QoS::AtMostOnce {
            return Assigned::Dropped;
        }
        let mut dropped = 0;
        while group.is_full(message) && group.pop() {
            dropped += 1;
        }
        group.push(message, false);
        Assigned::Waits(dropped)
    }

    /// Messages of a member that has left, in their order, go to others or ahead of those that wait; how
    /// many cannot.
    pub(crate) fn give_back(
        &mut self,
        id: GroupId,
        messages: &[Arc<Message>],
        takes: impl Fn(Slot, usize) -> bool,
        mut put: impl FnMut(Slot, Delivery),
    ) -> u64 {
        let Some(group) = self.groups.get_mut(&id) else { return messages.len() as u64 };
        let mut rest = messages.iter();
        let mut left = None;
        for message in rest.by_ref() {
            match group.next(id, message, &takes) {
                Some((slot, delivery)) => put(slot, delivery),
                None => {
                    left = Some(message);
                    break;
                }
            }
        }
        let mut dropped = 0;
        // The last one first, so that the first one is in front; what is too much is the oldest.
        for message in left.into_iter().chain(rest).collect::<Vec<_>>().into_iter().rev() {
            if message.qos == QoS::AtMostOnce || group.is_full(message) {
                dropped += 1;
            } else {
                group.push(message, true);
            }
        }
        dropped
    }

    /// What waited before a restart; nobody is connected yet.
    pub(crate) fn restore(&mut self, id: GroupId, messages: &[Arc<Message>]) {
        if let Some(group) = self.groups.get_mut(&id) {
            messages.iter().for_each(|message| group.push(message, false));
        }
    }

    /// The group of a filter, as it stands in a SUBSCRIBE.
    pub(crate) fn of(&self, filter: &str) -> Option<GroupId> {
        self.ids.get(filter).copied()
    }

    /// What waits goes to who takes it.
    pub(crate) fn awake(
        &mut self,
        id: GroupId,
        takes: impl Fn(Slot, usize) -> bool,
        mut put: impl FnMut(Slot, Delivery),
    ) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        while let Some(message) = group.waiting.front().cloned() {
            let Some((slot, delivery)) = group.next(id, &message, &takes) else { break };
            group.pop();
            put(slot, delivery);
        }
    }
}

impl Group {
    fn is_full(&self, message: &Message) -> bool {
        let (bounds, size) = (&self.bounds, message.size());
        let mine = self.waiting.len() >= bounds.messages_at_most
            || self.waiting_bytes + size > bounds.bytes_at_most;
        !self.waiting.is_empty() && (mine || bounds.asleep.is_full(self.waiting_bytes, size))
    }

    fn push(&mut self, message: &Arc<Message>, in_front: bool) {
        self.waiting_bytes += message.size();
        self.bounds.asleep.add(message.size());
        if in_front {
            self.waiting.push_front(Arc::clone(message));
        } else {
            self.waiting.push_back(Arc::clone(message));
        }
    }

    fn pop(&mut self) -> bool {
        let Some(message) = self.waiting.pop_front() else { return false };
        self.waiting_bytes -= message.size();
        self.bounds.asleep.subtract(message.size());
        true
    }

    fn next(
        &mut self,
        id: GroupId,
        message: &Arc<Message>,
        takes: impl Fn(Slot, usize) -> bool,
    ) -> Option<(Slot, Delivery)> {
        let count = self.members.len();
        let mut order = (0..count).map(|step| (self.turn + step) % count);
        let at = order.find(|at| takes(self.members[*at].slot, message.size()))?;
        self.turn = (at + 1) % count;
        let member = &self.members[at];
        let delivery = Delivery {
            message: Arc::clone(message),
            qos: member.options.qos.min(message.qos),
            retain: member.options.retain_as_published && message.retain,
            origin: Origin::Shared(id),
            subscription_ids: Arc::clone(&member.ids),
        };
        Some((member.slot, delivery))
    }
}

/// The number of a group: the same for the writer, the dispatcher and the store, and not that of a
/// session.
pub(crate) fn id(filter: &str) -> GroupId {
    let hash = digest(&SHA256, filter.as_bytes());
    let first = hash.as_ref().first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(first) >> 2 | GROUP
}

/// Whether a number is that of a group.
pub(crate) fn is_group(id: GroupId) -> bool {
    id & GROUP != 0
}

/// Numbers of sessions do not have it.
const GROUP: GroupId = 1 << 62;

/// The part of a shared filter that topics are matched against.
fn levels(filter: &str) -> &str {
    Filter::parse(filter).map_or(filter, |parsed| parsed.levels)
}
