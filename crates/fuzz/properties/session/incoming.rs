//! The receiver's half against sets: a QoS 2 message is new once, until it is released.

use std::collections::{BTreeMap, BTreeSet};

use dockside_mqtt::packet::Publish;
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
use dockside_mqtt::session::{Arrival, Incoming};
use dockside_mqtt::{PacketId, QoS, ReasonCode};

use super::Steps;

struct Pair {
    real: Incoming,
    receive_maximum: u32,
    alias_maximum: u16,
    waiting: usize,
    /// Not released, of this connection.
    own: BTreeSet<PacketId>,
    /// Not released, of earlier ones: they do not count.
    earlier: BTreeSet<PacketId>,
    aliases: BTreeMap<u16, String>,
}

pub(super) fn holds(mut steps: Steps<'_>) {
    let (receive_maximum, alias_maximum) = limits(&mut steps);
    let mut pair = Pair {
        real: Incoming::new(receive_maximum, alias_maximum),
        receive_maximum,
        alias_maximum,
        waiting: 0,
        own: BTreeSet::new(),
        earlier: BTreeSet::new(),
        aliases: BTreeMap::new(),
    };
    while let Some(step) = steps.next() {
        pair.step(step, &mut steps);
        assert_eq!(pair.real.outstanding() as usize, pair.waiting + pair.own.len());
    }
    let all: Vec<_> = pair.own.union(&pair.earlier).copied().collect();
    for id in all {
        assert!(pair.real.release(id) && !pair.real.release(id), "once");
    }
}

fn limits(steps: &mut Steps<'_>) -> (u32, u16) {
    let receive_maximum = match steps.byte() {
        0 => u32::MAX,
        few => u32::from(few % 16) + 1,
    };
    (receive_maximum, u16::from(steps.byte() % 8))
}

/// Few, so that they come again; in all rows of the set.
fn id(steps: &mut Steps<'_>) -> PacketId {
    let pick = steps.byte();
    PacketId::new(u16::from(pick & 7) << 8 | u16::from(pick >> 3)).unwrap_or(PacketId::MAX)
}

impl Pair {
    fn step(&mut self, step: u8, steps: &mut Steps<'_>) {
        match step % 8 {
            0..=2 => self.arrive(step, id(steps)),
            3 => {
                self.real.answered();
                self.waiting = self.waiting.saturating_sub(1);
            }
            4 => {
                let id = id(steps);
                let known = self.own.remove(&id) || self.earlier.remove(&id);
                assert_eq!(self.real.release(id), known);
            }
            5 => self.topic(steps),
            6 => {
                let (at_rest, limits) = (step & 8 != 0, limits(steps));
                let mut real = std::mem::replace(&mut self.real, Incoming::new(0, 0));
                if at_rest {
                    real = real.at_rest();
                }
                self.real = real.resumed(limits.0, limits.1);
                (self.receive_maximum, self.alias_maximum) = limits;
                self.waiting = 0;
                self.earlier.append(&mut self.own);
                self.aliases.clear();
            }
            _ => {
                let id = id(steps);
                if !self.own.contains(&id) {
                    self.real.restore(id);
                    self.earlier.insert(id);
                }
            }
        }
    }

    fn arrive(&mut self, step: u8, id: PacketId) {
        let qos = QoS::from_bits(step % 8).expect("0 to 2");
        let packet_id = (qos != QoS::AtMostOnce).then_some(id);
        let properties = Properties::EMPTY;
        let (dup, retain, topic, payload) = (step & 8 != 0, false, "t", &b""[..]);
        let publish = Publish { dup, qos, retain, packet_id, topic, properties, payload };
        let known = self.own.contains(&id) || self.earlier.contains(&id);
        let full = self.waiting + self.own.len() >= self.receive_maximum as usize;
        let expected = match qos {
            QoS::AtMostOnce => Ok(Arrival::New),
            QoS::ExactlyOnce if known => Ok(Arrival::Duplicate),
            _ if full => Err(ReasonCode::ReceiveMaximumExceeded),
            _ => Ok(Arrival::New),
        };
        let found = self.real.arrival(&publish).map_err(|error| error.reason);
        assert_eq!(found, expected, "{publish:?}");
        if found == Ok(Arrival::New) {
            self.real.begin(&publish);
            match qos {
                QoS::AtMostOnce => {}
                QoS::AtLeastOnce => self.waiting += 1,
                QoS::ExactlyOnce => drop(self.own.insert(id)),
            }
        }
    }

    fn topic(&mut self, steps: &mut Steps<'_>) {
        let (alias, pick) = (u16::from(steps.byte() % 10), steps.byte());
        let name = if pick % 3 == 0 { String::new() } else { format!("t/{pick}") };
        let mut list = PropertyList::new();
        // The codec lets no 0 through.
        if alias > 0 {
            list.number(PropertyId::TopicAlias, alias.into());
        }
        let (dup, retain, qos, packet_id) = (false, false, QoS::AtMostOnce, None);
        let properties = list.as_properties();
        let publish =
            Publish { dup, qos, retain, packet_id, topic: &name, properties, payload: b"" };
        let expected = match (alias, name.is_empty()) {
            (0, true) => Err(ReasonCode::ProtocolError),
            (0, false) => Ok(name.clone()),
            (alias, _) if alias > self.alias_maximum => Err(ReasonCode::TopicAliasInvalid),
            (alias, true) => self.aliases.get(&alias).cloned().ok_or(ReasonCode::ProtocolError),
            (alias, false) => {
                self.aliases.insert(alias, name.clone());
                Ok(name.clone())
            }
        };
        let found = self.real.topic(&publish).map(std::borrow::Cow::into_owned);
        assert_eq!(found.map_err(|error| error.reason), expected);
    }
}
