//! PUBLISH packets that go to the client: packet identifiers, the send window, and what is sent
//! again when the client comes back.

use std::collections::VecDeque;

use super::identifiers::ById;
use crate::packet::{PacketId, QoS};

/// What an exchange waits for.
///
/// ```text
/// QoS 1:  sent --PUBACK--> (gone)
/// QoS 2:  sent --PUBREC--> received --PUBCOMP--> (gone)
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Puback,
    Pubrec,
    Pubcomp,
}

#[derive(Debug)]
struct Exchange<M> {
    step: Step,
    /// Kept until the client has it, to be sent again [MQTT-4.3.2-3] [MQTT-4.3.3-3].
    message: Option<M>,
    size: usize,
    /// Exchanges are sent again in the order they were begun.
    order: u64,
    /// Whether its PUBLISH was sent on this connection, and so counts for the window.
    counts: bool,
}

/// What must be sent again on a new connection [MQTT-4.4.0-1].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resend<'m, M> {
    /// The PUBLISH, with the identifier it had and DUP set [MQTT-3.3.1-1].
    Publish(PacketId, &'m M),
    /// The PUBREL.
    Pubrel(PacketId),
}

/// The sender's half of a session. It is a queue of its own: [`Outgoing::begin`] appends, the
/// acknowledgements remove in any order, [`Outgoing::resend`] reads again from the start.
#[derive(Debug)]
pub struct Outgoing<M> {
    window: u16,
    bytes_at_most: usize,
    /// Exchanges that count for the window.
    counted: u16,
    bytes: usize,
    last_id: u16,
    orders: u64,
    exchanges: ById<Exchange<M>>,
    resend: VecDeque<PacketId>,
}

/// What an exchange takes besides its message.
const EXCHANGE_BYTES: usize = 64;

/// Exchanges whose table is kept while there are none.
const KEPT_EXCHANGES: usize = 56;

/// Identifiers there are: 1 to 65,535.
const IDENTIFIERS: usize = 65_535;

impl<M> Outgoing<M> {
    /// `window` is how many exchanges may be under way: the client's receive maximum or the
    /// configured bound, whichever is less. Messages of `bytes_at_most` bytes are held for them; a
    /// larger one passes alone.
    #[must_use]
    pub fn new(window: u16, bytes_at_most: usize) -> Self {
        Self {
            window,
            bytes_at_most,
            counted: 0,
            bytes: 0,
            last_id: 0,
            orders: 0,
            exchanges: ById::default(),
            resend: VecDeque::new(),
        }
    }

    /// Continues on a new connection, with the window that its client asks for.
    #[must_use]
    pub fn resumed(mut self, window: u16) -> Self {
        self.window = window;
        self.counted = 0;
        self.resend_all();
        self.exchanges.values_mut().for_each(|exchange| exchange.counts = false);
        self
    }

    /// Sends everything again that was restored.
    pub fn resend_all(&mut self) {
        let mut all: Vec<_> = self.exchanges.iter().map(|(id, e)| (e.order, *id)).collect();
        all.sort_unstable();
        self.resend = all.into_iter().map(|(_, id)| id).collect();
    }

