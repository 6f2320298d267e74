//! A receiver's side of QoS 1 and 2 as the session of a client keeps it (MQTT 5.0 section 4.3): a
//! QoS 2 message is delivered onward when it comes, and its packet identifier remembered until PUBREL.

use std::collections::{BTreeMap, VecDeque};

use dockside_mqtt::packet::{Ack, Packet, Publish};
use dockside_mqtt::{PacketId, QoS, ReasonCode};

use crate::link::push;
use crate::payload;

/// What a PUBLISH is to its receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Arrival {
    /// To be delivered onward.
    New,
    /// A QoS 2 message that was delivered onward before [MQTT-4.3.3-10].
    Known,
    /// The identifier of a message that was delivered onward, with another message.
    Reused,
}

/// Which QoS 2 messages are not released, and which answers are not sent.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    /// The check sums of messages that wait for PUBREL, by packet identifier.
    unreleased: BTreeMap<PacketId, u64>,
    /// In the order of what they answer [MQTT-4.6.0-2] [MQTT-4.6.0-3].
    answers: VecDeque<Packet<'static>>,
}

impl Receiver {
    /// A new connection: what was not answered on the old one will come again.
    pub(crate) fn resume(&mut self) {
        self.answers.clear();
    }

    pub(crate) fn publish(&mut self, publish: &Publish<'_>) -> Arrival {
        let Some(packet_id) = publish.packet_id else { return Arrival::New };
        let ack = Ack::new(packet_id, ReasonCode::Success);
        if publish.qos == QoS::AtLeastOnce {
            self.answers.push_back(Packet::Puback(ack));
            return Arrival::New;
        }
        self.answers.push_back(Packet::Pubrec(ack));
        let sum = payload::sum(publish.payload);
        match self.unreleased.insert(packet_id, sum) {
            None => Arrival::New,
            Some(before) if before == sum => Arrival::Known,
            Some(_) => Arrival::Reused,
        }
    }

    /// PUBREL of a message that is not known completes all the same: its PUBCOMP was lost.
    pub(crate) fn pubrel(&mut self, packet_id: PacketId) {
        let reason = match self.unreleased.remove(&packet_id) {
            Some(_) => ReasonCode::Success,
            None => ReasonCode::PacketIdentifierNotFound,
        };
        self.answers.push_back(Packet::Pubcomp(Ack::new(packet_id, reason)));
    }

    /// How many answers wait.
    pub(crate) fn waiting(&self) -> usize {
        self.answers.len()
    }

    /// Gives the first `count` answers.
    pub(crate) fn answer(&mut self, count: usize, output: &mut Vec<u8>) {
        let count = count.min(self.answers.len());
        self.answers.drain(..count).for_each(|answer| push(output, &answer));
    }
}

#[cfg(test)]
mod tests {
    use dockside_mqtt::property::Properties;

    use super::*;
    use crate::link::id;

    fn publish(qos: QoS, packet_id: u16, payload: &[u8]) -> Publish<'_> {
        Publish {
            dup: false,
            qos,
            retain: false,
            packet_id: Some(id(packet_id)),
            topic: "t",
            properties: Properties::EMPTY,
            payload,
        }
    }

    #[test]
    fn a_message_at_qos_2_is_delivered_once_until_it_is_released() {
        let mut receiver = Receiver::default();
        let come = |receiver: &mut Receiver, payload| {
            receiver.publish(&publish(QoS::ExactlyOnce, 1, payload))
        };
        assert_eq!(come(&mut receiver, b"a"), Arrival::New);
        receiver.resume();
        assert_eq!(receiver.waiting(), 0, "answers end with their connection");
        assert_eq!(come(&mut receiver, b"a"), Arrival::Known);
        receiver.pubrel(id(1));
        assert_eq!(come(&mut receiver, b"a"), Arrival::New, "the identifier is free again");
        assert_eq!(come(&mut receiver, b"b"), Arrival::Reused);
        assert_eq!(receiver.waiting(), 4);
    }

    #[test]
    fn answers_come_in_order_and_only_as_many_as_are_asked_for() {
        let mut receiver = Receiver::default();
        receiver.publish(&publish(QoS::AtLeastOnce, 1, b"a"));
        receiver.publish(&publish(QoS::AtLeastOnce, 1, b"a"));
        receiver.pubrel(id(7));
        let (mut out, mut expected) = (Vec::new(), Vec::new());
        receiver.answer(1, &mut out);
        push(&mut expected, &Packet::Puback(Ack::new(id(1), ReasonCode::Success)));
        assert_eq!(out, expected);
        receiver.answer(9, &mut out);
        push(&mut expected, &Packet::Puback(Ack::new(id(1), ReasonCode::Success)));
        let unknown = ReasonCode::PacketIdentifierNotFound;
        push(&mut expected, &Packet::Pubcomp(Ack::new(id(7), unknown)));
        assert_eq!(out, expected);
    }
}
