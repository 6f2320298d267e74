//! Shared subscriptions (MQTT 5.0 section 4.8.2): each message of a group goes to one member that
//! has a connection. A group is its share name and its filter.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use dockside_mqtt::QoS;
use dockside_mqtt::filter_tree::FilterTree;
use dockside_mqtt::packet::SubscriptionOptions;
use dockside_mqtt::topic::Filter;

use super::routes::Slot;
use crate::config::Limits;
use crate::message::{Delivery, GroupId, Message, Origin};
use crate::record::{Instance, Subscribed};

/// All groups.
pub(super) struct Groups {
    tree: FilterTree<GroupId>,
    /// By the filter as it stands in a SUBSCRIBE, name and all.
    ids: HashMap<Box<str>, GroupId>,
    groups: HashMap<GroupId, Group>,
    last: GroupId,
    messages_at_most: usize,
    bytes_at_most: usize,
}

struct Group {
    members: Vec<Member>,
    turn: usize,
    /// QoS 1 and 2 messages that no member with a connection was there for.
    waiting: VecDeque<Arc<Message>>,
    waiting_bytes: usize,
}

struct Member {
    instance: Instance,
    slot: Slot,
    options: SubscriptionOptions,
    ids: Arc<[u32]>,
}

/// What a group does with a message.
pub(super) enum Assigned {
    To(Slot, Delivery),
    /// It waits; so many older ones were dropped for it.
    Waits(u64),
    /// Nobody is there, and QoS 0 does not wait.
    Dropped,
}

impl Groups {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            tree: FilterTree::default(),
            ids: HashMap::new(),
            groups: HashMap::new(),
            last: 0,
            messages_at_most: limits.mailbox_messages,
            bytes_at_most: limits.mailbox_bytes,
        }
    }

    /// Adds a member, or gives it new options.
    pub(super) fn subscribe(&mut self, new: &Subscribed<'_>, slot: Slot) -> GroupId {
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
        self.last += 1;
        let id = self.last;
        self.ids.insert(filter.into(), id);
        self.tree.insert(levels(filter), id);
        let group =
            Group { members: Vec::new(), turn: 0, waiting: VecDeque::new(), waiting_bytes: 0 };
        self.groups.insert(id, group);
        id
    }

    /// Removes a member; without any the group is gone, and what waited for one.
    pub(super) fn unsubscribe(&mut self, instance: Instance, filter: &str) {
        let Some(&id) = self.ids.get(filter) else { return };
        let Some(group) = self.groups.get_mut(&id) else { return };
        group.members.retain(|member| member.instance != instance);
        if group.members.is_empty() {
            self.groups.remove(&id);
            self.ids.remove(filter);
            self.tree.remove(levels(filter), |known| *known == id);
        }
    }

    /// The groups that want messages of a topic.
    pub(super) fn matches(&self, topic: &str) -> Box<[GroupId]> {
        let mut found = Vec::new();
        self.tree.matches(topic, |id| found.push(*id));
        found.into()
    }

    /// Whose turn it is: one member gets a message, with its own QoS (section 4.8.2).
    pub(super) fn assign(
        &mut self,
        id: GroupId,
        message: &Arc<Message>,
        is_online: impl Fn(Slot) -> bool,
    ) -> Assigned {
        let Some(group) = self.groups.get_mut(&id) else { return Assigned::Dropped };
        if let Some((slot, delivery)) = group.next(id, message, is_online) {
            return Assigned::To(slot, delivery);
        }
        if message.qos == QoS::AtMostOnce {
            return Assigned::Dropped;
        }
        let mut dropped = 0;
        while group.is_full(message, self.messages_at_most, self.bytes_at_most) {
            dropped += 1;
            group.pop();
        }
        group.waiting_bytes += message.size();
        group.waiting.push_back(Arc::clone(message));
        Assigned::Waits(dropped)
    }

    /// A message of a member that has left goes ahead of those that wait; `false` if it cannot.
    pub(super) fn give_back(&mut self, id: GroupId, message: &Arc<Message>) -> bool {
        let Some(group) = self.groups.get_mut(&id) else { return false };
        // It would be the oldest.
        if group.is_full(message, self.messages_at_most, self.bytes_at_most) {
            return false;
        }
        group.waiting_bytes += message.size();
        group.waiting.push_front(Arc::clone(message));
        true
    }

    /// The group of a filter, as it stands in a SUBSCRIBE.
    pub(super) fn of(&self, filter: &str) -> Option<GroupId> {
        self.ids.get(filter).copied()
    }

    /// What waits and can go now.
    pub(super) fn awake(
        &mut self,
        id: GroupId,
        is_online: impl Fn(Slot) -> bool,
    ) -> Vec<(Slot, Delivery)> {
        let mut going = Vec::new();
        let Some(group) = self.groups.get_mut(&id) else { return going };
        while let Some(message) = group.waiting.front().cloned() {
            match group.next(id, &message, &is_online) {
                Some(delivery) => going.push(delivery),
                // It was returned, and QoS 0 does not wait.
                None if message.qos == QoS::AtMostOnce => {}
                None => break,
            }
            group.pop();
        }
        going
    }
}

impl Group {
    fn is_full(&self, message: &Message, messages_at_most: usize, bytes_at_most: usize) -> bool {
        let bytes = self.waiting_bytes + message.size();
        self.waiting.len() >= messages_at_most
            || (!self.waiting.is_empty() && bytes > bytes_at_most)
    }

    fn pop(&mut self) {
        if let Some(message) = self.waiting.pop_front() {
            self.waiting_bytes -= message.size();
        }
    }

    fn next(
        &mut self,
        id: GroupId,
        message: &Arc<Message>,
        is_online: impl Fn(Slot) -> bool,
    ) -> Option<(Slot, Delivery)> {
        let count = self.members.len();
        let mut order = (0..count).map(|step| (self.turn + step) % count);
        let at = order.find(|at| is_online(self.members[*at].slot))?;
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

/// The part of a shared filter that topics are matched against.
fn levels(filter: &str) -> &str {
    Filter::parse(filter).map_or(filter, |parsed| parsed.levels)
}