    /// Whether another QoS 1 or 2 message may be sent now (section 4.9); none before everything has
    /// been sent again.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.counted < self.window
            && self.exchanges.len() < IDENTIFIERS
            && self.bytes < self.bytes_at_most.max(1)
            && self.resend.is_empty()
    }

    /// Whether an exchange with this identifier is not over.
    #[must_use]
    pub fn is_under_way(&self, id: PacketId) -> bool {
        self.exchanges.contains_key(&id)
    }

    /// Whether something has to be sent again.
    #[must_use]
    pub fn resends(&self) -> bool {
        !self.resend.is_empty()
    }

    /// What the messages hold that the client has not acknowledged, and their exchanges.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes + self.exchanges.len() * EXCHANGE_BYTES
    }

    /// Gives up the oldest messages that the client has not received, until so many bytes are free.
    pub fn shed(&mut self, bytes: usize) -> Vec<(PacketId, M)> {
        let unreceived = self.exchanges.iter().filter(|(_, exchange)| exchange.message.is_some());
        let mut oldest: Vec<_> = unreceived.map(|(id, e)| (e.order, *id, e.size)).collect();
        oldest.sort_unstable();
        let (mut freed, mut shed) = (0, Vec::new());
        for (_, id, size) in oldest {
            if freed >= bytes {
                break;
            }
            freed += size + EXCHANGE_BYTES;
            shed.extend(self.remove(id).map(|message| (id, message)));
        }
        shed
    }

    /// Exchanges that are not over.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exchanges.len()
    }

    /// Whether every exchange is over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty()
    }

    /// Begins an exchange with an identifier that no other has [MQTT-2.2.1-4] [MQTT-4.3.2-1]
    /// [MQTT-4.3.3-1]; `None` without room,
    /// or for QoS 0, which has none [MQTT-2.2.1-2].
    pub fn begin(&mut self, qos: QoS, message: M, size: usize) -> Option<PacketId> {
        let step = match qos {
            QoS::AtMostOnce => return None,
            QoS::AtLeastOnce => Step::Puback,
            QoS::ExactlyOnce => Step::Pubrec,
        };
        if !self.has_room() {
            return None;
        }
        let id = self.next_id();
        self.orders += 1;
        self.counted += 1;
        self.bytes += size;
        let order = self.orders;
        let exchange = Exchange { step, message: Some(message), size, order, counts: true };
        self.exchanges.insert(id, exchange);
        Some(id)
    }

    /// Identifiers are given in a circle; one that is still in use is passed over.
    fn next_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let id = PacketId::new(self.last_id).unwrap_or(PacketId::MIN);
            if !self.exchanges.contains_key(&id) {
                return id;
            }
        }
    }

    /// PUBACK: the message; none if no QoS 1 exchange has this identifier.
    pub fn puback(&mut self, id: PacketId) -> Option<M> {
        if self.is_at(id, Step::Puback) { self.remove(id) } else { None }
    }

    /// PUBREC: `true` if PUBREL is the answer; a repeated PUBREC is answered again. A PUBREC that
    /// carries an error ends the exchange [MQTT-4.3.3-4].
    pub fn pubrec(&mut self, id: PacketId, refused: bool) -> bool {
        if refused {
            if self.is_at(id, Step::Pubrec) {
                self.over(id);
            }
            return false;
        }
        let Some(exchange) = self.exchanges.get_mut(&id) else { return false };
        if exchange.step == Step::Puback {
            return false;
        }
        exchange.step = Step::Pubcomp;
        // The client has the message: it is never sent again [MQTT-4.3.3-6].
        exchange.message = None;
        self.bytes -= std::mem::take(&mut exchange.size);
        true
    }

    /// PUBCOMP, until which the PUBREL is unacknowledged [MQTT-4.3.3-5]: `false` if no released QoS 2 exchange has this identifier.
    pub fn pubcomp(&mut self, id: PacketId) -> bool {
        self.is_at(id, Step::Pubcomp) && self.over(id)
    }

    /// The next packet to send again, once each; `None` when there is none, or for a PUBLISH while
    /// the window is closed.
    pub fn resend(&mut self) -> Option<Resend<'_, M>> {
        // What was acknowledged late, by its old identifier, needs no sending again.
        while self.resend.front().is_some_and(|id| !self.exchanges.contains_key(id)) {
            self.resend.pop_front();
        }
        let id = *self.resend.front()?;
        let exchange = self.exchanges.get_mut(&id)?;
        if exchange.message.is_some() {
            if self.counted >= self.window {
                return None;
            }
            self.counted += 1;
            exchange.counts = true;
        }
        self.resend.pop_front();
        Some(match &exchange.message {
            Some(message) => Resend::Publish(id, message),
            None => Resend::Pubrel(id),
        })
    }

    /// Ends an exchange whose message cannot be sent on this connection.
    pub fn give_up(&mut self, id: PacketId) -> Option<M> {
        self.remove(id)
    }

    /// The message of an exchange, as long as the client does not have it.
    #[must_use]
    pub fn message(&self, id: PacketId) -> Option<&M> {
        self.exchanges.get(&id)?.message.as_ref()
    }

    /// Exchanges that are not over, in their order: the message, or none if the client has it.
    #[must_use]
    pub fn under_way(&self) -> Vec<(PacketId, Option<&M>)> {
        let mut all: Vec<_> = self.exchanges.iter().map(|(id, e)| (e.order, *id)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, id)| (id, self.message(id))).collect()
    }

    /// An exchange that was begun before a restart, behind those that were restored before: its message,
    /// or none if the client has it.
    pub fn restore(&mut self, id: PacketId, qos: QoS, message: Option<M>, size: usize) {
        let step = match (qos, &message) {
            (QoS::ExactlyOnce, None) => Step::Pubcomp,
            (QoS::ExactlyOnce, Some(_)) => Step::Pubrec,
            // Whoever has it has acknowledged it: nothing is left to do.
            (_, None) => return,
            (_, Some(_)) => Step::Puback,
        };
        self.orders += 1;
        self.bytes += size;
        self.last_id = id.get();
        let order = self.orders;
        self.exchanges.insert(id, Exchange { step, message, size, order, counts: false });
    }

    /// Takes QoS 1 messages out that were not acknowledged, in order, for others to have: their
    /// exchanges are over.
    pub fn take_unacknowledged(&mut self, mut which: impl FnMut(&M) -> bool) -> Vec<M> {
        let mut taken: Vec<(u64, PacketId)> = Vec::new();
        for (id, exchange) in &self.exchanges {
            if exchange.step == Step::Puback && exchange.message.as_ref().is_some_and(&mut which) {
                taken.push((exchange.order, *id));
            }
        }
        taken.sort_unstable();
        taken.into_iter().filter_map(|(_, id)| self.remove(id)).collect()
    }

    fn is_at(&self, id: PacketId, step: Step) -> bool {
        self.exchanges.get(&id).is_some_and(|exchange| exchange.step == step)
    }

    fn over(&mut self, id: PacketId) -> bool {
        self.remove(id);
        true
    }

    fn remove(&mut self, id: PacketId) -> Option<M> {
        let exchange = self.exchanges.remove(&id)?;
        self.counted -= u16::from(exchange.counts);
        self.bytes -= exchange.size;
        if self.exchanges.is_empty() && self.exchanges.capacity() > KEPT_EXCHANGES {
            // An idle client keeps no large table; one that was made anew each time would cost more
            // than the messages.
            self.exchanges = ById::default();
        }
        exchange.message
    }
}

#[cfg(test)]
mod tests;
