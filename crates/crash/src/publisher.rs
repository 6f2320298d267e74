//! A publisher with a durable session: of messages, or of retained values.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use dockside_mqtt::QoS;
use dockside_mqtt::packet::{Ack, Packet};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::finding::Finding;
use crate::link::{Link, Login};
use crate::payload::Content;
use crate::random::Random;
use crate::sender::{Message, Sender};
use crate::shared::{Load, Orders, Shared};

/// Messages that are not acknowledged.
const WINDOW: usize = 20;

/// Bursts of a publisher come this often. With the largest burst that is 1,500 messages a second: what
/// waits for a subscriber that is offline stays far from the limits of the broker.
const BURST_EVERY: Duration = Duration::from_millis(2);

/// Messages of the largest burst.
const BURST: usize = 6;

/// One in so many retained messages clears its topic.
const CLEAR_ONE_IN: usize = 8;

/// Bytes of filling, one less at most.
const FILLING: usize = 400;

/// A publisher; its session outlives its connections.
#[derive(Debug)]
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    orders: watch::Receiver<Orders>,
    name: String,
    topics: Vec<String>,
    retain: bool,
    sender: Sender,
    random: Random,
    /// It had a CONNACK: from then on there is a session.
    known: bool,
    next_burst: Instant,
    /// The phase that was finished with a last message on every topic.
    last_words: u64,
}

impl Publisher {
    /// A publisher of retained values if `retain`.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        (name, qos, retain): (&str, QoS, bool),
        topics: Vec<String>,
        random: Random,
    ) -> Self {
        shared.book(|state| state.finish(name, 0));
        Self {
            orders: shared.orders(),
            shared: Arc::clone(shared),
            name: name.to_owned(),
            topics,
            retain,
            sender: Sender::new(qos, WINDOW),
            random,
            known: false,
            next_burst: Instant::now(),
            last_words: 0,
        }
    }

    /// Publishes for as long as the run lasts.
    pub(crate) async fn run(mut self) {
        loop {
            self.may_connect().await;
            let login = Login { client_id: &self.name, durable: true, receive_maximum: u16::MAX };
            let (mut link, present) = Link::connect(&self.shared, login).await;
            if self.known && !present {
                // The run has failed. Going on as if the session were there shows what else is lost.
                self.shared.report(Finding::SessionLost { client: self.name.clone() });
            }
            self.known = true;
            self.sender.resume(&mut link.output);
            if let Err(error) = self.converse(&mut link).await {
                self.shared.connection_ended(&self.name, link.strikes, &error);
            }
        }
    }

    async fn may_connect(&mut self) {
        while self.retain && !self.orders.borrow_and_update().retain {
            // The orders end with the run, and this task with it.
            let _ = self.orders.changed().await;
        }
    }

    /// One connection, until it is lost or to be cut.
    async fn converse(&mut self, link: &mut Link) -> io::Result<()> {
        loop {
            let orders = *self.orders.borrow_and_update();
            if self.shared.cut && orders.strikes != link.strikes {
                return Ok(());
            }
            self.send(orders, &mut link.output);
            link.flush().await?;
            tokio::select! {
                read = link.read() => {
                    read?;
                    link.packets(|packet, output| self.handle(packet, output))?;
                }
                _ = self.orders.changed() => {}
                () = sleep_until(self.next_burst), if orders.load == Load::Flow => {}
            }
        }
    }

    fn send(&mut self, orders: Orders, output: &mut Vec<u8>) {
        let now = Instant::now();
        match orders.load {
            Load::Flow if now >= self.next_burst => {
                self.next_burst = now + BURST_EVERY;
                for _ in 0..=self.random.below(BURST) {
                    if self.sender.has_room() {
                        let topic = self.random.below(self.topics.len());
                        self.publish(topic, output);
                    }
                }
            }
            Load::Finish if self.sender.is_done() && self.last_words < orders.phase => {
                self.last_words = orders.phase;
                // Whatever waits in the broker without need comes before these.
                if !self.retain {
                    (0..self.topics.len()).for_each(|topic| self.publish(topic, output));
                }
            }
            _ => {}
        }
        if self.sender.is_done() && self.last_words == orders.phase {
            self.shared.book(|state| state.finish(&self.name, orders.phase));
        }
    }

    fn publish(&mut self, topic: usize, output: &mut Vec<u8>) {
        let topic = self.topics[topic].clone();
        let clear = self.retain && self.random.one_in(CLEAR_ONE_IN);
        let counter = self.shared.book(|state| match self.retain {
            true => state.ledger.retained.sent(&topic, clear),
            false => state.ledger.sent(&topic),
        });
        let payload = if clear {
            Vec::new()
        } else {
            let content = Content { publisher: &self.name, topic: &topic, counter };
            content.write(self.random.below(FILLING))
        };
        self.sender.publish(Message { topic, counter, payload, retain: self.retain }, output);
    }

    fn handle(&mut self, packet: &Packet<'_>, output: &mut Vec<u8>) {
        let unexpected =
            || Finding::Unexpected { client: self.name.clone(), packet: format!("{packet:?}") };
        match packet {
            Packet::Puback(Ack { reason, .. }) | Packet::Pubrec(Ack { reason, .. })
                if reason.is_error() =>
            {
                let (client, what) = (self.name.clone(), format!("{packet:?}"));
                self.shared.report(Finding::Refused { client, what });
            }
            Packet::Puback(ack) => match self.sender.puback(ack.packet_id) {
                Some(Message { topic, counter, .. }) => {
                    self.shared.book(|state| state.ledger.acknowledged(&topic, counter));
                }
                None => self.shared.report(unexpected()),
            },
            Packet::Pubrec(ack) => {
                if let Some(Message { topic, counter, .. }) =
                    self.sender.pubrec(ack.packet_id, output)
                {
                    self.shared.book(|state| state.ledger.acknowledged(topic, *counter));
                }
            }
            Packet::Pubcomp(ack) => {
                if !self.sender.pubcomp(ack.packet_id) {
                    self.shared.report(unexpected());
                }
            }
            _ => self.shared.report(unexpected()),
        }
    }
}
