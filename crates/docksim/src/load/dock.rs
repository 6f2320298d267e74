//! One dock in a closed loop.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use dockside_mqtt::packet::Packet;
use dockside_mqtt::{PacketId, QoS, Version, codec};
use tokio::time::{Instant, timeout_at};

use super::{Plan, Shared, read_tid, serial_number, tid};
use crate::client::Client;
use crate::event::{self, Progress};
use crate::fly::now_ms;

/// A dock that keeps `window` events unanswered.
pub(super) struct Dock {
    client: Client,
    sender: Sender,
    shared: Shared,
}

/// What a dock knows of its events.
struct Sender {
    number: u32,
    window: u16,
    bid: String,
    reply_topic: String,
    template: Template,
    /// When each event since `first` was sent; none once it is answered.
    waiting: VecDeque<Option<Instant>>,
    first: u64,
    unanswered: u16,
}

/// One PUBLISH as bytes, in which only identifier and `tid` change from event to event.
struct Template {
    bytes: Vec<u8>,
    packet_id: Option<usize>,
    tid: usize,
}

impl Template {
    fn new(serial_number: &str, bid: &str, qos: QoS) -> Self {
        let progress = Progress {
            status: "in_progress",
            step: 25,
            percent: 50,
            waypoint: 3,
            mission_state: 6,
            media_count: 0,
        };
        let marker = tid(0, 0);
        let payload = event::event(serial_number, bid, &marker, now_ms(), &progress).to_string();
        let topic = event::events_topic(serial_number);
        let message = codec::Message {
            topic: &topic,
            properties: dockside_mqtt::property::Properties::EMPTY,
            payload: payload.as_bytes(),
            expiry: None,
            alias: None,
        };
        let id = (qos != QoS::AtMostOnce).then_some(PacketId::MIN);
        let mut bytes = Vec::new();
        codec::publish(&mut bytes, Version::V311, &message, (qos, id), false, &[]);
        let payload_at = bytes.len() - payload.len();
        let at = payload.find(&marker).unwrap_or(0);
        Self { packet_id: id.map(|_| payload_at - 2), tid: payload_at + at, bytes }
    }

    fn append(&mut self, out: &mut Vec<u8>, dock: u32, number: u64) {
        if let Some(at) = self.packet_id {
            let id = (number % 65_535 + 1) as u16;
            self.bytes[at..at + 2].copy_from_slice(&id.to_be_bytes());
        }
        let tid = tid(dock, number);
        self.bytes[self.tid..self.tid + tid.len()].copy_from_slice(tid.as_bytes());
        out.extend_from_slice(&self.bytes);
    }
}

impl Dock {
    pub(super) async fn connect(plan: &Plan, number: u32, shared: Shared) -> io::Result<Self> {
        let serial_number = serial_number(number);
        let mut client = Client::connect(&plan.broker, &serial_number, &serial_number).await?;
        let reply_topic = event::reply_topic(&serial_number);
        client.subscribe(&reply_topic, plan.qos.min(QoS::AtLeastOnce)).await?;
        let bid = format!("f11ea5ed-0000-4000-8000-{number:012x}");
        let sender = Sender {
            number,
            window: plan.window,
            template: Template::new(&serial_number, &bid, plan.qos),
            bid,
            reply_topic,
            waiting: VecDeque::new(),
            first: 0,
            unanswered: 0,
        };
        Ok(Self { client, sender, shared })
    }

    /// Sends events until `until`, then waits for the last replies.
    pub(super) async fn run(mut self, until: Instant, grace: Duration) -> io::Result<()> {
        let mut sending = true;
        self.sender.fill(&mut self.client.output);
        self.client.flush().await?;
        while sending || self.sender.unanswered > 0 {
            match timeout_at(until + grace, self.client.read()).await {
                Ok(read) => read?,
                Err(_) => break,
            }
            let now = Instant::now();
            sending = now < until;
            self.receive(now, !sending)?;
            if sending {
                self.sender.fill(&mut self.client.output);
            }
            self.client.flush().await?;
        }
        let mut ledger = self.shared.borrow_mut();
        ledger.report.missing += u64::from(self.sender.unanswered);
        ledger.sent[self.sender.number as usize] =
            self.sender.first + self.sender.waiting.len() as u64;
        ledger.finished += 1;
        Ok(())
    }

    fn receive(&mut self, now: Instant, is_late: bool) -> io::Result<()> {
        let report = &mut self.shared.borrow_mut().report;
        let sender = &mut self.sender;
        self.client.packets(|packet, _| {
            if let Packet::Publish(publish) = packet {
                sender.answered(publish.topic, publish.payload, (now, is_late), report);
            }
        })
    }
}

impl Sender {
    fn fill(&mut self, out: &mut Vec<u8>) {
        let now = Instant::now();
        while self.unanswered < self.window {
            let number = self.first + self.waiting.len() as u64;
            self.template.append(out, self.number, number);
            self.waiting.push_back(Some(now));
            self.unanswered += 1;
        }
    }

    fn answered(
        &mut self,
        topic: &str,
        payload: &[u8],
        (now, is_late): (Instant, bool),
        report: &mut super::Report,
    ) {
        let checked = event::check_reply(payload, &self.bid).ok().and_then(read_tid);
        let Some((_, number)) =
            checked.filter(|(dock, _)| topic == self.reply_topic && *dock == self.number)
        else {
            report.wrong += 1;
            return;
        };
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let slot = at.and_then(|at| self.waiting.get_mut(at));
        match slot.and_then(Option::take) {
            Some(sent) => {
                self.unanswered -= 1;
                report.replied(now - sent, is_late);
            }
            None => report.duplicate += 1,
        }
        while self.waiting.front() == Some(&None) {
            self.waiting.pop_front();
            self.first += 1;
        }
    }
}
