//! The sender's half against a list: what is begun is under way, once and in its order, until it is over.

use dockside_mqtt::session::{Outgoing, Resend};
use dockside_mqtt::{PacketId, QoS};

use super::Steps;

/// One exchange, as the list has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Exchange {
    id: PacketId,
    message: u32,
    qos: QoS,
    size: usize,
    /// The client has it: nothing but the PUBREL is sent again.
    received: bool,
    /// It takes a place of the window of this connection.
    counts: bool,
    /// It has not been sent again yet.
    pending: bool,
}

struct Pair {
    real: Outgoing<u32>,
    /// In the order in which they were begun.
    list: Vec<Exchange>,
    window: u16,
    bytes_at_most: usize,
    messages: u32,
}

/// Restores, then takes every step, then sends everything again and acknowledges it.
pub(super) fn holds(mut steps: Steps<'_>) {
    let window = 1 + u16::from(steps.byte() % 16);
    let bytes_at_most = usize::from(steps.byte());
    let real = Outgoing::new(window, bytes_at_most);
    let mut pair = Pair { real, list: Vec::new(), window, bytes_at_most, messages: 0 };
    for _ in 0..steps.byte() % 8 {
        pair.restore(&mut steps);
    }
    pair.real.resend_all();
    pair.check();
    while let Some(step) = steps.next() {
        pair.step(step, &mut steps);
        pair.check();
    }
    pair.finish();
}

impl Pair {
    fn step(&mut self, step: u8, steps: &mut Steps<'_>) {
        match step % 16 {
            0..=3 => {
                let qos = QoS::from_bits(step >> 6).unwrap_or(QoS::AtLeastOnce);
                self.begin(qos, steps.byte());
            }
            4 | 5 => self.puback(steps),
            6 | 7 => self.pubrec(steps),
            8 | 9 => self.pubcomp(steps),
            10 | 11 => drop(self.resend()),
            12 => self.shed(usize::from(steps.byte())),
            13 => self.give_up(steps),
            14 => self.take(steps.byte() % 4),
            _ => self.resumed(1 + u16::from(steps.byte() % 16)),
        }
    }

    /// An identifier: mostly one that is under way.
    fn id(&self, steps: &mut Steps<'_>) -> PacketId {
        let pick = usize::from(steps.byte());
        match self.list.get(pick % (self.list.len() + 1)) {
            Some(exchange) => exchange.id,
            None => PacketId::new(steps.number()).unwrap_or(PacketId::MIN),
        }
    }

    fn find(&self, id: PacketId) -> Option<usize> {
        self.list.iter().position(|exchange| exchange.id == id)
    }

    fn restore(&mut self, steps: &mut Steps<'_>) {
        let id = PacketId::new(steps.number()).unwrap_or(PacketId::MAX);
        let (bits, size) = (steps.byte(), usize::from(steps.byte()));
        // The store has each identifier once.
        if self.find(id).is_some() {
            return;
        }
        let qos = if bits & 1 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        let received = bits & 2 != 0;
        self.messages += 1;
        let size = if received { 0 } else { size };
        self.real.restore(id, qos, (!received).then_some(self.messages), size);
        if qos == QoS::ExactlyOnce || !received {
            let message = self.messages;
            let exchange =
                Exchange { id, message, qos, size, received, counts: false, pending: true };
            self.list.push(exchange);
        }
    }

    fn has_room(&self) -> bool {
        let counted = self.list.iter().filter(|exchange| exchange.counts).count();
        let bytes = self.bytes();
        let pending = self.list.iter().any(|exchange| exchange.pending);
        counted < usize::from(self.window) && bytes < self.bytes_at_most.max(1) && !pending
    }

    fn begin(&mut self, qos: QoS, size: u8) {
        // As a connection does: new messages after those that are sent again.
        while !self.list.iter().any(|exchange| exchange.pending) && self.real.resends() {
            assert_eq!(self.resend(), None, "nothing is left");
        }
        let room = self.has_room();
        assert_eq!(self.real.has_room(), room, "{:?}", self.list);
        self.messages += 1;
        let (message, size) = (self.messages, usize::from(size));
        let id = self.real.begin(qos, message, size);
        assert_eq!(id.is_some(), room && qos != QoS::AtMostOnce);
        let Some(id) = id else { return };
        // [MQTT-2.2.1-4]
        assert_eq!(self.find(id), None, "an identifier that is in use");
        let (received, counts, pending) = (false, true, false);
        self.list.push(Exchange { id, message, qos, size, received, counts, pending });
    }

    /// The exchange with this identifier, if an acknowledgement of this kind fits it, is over.
    fn over(&mut self, id: PacketId, qos: QoS, received: bool) -> Option<u32> {
        let at = self.find(id)?;
        let exchange = self.list[at];
        let fits = exchange.qos == qos && exchange.received == received;
        fits.then(|| self.list.remove(at).message)
    }

    fn puback(&mut self, steps: &mut Steps<'_>) {
        let id = self.id(steps);
        let expected = self.over(id, QoS::AtLeastOnce, false);
        assert_eq!(self.real.puback(id), expected);
    }

