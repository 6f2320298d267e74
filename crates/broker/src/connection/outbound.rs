//! What goes to the client: answers, replies, messages.

use std::sync::Arc;

use dockside_interceptor::Reply;
use dockside_mqtt::packet::{Ack, Codes, Packet};
use dockside_mqtt::property::{self, Properties, PropertyId, PropertyList};
use dockside_mqtt::session::Resend;
use dockside_mqtt::{PacketId, ProtocolError, QoS, ReasonCode, codec, topic};
use tokio::time::Instant;

use super::aliases::Alias;
use super::answers::Answer;
use super::ended::Ended;
use super::{Connection, READ_BYTES, Reading, Turn};
use crate::mailbox::{Command, Ticket};
use crate::message::{Delivery, Message, Origin};
use crate::publish::append_publish;
use crate::record::{Lane, Published};
use crate::refusals::Stage;
use crate::retained::Room;

const NOT_SUBSCRIBED: (&str, &str) = (
    "answered, but this client has not subscribed to the reply's topic",
    "a dock subscribes to thing/product/SN/events_reply by itself; if it was refused that, see its other lines",
);

impl<S> Connection<S> {
    /// Sends every answer whose job is done, in order.
    pub(super) fn release_answers(
        &mut self,
        completed: Ticket,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        let version = self.client.version;
        while let Some(answer) = self.answers.release(completed) {
            let properties = Properties::EMPTY;
            let mut list = PropertyList::new();
            let packet = match answer {
                Answer::Connack(connack) => {
                    turn.out.extend_from_slice(&connack);
                    turn.counts.packets_sent.count(0x20);
                    continue;
                }
                Answer::Puback(packet_id, reason) => {
                    self.session.incoming.answered();
                    let properties = self.reason_string(reason, &mut list);
                    Packet::Puback(Ack { packet_id, reason, properties })
                }
                Answer::Pubrec(packet_id, reason) => {
                    let properties = self.reason_string(reason, &mut list);
                    Packet::Pubrec(Ack { packet_id, reason, properties })
                }
                Answer::Suback(packet_id, reasons) => {
                    Packet::Suback(Codes { packet_id, properties, reasons })
                }
                Answer::Unsuback(packet_id, reasons) => {
                    Packet::Unsuback(Codes { packet_id, properties, reasons })
                }
                Answer::Pubrel(packet_id, reason) => {
                    Packet::Pubrel(Ack { packet_id, reason, properties })
                }
                Answer::Pubcomp(packet_id, reason) => {
                    Packet::Pubcomp(Ack { packet_id, reason, properties })
                }
                Answer::Reply(reply, read) => {
                    self.reply(reply, read, turn)?;
                    continue;
                }
            };
            let start = turn.out.len();
            turn.answer(&packet, version);
            if turn.out.len() - start > self.client.maximum_packet as usize {
                // Not even the codes fit [MQTT-3.1.2-24], and without them it would wait for ever.
                turn.out.truncate(start);
                let detail = "an answer is larger than the client's maximum packet size";
                return Err(ProtocolError::new(ReasonCode::PacketTooLarge, detail).into());
            }
        }
        if self.reading == Reading::Answer && self.answers.is_empty() {
            self.reading = Reading::Open;
        }
        Ok(())
    }

