//! `pubsub`: publishers in a closed loop, subscribers that must get every message once and in order.
//!
//! One thread, so that it can be pinned and its own share of a core is known. A message is over once every subscriber
//! has it. The last line is JSON.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use dockside_mqtt::packet::Packet;
use dockside_mqtt::property::Properties;
use dockside_mqtt::{PacketId, QoS, Version, codec};
use docksim::client::Client;
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, timeout_at};

/// How long the last deliveries may take after the load has ended.
const GRACE: Duration = Duration::from_secs(3);

/// Publisher and number stand at the begin of each payload.
const MARK: usize = 12;

/// Load a broker with publishers and subscribers
#[derive(Clone, Parser)]
struct Arguments {
    /// Address of the broker
    #[arg(long)]
    broker: SocketAddr,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    publishers: u32,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    subscribers: u32,
    /// Messages of one publisher that are on their way
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    window: u16,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    qos: u8,
    /// Bytes of each message, 12 at least
    #[arg(long, default_value_t = 256)]
    bytes: usize,
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

/// What is on its way from one publisher.
#[derive(Default)]
struct Way {
    /// Number of the oldest message that somebody waits for.
    first: u64,
    /// When each since then was sent, and how many have not got it.
    waiting: VecDeque<(Option<Instant>, u32)>,
    acknowledged: u64,
    has_room: Rc<Notify>,
}

impl Way {
    fn sent(&self) -> u64 {
        self.first + self.waiting.len() as u64
    }

    /// One more has a message; when that was sent if it was the last one.
    fn delivered(&mut self, number: u64) -> Option<Instant> {
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let (sent, left) = at.and_then(|at| self.waiting.get_mut(at))?;
        *left = left.saturating_sub(1);
        let over = if *left == 0 { sent.take() } else { None };
        while self.waiting.front().is_some_and(|(_, left)| *left == 0) {
            self.waiting.pop_front();
            self.first += 1;
        }
        if over.is_some() {
            self.has_room.notify_one();
        }
        over
    }
}

/// Packet identifier of a publisher's message.
fn id(number: u64) -> u16 {
    (number % 65_535 + 1) as u16
}

struct Ledger {
    ways: Vec<Way>,
    delivered: u64,
    /// Of them, in the time of the load.
    in_time: u64,
    until: Instant,
    wrong: u64,
    not_delivered: u64,
    not_acknowledged: u64,
    /// From publish to the last delivery, nanoseconds.
    round_trips: Histogram<u64>,
}

type Shared = Rc<RefCell<Ledger>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match LocalSet::new().run_until(run(Arguments::parse())).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("pubsub: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> io::Result<bool> {
    let qos = if arguments.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
    let ways = (0..arguments.publishers).map(|_| Way::default()).collect();
    let ledger: Shared = Rc::new(RefCell::new(Ledger::new(ways)?));
    let broker = arguments.broker.into();
    let mut subscribers = Vec::new();
    for number in 0..arguments.subscribers {
        let mut client = Client::connect(&broker, &format!("subscriber{number}"), "").await?;
        client.subscribe("pubsub/+", qos).await?;
        let next = vec![0; arguments.publishers as usize];
        subscribers.push(spawn_local(subscribe(client, next, qos, Rc::clone(&ledger))));
    }
    let mut clients = Vec::new();
    for number in 0..arguments.publishers {
        clients.push(Client::connect(&broker, &format!("publisher{number}"), "").await?);
    }
    let until = Instant::now() + Duration::from_secs_f64(arguments.seconds);
    ledger.borrow_mut().until = until;
    let publish = |(number, client)| {
        let publisher = Publisher::new(client, number, &arguments, qos, until, Rc::clone(&ledger));
        spawn_local(publisher.run())
    };
    let publishers: Vec<_> = (0..).zip(clients).map(publish).collect();
    for publisher in publishers {
        publisher.await.map_err(io::Error::other)??;
    }
    for subscriber in subscribers {
        if subscriber.is_finished() {
            subscriber.await.map_err(io::Error::other)??;
        } else {
            subscriber.abort();
        }
    }
    let ledger = ledger.borrow();
    Ok(report(&arguments, &ledger))
}

/// One publisher.
struct Publisher {
    client: Client,
    number: usize,
    /// A PUBLISH as bytes, in which only identifier and mark change.
    template: Vec<u8>,
    payload_at: usize,
    qos: QoS,
    window: usize,
    subscribers: u32,
    until: Instant,
    shared: Shared,
}

impl Publisher {
    fn new(
        client: Client,
        number: u32,
        arguments: &Arguments,
        qos: QoS,
        until: Instant,
        shared: Shared,
    ) -> Self {
        let mut payload = vec![b'x'; arguments.bytes.max(MARK)];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        let topic = format!("pubsub/{number}");
        let (properties, payload) = (Properties::EMPTY, &payload[..]);
        let message =
            codec::Message { topic: &topic, properties, payload, expiry: None, alias: None };
        let id = (qos != QoS::AtMostOnce).then_some(PacketId::MIN);
        let mut template = Vec::new();
        codec::publish(&mut template, Version::V311, &message, (qos, id), false, &[]);
        let payload_at = template.len() - payload.len();
        let (window, subscribers) = (usize::from(arguments.window), arguments.subscribers);
        let number = number as usize;
        Self { client, number, template, payload_at, qos, window, subscribers, until, shared }
    }

