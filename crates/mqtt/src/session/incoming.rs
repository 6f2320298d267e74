//! PUBLISH packets that come from the client.

use std::borrow::Cow;

use super::identifiers::IdSet;
use crate::packet::{PacketId, Publish, QoS};
use crate::property::PropertyId;
use crate::reason::{ProtocolError, ReasonCode};

/// Whether a PUBLISH is a message or the repetition of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// To be published.
    New,
    /// A QoS 2 message that has not been released yet: acknowledged again, published once
    /// [MQTT-4.3.3-10].
    Duplicate,
}

/// The receiver's half of a session.
///
/// ```text
/// QoS 1:  arrive ----------------------> waiting --answered--> (gone)
/// QoS 2:  arrive --> unreleased --release--> (gone)
/// ```
#[derive(Debug)]
pub struct Incoming {
    receive_maximum: u32,
    waiting: u32,
    unreleased: IdSet,
    /// Unreleased ones of an earlier connection: they do not count for the receive maximum, which
    /// begins anew with each (section 4.9).
    inherited: IdSet,
    aliases: Vec<Option<Box<str>>>,
}

impl Incoming {
    /// `receive_maximum` is what CONNACK granted; `u32::MAX` before 5.0, which has no such limit.
    /// `alias_maximum` is the topic alias maximum that CONNACK granted.
    #[must_use]
    pub fn new(receive_maximum: u32, alias_maximum: u16) -> Self {
        Self {
            receive_maximum,
            waiting: 0,
            unreleased: IdSet::default(),
            inherited: IdSet::default(),
            aliases: vec![None; usize::from(alias_maximum)],
        }
    }

    /// Continues on a new connection: QoS 2 messages that were not released are still known, topic
    /// aliases are not [MQTT-3.3.2-7].
    #[must_use]
    pub fn resumed(self, receive_maximum: u32, alias_maximum: u16) -> Self {
        let mut inherited = self.inherited;
        inherited.extend(&self.unreleased);
        Self { inherited, ..Self::new(receive_maximum, alias_maximum) }
    }

    /// What is left of it while there is no connection: it needs no table of aliases.
    #[must_use]
    pub fn at_rest(self) -> Self {
        self.resumed(0, 0)
    }

    /// A QoS 2 message that was not released before a restart.
    pub fn restore(&mut self, id: PacketId) {
        self.inherited.insert(id);
    }

    /// What a PUBLISH is; changes nothing.
    ///
    /// # Errors
    /// `Receive Maximum Exceeded` [MQTT-3.3.4-7].
    pub fn arrival(&self, publish: &Publish<'_>) -> Result<Arrival, ProtocolError> {
        let Some(id) = publish.packet_id else { return Ok(Arrival::New) };
        let known = || self.unreleased.contains(id) || self.inherited.contains(id);
        if publish.qos == QoS::ExactlyOnce && known() {
            return Ok(Arrival::Duplicate);
        }
        if self.outstanding() >= self.receive_maximum {
            return Err(ProtocolError::new(
                ReasonCode::ReceiveMaximumExceeded,
                "more unacknowledged PUBLISH packets than the CONNACK granted",
            ));
        }
        Ok(Arrival::New)
    }

    /// Begins the exchange of a PUBLISH that is [`Arrival::New`] and accepted.
    pub fn begin(&mut self, publish: &Publish<'_>) {
        match (publish.qos, publish.packet_id) {
            (QoS::ExactlyOnce, Some(id)) => {
                self.unreleased.insert(id);
            }
            (QoS::AtLeastOnce, _) => self.waiting += 1,
            _ => {}
        }
    }

    /// PUBLISH packets with QoS 1 and 2 whose exchange is not over.
    #[must_use]
    pub fn outstanding(&self) -> u32 {
        self.waiting + self.unreleased.len()
    }

