//! One dock of a site: its script against a broker.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use dockside_mqtt::packet::Packet;
use dockside_mqtt::{PacketId, QoS};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::course::Phase;
use super::ledger::{Heard, Ledger};
use super::message::{Sender, status_topic};
use super::plan::{Action, Aircraft, Event};
use super::report::Tally;
use crate::client::Client;
use crate::event;
use crate::fly::now_ms;
use crate::target::Target;

/// From one attempt to connect to the next: doubled from the first to the last of these.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// For a connection, a login and two subscriptions.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// The time of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// When the script began.
    pub(super) began: Instant,
    /// The same by the docks' clocks, in milliseconds since 1970.
    pub(super) began_ms: u64,
    /// How much quicker than the script's the run's time is.
    pub(super) speed: f64,
    /// As in [`Pace`](super::Pace).
    pub(super) patience: Duration,
    /// When the last reply must have come.
    pub(super) deadline: Instant,
}

impl Clock {
    fn since(&self, at_ms: u64) -> Duration {
        Duration::from_secs_f64(at_ms as f64 / 1_000.0 / self.speed)
    }

    fn at(&self, at_ms: u64) -> Instant {
        self.began + self.since(at_ms)
    }

    fn stamp(&self, at_ms: u64) -> u64 {
        self.began_ms + self.since(at_ms).as_millis() as u64
    }
}

/// Why a connection ended without an error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The script says so.
    LinkLost,
    /// Everything is sent and answered, or it is too late.
    Done,
}

/// A dock at work.
pub(super) struct Player<'a> {
    broker: &'a Target,
    clock: Clock,
    sender: Sender<'a>,
    /// By number, with their time in the script.
    events: Vec<(u64, &'a Event)>,
    ledger: Ledger<'a>,
    tally: Tally,
    /// What of the script comes next.
    next: usize,
    aircraft: Option<Rc<Aircraft>>,
    operated_s: Option<u64>,
    topologies: u32,
    /// Events by the time they were sent on this connection; some of them have their reply.
    waiting: VecDeque<(Instant, u32)>,
    packet_id: u16,
    /// No connection before that.
    offline_until: Instant,
    /// Since when this connection lasts.
    online_since: Instant,
}

/// A dock that has played its script.
pub(super) struct Played<'a> {
    pub(super) tally: Tally,
    pub(super) ledger: Ledger<'a>,
    pub(super) aircraft: Option<Rc<Aircraft>>,
}

impl<'a> Player<'a> {
    pub(super) fn new(broker: &'a Target, clock: Clock, sender: Sender<'a>) -> Self {
        let events = sender.dock.script.iter().filter_map(|entry| match &entry.action {
            Action::Event(event) => Some((entry.at_ms, event)),
            _ => None,
        });
        Self {
            broker,
            clock,
            sender,
            events: events.collect(),
            ledger: Ledger::new(sender),
            tally: Tally::default(),
            next: 0,
            aircraft: None,
            operated_s: None,
            topologies: 0,
            waiting: VecDeque::new(),
            packet_id: 0,
            offline_until: clock.began,
            online_since: clock.began,
        }
    }