    /// Publishes until it is time, then waits until every message is over.
    async fn run(mut self) -> io::Result<()> {
        let has_room = Rc::clone(&self.shared.borrow().ways[self.number].has_room);
        loop {
            let now = Instant::now();
            if now < self.until {
                self.fill(now);
                self.client.flush().await?;
            } else if self.is_over() {
                return Ok(());
            }
            let more = async {
                tokio::select! {
                    read = self.client.read() => read,
                    () = has_room.notified() => Ok(()),
                }
            };
            match timeout_at(self.until + GRACE, more).await {
                Ok(done) => done?,
                Err(_) => {
                    self.give_up();
                    return Ok(());
                }
            }
            let ledger = &mut *self.shared.borrow_mut();
            self.client.packets(|packet, _| {
                if let Packet::Puback(ack) = packet {
                    ledger.acknowledged(self.number, ack.packet_id);
                }
            })?;
        }
    }

    fn fill(&mut self, now: Instant) {
        let way = &mut self.shared.borrow_mut().ways[self.number];
        let is_acknowledged = self.qos != QoS::AtMostOnce;
        loop {
            let number = way.sent();
            let unacknowledged = if is_acknowledged { number - way.acknowledged } else { 0 };
            if way.waiting.len().max(unacknowledged as usize) >= self.window {
                return;
            }
            if is_acknowledged {
                self.template[self.payload_at - 2..self.payload_at]
                    .copy_from_slice(&id(number).to_be_bytes());
            }
            let mark = self.payload_at + 4..self.payload_at + MARK;
            self.template[mark].copy_from_slice(&number.to_be_bytes());
            self.client.output.extend_from_slice(&self.template);
            way.waiting.push_back((Some(now), self.subscribers));
        }
    }

    fn is_over(&self) -> bool {
        let way = &self.shared.borrow().ways[self.number];
        way.waiting.is_empty() && (self.qos == QoS::AtMostOnce || way.acknowledged >= way.sent())
    }

    fn give_up(&self) {
        let ledger = &mut *self.shared.borrow_mut();
        let way = &ledger.ways[self.number];
        ledger.not_delivered += way.waiting.iter().map(|(_, left)| u64::from(*left)).sum::<u64>();
        if self.qos != QoS::AtMostOnce {
            ledger.not_acknowledged += way.sent().saturating_sub(way.acknowledged);
        }
    }
}

/// Takes everything until it is aborted; `next` is the next number of each publisher.
async fn subscribe(
    mut client: Client,
    mut next: Vec<u64>,
    qos: QoS,
    shared: Shared,
) -> io::Result<()> {
    loop {
        client.read().await?;
        let now = Instant::now();
        client.packets(|packet, _| {
            if let Packet::Publish(publish) = packet {
                let is_of_quality = publish.qos == qos;
                shared.borrow_mut().got(publish.payload, is_of_quality, &mut next, now);
            }
        })?;
        client.flush().await?;
    }
}

impl Ledger {
    fn new(ways: Vec<Way>) -> io::Result<Self> {
        let round_trips = Histogram::new_with_bounds(1, 60_000_000_000, 3);
        Ok(Self {
            ways,
            delivered: 0,
            in_time: 0,
            until: Instant::now(),
            wrong: 0,
            not_delivered: 0,
            not_acknowledged: 0,
            round_trips: round_trips.map_err(io::Error::other)?,
        })
    }