    /// A sentence for people beside a code that says something failed, if the client wants it
    /// [MQTT-3.1.2-29] and takes packets so large [MQTT-3.4.2-2]
    /// [MQTT-3.5.2-2].
    fn reason_string<'l>(&self, reason: ReasonCode, list: &'l mut PropertyList) -> Properties<'l> {
        let room = self.client.maximum_packet as usize > REASON_BYTES;
        if reason.is_error() && room && self.client.version.is_v5() && self.client.wants_reasons {
            list.text(PropertyId::ReasonString, answer_text(reason));
        }
        list.as_properties()
    }

    /// A plugin's reply, on its way with the publish that it replies to: everybody else's copy goes with that,
    /// the session's own is owed behind its acknowledgement.
    pub(super) fn owe_reply(&mut self, reply: &Reply, ticket: Ticket, turn: &mut Turn<'_>) {
        if topic::check_name(&reply.topic).is_err() || reply.topic.len() > usize::from(u16::MAX) {
            if self.shared.interceptors.has_line(self.now_ms) {
                tracing::warn!(
                    client_id = ?self.client.id,
                    address = %self.client.peer,
                    "a plugin replied on what is no topic name"
                );
            }
            return;
        }
        let direct = self.session.subscriptions.direct(&reply.topic);
        let published = Published {
            publisher: self.client.instance,
            except_publisher: direct.is_some(),
            qos: reply.qos,
            retain: false,
            room: Room::Unasked,
            expires_ms: u64::MAX,
            seq: 0,
            topic: &reply.topic,
            read: None,
            properties: b"",
            payload: &reply.payload,
        };
        append_publish(&self.shared, turn.batch.entries(Lane::Writer), &published);
        let Some(direct) = direct else {
            return self.note(Stage::Event, &reply.topic, NOT_SUBSCRIBED);
        };
        let delivery = Delivery {
            message: Arc::new(Message::new(&published)),
            qos: direct.qos.min(reply.qos),
            retain: false,
            origin: Origin::Published,
            subscription_ids: direct.subscription_ids,
        };
        self.answers.owe(ticket, Answer::Reply(delivery, self.round_began));
    }

    /// The client has a message: replies that waited for that go to whoever subscribes to their topic.
    pub(super) fn acknowledged(&self, delivery: &Delivery, turn: &mut Turn<'_>) {
        let who = (&*self.client.id, self.client.user.as_deref());
        let now_ms = self.shared.clock.now_ms();
        for waited in self.shared.awaited.acknowledged(delivery, who, now_ms) {
            let reply = waited.reply;
            waited.gateway.iter().for_each(|gateway| self.shared.docks.replied(gateway));
            let published = Published::by_broker(&reply.topic, reply.qos, &reply.payload);
            append_publish(&self.shared, turn.batch.entries(Lane::Writer), &published);
        }
    }

    /// The session's own copy of a reply.
    fn reply(
        &mut self,
        delivery: Delivery,
        read: Instant,
        turn: &mut Turn<'_>,
    ) -> Result<(), Ended> {
        // Replies keep their order: none overtakes one that waits for the window.
        let waits =
            if self.replies.is_empty() { self.send(delivery, turn) } else { Some(delivery) };
        let Some(delivery) = waits else {
            match turn.replied.last_mut() {
                Some((last, count)) if *last == read => *count += 1,
                _ => turn.replied.push((read, 1)),
            }
            return Ok(());
        };
        if self.replies.len() < self.shared.config.limits.mailbox_messages {
            self.replies.push_back(delivery);
        } else {
            return Err(Ended::Told(Command::SlowConsumer));
        }
        Ok(())
    }

    /// Whether nothing waits for the socket or the window.
    pub(super) fn has_sent_everything(&self) -> bool {
        self.unsent.is_empty()
            && self.answers.is_empty()
            && self.replies.is_empty()
            && self.backlog.is_empty()
            && self.staged.is_empty()
            && !self.session.outgoing.resends()
    }

    /// Sends what waits, as far as the window and the socket go; `true` if anything was sent.
    pub(super) fn drain_backlog(&mut self, turn: &mut Turn<'_>) -> bool {
        // A SUBACK comes before the retained messages that it brings, unless it takes more than a turn: they may come
        // before it (section 3.8.4).
        if self.reading == Reading::Answer {
            return false;
        }
        let mut sent = self.send_again(turn);
        while self.unsent.len() + turn.out.len() < READ_BYTES {
            let from_replies = !self.replies.is_empty();
            let queue = if from_replies { &mut self.replies } else { &mut self.backlog };
            let Some(delivery) = queue.pop_front() else { break };
            if let Some(waits) = self.send(delivery, turn) {
                let queue = if from_replies { &mut self.replies } else { &mut self.backlog };
                queue.push_front(waits);
                break;
            }
            sent = true;
        }
        if self.backlog.is_empty() && self.backlog.capacity() > 1024 {
            self.backlog.shrink_to(64);
        }
        sent
    }

    /// Sends again what the client did not acknowledge on its last connection [MQTT-4.4.0-1].
    fn send_again(&mut self, turn: &mut Turn<'_>) -> bool {
        let mut sent = false;
        let version = self.client.version;
        while self.unsent.len() + turn.out.len() < READ_BYTES {
            match self.session.outgoing.resend() {
                None => break,
                Some(Resend::Pubrel(id)) => {
                    let pubrel = Packet::Pubrel(Ack::new(id, ReasonCode::Success));
                    turn.answer(&pubrel, version);
                }
                Some(Resend::Publish(id, delivery)) => {
                    let message = &delivery.message;
                    // Delivery has begun: it goes on, even if no time is left [MQTT-4.3.3-7]
                    // [MQTT-4.3.3-13].
                    let left = seconds_left(message.expires_ms, self.now_ms);
                    let encoded = wire(message, message.topic(), left.unwrap_or(Some(0)), None);
                    let start = turn.out.len();
                    turn.counts.redelivered += 1;
                    let quality = (delivery.qos, Some(id));
                    let ids = &delivery.subscription_ids;
                    codec::publish(turn.out, version, &encoded, quality, delivery.retain, ids);
                    turn.out[start] |= codec::DUP;
                    let denied = self.session.narrowed
                        && self.client.identity.subscribe(message.topic()).is_err();
                    let too_large = turn.out.len() - start > self.client.maximum_packet as usize;
                    if denied || too_large {
                        // The client takes less than it did [MQTT-3.1.2-25], or may have less.
                        turn.out.truncate(start);
                        turn.counts.dropped_acl += u64::from(denied);
                        turn.counts.dropped_too_large += u64::from(!denied);
                        let given_up = self.session.outgoing.give_up(id);
                        self.given_up(given_up, id, turn);
                    } else {
                        turn.counts.sent(delivery.qos, message.payload());
                    }
                }
            }
            sent = true;
        }
        sent
    }

    /// Encodes one message, never with DUP [MQTT-3.3.1-3] [MQTT-4.3.1-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2]; gives
    /// it back while the window is closed.
    fn send(&mut self, delivery: Delivery, turn: &mut Turn<'_>) -> Option<Delivery> {
        let Delivery { message, qos, retain, subscription_ids, .. } = &delivery;
        let (qos, version) = (*qos, self.client.version);
        if qos != QoS::AtMostOnce && !self.session.outgoing.has_room() {
            return Some(delivery);
        }
        if qos == QoS::AtLeastOnce && !self.staged.is_empty() {
            // Messages keep their order.
            return Some(delivery);
        }
        if self.session.narrowed && self.client.identity.subscribe(message.topic()).is_err() {
            turn.counts.dropped_acl += 1;
            self.done(&delivery, None, turn);
            return None;
        }
        let Some(expiry) = seconds_left(message.expires_ms, self.now_ms) else {
            turn.counts.dropped_expired += 1;
            self.done(&delivery, None, turn);
            return None;
        };
        if qos == QoS::ExactlyOnce && self.session.kept.is_some() {
            self.stage(delivery, turn);
            return None;
        }
        let start = turn.out.len();
        let maximum = self.client.maximum_packet as usize;
        let full_topic = message.topic();
        let mut alias = self.aliases.of(full_topic);
        // Its length does not depend on the identifier, which is only taken once it fits.
        let quality = (qos, (qos != QoS::AtMostOnce).then_some(PacketId::MIN));
        loop {
            let topic = if alias.is_known() { "" } else { full_topic };
            let encoded = wire(message, topic, expiry, alias.number());
            codec::publish(turn.out, version, &encoded, quality, *retain, subscription_ids);
            if turn.out.len() - start <= maximum {
                break;
            }
            turn.out.truncate(start);
            if alias == Alias::None {
                // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
                turn.counts.dropped_too_large += 1;
                self.done(&delivery, None, turn);
                return None;
            }
            // It may fit without the alias.
            alias = Alias::None;
        }
        self.aliases.learn(alias, full_topic);
        turn.counts.sent(qos, message.payload());
        self.written.ends_with(message, self.unsent.len() + turn.out.len());
        let size = message.size();
        if qos == QoS::ExactlyOnce || (qos == QoS::AtMostOnce && delivery.is_shared()) {
            // The exchange ends with this session, and nobody else may have it then (section 4.8.2).
            self.done(&delivery, None, turn);
        }
        if qos != QoS::AtMostOnce
            && let Some(id) = self.session.outgoing.begin(qos, delivery, size)
        {
            codec::set_packet_id(&mut turn.out[start..], id);
        }
        None
    }
}

