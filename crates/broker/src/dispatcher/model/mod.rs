//! The directory against a naive model: lists, and matching written out by hand.

mod lists;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};

use dockside_mqtt::QoS;
use dockside_mqtt::packet::SubscriptionOptions;
use proptest::prelude::*;

use self::lists::{Expected, FILTERS, Model, Step, Subscription, TOPICS};
use super::directory::{Directory, Outlets};
use super::routes::Slot;
use crate::config::Limits;
use crate::mailbox::AsleepBytes;
use crate::message::{Delivery, Origin};
use crate::record::{Instance, Published, Subscribed};
use crate::retained::{Retained, Room};

/// Deliveries by place, and who has no connection.
#[derive(Default)]
struct Boxes {
    put: Vec<(Slot, Delivery)>,
    offline: BTreeSet<Slot>,
    retained_room: Option<usize>,
    refused: Vec<Slot>,
    looks: usize,
}

impl Outlets for Boxes {
    fn takes_shared(&self, slot: Slot, _size: usize) -> bool {
        !self.offline.contains(&slot)
    }

    fn retained_room(&self, _slot: Slot) -> usize {
        self.retained_room.map_or(usize::MAX, |room| room.saturating_sub(self.put.len()))
    }

    fn looked(&mut self, looks: usize) {
        self.looks += looks;
    }

    fn refuse_retained(&mut self, slot: Slot) {
        self.refused.push(slot);
    }

    fn put(&mut self, slot: Slot, delivery: Delivery) {
        self.put.push((slot, delivery));
    }
}

fn directory() -> Directory {
    let limits = Limits::default();
    let retained = Arc::new(RwLock::new(Retained::new(&limits)));
    Directory::new(&limits, retained, Arc::new(AsleepBytes::new(&limits)))
}

/// With what is retained, two looks at a time.
fn subscribe(directory: &mut Directory, new: &Subscribed<'_>, boxes: &mut Boxes) {
    if let Some(mut wanted) = directory.subscribe(new, 0, boxes) {
        while directory.search(&mut wanted, 2, boxes) {}
    }
}

fn published<'a>(topic: &'a str, publisher: Instance, payload: &'a [u8]) -> Published<'a> {
    Published {
        publisher,
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
    }
}

fn quality() -> impl Strategy<Value = QoS> {
    prop::sample::select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 1u64..4;
    let filter = || prop::sample::select(FILTERS.to_vec());
    let options = (quality(), any::<bool>(), any::<bool>(), 0u8..3).prop_map(
        |(qos, no_local, retain_as_published, retain_handling)| SubscriptionOptions {
            qos,
            no_local,
            retain_as_published,
            retain_handling,
        },
    );
    let publish = (who(), prop::sample::select(TOPICS.to_vec()), quality(), any::<[bool; 3]>());
    prop_oneof![
        2 => who().prop_map(Step::Begin),
        1 => who().prop_map(Step::End),
        1 => who().prop_map(Step::Sleep),
        1 => who().prop_map(Step::Wake),
        4 => (who(), filter(), options, 0u32..4)
            .prop_map(|(by, filter, options, id)| Step::Subscribe { by, filter, options, id }),
        1 => (who(), filter()).prop_map(|(s, f)| Step::Unsubscribe(s, f)),
        6 => publish.prop_map(|(by, topic, qos, [retain, empty, except])| {
            Step::Publish { by, topic, qos, retain, empty, except }
        }),
    ]
}

/// The directory, its boxes and the model, going the same way.
struct Pair {
    directory: Directory,
    boxes: Boxes,
    slots: BTreeMap<Instance, Slot>,
    model: Model,
}