    /// Plays the script to its end, over as many connections as that takes.
    pub(super) async fn run(mut self) -> Played<'a> {
        while let Some(mut client) = self.connect().await {
            let ended = self.play(&mut client).await;
            match ended {
                Ok(End::LinkLost) => self.tally.links_lost += 1,
                Ok(End::Done) => {
                    // Nobody waits for what a goodbye comes to.
                    let _ = timeout(CONNECT_TIME, client.disconnect()).await;
                    break;
                }
                Err(error) => {
                    self.tally.broken(&self.sender.dock.sn, &error);
                    // A broker that takes connections and closes them is not asked without a pause.
                    self.offline_until = Instant::now() + BACKOFF.0;
                }
            }
        }
        let late =
            self.ledger.unanswered().filter(|number| !self.tally.unanswered.contains(number));
        self.tally.missing += late.count() as u64;
        self.tally.missing += (self.events.len() as u64).saturating_sub(self.tally.events);
        Played { tally: self.tally, ledger: self.ledger, aircraft: self.aircraft }
    }

    /// A connection on which all is said again that may have been lost; none if it is too late.
    async fn connect(&mut self) -> Option<Client> {
        let mut pause = BACKOFF.0;
        let attempts = self.clock.deadline;
        sleep_until(self.offline_until.min(attempts)).await;
        let mut client = loop {
            match timeout(CONNECT_TIME, self.greet()).await {
                Ok(Ok(client)) => break client,
                _ if Instant::now() + pause >= attempts => return None,
                _ => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(BACKOFF.1);
        };
        self.tally.connections += 1;
        self.online_since = Instant::now();
        self.waiting.clear();
        if self.tally.connections > 1 {
            if self.topologies > 0 {
                self.send_topology(&mut client);
            }
            if let Some(operated_s) = self.operated_s {
                self.send(&mut client, &self.sender.state(operated_s, now_ms()));
            }
        }
        for number in self.ledger.unanswered().collect::<Vec<_>>() {
            self.send_event(&mut client, number);
        }
        Some(client)
    }

    async fn greet(&self) -> io::Result<Client> {
        let sn = &self.sender.dock.sn;
        let mut client = Client::connect(self.broker, sn, sn).await?;
        let status_reply = format!("{}_reply", status_topic(sn));
        client.subscribe(&status_reply, QoS::AtLeastOnce).await?;
        client.subscribe(&event::reply_topic(sn), QoS::AtLeastOnce).await?;
        Ok(client)
    }

    async fn play(&mut self, client: &mut Client) -> io::Result<End> {
        loop {
            let is_lost = self.send_due(client);
            self.send_overdue(client);
            let flushed = timeout_at(self.clock.deadline, client.flush()).await;
            let now = Instant::now();
            match flushed {
                Ok(flushed) => flushed?,
                Err(_) => return Ok(End::Done),
            }
            if is_lost {
                return Ok(End::LinkLost);
            }
            let next = self.sender.dock.script.get(self.next).map(|entry| entry.at_ms);
            if now >= self.clock.deadline || (next.is_none() && self.ledger.is_settled()) {
                return Ok(End::Done);
            }
            let due = next.map(|at_ms| self.clock.at(at_ms));
            let overdue = self.waiting.front().map(|(sent, _)| *sent + self.clock.patience);
            let wake = due.into_iter().chain(overdue).min().unwrap_or(self.clock.deadline);
            if let Ok(read) = timeout_at(wake.min(self.clock.deadline), client.read()).await {
                read?;
                self.receive(client)?;
            }
        }
    }

    /// Sends what the script has until now; `true` if the link is lost with it.
    fn send_due(&mut self, client: &mut Client) -> bool {
        let now = Instant::now();
        let dock = self.sender.dock;
        while let Some(entry) = dock.script.get(self.next) {
            let due = self.clock.at(entry.at_ms);
            if due > now {
                break;
            }
            self.next += 1;
            let was_online = due >= self.online_since;
            match &entry.action {
                Action::Topology(aircraft) => {
                    self.aircraft.clone_from(aircraft);
                    self.send_topology(client);
                }
                Action::State(operated_s) => {
                    self.operated_s = Some(*operated_s);
                    let state = self.sender.state(*operated_s, self.clock.stamp(entry.at_ms));
                    self.send(client, &state);
                }
                // What is only of the moment is not kept for later.
                Action::Osd(phase) if was_online => {
                    self.send_osd(client, *phase, self.clock.stamp(entry.at_ms));
                }
                Action::Event(event) => self.send_event(client, event.number),
                Action::LinkLost(for_ms) if was_online => {
                    self.offline_until = now + self.clock.since(*for_ms);
                    return true;
                }
                Action::Osd(_) | Action::LinkLost(_) => {}
            }
        }
        false
    }

    fn send_topology(&mut self, client: &mut Client) {
        let tid = self.sender.topology_tid(self.topologies);
        self.topologies += 1;
        let message = self.sender.topology(self.aircraft.as_deref(), &tid, now_ms());
        self.send(client, &message);
    }

    fn send_osd(&mut self, client: &mut Client, phase: Phase, stamp: u64) {
        let aircraft = self.aircraft.clone();
        self.send(client, &self.sender.dock_osd(aircraft.as_deref(), phase, stamp));
        if let Some(aircraft) = aircraft {
            self.send(client, &self.sender.aircraft_osd(&aircraft, phase, stamp));
        }
    }

    fn send(&self, client: &mut Client, (topic, payload): &(String, String)) {
        client.publish(topic, payload.as_bytes(), QoS::AtMostOnce, None);
    }

    fn send_event(&mut self, client: &mut Client, number: u32) {
        let (at_ms, event) = self.events[number as usize];
        let (topic, payload) = self.sender.event(event, self.clock.stamp(at_ms));
        self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
        let packet_id = PacketId::new(self.packet_id);
        client.publish(&topic, payload.as_bytes(), QoS::AtLeastOnce, packet_id);
        if self.ledger.sent(event) {
            self.tally.resent += 1;
        } else {
            self.tally.events += 1;
        }
        self.waiting.push_back((Instant::now(), number));
    }

    /// Sends again what this connection, which held, has had no reply to for too long.
    fn send_overdue(&mut self, client: &mut Client) {
        let before = Instant::now().checked_sub(self.clock.patience);
        while let Some(&(sent, number)) = self.waiting.front() {
            if !self.ledger.is_answered(number) {
                if before.is_none_or(|before| sent > before) {
                    break;
                }
                if self.tally.unanswered.insert(number) {
                    self.tally.missing += 1;
                }
                self.send_event(client, number);
            }
            self.waiting.pop_front();
        }
    }

    fn receive(&mut self, client: &mut Client) -> io::Result<()> {
        let reply_topic = event::reply_topic(&self.sender.dock.sn);
        let Self { ledger, tally, waiting, sender, topologies, .. } = self;
        client.packets(|packet, _| {
            let Packet::Publish(publish) = packet else { return };
            if publish.topic == reply_topic {
                match ledger.hear(publish.payload, now_ms()) {
                    Ok(Heard::First(number)) => {
                        let sent = waiting.iter().find(|(_, waits)| *waits == number);
                        tally.replied(sent.map(|(sent, _)| sent.elapsed()));
                    }
                    Ok(Heard::Again(_)) => tally.again += 1,
                    Err(wrong) => tally.wrong(&sender.dock.sn, wrong),
                }
            } else {
                let of = |number| sender.topology_tid(number);
                match crate::onboard::check::status_reply(publish.payload) {
                    Ok(tid) if (0..*topologies).rev().any(|number| of(number) == tid) => {
                        tally.topology_replies += 1;
                    }
                    Ok(tid) => tally.wrong(&sender.dock.sn, format!("status_reply to {tid}")),
                    Err(wrong) => tally.wrong(&sender.dock.sn, wrong),
                }
            }
        })
    }
}
