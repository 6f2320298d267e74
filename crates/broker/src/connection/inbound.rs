//! Packets from the client, one method a kind.

use std::borrow::Cow;
use std::sync::Arc;

use dockside_interceptor::After;
use dockside_mqtt::packet::{Disconnect, Packet, Publish};
use dockside_mqtt::property::{Property, PropertyId};
use dockside_mqtt::session::Arrival;
use dockside_mqtt::{PacketId, ProtocolError, QoS, ReasonCode, codec};

use super::answers::Answer;
use super::ended::Ended;
use super::{Connection, Reading, Turn};
use crate::access::{Denied, Permit};
use crate::keep::What;
use crate::mailbox::Ticket;
use crate::metrics::Limit;
use crate::publish::{self, Accepted, Routable, Way};
use crate::refusals::{Cause, Stage, Whom};
use crate::retained::{Full, Room};
use crate::shared::Shared;
use crate::writer::Completion;

const NOT_ALLOWED_TO_PUBLISH: (&str, &str) = (
    "not allowed to publish on this topic",
    "a user speaks only for its own serial numbers and announced aircraft: correct the client's user, list the serial number under access.gateways, or allow the topic under access.rules",
);

const NO_ROOM_TO_RETAIN: (&str, &str) = (
    "no room for another retained message",
    "clear retained messages that nobody needs (publish an empty one), or raise limits.retained_messages or limits.retained_bytes",
);

/// Whether a packet is done with, or must be handled again later.
#[derive(PartialEq, Eq)]
pub(super) enum Handled {
    Yes,
    Later,
}