impl Pair {
    /// What was put since the last look, in the model's words.
    fn put(&mut self) -> Vec<Expected> {
        let owner = |slot| *self.slots.iter().find(|(_, s)| **s == slot).unwrap().0;
        let put = self.boxes.put.drain(..).map(|(slot, delivery)| {
            let number = std::str::from_utf8(delivery.message.payload()).unwrap();
            (
                owner(slot),
                number.parse().unwrap_or(0),
                delivery.qos.bits(),
                delivery.retain,
                delivery.subscription_ids.to_vec(),
                matches!(delivery.origin, Origin::Shared(_)),
            )
        });
        put.collect()
    }

    fn step(&mut self, step: &Step, number: u32) -> Result<(), TestCaseError> {
        match *step {
            Step::Begin(s) if !self.model.sessions.contains_key(&s) => {
                let slot = self.directory.begin(s);
                self.slots.insert(s, slot);
                self.model.sessions.insert(s, true);
            }
            Step::Begin(_) => {}
            Step::End(s) => {
                self.directory.end(s);
                if let Some(slot) = self.slots.remove(&s) {
                    self.boxes.offline.remove(&slot);
                }
                self.model.end(s);
            }
            Step::Sleep(s) => {
                if let (Some(slot), Some(online)) =
                    (self.slots.get(&s), self.model.sessions.get_mut(&s))
                {
                    *online = false;
                    self.boxes.offline.insert(*slot);
                }
            }
            Step::Wake(s) => self.wake(s)?,
            Step::Subscribe { by, filter, options, id } => {
                let subscribed = Subscribed { instance: by, options, id, filter };
                subscribe(&mut self.directory, &subscribed, &mut self.boxes);
                let mut expected = self.model.subscribe(Subscription { by, filter, options, id });
                let mut put = self.put();
                self.take_waited(&mut put, filter)?;
                put.sort();
                expected.sort();
                prop_assert_eq!(put, expected);
            }
            Step::Unsubscribe(s, filter) => {
                self.directory.unsubscribe(s, filter);
                self.model.subscriptions.retain(|known| known.by != s || known.filter != filter);
                self.model.forget_groups();
            }
            Step::Publish { .. } => self.publish(step, number)?,
        }
        let model = &self.model.subscriptions;
        let shared = model.iter().filter(|s| s.filter.starts_with("$share")).count();
        prop_assert_eq!(self.directory.subscriptions(), (model.len() - shared, shared));
        Ok(())
    }

    fn wake(&mut self, s: Instance) -> Result<(), TestCaseError> {
        let Some(slot) = self.slots.get(&s) else { return Ok(()) };
        self.boxes.offline.remove(slot);
        self.model.sessions.insert(s, true);
        self.directory.attached(s, &mut self.boxes);
        let mut put = self.put();
        for filter in FILTERS {
            if self.model.members(filter).iter().any(|member| member.by == s) {
                self.take_waited(&mut put, filter)?;
            }
        }
        prop_assert_eq!(put, Vec::new());
        Ok(())
    }

    /// Takes out of `put` what waited for a member of a group, which must all be there, in order.
    fn take_waited(
        &mut self,
        put: &mut Vec<Expected>,
        filter: &'static str,
    ) -> Result<(), TestCaseError> {
        if self.model.members(filter).is_empty() {
            return Ok(());
        }
        for (number, qos, retain) in self.model.waiting.remove(filter).unwrap_or_default() {
            let members = self.model.members(filter);
            // Two groups may have let the same message wait: the copy is one that a member may get.
            let at = put.iter().position(|got| {
                let member = members.iter().find(|member| member.by == got.0);
                got.5
                    && got.1 == number
                    && member.is_some_and(|member| {
                        let options = member.options;
                        let kept = options.retain_as_published && retain;
                        (got.2, got.3) == (options.qos.bits().min(qos), kept)
                    })
            });
            prop_assert!(at.is_some(), "message {} waited and did not go on", number);
            put.remove(at.unwrap());
        }
        Ok(())
    }

