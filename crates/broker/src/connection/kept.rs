//! What a session that is kept tells the store, and what it waits for and reads from there.

use dockside_mqtt::packet::Publish;
use dockside_mqtt::{PacketId, QoS, codec};

use super::outbound::{seconds_left, wire};
use super::{Connection, Turn};
use crate::config::Durability;
use crate::keep::{Keep, Step, What};
use crate::mailbox::Ticket;
use crate::message::{Delivery, Origin};
use crate::record::Entry;

impl<S> Connection<S> {
    /// The job that everything handled in this round is part of: an answer that waits for it goes out
    /// when all that is kept.
    pub(super) fn await_kept(&mut self) -> Ticket {
        if self.shared.config.store.durability == Durability::Memory {
            return 0;
        }
        self.awaited = self.last_ticket + 1;
        self.awaited
    }

    /// Whether somebody may wait for a message who is kept. Without any session that is kept nobody
    /// does: one that begins now has its place before its client can subscribe.
    pub(super) fn must_wait(&self, publish: &Publish<'_>) -> bool {
        publish.qos != QoS::AtMostOnce && (publish.retain || self.shared.sessions.any_kept())
    }

    /// Keeps a step of an exchange if the session is kept; what the answer waits for.
    pub(super) fn step(&mut self, what: What, id: PacketId, turn: &mut Turn<'_>) -> Ticket {
        if self.session.kept.is_none() {
            return 0;
        }
        let step = Step::of(what, self.client.instance, id);
        turn.batch.order(&Entry::Keep(Keep::Step(step)));
        match what {
            What::Received | What::Released => self.await_kept(),
            _ => 0,
        }
    }

    /// A message has been had, or is not wanted: its queue forgets it. Nobody waits to hear that.
    pub(super) fn done(&self, delivery: &Delivery, id: Option<PacketId>, turn: &mut Turn<'_>) {
        let own = self.client.instance;
        let reader = match delivery.origin {
            Origin::Shared(group) => group,
            Origin::Published if self.session.kept.is_some() => own,
            _ => return,
        };
        let is_queued = delivery.qos != QoS::AtMostOnce || delivery.is_shared();
        if is_queued && delivery.message.seq > 0 {
            let packet_id = id.map_or(0, PacketId::get);
            let done = Step::done(reader, delivery.message.seq);
            let step = Step { session: own, packet_id, ..done };
            turn.batch.order(&Entry::Keep(Keep::Step(step)));
        }
    }

    /// An exchange has ended before its time.
    pub(super) fn given_up(
        &mut self,
        delivery: Option<Delivery>,
        id: PacketId,
        turn: &mut Turn<'_>,
    ) {
        match delivery {
            Some(delivery) if delivery.qos == QoS::AtLeastOnce => {
                self.done(&delivery, Some(id), turn);
            }
            _ => {
                self.step(What::Completed, id, turn);
            }
        }
    }

    /// Begins the exchange of a QoS 2 message: its identifier is kept before the message goes out.
    pub(super) fn stage(&mut self, delivery: Delivery, turn: &mut Turn<'_>) {
        let size = delivery.message.size();
        let sent = sent(self.client.instance, &delivery);
        let identifiers = identifiers(&delivery);
        let Some(id) = self.session.outgoing.begin(QoS::ExactlyOnce, delivery, size) else {
            return;
        };
        let step = Step { packet_id: id.get(), identifiers: &identifiers, ..sent };
        turn.batch.order(&Entry::Keep(Keep::Step(step)));
        let ticket = self.await_kept();
        self.staged.push_back((ticket, id));
        self.release_staged(turn);
    }

    /// Sends QoS 2 messages whose identifiers are kept.
    pub(super) fn release_staged(&mut self, turn: &mut Turn<'_>) {
        while let Some(&(ticket, id)) = self.staged.front() {
            if ticket > self.completed {
                return;
            }
            self.staged.pop_front();
            let Some(delivery) = self.session.outgoing.message(id) else { continue };
            let message = &delivery.message;
            let left = seconds_left(message.expires_ms, self.now_ms);
            let encoded = wire(message, message.topic(), left.unwrap_or(Some(0)), None);
            let start = turn.out.len();
            let quality = (delivery.qos, Some(id));
            let ids = &delivery.subscription_ids;
            codec::publish(turn.out, self.client.version, &encoded, quality, delivery.retain, ids);
            if turn.out.len() - start > self.client.maximum_packet as usize {
                turn.out.truncate(start);
                turn.counts.dropped_too_large += 1;
                let given_up = self.session.outgoing.give_up(id);
                self.given_up(given_up, id, turn);
            } else {
                turn.counts.sent(delivery.qos, message.payload());
                self.written.ends_with(message, self.unsent.len() + turn.out.len());
            }
        }
    }

    /// Asks for what the session has to read from the store, once.
    pub(super) fn read_store(&mut self, read_to: Option<u64>) {
        let cursor = self.session.cursor;
        if let Some(read_to) = read_to
            && self.asked != Some(cursor)
        {
            self.asked = Some(cursor);
            self.shared.reading.chunk(self.client.instance, (cursor, read_to), &self.mailbox);
        }
    }
}

/// That a message goes out to a session.
fn sent(session: u64, delivery: &Delivery) -> Step<'static> {
    let reader = match delivery.origin {
        Origin::Shared(group) => group,
        Origin::Published => session,
        // It was in no queue.
        Origin::Retained | Origin::Unread => 0,
    };
    let done = Step::done(reader, delivery.message.seq);
    Step { what: What::Sent, session, qos: delivery.qos, retain: delivery.retain, ..done }
}

fn identifiers(delivery: &Delivery) -> Vec<u8> {
    delivery.subscription_ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

/// That a message is given up that was sent with an identifier.
pub(super) fn shed(session: u64, id: PacketId, delivery: &Delivery) -> Step<'static> {
    let what = if delivery.qos == QoS::ExactlyOnce { What::Completed } else { What::Done };
    Step { what, packet_id: id.get(), ..sent(session, delivery) }
}

/// The entries that keep all exchanges of a session, in their order.
pub(crate) fn under_way(
    session: u64,
    outgoing: &dockside_mqtt::session::Outgoing<Delivery>,
    entries: &mut Vec<u8>,
) {
    for (id, delivery) in outgoing.under_way() {
        let identifiers = delivery.map(identifiers).unwrap_or_default();
        let step = match delivery {
            Some(delivery) => sent(session, delivery),
            None => Step::of(What::Sent, session, id),
        };
        let step = Step { packet_id: id.get(), identifiers: &identifiers, ..step };
        crate::record::append(entries, &Entry::Keep(Keep::Step(step)));
    }
}