    fn pubrec(&mut self, steps: &mut Steps<'_>) {
        let (id, refused) = (self.id(steps), steps.byte() & 1 == 1);
        let mut expected = false;
        if refused {
            self.over(id, QoS::ExactlyOnce, false);
        } else if let Some(at) = self.find(id)
            && self.list[at].qos == QoS::ExactlyOnce
        {
            self.list[at].received = true;
            self.list[at].size = 0;
            expected = true;
        }
        assert_eq!(self.real.pubrec(id, refused), expected);
    }

    fn pubcomp(&mut self, steps: &mut Steps<'_>) {
        let id = self.id(steps);
        let expected = self.over(id, QoS::ExactlyOnce, true).is_some();
        assert_eq!(self.real.pubcomp(id), expected);
    }

    /// The next to send again is the first that was not, and a PUBLISH needs a place.
    fn resend(&mut self) -> Option<PacketId> {
        let counted = self.list.iter().filter(|exchange| exchange.counts).count();
        let closed = counted >= usize::from(self.window);
        let mut next = self.list.iter_mut().find(|exchange| exchange.pending);
        next = next.filter(|exchange| exchange.received || !closed);
        let sent = match (self.real.resend(), next) {
            (None, None) => return None,
            (Some(Resend::Publish(id, message)), Some(next)) => {
                assert!(!next.received, "the client has it");
                assert_eq!((id, *message), (next.id, next.message));
                next.counts = true;
                next
            }
            (Some(Resend::Pubrel(id)), Some(next)) => {
                assert_eq!((id, true), (next.id, next.received));
                next
            }
            (found, expected) => panic!("expected {expected:?}, sent {found:?}"),
        };
        sent.pending = false;
        Some(sent.id)
    }

    fn resumed(&mut self, window: u16) {
        let real = std::mem::replace(&mut self.real, Outgoing::new(1, 1));
        self.real = real.resumed(window);
        self.window = window;
        for exchange in &mut self.list {
            (exchange.counts, exchange.pending) = (false, true);
        }
    }

    fn bytes(&self) -> usize {
        self.list.iter().map(|exchange| exchange.size).sum()
    }

    /// The oldest go that the client does not have, and no more than needed.
    fn shed(&mut self, bytes: usize) {
        // An exchange counts besides its message.
        let each = (self.real.bytes() - self.bytes()).checked_div(self.list.len()).unwrap_or(0);
        let mut freed = 0;
        for (id, message) in self.real.shed(bytes) {
            assert!(freed < bytes, "more than was asked for");
            let oldest = self.list.iter().position(|exchange| !exchange.received);
            let exchange = self.list.remove(oldest.expect("one that the client does not have"));
            assert_eq!((id, message), (exchange.id, exchange.message), "not the oldest");
            freed += exchange.size + each;
        }
        let is_left = self.list.iter().any(|exchange| !exchange.received);
        assert!(freed >= bytes || !is_left, "less than was asked for");
    }

    fn give_up(&mut self, steps: &mut Steps<'_>) {
        let id = self.id(steps);
        let given = self.find(id).map(|at| self.list.remove(at));
        let expected = given.filter(|exchange| !exchange.received).map(|e| e.message);
        assert_eq!(self.real.give_up(id), expected);
    }

    fn take(&mut self, of_four: u8) {
        let which = |message: &u32| message % 4 == u32::from(of_four);
        let is_taken = |e: &Exchange| e.qos == QoS::AtLeastOnce && !e.received && which(&e.message);
        let expected: Vec<_> =
            self.list.iter().filter(|e| is_taken(e)).map(|e| e.message).collect();
        self.list.retain(|exchange| !is_taken(exchange));
        assert_eq!(self.real.take_unacknowledged(which), expected);
    }

    fn check(&self) {
        let under_way: Vec<_> = self.list.iter().map(|e| (e.id, e.message, e.received)).collect();
        let found = self.real.under_way();
        assert_eq!(found.len(), under_way.len(), "something was lost, or came from nowhere");
        for ((id, message), (expected, number, received)) in found.iter().zip(&under_way) {
            assert_eq!((id, message.copied()), (expected, (!received).then_some(*number)));
            assert!(self.real.is_under_way(*id));
            assert_eq!(self.real.message(*id), *message);
        }
        assert_eq!(self.real.len(), self.list.len());
        assert!(self.real.bytes() >= self.bytes());
        assert!((self.real.bytes() == 0) == self.list.is_empty());
    }

    /// Everything comes again on a connection that takes it all, in its order, and can be acknowledged.
    fn finish(mut self) {
        self.resumed(u16::MAX);
        let expected: Vec<_> = self.list.iter().map(|exchange| exchange.id).collect();
        let mut sent = Vec::new();
        while let Some(id) = self.resend() {
            sent.push(id);
        }
        assert_eq!(sent, expected);
        for exchange in std::mem::take(&mut self.list).into_iter().rev() {
            let id = exchange.id;
            if exchange.qos == QoS::AtLeastOnce {
                assert_eq!(self.real.puback(id), Some(exchange.message));
            } else {
                assert!(self.real.pubrec(id, false) && self.real.pubcomp(id));
            }
        }
        self.check();
        assert!(self.real.has_room());
    }
}