    fn publish(&mut self, step: &Step, number: u32) -> Result<(), TestCaseError> {
        let Step::Publish { by, topic, qos, retain, empty, except } = *step else { return Ok(()) };
        let payload = if empty { String::new() } else { number.to_string() };
        let number = if empty { 0 } else { number };
        let mut publish = published(topic, by, payload.as_bytes());
        (publish.qos, publish.retain, publish.except_publisher) = (qos, retain, except);
        self.directory.publish(&publish, &mut self.boxes);
        let (shared, mut plain): (Vec<_>, Vec<_>) = self.put().into_iter().partition(|p| p.5);
        let mut expected = self.model.plain(step, number);
        plain.sort();
        expected.sort();
        prop_assert_eq!(plain, expected);
        let mut left = shared.len();
        for filter in self.model.groups(topic) {
            let members = self.model.members(filter);
            if members.is_empty() {
                if qos != QoS::AtMostOnce {
                    let waiting = self.model.waiting.entry(filter).or_default();
                    waiting.push((number, qos.bits(), retain));
                }
                continue;
            }
            left -= 1;
            let one_got_it = shared.iter().any(|(session, n, granted, ..)| {
                let member = members.iter().find(|m| m.by == *session);
                *n == number
                    && member.is_some_and(|m| *granted == m.options.qos.bits().min(qos.bits()))
            });
            prop_assert!(one_got_it, "no member of {} got it", filter);
        }
        prop_assert_eq!(left, 0, "one copy a group");
        if retain {
            self.model.retained.remove(topic);
            if !empty {
                self.model.retained.insert(topic, (number, qos.bits()));
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn everybody_gets_what_a_list_says(steps in proptest::collection::vec(step(), 1..120)) {
        let mut pair = Pair {
            directory: directory(),
            boxes: Boxes::default(),
            slots: BTreeMap::new(),
            model: Model::default(),
        };
        for (number, step) in steps.iter().enumerate() {
            pair.step(step, number as u32 + 1)?;
        }
    }
}

/// [MQTT-3.3.4-2] [MQTT-3.3.4-3]
#[test]
fn overlapping_subscriptions_are_one_delivery() {
    let (mut directory, mut boxes) = (directory(), Boxes::default());
    directory.begin(1);
    for (filter, qos, id) in [("a/#", 0, 7), ("a/+", 2, 9), ("a/b", 1, 0)] {
        let options = SubscriptionOptions::qos(QoS::from_bits(qos).unwrap());
        let subscribed = Subscribed { instance: 1, options, id, filter };
        subscribe(&mut directory, &subscribed, &mut boxes);
    }
    let publish = Published { qos: QoS::ExactlyOnce, ..published("a/b", 5, b"x") };
    directory.publish(&publish, &mut boxes);
    let (_, delivery) = &boxes.put[0];
    assert_eq!(boxes.put.len(), 1);
    assert_eq!((delivery.qos, &*delivery.subscription_ids), (QoS::ExactlyOnce, &[7, 9][..]));
}

#[test]
fn a_group_takes_turns_and_what_a_leaver_did_not_acknowledge_goes_to_others_in_order() {
    let (mut directory, mut boxes) = (directory(), Boxes::default());
    let options = SubscriptionOptions::qos(QoS::AtLeastOnce);
    let slots: Vec<_> = (1..=3).map(|session| directory.begin(session)).collect();
    for instance in 1..=3 {
        let subscribed = Subscribed { instance, options, id: 0, filter: "$share/g/a" };
        subscribe(&mut directory, &subscribed, &mut boxes);
    }
    for number in 0..9u8 {
        directory.publish(&published("a", 9, &[number]), &mut boxes);
    }
    for slot in &slots {
        assert_eq!(boxes.put.iter().filter(|(to, _)| to == slot).count(), 3);
    }
    let (theirs, rest): (Vec<_>, Vec<_>) = boxes.put.drain(..).partition(|(to, _)| *to == slots[0]);
    let theirs: Vec<_> = theirs.into_iter().map(|(_, delivery)| delivery).collect();
    let payloads = |put: &[(Slot, Delivery)]| -> Vec<u8> {
        put.iter().map(|(_, delivery)| delivery.message.payload()[0]).collect()
    };
    drop(rest);
    boxes.offline.insert(slots[0]);
    assert_eq!(directory.returned(&theirs, &mut boxes), 0);
    assert_eq!(payloads(&boxes.put), [0, 3, 6]);
    assert!(boxes.put.iter().all(|(to, _)| *to != slots[0]));
    // With nobody there it waits, ahead of what comes later.
    boxes.put.clear();
    boxes.offline.extend([slots[1], slots[2]]);
    directory.publish(&published("a", 9, &[10]), &mut boxes);
    assert_eq!(directory.returned(&theirs, &mut boxes), 0);
    assert!(boxes.put.is_empty());
    boxes.offline.remove(&slots[2]);
    directory.attached(3, &mut boxes);
    assert_eq!(payloads(&boxes.put), [0, 3, 6, 10]);
    // Without any member it is dropped.
    for instance in 1..=3 {
        directory.end(instance);
    }
    assert_eq!(directory.returned(&theirs, &mut boxes), 3);
}

#[test]
fn what_waits_in_groups_counts_for_what_waits_in_all() {
    let limits = Limits { session_bytes: 400, sessions: 2, ..Limits::default() };
    let retained = Arc::new(RwLock::new(Retained::new(&limits)));
    let asleep = Arc::new(AsleepBytes::new(&limits));
    let mut directory = Directory::new(&limits, retained, Arc::clone(&asleep));
    let mut boxes = Boxes::default();
    let slot = directory.begin(1);
    let options = SubscriptionOptions::qos(QoS::AtLeastOnce);
    let subscribed = Subscribed { instance: 1, options, id: 0, filter: "$share/g/a" };
    subscribe(&mut directory, &subscribed, &mut boxes);
    boxes.offline.insert(slot);
    let payloads = [[1; 100], [2; 100], [3; 100], [4; 100]];
    let dropped: u64 = payloads
        .iter()
        .map(|payload| directory.publish(&published("a", 9, payload), &mut boxes).dropped)
        .sum();
    assert_eq!((dropped, asleep.get()), (2, 2 * 165));
    boxes.offline.clear();
    directory.attached(1, &mut boxes);
    let got: Vec<_> = boxes.put.iter().map(|(_, d)| d.message.payload()[0]).collect();
    assert_eq!((got, asleep.get()), (vec![3, 4], 0));
    boxes.offline.insert(slot);
    directory.publish(&published("a", 9, &payloads[0]), &mut boxes);
    assert_eq!(directory.end(1), Some((slot, 1)), "one waited for it alone");
    assert_eq!(asleep.get(), 0);
}

#[test]
fn no_more_retained_messages_are_gathered_than_there_is_room_for() {
    let (mut directory, mut boxes) = (directory(), Boxes::default());
    let slot = directory.begin(1);
    for topic in ["a", "a/b", "a/c"] {
        let retained = Published { retain: true, ..published(topic, 9, b"x") };
        directory.publish(&retained, &mut boxes);
    }
    let options = SubscriptionOptions::qos(QoS::AtLeastOnce);
    for (room, put, refused) in [(0, 0, 1), (2, 2, 1), (3, 3, 0)] {
        boxes = Boxes { retained_room: Some(room), ..Boxes::default() };
        let subscribed = Subscribed { instance: 1, options, id: 0, filter: "a/#" };
        subscribe(&mut directory, &subscribed, &mut boxes);
        assert_eq!((boxes.put.len(), boxes.refused.len()), (put, refused), "room for {room}");
        assert!(boxes.looks >= put, "they take time: {}", boxes.looks);
        assert!(boxes.refused.iter().all(|refused| *refused == slot));
    }
}
