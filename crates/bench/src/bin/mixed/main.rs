//! `mixed`: a site as it is, at its own pace: docks with telemetry, events and some with DRC, and applications that
//! get all of it.
//!
//! Everything is sent when it is due, and its time counts from then. One thread, so that it can be pinned and its own share of a
//! core is known. The last line is JSON.

mod ledger;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use dockside_mqtt::packet::Packet;
use dockside_mqtt::{PacketId, QoS};
use docksim::client::Client;
use docksim::event;
use docksim::load::{read_tid, serial_number};
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep_until, timeout_at};

use self::ledger::{Kind, Ledger, flight, nothing, phase, step};

/// How long the last messages may take after the load has ended.
const GRACE: Duration = Duration::from_secs(3);

/// Load a broker with a whole site at its own pace
#[derive(Clone, Parser)]
struct Arguments {
    /// Address of the broker
    #[arg(long)]
    broker: SocketAddr,
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    docks: u32,
    /// Docks that are flown by hand besides
    #[arg(long, default_value_t = 20)]
    drc: u32,
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    apps: u32,
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

/// Of a dock's clock.
const TICK: Duration = Duration::from_millis(100);

type Shared = Rc<RefCell<Ledger>>;

/// A dock.
struct Dock {
    client: Client,
    number: u32,
    is_drc: bool,
    next: [Vec<u64>; 5],
    /// Number of each event that was not answered, and when it was sent.
    waiting: VecDeque<(u64, Instant)>,
    packet_id: u16,
    shared: Shared,
}

impl Dock {
    async fn connect(arguments: &Arguments, number: u32, shared: Shared) -> io::Result<Self> {
        let sn = serial_number(number);
        let is_drc = number < arguments.drc;
        let mut client = Client::connect(&arguments.broker.into(), &sn, &sn).await?;
        client.subscribe(&event::reply_topic(&sn), QoS::AtLeastOnce).await?;
        if is_drc {
            client.subscribe(&Kind::DrcDown.topic(&sn), QoS::AtMostOnce).await?;
        }
        let (next, waiting) = (nothing(arguments.docks), VecDeque::new());
        Ok(Self { client, number, is_drc, next, waiting, packet_id: 0, shared })
    }

    /// Until it is aborted. What is due is sent, however late that is.
    async fn run(mut self, phase: Duration, step: u32) -> io::Result<()> {
        let (began, until) = (self.shared.borrow().began, self.shared.borrow().until);
        let (mut due, mut tick) = (began + phase, 0);
        loop {
            tokio::select! {
                read = self.client.read() => {
                    read?;
                    self.receive()?;
                }
                () = sleep_until(due), if due < until => {
                    self.send(tick, due);
                    tick += u64::from(step);
                    due += TICK * step;
                }
            }
            self.client.flush().await?;
        }
    }