/// A message as the codec takes it.
pub(super) fn wire<'m>(
    message: &'m Message,
    topic: &'m str,
    expiry: Option<u32>,
    alias: Option<u16>,
) -> codec::Message<'m> {
    let properties = property::kept(message.properties());
    codec::Message { topic, properties, payload: message.payload(), expiry, alias }
}

/// Bytes that an acknowledgement with a sentence stays below.
const REASON_BYTES: usize = 128;

/// What is wrong with a PUBLISH that was not accepted.
fn answer_text(reason: ReasonCode) -> &'static str {
    match reason {
        ReasonCode::NotAuthorized => "not allowed to publish on this topic",
        ReasonCode::PayloadFormatInvalid => "the payload is not UTF-8 as it says",
        ReasonCode::QuotaExceeded => "no room for another retained message",
        other => other.text(),
    }
}

/// Seconds a message has left, rounded up; `Some(None)` lives for ever, `None` is expired
/// [MQTT-3.3.2-5] [MQTT-3.3.2-6].
pub(super) fn seconds_left(expires_ms: u64, now_ms: u64) -> Option<Option<u32>> {
    if expires_ms == u64::MAX {
        return Some(None);
    }
    let left = expires_ms.saturating_sub(now_ms);
    (left > 0).then(|| Some(u32::try_from(left.div_ceil(1000)).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_counts_down_in_whole_seconds() {
        assert_eq!(seconds_left(u64::MAX, 5), Some(None));
        assert_eq!(seconds_left(5, 5), None);
        assert_eq!(seconds_left(5 + 60_000, 5), Some(Some(60)));
        assert_eq!(seconds_left(5 + 59_001, 5), Some(Some(60)));
    }
}
