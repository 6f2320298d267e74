//! PUBLISH packets on their way to the client: packet identifiers and the send window.

use std::collections::VecDeque;

use crate::packet::{PacketId, QoS};

/// Where one outgoing exchange stands.
///
/// ```text
/// QoS 1:  sent --PUBACK--> (gone)
/// QoS 2:  sent --PUBREC--> received --PUBCOMP--> (gone)
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Exchange {
    Puback,
    Pubrec,
    Pubcomp,
    Over,
}

/// The sender's half of a session: identifiers are given in a circle, so the exchanges under way
/// are a run of slots behind `first`, and each is found by its distance from it.
#[derive(Debug)]
pub struct Outgoing {
    window: u16,
    inflight: u16,
    first: u16,
    slots: VecDeque<Exchange>,
}

/// Identifiers in the circle: 1 to 65,535.
const CIRCLE: u32 = 65_535;

impl Outgoing {
    /// `window` is how many exchanges may be under way: the client's receive maximum or the
    /// configured bound, whichever is less.
    #[must_use]
    pub fn new(window: u16) -> Self {
        Self { window, inflight: 0, first: 1, slots: VecDeque::new() }
    }

    /// Whether another QoS 1 or 2 message may be sent now [MQTT-3.3.4-9].
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.inflight < self.window && (self.slots.len() as u32) < CIRCLE
    }

    /// Exchanges under way.
    #[must_use]
    pub fn inflight(&self) -> u16 {
        self.inflight
    }

    /// Begins an exchange; `None` without room, or for QoS 0, which has none.
    pub fn begin(&mut self, qos: QoS) -> Option<PacketId> {
        let exchange = match qos {
            QoS::AtMostOnce => return None,
            QoS::AtLeastOnce => Exchange::Puback,
            QoS::ExactlyOnce => Exchange::Pubrec,
        };
        if !self.has_room() {
            return None;
        }
        let id = (u32::from(self.first) - 1 + self.slots.len() as u32) % CIRCLE + 1;
        self.slots.push_back(exchange);
        self.inflight += 1;
        PacketId::new(id as u16)
    }

    /// PUBACK: `false` if no QoS 1 exchange has this identifier.
    pub fn puback(&mut self, id: PacketId) -> bool {
        self.step(id, Exchange::Puback, Exchange::Over)
    }

    /// PUBREC: `true` if PUBREL is the answer; a repeated PUBREC is answered again. A PUBREC that
    /// carries an error ends the exchange (section 4.3.3).
    pub fn pubrec(&mut self, id: PacketId, refused: bool) -> bool {
        if refused {
            self.step(id, Exchange::Pubrec, Exchange::Over);
            return false;
        }
        self.step(id, Exchange::Pubrec, Exchange::Pubcomp)
            || self.slot(id).is_some_and(|slot| *slot == Exchange::Pubcomp)
    }

    /// PUBCOMP: `false` if no released QoS 2 exchange has this identifier.
    pub fn pubcomp(&mut self, id: PacketId) -> bool {
        self.step(id, Exchange::Pubcomp, Exchange::Over)
    }

    fn slot(&mut self, id: PacketId) -> Option<&mut Exchange> {
        let distance = (u32::from(id.get()) + CIRCLE - u32::from(self.first)) % CIRCLE;
        self.slots.get_mut(distance as usize)
    }

    fn step(&mut self, id: PacketId, from: Exchange, to: Exchange) -> bool {
        match self.slot(id) {
            Some(slot) if *slot == from => *slot = to,
            _ => return false,
        }
        if to == Exchange::Over {
            self.inflight -= 1;
        }
        while self.slots.front() == Some(&Exchange::Over) {
            self.slots.pop_front();
            self.first = (u32::from(self.first) % CIRCLE + 1) as u16;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u16) -> PacketId {
        PacketId::new(n).unwrap()
    }

    #[test]
    fn the_window_closes_and_opens() {
        let mut out = Outgoing::new(2);
        assert_eq!(out.begin(QoS::AtLeastOnce), Some(id(1)));
        assert_eq!(out.begin(QoS::ExactlyOnce), Some(id(2)));
        assert_eq!(out.begin(QoS::AtLeastOnce), None);
        assert!(out.pubrec(id(2), false));
        assert!(out.pubrec(id(2), false), "a repeated PUBREC is answered again");
        assert!(!out.has_room(), "a QoS 2 exchange is under way until PUBCOMP");
        assert!(out.pubcomp(id(2)));
        assert_eq!(out.begin(QoS::AtLeastOnce), Some(id(3)));
        assert!(out.puback(id(1)) && out.puback(id(3)));
        assert_eq!(out.inflight(), 0);
    }

    #[test]
    fn acknowledgements_of_nothing_change_nothing() {
        let mut out = Outgoing::new(10);
        assert!(!out.puback(id(1)));
        out.begin(QoS::ExactlyOnce);
        assert!(!out.puback(id(1)), "a QoS 2 exchange is not ended by PUBACK");
        assert!(!out.pubcomp(id(1)), "nor by PUBCOMP before PUBREC");
        assert!(!out.pubrec(id(1), true), "a refusing PUBREC ends it without PUBREL");
        assert_eq!(out.inflight(), 0);
    }

    #[test]
    fn identifiers_go_round_and_skip_zero_and_those_in_use() {
        let mut out = Outgoing::new(u16::MAX);
        let mut last = 0;
        for _ in 0..200_000u32 {
            let given = out.begin(QoS::AtLeastOnce).unwrap();
            assert_eq!(u32::from(given.get()), u32::from(last) % 65_535 + 1);
            last = given.get();
            assert!(out.puback(given));
        }
        let held = out.begin(QoS::AtLeastOnce).unwrap();
        for _ in 0..65_534 {
            let given = out.begin(QoS::AtLeastOnce).unwrap();
            assert_ne!(given, held);
            assert!(out.puback(given));
        }
        assert!(!out.has_room(), "the next identifier is still in use");
        assert!(out.puback(held));
        assert!(out.has_room());
    }
}