    fn send(&mut self, tick: u64, due: Instant) {
        let sn = serial_number(self.number);
        for kind in [Kind::Osd, Kind::State, Kind::Events, Kind::DrcUp] {
            if !tick.is_multiple_of(kind.every()) || (kind == Kind::DrcUp && !self.is_drc) {
                continue;
            }
            let payload = self.shared.borrow_mut().payload(kind, self.number, due);
            let mut id = None;
            if kind == Kind::Events {
                let number = self.shared.borrow().sent[kind as usize][self.number as usize] - 1;
                self.waiting.push_back((number, due));
                self.packet_id = self.packet_id % 65_535 + 1;
                id = PacketId::new(self.packet_id);
            }
            self.client.publish(&kind.topic(&sn), payload.as_bytes(), kind.qos(), id);
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let (ledger, bid) = (&mut *self.shared.borrow_mut(), flight(self.number));
        let reply_topic = event::reply_topic(&serial_number(self.number));
        self.client.packets(|packet, _| {
            let Packet::Publish(publish) = packet else { return };
            let down = (Kind::DrcDown, self.number);
            if Kind::of(publish.topic) == Some(down) && publish.qos == QoS::AtMostOnce {
                return ledger.got(down, publish.payload, &mut self.next);
            }
            let said = event::check_reply(publish.payload, &bid).ok().and_then(read_tid);
            let is_reply = publish.topic == reply_topic && publish.qos == QoS::AtLeastOnce;
            let said = said.filter(|_| is_reply);
            let at = said.and_then(|(dock, number)| {
                self.waiting.iter().position(|(sent, _)| (dock, number) == (self.number, *sent))
            });
            match at.and_then(|at| self.waiting.remove(at)) {
                Some((_, sent)) => {
                    ledger.replies += 1;
                    ledger.reply.saturating_record(sent.elapsed().as_nanos() as u64);
                }
                None => ledger.wrong += 1,
            }
        })
    }
}

/// An application; the first one flies.
async fn app(
    mut client: Client,
    arguments: Arguments,
    flies: bool,
    shared: Shared,
) -> io::Result<()> {
    let (until, mut next) = (shared.borrow().until, nothing(arguments.docks));
    let drc = arguments.drc.min(arguments.docks);
    // One dock after the other, each at its rate.
    let (mut due, mut dock) = (shared.borrow().began, 0);
    loop {
        tokio::select! {
                    read = client.read() => {
                        read?;
                        let ledger = &mut *shared.borrow_mut();
                        client.packets(|packet, _| {
                            let Packet::Publish(publish) = packet else { return };
                            match Kind::of(publish.topic) {
        Some((kind, dock)) if kind != Kind::DrcDown && kind.qos() == publish.qos => {
                            ledger.got((kind, dock), publish.payload, &mut next);
                        }
                        _ => ledger.wrong += 1,
                            }
                        })?;
                    }
                    () = sleep_until(due), if flies && drc > 0 && due < until => {
                        let payload = shared.borrow_mut().payload(Kind::DrcDown, dock, due);
                        let topic = Kind::DrcDown.topic(&serial_number(dock));
                        client.publish(&topic, payload.as_bytes(), QoS::AtMostOnce, None);
                        dock = (dock + 1) % drc;
                        due += TICK / drc;
                    }
                }
        client.flush().await?;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match LocalSet::new().run_until(run(Arguments::parse())).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mixed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> io::Result<bool> {
    let shared: Shared = Rc::new(RefCell::new(Ledger::new(arguments.docks)?));
    let mut apps = Vec::new();
    for number in 0..arguments.apps {
        let mut client =
            Client::connect(&arguments.broker.into(), &format!("app{number}"), "").await?;
        for kind in [Kind::Osd, Kind::State, Kind::Events, Kind::DrcUp] {
            client.subscribe(&kind.topic("+"), kind.qos()).await?;
        }
        apps.push(client);
    }
    let mut docks = Vec::new();
    for number in 0..arguments.docks {
        docks.push(Dock::connect(&arguments, number, Rc::clone(&shared)).await?);
    }
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(arguments.seconds);
    (shared.borrow_mut().began, shared.borrow_mut().until) = (began, until);
    let mut running = Vec::new();
    for (number, client) in apps.into_iter().enumerate() {
        running.push(spawn_local(app(client, arguments.clone(), number == 0, Rc::clone(&shared))));
    }
    for dock in docks {
        let (phase, step) = (phase(&arguments, dock.number), step(&arguments, dock.number));
        running.push(spawn_local(dock.run(phase, step)));
    }
    sleep_until(until).await;
    let is_over = || {
        let ledger = shared.borrow();
        let (expected, not_sent) = ledger.expected(&arguments);
        not_sent == 0 && ledger.deliveries >= expected && ledger.missing_replies() == 0
    };
    let over = async {
        while !is_over() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // What is missing then is told of.
    let _ = timeout_at(until + GRACE, over).await;
    for task in running {
        if task.is_finished() {
            task.await.map_err(io::Error::other)??;
        } else {
            task.abort();
        }
    }
    Ok(report(&arguments, &shared.borrow()))
}

/// Prints it; whether everything came once and in order, and was answered.
fn report(arguments: &Arguments, ledger: &Ledger) -> bool {
    let us = |of: &Histogram<u64>, quantile| of.value_at_quantile(quantile) as f64 / 1000.0;
    let all = ledger.deliveries + ledger.replies;
    let (expected, not_sent) = ledger.expected(arguments);
    let not_delivered = expected.abs_diff(ledger.deliveries);
    let line = json!({
        "events": all,
        "events_per_second": all as f64 / arguments.seconds,
        "tool_cpu_s": docksim::load::cpu_seconds(),
        "p50_us": us(&ledger.reply, 0.5), "p99_us": us(&ledger.reply, 0.99),
        "drc_p50_us": us(&ledger.drc, 0.5), "drc_p99_us": us(&ledger.drc, 0.99),
        "replies": ledger.replies, "drc": ledger.drc.len(),
        "wrong": ledger.wrong, "not_delivered": not_delivered, "not_sent": not_sent,
        "missing": ledger.missing_replies(),
    });
    println!("{line}");
    all > 0 && [ledger.wrong, not_delivered, not_sent, ledger.missing_replies()] == [0; 4]
}