impl<S> Connection<S> {
    /// Handles every whole packet at the front of `bytes` until reading pauses; how many bytes they
    /// were.
    pub(super) fn handle(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Result<usize, Ended> {
        let maximum = self.shared.config.limits.packet_bytes;
        let mut used = 0;
        while self.may_read() {
            let Some((frame, length)) = codec::split(&bytes[used..], maximum)? else { break };
            let packet = codec::decode(&frame, self.client.version)?;
            let handled = self.packet(&packet, turn);
            if matches!(handled, Ok(Handled::Later)) {
                break;
            }
            turn.counts.packets_received.count(frame.first);
            handled?;
            used += length;
        }
        Ok(used)
    }

    /// Keeps what happened to a request for whoever asks why.
    pub(super) fn note(
        &self,
        stage: Stage,
        topic: &str,
        (reason, remedy): (impl Into<Cow<'static, str>>, &'static str),
    ) {
        let whom = Whom { topic: Some(topic), ..self.client.whom() };
        self.shared.refusals.record(whom, stage, Cause { reason: reason.into(), remedy }, true);
    }

    fn packet(&mut self, packet: &Packet<'_>, turn: &mut Turn<'_>) -> Result<Handled, Ended> {
        let version = self.client.version;
        match packet {
            // Not accepted any more, and so not acknowledged: the broker stops.
            Packet::Publish(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_)
                if self.accepting.is_none() => {}
            Packet::Publish(publish) => return self.publish(publish, turn),
            Packet::Puback(ack) => match self.session.outgoing.puback(ack.packet_id) {
                Some(delivery) => {
                    if !ack.reason.is_error() {
                        self.acknowledged(&delivery, turn);
                    }
                    self.done(&delivery, Some(ack.packet_id), turn);
                }
                None => self.check_unknown(ack.packet_id)?,
            },
            Packet::Pubrec(ack) => {
                let known = self.session.outgoing.pubrec(ack.packet_id, ack.reason.is_error());
                if !known && !ack.reason.is_error() {
                    self.check_unknown(ack.packet_id)?;
                }
                if ack.reason.is_error() {
                    self.step(What::Completed, ack.packet_id, turn);
                } else {
                    let ticket = self.step(What::Received, ack.packet_id, turn);
                    self.answers.owe(ticket, Answer::Pubrel(ack.packet_id, found(known)));
                    self.release_answers(self.completed, turn)?;
                }
            }
            Packet::Pubrel(ack) => {
                let known = self.session.incoming.release(ack.packet_id);
                // [MQTT-4.3.3-11]
                let ticket = self.step(What::Released, ack.packet_id, turn);
                self.answers.owe(ticket, Answer::Pubcomp(ack.packet_id, found(known)));
                self.release_answers(self.completed, turn)?;
            }
            Packet::Pubcomp(ack) => {
                if self.session.outgoing.pubcomp(ack.packet_id) {
                    self.step(What::Completed, ack.packet_id, turn);
                } else {
                    self.check_unknown(ack.packet_id)?;
                }
            }
            Packet::Subscribe(subscribe) => self.subscribe(subscribe, turn)?,
            Packet::Unsubscribe(unsubscribe) => return self.unsubscribe(unsubscribe, turn),
            // [MQTT-3.12.4-1]
            Packet::Pingreq => turn.answer(&Packet::Pingresp, version),
            Packet::Disconnect(disconnect) => return Err(self.disconnect(disconnect)),
            Packet::Connect(_) => {
                // [MQTT-3.1.0-2]
                return Err(ProtocolError::protocol("a second CONNECT").into());
            }
            Packet::Auth(_) => {
                let detail = "AUTH without an authentication method";
                return Err(ProtocolError::protocol(detail).into());
            }
            Packet::Connack(_) | Packet::Suback(_) | Packet::Unsuback(_) | Packet::Pingresp => {
                return Err(ProtocolError::protocol("a packet that only a server sends").into());
            }
        }
        Ok(Handled::Yes)
    }

    /// An acknowledgement that fits no exchange is late, and taken; one of the wrong kind is an error.
    fn check_unknown(&self, id: PacketId) -> Result<(), ProtocolError> {
        if self.session.outgoing.is_under_way(id) {
            let detail = "an acknowledgement that the QoS of its message does not have";
            return Err(ProtocolError::protocol(detail));
        }
        Ok(())
    }

    fn publish(&mut self, publish: &Publish<'_>, turn: &mut Turn<'_>) -> Result<Handled, Ended> {
        publish::check(publish.properties)?;
        let topic = self.session.incoming.topic(publish)?;
        let topic = &*topic;
        publish::check_topic(topic, &self.shared)?;
        if self.session.incoming.arrival(publish)? == Arrival::Duplicate {
            // The first one may not be kept yet.
            let ticket = self.await_kept();
            self.acknowledge(publish, ticket, ReasonCode::Success);
            self.release_answers(self.completed, turn)?;
            return Ok(Handled::Yes);
        }
        let shared = Arc::clone(&self.shared);
        let permit = match self.client.identity.publish(topic) {
            Ok(_) if publish::payload_format_lies(publish) => {
                return self.refuse(publish, ReasonCode::PayloadFormatInvalid, turn);
            }
            Ok(permit) => permit,
            Err(Denied) => {
                turn.counts.publishes_denied += 1;
                turn.counts.dropped_acl += 1;
                self.note(Stage::Acl, topic, NOT_ALLOWED_TO_PUBLISH);
                return self.refuse(publish, ReasonCode::NotAuthorized, turn);
            }
        };
        let follows = publish.qos == QoS::AtMostOnce && self.fence > self.completed;
        let way = publish::way(&shared, &permit, publish, follows);
        let Some(routable) = self.in_its_turn(&shared, permit, publish, way, turn) else {
            return Ok(Handled::Later);
        };
        let room = self.room_to_retain(topic, publish, way);
        if !matches!(room, Ok(Ok(_))) {
            // It comes back, whatever becomes of the connection.
            turn.batch.carry_charge(&routable);
        }
        let Ok(room) = room? else {
            shared.limits.reached(Limit::Retained);
            self.note(Stage::Limit, topic, NO_ROOM_TO_RETAIN);
            return self.refuse(publish, ReasonCode::QuotaExceeded, turn);
        };
        if publish.qos == QoS::AtMostOnce && (publish.retain || follows) {
            // Later ones must not overtake it on the direct lane.
            self.fence = self.last_ticket + 1;
        }
        turn.counts.received(publish.qos, publish.payload);
        turn.counts.publishes_allowed += 1;
        self.session.incoming.begin(publish);
        if let (QoS::ExactlyOnce, Some(id)) = (publish.qos, publish.packet_id) {
            self.step(What::Arrived, id, turn);
        }
        let from = (&self.client, room);
        let accepted = publish::route(&shared, &routable, publish, from, turn.batch);
        let ticket =
            if accepted.is_recorded || self.must_wait(publish) { self.await_kept() } else { 0 };
        self.acknowledge(publish, ticket, ReasonCode::Success);
        self.follow_up(accepted, (topic, publish.payload), ticket, turn);
        if turn.batch.is_long() {
            self.hand_over(turn);
        }
        self.release_answers(self.completed, turn)?;
        Ok(Handled::Yes)
    }

    /// What plugins found in a publish: which aircraft are announced, what nobody answers, and replies,
    /// which are owed or wait for their time.
    fn follow_up(
        &mut self,
        accepted: Accepted,
        event: (&str, &[u8]),
        ticket: Ticket,
        turn: &mut Turn<'_>,
    ) {
        let (topic, _) = event;
        if let Some(announcement) = accepted.announcement {
            self.announce(topic, &announcement);
        }
        if let Some(unanswered) = accepted.unanswered {
            self.note(Stage::Event, topic, (unanswered.reason, unanswered.remedy));
        }
        for reply in accepted.replies {
            match reply.after {
                After::Kept => self.owe_reply(&reply, ticket, turn),
                After::User(_) | After::Client(_) => {
                    let now_ms = self.shared.clock.now_ms();
                    let whose = (self.client.peer, accepted.gateway.clone(), reply);
                    self.shared.awaited.wait(event, whose, now_ms);
                }
            }
        }
    }

    /// Waits for its pace, and for its share of the way: then reading pauses.
    fn in_its_turn<'p>(
        &mut self,
        shared: &Shared,
        permit: Permit<'p>,
        publish: &Publish<'_>,
        way: Way,
        turn: &Turn<'_>,
    ) -> Option<Routable<'p>> {
        if !self.keeps_pace() {
            return None;
        }
        let waiter = (&mut self.shares, (self.client.instance, turn.waker));
        let routable = publish::take_charge(shared, permit, publish, way, waiter);
        if routable.is_some() {
            self.is_through();
        }
        self.has_share(routable.is_some());
        routable
    }

    /// Asks for room if a message is to be retained. Only 5.0 has a code to say that there is none, so
    /// others' messages are delivered and not retained, as are those of QoS 0, and those that a plugin
    /// answers: a dock waits for its answer whatever flags it sets.
    fn room_to_retain(
        &self,
        topic: &str,
        publish: &Publish<'_>,
        way: Way,
    ) -> Result<Result<Room, Full>, ProtocolError> {
        let can_refuse = self.client.version.is_v5() && !way.is_claimed;
        if !publish.retain || publish.payload.is_empty() || !can_refuse {
            return Ok(Ok(Room::Unasked));
        }
        if self.shared.config.limits.retained_messages == 0 {
            let detail = "a retained message, and CONNACK said that none are kept";
            return Err(ProtocolError::new(ReasonCode::RetainNotSupported, detail));
        }
        if publish.qos == QoS::AtMostOnce {
            return Ok(Ok(Room::Unasked));
        }
        let size = topic.len() + publish.properties.raw().len() + publish.payload.len();
        Ok(self.shared.promise_to_retain(topic, size))
    }

    /// Owes the acknowledgement of a PUBLISH by its quality and with its identifier [MQTT-3.3.4-1]
    /// [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-2.2.1-5].
    fn acknowledge(&mut self, publish: &Publish<'_>, ticket: Ticket, reason: ReasonCode) {
        let Some(id) = publish.packet_id else { return };
        self.answers.owe(
            ticket,
            match publish.qos {
                QoS::ExactlyOnce => Answer::Pubrec(id, reason),
                _ => Answer::Puback(id, reason),
            },
        );
    }

    /// Does not route a publish. 3.1.1 has no code to say so: the message is acknowledged and
    /// dropped, as its section 3.3.5 allows.
    fn refuse(
        &mut self,
        publish: &Publish<'_>,
        reason: ReasonCode,
        turn: &mut Turn<'_>,
    ) -> Result<Handled, Ended> {
        turn.counts.received(publish.qos, publish.payload);
        // A QoS 2 exchange that a PUBREC with an error ends has not begun [MQTT-4.3.3-9].
        if publish.qos == QoS::AtLeastOnce || !self.client.version.is_v5() {
            self.session.incoming.begin(publish);
        }
        self.acknowledge(publish, 0, reason);
        self.release_answers(self.completed, turn)?;
        Ok(Handled::Yes)
    }

    /// Hands the batch over; the writer says when it has done it if a fence waits for that.
    pub(super) fn hand_over(&mut self, turn: &mut Turn<'_>) {
        let wanted = self.fence.max(self.awaited);
        // Later QoS 0 messages must find what the fence is for in the live log.
        let once_kept = self.fence <= self.last_ticket;
        let completion = (wanted > self.last_ticket).then(|| {
            self.last_ticket = wanted;
            Completion { mailbox: Arc::clone(&self.mailbox), ticket: wanted, once_kept }
        });
        let from = (self.client.instance, Some(&self.shares));
        turn.batch.hand_over(&self.shared, from, completion);
    }

    /// Hands the batch over and owes `answer` once the writer has done it.
    pub(super) fn await_writer(&mut self, answer: Answer, turn: &mut Turn<'_>) {
        self.last_ticket += 1;
        let (mailbox, ticket) = (Arc::clone(&self.mailbox), self.last_ticket);
        let completion = Completion { mailbox, ticket, once_kept: false };
        let from = (self.client.instance, Some(&self.shares));
        turn.batch.hand_over(&self.shared, from, Some(completion));
        self.answers.owe(self.last_ticket, answer);
        self.reading = Reading::Answer;
    }

    /// [MQTT-3.14.2-2]: a client without session expiry can't ask for one now.
    fn disconnect(&mut self, disconnect: &Disconnect<'_>) -> Ended {
        let is_servers = |property: Property<'_>| property.id == PropertyId::ServerReference;
        if !may_send(disconnect.reason) || disconnect.properties.iter().any(is_servers) {
            return ProtocolError::protocol("a DISCONNECT that only a server sends").into();
        }
        let expiry = disconnect.properties.number(PropertyId::SessionExpiryInterval);
        if let Some(seconds) = expiry {
            if self.client.session_expiry == 0 && seconds > 0 {
                let detail = "session expiry at DISCONNECT but not at CONNECT";
                return ProtocolError::protocol(detail).into();
            }
            let limit = self.shared.config.limits.session_expiry_s;
            self.client.session_expiry = seconds.min(limit);
        }
        match disconnect.reason {
            ReasonCode::Success => Ended::Client,
            _ => Ended::ClientWithWill,
        }
    }
}

/// The codes of a client's DISCONNECT (table 3-10) [MQTT-3.14.2-1].
fn may_send(reason: ReasonCode) -> bool {
    use ReasonCode as R;
    matches!(
        reason,
        R::Success
            | R::DisconnectWithWill
            | R::UnspecifiedError
            | R::MalformedPacket
            | R::ProtocolError
            | R::ImplementationSpecificError
            | R::TopicNameInvalid
            | R::ReceiveMaximumExceeded
            | R::TopicAliasInvalid
            | R::PacketTooLarge
            | R::MessageRateTooHigh
            | R::QuotaExceeded
            | R::AdministrativeAction
            | R::PayloadFormatInvalid
    )
}

fn found(known: bool) -> ReasonCode {
    if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound }
}
