//! A durable subscriber: it subscribes once, comes and goes, and is due everything in between.

use std::io;
use std::sync::Arc;

use dockside_mqtt::packet::{Codes, Disconnect, Packet, Subscribe, SubscriptionOptions};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, ReasonCode};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::finding::Finding;
use crate::link::{Link, Login, id, push};
use crate::random::Random;
use crate::receiver::{Arrival, Receiver};
use crate::shared::{Orders, Shared};

/// How a subscriber is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    pub(crate) name: &'static str,
    pub(crate) qos: QoS,
    /// They do not overlap: a message comes once.
    pub(crate) filters: &'static [&'static str],
    pub(crate) receive_maximum: u16,
    /// Takes its time to acknowledge.
    pub(crate) slow: bool,
}

/// A subscriber; its session outlives its connections.
#[derive(Debug)]
pub(crate) struct Subscriber {
    shared: Arc<Shared>,
    orders: watch::Receiver<Orders>,
    habits: Habits,
    number: usize,
    receiver: Receiver,
    random: Random,
    /// It has its SUBACK.
    subscribed: bool,
    /// When it goes, or comes back.
    until: Instant,
    next_answers: Instant,
}

impl Subscriber {
    pub(crate) fn new(shared: &Arc<Shared>, habits: Habits, random: Random) -> Self {
        let Habits { name, qos, filters, .. } = habits;
        let number = shared.book(|state| {
            let number = state.ledger.add_subscriber(name, qos, filters);
            state.online(number, false);
            number
        });
        Self {
            orders: shared.orders(),
            shared: Arc::clone(shared),
            habits,
            number,
            receiver: Receiver::default(),
            random,
            subscribed: false,
            until: Instant::now(),
            next_answers: Instant::now(),
        }
    }

    /// Subscribes for as long as the run lasts.
    pub(crate) async fn run(mut self) {
        loop {
            self.stay_away().await;
            let Habits { name, receive_maximum, .. } = self.habits;
            let login = Login { client_id: name, durable: true, receive_maximum };
            let (mut link, present) = Link::connect(&self.shared, login).await;
            if !self.subscribed {
                self.subscribe(&mut link.output);
            } else if !present {
                self.shared.report(Finding::SessionLost { client: name.to_owned() });
            }
            self.receiver.resume();
            self.until = Instant::now() + self.random.millis(30, 500);
            self.shared.book(|state| state.online(self.number, true));
            let ended = self.converse(&mut link).await;
            self.shared.book(|state| state.online(self.number, false));
            // After a kill or a cut it comes back at once.
            self.until = Instant::now();
            match ended {
                Ok(Leave::Cut) => {}
                Ok(Leave::Away) => self.until += self.random.millis(10, 250),
                Err(error) => self.shared.connection_ended(name, link.strikes, &error),
            }
        }
    }

    fn subscribe(&self, output: &mut Vec<u8>) {
        let options = SubscriptionOptions::qos(self.habits.qos);
        let filters = self.habits.filters.iter().map(|&filter| (filter, options)).collect();
        let (packet_id, properties) = (id(1), Properties::EMPTY);
        push(output, &Packet::Subscribe(Subscribe { packet_id, properties, filters }));
    }

    /// Without a connection, until it is time or subscribers are to be there.
    async fn stay_away(&mut self) {
        loop {
            let orders = *self.orders.borrow_and_update();
            let held = orders.held == Some(self.number);
            if !held && (!orders.roam || Instant::now() >= self.until) {
                return;
            }
            tokio::select! {
                _ = self.orders.changed() => {}
                () = sleep_until(self.until), if !held => {}
            }
        }
    }

    /// One connection, until it is lost, to be cut, or time to go.
    async fn converse(&mut self, link: &mut Link) -> io::Result<Leave> {
        loop {
            let orders = *self.orders.borrow_and_update();
            if self.shared.cut && orders.strikes != link.strikes {
                return Ok(Leave::Cut);
            }
            let is_time = orders.roam && Instant::now() >= self.until;
            if self.subscribed && (is_time || orders.held == Some(self.number)) {
                self.leave(link).await;
                return Ok(Leave::Away);
            }
            let slow = self.habits.slow && orders.roam;
            self.answer(slow, &mut link.output);
            link.flush().await?;
            tokio::select! {
                read = link.read() => {
                    read?;
                    link.packets(|packet, _| self.handle(packet))?;
                }
                _ = self.orders.changed() => {}
                () = sleep_until(self.until), if orders.roam && self.subscribed => {}
                () = sleep_until(self.next_answers), if self.receiver.waiting() > 0 => {}
            }
        }
    }

    /// Goes with or without DISCONNECT.
    async fn leave(&mut self, link: &mut Link) {
        if self.random.one_in(2) {
            let (reason, properties) = (ReasonCode::Success, Properties::EMPTY);
            push(&mut link.output, &Packet::Disconnect(Disconnect { reason, properties }));
            // If the broker is gone, there is nobody to tell.
            let _ = link.flush().await;
        }
    }

    fn answer(&mut self, slow: bool, output: &mut Vec<u8>) {
        let waiting = self.receiver.waiting();
        if !slow {
            self.receiver.answer(waiting, output);
        } else if waiting > 0 && Instant::now() >= self.next_answers {
            let some = 1 + self.random.below(waiting);
            self.receiver.answer(some, output);
            self.next_answers = Instant::now() + self.random.millis(2, 8);
        }
    }

    fn handle(&mut self, packet: &Packet<'_>) {
        let name = self.habits.name;
        match packet {
            Packet::Publish(publish) => match self.receiver.publish(publish) {
                Arrival::New => {
                    let (topic, qos) = (publish.topic, publish.qos);
                    self.shared.book(|state| {
                        state.ledger.delivered(self.number, topic, qos, publish.payload);
                    });
                }
                Arrival::Known => {}
                Arrival::Reused => self.shared.report(Finding::IdentifierReused {
                    subscriber: name.to_owned(),
                    packet_id: publish.packet_id.map_or(0, std::num::NonZeroU16::get),
                }),
            },
            Packet::Pubrel(ack) => self.receiver.pubrel(ack.packet_id),
            Packet::Suback(Codes { reasons, .. }) if !self.subscribed => {
                self.subscribed = true;
                if reasons.iter().any(|reason| reason.wire() != self.habits.qos.bits()) {
                    let (client, what) = (name.to_owned(), format!("{packet:?}"));
                    self.shared.report(Finding::Refused { client, what });
                }
                self.shared.book(|state| state.ledger.subscribed(self.number));
            }
            _ => {
                let (client, packet) = (name.to_owned(), format!("{packet:?}"));
                self.shared.report(Finding::Unexpected { client, packet });
            }
        }
    }
}

/// Why a connection ends that was not lost.
enum Leave {
    Cut,
    Away,
}
