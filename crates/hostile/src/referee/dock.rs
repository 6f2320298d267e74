//! The dock that flies meanwhile, the witness that listens to it, and a newcomer.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dockside_mqtt::QoS;
use dockside_mqtt::packet::Packet;
use docksim::client::Client;
use docksim::event::{check_reply, event, events_topic, reply_topic};
use docksim::flight;
use docksim::target::Target;
use tokio::time::{interval, sleep, timeout};

use super::book::Shared;
use crate::packets::id;

/// The dock.
const DOCK: &str = "SIMDOCK1";

/// Whoever connects after an attack.
const NEWCOMER: &str = "SIMDOCK2";

/// Ten events a second.
const PACE: Duration = Duration::from_millis(100);

/// Pause before a connection that ended is made again.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a newcomer may take, connection and flight.
const PATIENCE: Duration = Duration::from_secs(15);

/// Begin of all `tid`s and `bid`s; a number follows.
const TID: &str = "d0c5141d-0000-4000-8000-";
const BID: &str = "f11ea5ed-0000-4000-8000-";

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// The payload of an event; a flight after the other.
fn payload(serial_number: &str, number: u64) -> (Vec<u8>, String) {
    let steps: Vec<_> = flight::events().map(|(_, progress)| progress).collect();
    let bid = format!("{BID}{:012x}", number / steps.len() as u64);
    let tid = format!("{TID}{number:012x}");
    let progress = &steps[(number % steps.len() as u64) as usize];
    let event = event(serial_number, &bid, &tid, now_ms(), progress);
    (event.to_string().into_bytes(), bid)
}

/// The number of the event that a `tid` belongs to.
fn number(tid: &str) -> Option<u64> {
    u64::from_str_radix(tid.strip_prefix(TID)?, 16).ok()
}

/// A string of an object, wherever it comes from.
fn text(payload: &[u8], key: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(payload).ok()?;
    Some(value.get(key)?.as_str()?.to_owned())
}

/// Flies for as long as it is let; whatever ends its connection is written down.
pub(super) async fn fly(target: Target, shared: Arc<Shared>) {
    loop {
        if let Err(error) = fly_once(&target, &shared).await {
            shared.book().cut(format!("the dock's: {error}"));
        }
        sleep(PAUSE).await;
    }
}

async fn fly_once(target: &Target, shared: &Shared) -> io::Result<()> {
    let mut client = Client::connect(target, DOCK, DOCK).await?;
    client.subscribe(&reply_topic(DOCK), QoS::AtLeastOnce).await?;
    let topic = events_topic(DOCK);
    let mut pace = interval(PACE);
    loop {
        tokio::select! {
            _ = pace.tick() => {
                let number = shared.book().next();
                let (payload, _) = payload(DOCK, number);
                client.publish(&topic, &payload, QoS::AtLeastOnce, Some(id(number % 65_535 + 1)));
                shared.book().sent(Instant::now());
            }
            read = client.read() => {
                read?;
                let now = Instant::now();
                client.packets(|packet, _| {
                    if let Packet::Publish(publish) = packet {
                        replied(publish.payload, now, shared);
                    }
                })?;
            }
        }
        client.flush().await?;
    }
}

fn replied(reply: &[u8], now: Instant, shared: &Shared) {
    let bid = text(reply, "bid").unwrap_or_default();
    let number = check_reply(reply, &bid).ok().and_then(number);
    match number.filter(|number| payload(DOCK, *number).1 == bid) {
        Some(number) => shared.book().replied(number, now),
        None => shared.book().wrong(),
    }
}

/// Listens to the dock's events, as an application does.
pub(super) async fn witness(target: Target, shared: Arc<Shared>) {
    loop {
        if let Err(error) = witness_once(&target, &shared).await {
            shared.book().cut(format!("the witness's: {error}"));
        }
        sleep(PAUSE).await;
    }
}

async fn witness_once(target: &Target, shared: &Shared) -> io::Result<()> {
    let mut client = Client::connect(target, "witness", "").await?;
    client.subscribe(&events_topic(DOCK), QoS::AtLeastOnce).await?;
    shared.book().listening();
    loop {
        client.read().await?;
        client.packets(|packet, _| {
            if let Packet::Publish(publish) = packet
                && let Some(number) = text(publish.payload, "tid").as_deref().and_then(number)
            {
                shared.book().witnessed(number);
            }
        })?;
        client.flush().await?;
    }
}

/// Connects as another dock and flies a task; why it could not.
pub(super) async fn newcomer(target: &Target) -> Option<String> {
    match timeout(PATIENCE, newcomer_flies(target)).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("not within {} s", PATIENCE.as_secs())),
    }
}

async fn newcomer_flies(target: &Target) -> io::Result<()> {
    let mut client = Client::connect(target, NEWCOMER, NEWCOMER).await?;
    client.subscribe(&reply_topic(NEWCOMER), QoS::AtLeastOnce).await?;
    let topic = events_topic(NEWCOMER);
    // Its tasks are others each time.
    let flight = now_ms();
    let events = flight::events().count() as u64;
    for number in flight * events..(flight + 1) * events {
        let (payload, bid) = payload(NEWCOMER, number);
        client.publish(&topic, &payload, QoS::AtLeastOnce, Some(id(number % 65_535 + 1)));
        client.flush().await?;
        let mut reply = None;
        while reply.is_none() {
            client.read().await?;
            client.packets(|packet, _| {
                if let Packet::Publish(publish) = packet {
                    reply = Some(check_reply(publish.payload, &bid).map(str::to_owned));
                }
            })?;
            client.flush().await?;
        }
        if let Some(Err(wrong)) = reply {
            return Err(io::Error::other(wrong));
        }
    }
    client.disconnect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_events_number_is_found_in_its_tid() {
        let (payload, bid) = payload(DOCK, 77);
        assert_eq!(text(&payload, "tid").as_deref().and_then(number), Some(77));
        assert_eq!(text(&payload, "bid"), Some(bid));
        assert_eq!(number("d0c5141d"), None);
    }
}
