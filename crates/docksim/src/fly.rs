//! `docksim fly`: one realistic flight.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dockside_mqtt::packet::Packet;
use dockside_mqtt::{PacketId, QoS};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, timeout};

use crate::client::Client;
use crate::event::{self, Progress};
use crate::flight;
use crate::target::Target;

/// How long a dock waits for a reply here, before it counts as missing.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a flight went.
#[derive(Debug, Default)]
pub struct Summary {
    /// Events sent.
    pub events: u32,
    /// Replies that were right.
    pub replies: u32,
    /// Replies that were wrong.
    pub wrong: u32,
    /// Events without a reply.
    pub missing: u32,
    /// Round trips of the right replies.
    pub round_trips: Vec<Duration>,
}

impl Summary {
    /// Whether every event got its reply.
    #[must_use]
    pub fn is_perfect(&self) -> bool {
        self.events > 0 && self.replies == self.events && self.wrong == 0
    }
}

/// Flies one task: an event every `pace`, each waiting for its reply.
///
/// # Errors
/// The connection fails.
pub async fn fly(broker: &Target, serial_number: &str, pace: Duration) -> io::Result<Summary> {
    let mut client = Client::connect(broker, serial_number, serial_number).await?;
    client.subscribe(&event::reply_topic(serial_number), QoS::AtLeastOnce).await?;
    println!("{serial_number} connected to {}", broker.address);
    let flight_id = format!("f11ea5ed-0000-4000-8000-{:012x}", now_ms() & 0xFFFF_FFFF_FFFF);
    let bar = ProgressBar::new(100).with_style(
        ProgressStyle::with_template("  [{bar:40}] {pos:>3} %  {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut summary = Summary::default();
    for (number, (step_name, progress)) in (1u16..).zip(flight::events()) {
        bar.set_position(progress.percent.into());
        bar.set_message(step_name);
        let began = Instant::now();
        let tid = format!("d0c5141d-0000-4000-8000-{number:012x}");
        let event = event::event(serial_number, &flight_id, &tid, now_ms(), &progress);
        let topic = event::events_topic(serial_number);
        let payload = event.to_string();
        client.publish(&topic, payload.as_bytes(), QoS::AtLeastOnce, PacketId::new(number));
        client.flush().await?;
        summary.events += 1;
        let waited = timeout(PATIENCE, reply(&mut client, serial_number, &flight_id, &tid)).await;
        let outcome = match waited {
            Ok(answered) => match answered? {
                Ok(()) => {
                    summary.replies += 1;
                    summary.round_trips.push(began.elapsed());
                    format!("result 0 after {}", milliseconds(began.elapsed()))
                }
                Err(wrong) => {
                    summary.wrong += 1;
                    format!("WRONG REPLY: {wrong}")
                }
            },
            Err(_) => {
                summary.missing += 1;
                format!("NO REPLY within {} s", PATIENCE.as_secs())
            }
        };
        bar.suspend(|| println!("{}", line(number, step_name, &progress, &outcome)));
        tokio::time::sleep_until(began + pace).await;
    }
    bar.finish_and_clear();
    client.disconnect().await?;
    Ok(summary)
}

fn line(number: u16, step_name: &str, progress: &Progress<'_>, outcome: &str) -> String {
    let Progress { status, step, percent, .. } = progress;
    format!("{number:>4}  {status:<11} {percent:>3} %  step {step:<2} {step_name:<28} {outcome}")
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

/// Waits for the reply to one event; the inner error says what was wrong with it.
async fn reply(
    client: &mut Client,
    serial_number: &str,
    flight_id: &str,
    tid: &str,
) -> io::Result<Result<(), &'static str>> {
    let topic = event::reply_topic(serial_number);
    let mut found = None;
    loop {
        client.packets(|packet, _| {
            if let Packet::Publish(publish) = packet
                && publish.topic == topic
            {
                found = match event::check_reply(publish.payload, flight_id) {
                    Ok(answered) if answered == tid => Some(Ok(())),
                    // A late reply to an event that was given up.
                    Ok(_) => found.take(),
                    Err(wrong) => Some(Err(wrong)),
                };
            }
        })?;
        client.flush().await?;
        if let Some(found) = found {
            return Ok(found);
        }
        client.read().await?;
    }
}

/// Milliseconds since 1970, as a dock's clock.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
