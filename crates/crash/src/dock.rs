//! A dock: it reports flight-task progress, an event at a time, until each is answered.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dockside_mqtt::packet::{Ack, Codes, Packet, Publish, Subscribe, SubscriptionOptions};
use dockside_mqtt::property::Properties;
use dockside_mqtt::{QoS, ReasonCode};
use docksim::event::{check_reply, event, events_topic, reply_topic};
use docksim::flight;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::finding::Finding;
use crate::link::{Link, Login, id, push};
use crate::random::Random;
use crate::shared::{Load, Orders, Shared};

/// Packet identifier of every SUBSCRIBE and every event: there is only one at a time of each.
const SUBSCRIBE: u16 = 1;
const EVENT: u16 = 2;

/// Time from an answer to the next event.
const PAUSE: Duration = Duration::from_millis(3);

/// A dock; as with a real one, every connection is a session of its own.
#[derive(Debug)]
pub(crate) struct Dock {
    shared: Arc<Shared>,
    orders: watch::Receiver<Orders>,
    serial_number: String,
    flight_id: String,
    random: Random,
    /// How many events were made.
    events: usize,
    /// The event that waits for its answer.
    unanswered: Option<Event>,
    next_event: Instant,
    /// This connection has its SUBACK.
    subscribed: bool,
    /// The event was sent on this connection.
    asked: bool,
}

#[derive(Debug)]
struct Event {
    tid: String,
    payload: Vec<u8>,
}

impl Dock {
    pub(crate) fn new(shared: &Arc<Shared>, serial_number: &str, mut random: Random) -> Self {
        shared.book(|state| state.finish(serial_number, 0));
        Self {
            orders: shared.orders(),
            shared: Arc::clone(shared),
            serial_number: serial_number.to_owned(),
            flight_id: uuid(&mut random),
            random,
            events: 0,
            unanswered: None,
            next_event: Instant::now(),
            subscribed: false,
            asked: false,
        }
    }

    /// Reports for as long as the run lasts.
    pub(crate) async fn run(mut self) {
        loop {
            let client_id = &self.serial_number;
            let login = Login { client_id, durable: false, receive_maximum: u16::MAX };
            let (mut link, _) = Link::connect(&self.shared, login).await;
            (self.subscribed, self.asked) = (false, false);
            if let Err(error) = self.converse(&mut link).await {
                self.shared.connection_ended(&self.serial_number, link.strikes, &error);
            }
        }
    }

    /// One connection, until it is lost or to be cut.
    async fn converse(&mut self, link: &mut Link) -> io::Result<()> {
        let filter = reply_topic(&self.serial_number);
        let filters = vec![(filter.as_str(), SubscriptionOptions::qos(QoS::AtLeastOnce))];
        let (packet_id, properties) = (id(SUBSCRIBE), Properties::EMPTY);
        let subscribe = Subscribe { packet_id, properties, filters };
        push(&mut link.output, &Packet::Subscribe(subscribe));
        loop {
            let orders = *self.orders.borrow_and_update();
            if self.shared.cut && orders.strikes != link.strikes {
                return Ok(());
            }
            self.ask(orders, &mut link.output);
            link.flush().await?;
            let wants_to_ask = self.unanswered.is_none() && orders.load == Load::Flow;
            tokio::select! {
                read = link.read() => {
                    read?;
                    link.packets(|packet, output| self.handle(packet, output))?;
                }
                _ = self.orders.changed() => {}
                () = sleep_until(self.next_event), if wants_to_ask && self.subscribed => {}
            }
        }
    }

    /// Sends the event that is due: the unanswered one again on a new connection, or a new one.
    fn ask(&mut self, orders: Orders, output: &mut Vec<u8>) {
        if self.unanswered.is_none() {
            match orders.load {
                Load::Flow if Instant::now() >= self.next_event => {
                    self.unanswered = Some(self.make_event());
                    self.asked = false;
                }
                Load::Finish => {
                    let (name, phase) = (&self.serial_number, orders.phase);
                    self.shared.book(|state| state.finish(name, phase));
                }
                _ => {}
            }
        }
        let Some(Event { payload, .. }) = &self.unanswered else { return };
        if self.subscribed && !self.asked {
            self.asked = true;
            let publish = Publish {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: false,
                packet_id: Some(id(EVENT)),
                topic: &events_topic(&self.serial_number),
                properties: Properties::EMPTY,
                payload,
            };
            push(output, &Packet::Publish(publish));
        }
    }

    /// The next event of a flight, which is flown over and over.
    fn make_event(&mut self) -> Event {
        let tid = uuid(&mut self.random);
        let steps: Vec<_> = flight::events().map(|(_, progress)| progress).collect();
        let progress = &steps[self.events % steps.len()];
        self.events += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = now.as_millis() as u64;
        let event = event(&self.serial_number, &self.flight_id, &tid, now, progress);
        Event { tid, payload: event.to_string().into_bytes() }
    }

    fn handle(&mut self, packet: &Packet<'_>, output: &mut Vec<u8>) {
        match packet {
            Packet::Suback(Codes { reasons, .. })
                if !reasons.iter().any(|reason| reason.is_error()) =>
            {
                self.subscribed = true;
            }
            Packet::Puback(ack) if !ack.reason.is_error() => {}
            Packet::Publish(publish) => {
                if let Some(packet_id) = publish.packet_id {
                    let ack = Ack::new(packet_id, ReasonCode::Success);
                    push(output, &Packet::Puback(ack));
                }
                self.answered(publish.payload);
            }
            _ => {
                let (client, what) = (self.serial_number.clone(), format!("{packet:?}"));
                self.shared.report(Finding::Refused { client, what });
            }
        }
    }

    fn answered(&mut self, reply: &[u8]) {
        let client = || self.serial_number.clone();
        match check_reply(reply, &self.flight_id) {
            Ok(tid) if self.unanswered.as_ref().is_some_and(|event| event.tid == tid) => {
                let gateway = &self.serial_number;
                self.shared.book(|state| state.ledger.answered(tid, gateway));
                self.unanswered = None;
                self.next_event = Instant::now() + PAUSE;
            }
            // An event that was sent on two connections may be answered twice.
            Ok(tid) if self.shared.book(|state| state.ledger.is_answered(tid)) => {}
            Ok(tid) => {
                let packet = format!("the answer to {tid}, which was not asked");
                self.shared.report(Finding::Unexpected { client: client(), packet });
            }
            Err(wrong) => {
                let packet = wrong.to_owned();
                self.shared.report(Finding::Unexpected { client: client(), packet });
            }
        }
    }
}

/// A UUID (version 4) of the run's random numbers.
fn uuid(random: &mut Random) -> String {
    let (high, low) = (random.next(), random.next());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFF,
        low >> 48 & 0x3FFF | 0x8000,
        low & 0xFFFF_FFFF_FFFF
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_shape() {
        let uuid = uuid(&mut Random::new(3));
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(uuid.split('-').nth(2).unwrap().starts_with('4'));
    }
}
