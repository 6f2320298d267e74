//! A sender's side of QoS 1 and 2 as the session of a client keeps it (MQTT 5.0 sections 4.3 and 4.4).

use std::collections::VecDeque;

use dockside_mqtt::packet::{Ack, Packet, Publish};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{PacketId, QoS, ReasonCode};

use crate::link::push;

/// A message to publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    /// The ledger's number for it.
    pub(crate) counter: u64,
    pub(crate) payload: Vec<u8>,
    pub(crate) retain: bool,
}

/// Messages under way, in the order in which they were published.
#[derive(Debug)]
pub(crate) struct Sender {
    qos: QoS,
    window: usize,
    next: PacketId,
    under_way: VecDeque<Exchange>,
}

#[derive(Debug)]
struct Exchange {
    packet_id: PacketId,
    message: Message,
    /// PUBREC has come: only PUBREL may be sent.
    received: bool,
}

impl Sender {
    /// Messages go at `qos`, 1 or 2, `window` of them at a time.
    pub(crate) fn new(qos: QoS, window: usize) -> Self {
        Self { qos, window, next: PacketId::MIN, under_way: VecDeque::new() }
    }

    /// Whether another message may be published.
    pub(crate) fn has_room(&self) -> bool {
        self.under_way.len() < self.window
    }

    /// Whether every exchange is complete.
    pub(crate) fn is_done(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Publishes a message.
    pub(crate) fn publish(&mut self, message: Message, output: &mut Vec<u8>) {
        let exchange = Exchange { packet_id: self.free_id(), message, received: false };
        exchange.send(self.qos, false, output);
        self.under_way.push_back(exchange);
    }

    /// Sends again what is not acknowledged, in the order in which it was sent [MQTT-4.4.0-1]:
    /// to be done first on a new connection.
    pub(crate) fn resume(&self, output: &mut Vec<u8>) {
        self.under_way.iter().for_each(|exchange| exchange.send(self.qos, true, output));
    }

    /// PUBACK: the message, if it was under way at QoS 1.
    pub(crate) fn puback(&mut self, packet_id: PacketId) -> Option<Message> {
        let place = self.place(packet_id).filter(|_| self.qos == QoS::AtLeastOnce)?;
        self.under_way.remove(place).map(|exchange| exchange.message)
    }

    /// PUBREC, answered with PUBREL: the message, if this was the first one.
    pub(crate) fn pubrec(&mut self, packet_id: PacketId, output: &mut Vec<u8>) -> Option<&Message> {
        let place = self.place(packet_id);
        let known = if place.is_some() {
            ReasonCode::Success
        } else {
            ReasonCode::PacketIdentifierNotFound
        };
        push(output, &Packet::Pubrel(Ack::new(packet_id, known)));
        let exchange = self.under_way.get_mut(place?)?;
        let first = !std::mem::replace(&mut exchange.received, true);
        first.then_some(&exchange.message)
    }

    /// PUBCOMP; whether it was waited for.
    pub(crate) fn pubcomp(&mut self, packet_id: PacketId) -> bool {
        let place = self.place(packet_id).filter(|&place| self.under_way[place].received);
        place.and_then(|place| self.under_way.remove(place)).is_some()
    }

    fn place(&self, packet_id: PacketId) -> Option<usize> {
        self.under_way.iter().position(|exchange| exchange.packet_id == packet_id)
    }

    /// The next identifier that is not in use [MQTT-2.2.1-3].
    fn free_id(&mut self) -> PacketId {
        loop {
            let packet_id = self.next;
            self.next = packet_id.checked_add(1).unwrap_or(PacketId::MIN);
            if self.place(packet_id).is_none() {
                return packet_id;
            }
        }
    }
}

impl Exchange {
    fn send(&self, qos: QoS, dup: bool, output: &mut Vec<u8>) {
        let packet_id = self.packet_id;
        if self.received {
            return push(output, &Packet::Pubrel(Ack::new(packet_id, ReasonCode::Success)));
        }
        let Message { topic, payload, retain, .. } = &self.message;
        let publish = Publish {
            dup,
            qos,
            retain: *retain,
            packet_id: Some(packet_id),
            topic,
            properties: Properties::EMPTY,
            payload,
        };
        push(output, &Packet::Publish(publish));
    }
}

#[cfg(test)]
mod tests {
    use dockside_mqtt::{Version, codec};

    use super::*;
    use crate::link::id;

    fn message(counter: u64) -> Message {
        Message { topic: "t".to_owned(), counter, payload: vec![counter as u8], retain: false }
    }

    /// What was sent: the packet's kind, its identifier, DUP.
    fn sent(mut bytes: &[u8]) -> Vec<(&'static str, u16, bool)> {
        let mut all = Vec::new();
        while let Some((frame, length)) = codec::split(bytes, u32::MAX).unwrap() {
            all.push(match codec::decode(&frame, Version::V5).unwrap() {
                Packet::Publish(p) => ("PUBLISH", p.packet_id.unwrap().get(), p.dup),
                Packet::Pubrel(ack) => ("PUBREL", ack.packet_id.get(), false),
                other => panic!("{other:?}"),
            });
            bytes = &bytes[length..];
        }
        all
    }

    #[test]
    fn what_is_unacknowledged_is_sent_again_in_order() {
        let mut out = Vec::new();
        let mut sender = Sender::new(QoS::AtLeastOnce, 3);
        (1..=3).for_each(|n| sender.publish(message(n), &mut out));
        assert!(!sender.has_room());
        assert_eq!(sender.puback(id(2)), Some(message(2)));
        assert_eq!(sender.puback(id(2)), None);
        out.clear();
        sender.resume(&mut out);
        assert_eq!(sent(&out), [("PUBLISH", 1, true), ("PUBLISH", 3, true)]);
    }

    #[test]
    fn what_was_received_is_only_released_again() {
        let mut out = Vec::new();
        let mut sender = Sender::new(QoS::ExactlyOnce, 3);
        (1..=2).for_each(|n| sender.publish(message(n), &mut out));
        assert!(!sender.pubcomp(id(1)), "before PUBREC");
        assert_eq!(sender.pubrec(id(1), &mut out), Some(&message(1)));
        assert_eq!(sender.pubrec(id(1), &mut out), None);
        out.clear();
        sender.resume(&mut out);
        assert_eq!(sent(&out), [("PUBREL", 1, false), ("PUBLISH", 2, true)]);
        assert!(sender.pubcomp(id(1)));
        assert!(!sender.is_done());
    }

    #[test]
    fn an_identifier_in_use_is_passed_over() {
        let mut sender = Sender::new(QoS::AtLeastOnce, 10);
        sender.publish(message(1), &mut Vec::new());
        sender.next = PacketId::MAX;
        let mut out = Vec::new();
        (2..=3).for_each(|n| sender.publish(message(n), &mut out));
        assert_eq!(sent(&out), [("PUBLISH", u16::MAX, false), ("PUBLISH", 2, false)]);
    }
}