    /// The PUBACK of a QoS 1 message goes out; the next one with its identifier is another message
    /// [MQTT-4.3.2-5].
    pub fn answered(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// The exchange of a QoS 2 message is over; the next one with its identifier is another message
    /// [MQTT-4.3.3-12].
    /// `false` if there was none (`Packet Identifier Not Found`).
    pub fn release(&mut self, id: PacketId) -> bool {
        self.unreleased.remove(id) || self.inherited.remove(id)
    }

    /// The topic of a PUBLISH, by name or by alias (section 3.3.2.3.4), up to the maximum that was granted
    /// [MQTT-3.3.2-12].
    ///
    /// # Errors
    /// `Topic Alias Invalid` above the maximum [MQTT-3.3.2-9] and for 0 [MQTT-3.3.2-8], `Protocol
    /// Error` for an alias that stands for nothing.
    pub fn topic<'t>(&mut self, publish: &Publish<'t>) -> Result<Cow<'t, str>, ProtocolError> {
        let Some(alias) = publish.properties.number(PropertyId::TopicAlias) else {
            if publish.topic.is_empty() {
                return Err(ProtocolError::protocol("neither topic name nor topic alias"));
            }
            return Ok(Cow::Borrowed(publish.topic));
        };
        let Some(slot) = self.aliases.get_mut(alias as usize - 1) else {
            return Err(ProtocolError::new(
                ReasonCode::TopicAliasInvalid,
                "topic alias above the maximum that the CONNACK granted",
            ));
        };
        if !publish.topic.is_empty() {
            *slot = Some(publish.topic.into());
            return Ok(Cow::Borrowed(publish.topic));
        }
        match slot {
            Some(topic) => Ok(Cow::Owned(topic.to_string())),
            None => Err(ProtocolError::protocol("topic alias that stands for no topic")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::property::{Properties, PropertyList};

    fn publish<'a>(qos: QoS, id: u16, topic: &'a str, properties: Properties<'a>) -> Publish<'a> {
        let packet_id = PacketId::new(id);
        Publish { dup: false, qos, retain: false, packet_id, topic, properties, payload: b"" }
    }

    #[test]
    fn qos_2_is_published_once_until_it_is_released() {
        let mut incoming = Incoming::new(10, 0);
        let message = publish(QoS::ExactlyOnce, 7, "a", Properties::EMPTY);
        assert_eq!(incoming.arrival(&message), Ok(Arrival::New));
        incoming.begin(&message);
        assert_eq!(incoming.arrival(&message), Ok(Arrival::Duplicate));
        assert!(incoming.release(PacketId::new(7).unwrap()));
        assert!(!incoming.release(PacketId::new(7).unwrap()));
        assert_eq!(incoming.arrival(&message), Ok(Arrival::New));
    }

    /// [MQTT-4.3.3-10] [MQTT-4.1.0-1]
    #[test]
    fn what_was_not_released_is_known_on_the_next_connection_and_does_not_count_there() {
        let mut incoming = Incoming::new(1, 0);
        let message = publish(QoS::ExactlyOnce, 7, "a", Properties::EMPTY);
        incoming.begin(&message);
        let mut incoming = incoming.at_rest().resumed(1, 0);
        assert_eq!(incoming.arrival(&message), Ok(Arrival::Duplicate));
        assert_eq!(incoming.outstanding(), 0);
        let other = publish(QoS::ExactlyOnce, 8, "a", Properties::EMPTY);
        assert_eq!(incoming.arrival(&other), Ok(Arrival::New));
        assert!(incoming.release(PacketId::new(7).unwrap()));
        assert_eq!(incoming.arrival(&message), Ok(Arrival::New));
    }

    #[test]
    fn receive_maximum_counts_both_qualities() {
        let mut incoming = Incoming::new(2, 0);
        for (qos, id) in [(QoS::AtLeastOnce, 1), (QoS::ExactlyOnce, 2)] {
            let message = publish(qos, id, "a", Properties::EMPTY);
            assert_eq!(incoming.arrival(&message), Ok(Arrival::New));
            incoming.begin(&message);
        }
        let third = publish(QoS::AtLeastOnce, 3, "a", Properties::EMPTY);
        assert_eq!(
            incoming.arrival(&third).unwrap_err().reason,
            ReasonCode::ReceiveMaximumExceeded
        );
        incoming.answered();
        assert_eq!(incoming.arrival(&third), Ok(Arrival::New));
    }

    #[test]
    fn an_alias_stands_for_the_last_topic_it_was_given() {
        let mut incoming = Incoming::new(10, 1);
        let mut list = PropertyList::new();
        list.number(PropertyId::TopicAlias, 1);
        let alias = list.as_properties();
        let unknown = publish(QoS::AtMostOnce, 0, "", alias);
        assert_eq!(incoming.topic(&unknown).unwrap_err().reason, ReasonCode::ProtocolError);
        assert_eq!(incoming.topic(&publish(QoS::AtMostOnce, 0, "a", alias)), Ok("a".into()));
        assert_eq!(incoming.topic(&unknown), Ok("a".into()));
        assert_eq!(incoming.topic(&publish(QoS::AtMostOnce, 0, "b", alias)), Ok("b".into()));
        assert_eq!(incoming.topic(&unknown), Ok("b".into()));

        let mut list = PropertyList::new();
        list.number(PropertyId::TopicAlias, 2);
        let above = publish(QoS::AtMostOnce, 0, "a", list.as_properties());
        assert_eq!(incoming.topic(&above).unwrap_err().reason, ReasonCode::TopicAliasInvalid);
    }
}