    /// In the order of the messages (section 4.6).
    fn acknowledged(&mut self, publisher: usize, packet_id: PacketId) {
        let way = &mut self.ways[publisher];
        if way.acknowledged < way.sent() && packet_id.get() == id(way.acknowledged) {
            way.acknowledged += 1;
        } else {
            self.wrong += 1;
        }
    }

    fn got(&mut self, payload: &[u8], is_of_quality: bool, next: &mut [u64], now: Instant) {
        let marks = payload.first_chunk::<4>().zip(payload.get(4..MARK));
        let due = marks.and_then(|(publisher, number)| {
            let publisher = u32::from_be_bytes(*publisher) as usize;
            let number = u64::from_be_bytes(number.try_into().ok()?);
            let due = next.get_mut(publisher)?;
            (*due == number && is_of_quality).then_some((due, publisher))
        });
        let Some((due, publisher)) = due else {
            self.wrong += 1;
            return;
        };
        self.delivered += 1;
        self.in_time += u64::from(now < self.until);
        if let Some(sent) = self.ways[publisher].delivered(*due) {
            self.round_trips.saturating_record((now - sent).as_nanos() as u64);
        }
        *due += 1;
    }
}

/// Prints it; whether every message came once, in order, and was acknowledged.
fn report(arguments: &Arguments, ledger: &Ledger) -> bool {
    let us = |quantile: f64| ledger.round_trips.value_at_quantile(quantile) as f64 / 1000.0;
    let line = json!({
        "events": ledger.delivered,
        "events_per_second": ledger.in_time as f64 / arguments.seconds,
        "tool_cpu_s": docksim::load::cpu_seconds(),
        "p50_us": us(0.5), "p99_us": us(0.99),
        "wrong": ledger.wrong, "not_delivered": ledger.not_delivered,
        "missing": ledger.not_acknowledged,
    });
    println!("{line}");
    ledger.delivered > 0 && [ledger.wrong, ledger.not_delivered, ledger.not_acknowledged] == [0; 3]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One publisher with so many messages on their way to two subscribers.
    fn ledger(sent: usize) -> Ledger {
        let waiting = vec![(Some(Instant::now()), 2); sent].into();
        Ledger::new(vec![Way { waiting, ..Way::default() }]).unwrap()
    }

    fn payload(publisher: u32, number: u64) -> Vec<u8> {
        [&publisher.to_be_bytes()[..], &number.to_be_bytes()].concat()
    }

    #[test]
    fn a_message_is_over_once_all_have_it() {
        let (mut ledger, mut next) = (ledger(2), [[0]; 2]);
        for (subscriber, number) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let over = ledger.round_trips.len();
            ledger.got(&payload(0, number), true, &mut next[subscriber], Instant::now());
            assert_eq!(ledger.round_trips.len() - over, subscriber as u64);
        }
        assert_eq!((ledger.delivered, ledger.wrong), (4, 0));
        assert!(ledger.ways[0].waiting.is_empty() && ledger.ways[0].sent() == 2);
    }

    #[test]
    fn what_is_lost_doubled_out_of_order_or_no_message_is_wrong() {
        let mut ledger = ledger(3);
        let mut next = [0];
        ledger.got(&payload(0, 0), true, &mut next, Instant::now());
        for (payload, is_of_quality) in [
            (payload(0, 0), true),
            (payload(0, 2), true),
            (payload(0, 1), false),
            (payload(1, 1), true),
            (vec![0; MARK - 1], true),
        ] {
            let before = ledger.wrong;
            ledger.got(&payload, is_of_quality, &mut next, Instant::now());
            assert_eq!(ledger.wrong, before + 1, "{payload:?}");
        }
        assert_eq!(ledger.delivered, 1);
        assert_eq!(ledger.ways[0].waiting.len(), 3, "the other subscriber waits for it");
    }

    #[test]
    fn an_acknowledgement_out_of_order_or_too_many_is_wrong() {
        let mut ledger = ledger(2);
        for (packet_id, wrong) in [(2, 1), (1, 1), (1, 2), (2, 2), (3, 3)] {
            ledger.acknowledged(0, PacketId::new(packet_id).unwrap());
            assert_eq!(ledger.wrong, wrong, "{packet_id}");
        }
        assert_eq!(ledger.ways[0].acknowledged, 2);
    }
}
