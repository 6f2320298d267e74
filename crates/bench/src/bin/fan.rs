//! `fan`: every message of many publishers to all of many subscribers, in order, none lost and none
//! doubled, in every quality.
//!
//! ```text
//! cargo build --release --workspace && target/release/fan
//! ```
//! Exit code 1 if a single message is missing, doubled or out of order.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use dockside_bench::broker::Broker;
use dockside_mqtt::packet::Packet;
use dockside_mqtt::{PacketId, QoS};
use docksim::client::Client;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Send messages of many publishers to all of many subscribers
#[derive(Clone, Copy, Parser)]
struct Arguments {
    #[arg(long, default_value_t = 50)]
    publishers: u32,
    #[arg(long, default_value_t = 50)]
    subscribers: u32,
    /// Messages of each publisher
    #[arg(long, default_value_t = 2_000)]
    messages: u32,
    /// Bytes of each message
    #[arg(long, default_value_t = 64)]
    bytes: usize,
}

/// Unacknowledged messages of one publisher.
const WINDOW: u32 = 100;

/// A subscriber that hears nothing for so long has missed something.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    println!(
        "| QoS | deliveries | seconds | deliveries/s | flaws | peak MiB |\n|---|---|---|---|---|---|"
    );
    let mut flaws = 0;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        match fan(arguments, qos).await {
            Ok(found) => flaws += found,
            Err(error) => {
                eprintln!("fan: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    if flaws == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn fan(arguments: Arguments, qos: QoS) -> io::Result<u64> {
    let broker = Broker::start(tempfile::tempdir()?, &[])?;
    let mut subscribers = JoinSet::new();
    for n in 0..arguments.subscribers {
        let mut client = Client::connect(&broker.address().into(), &format!("s{n}"), "").await?;
        client.subscribe("fan/+", qos).await?;
        subscribers.spawn(subscribe(client, arguments, qos));
    }
    let began = Instant::now();
    let mut publishers = JoinSet::new();
    for n in 0..arguments.publishers {
        let client = Client::connect(&broker.address().into(), &format!("p{n}"), "").await?;
        publishers.spawn(publish(client, n, arguments, qos));
    }
    // Kept until the end: a publisher that leaves takes nothing with it, but tests nothing either.
    let mut connected = Vec::new();
    while let Some(client) = publishers.join_next().await {
        connected.push(client??);
    }
    let mut flaws = 0;
    while let Some(found) = subscribers.join_next().await {
        flaws += found??;
    }
    let seconds = began.elapsed().as_secs_f64();
    let all =
        u64::from(arguments.publishers * arguments.messages) * u64::from(arguments.subscribers);
    println!(
        "| {} | {all} | {seconds:.1} | {:.0} | {flaws} | {:.1} |",
        qos.bits(),
        all as f64 / seconds,
        broker.memory_kib("VmHWM:")? / 1024.0
    );
    Ok(flaws)
}

async fn publish(
    mut client: Client,
    publisher: u32,
    arguments: Arguments,
    qos: QoS,
) -> io::Result<Client> {
    let topic = format!("fan/{publisher}");
    let mut payload = vec![0; arguments.bytes.max(4)];
    let (mut sent, mut over) = (0u32, 0u32);
    while over < arguments.messages {
        while sent < arguments.messages && (qos == QoS::AtMostOnce || sent - over < WINDOW) {
            payload[..4].copy_from_slice(&sent.to_be_bytes());
            let id = PacketId::new((sent % 60_000) as u16 + 1);
            client.publish(&topic, &payload, qos, id.filter(|_| qos != QoS::AtMostOnce));
            sent += 1;
        }
        if qos == QoS::AtMostOnce {
            client.push(&Packet::Pingreq);
        }
        client.flush().await?;
        client.read().await?;
        client.packets(|packet, _| match packet {
            Packet::Puback(_) | Packet::Pubcomp(_) => over += 1,
            Packet::Pingresp => over = sent,
            _ => {}
        })?;
    }
    Ok(client)
}

/// Takes everything; how many messages were missing, doubled or out of order.
async fn subscribe(mut client: Client, arguments: Arguments, qos: QoS) -> io::Result<u64> {
    let mut next = vec![0u32; arguments.publishers as usize];
    let mut flaws = 0u64;
    let mut left = u64::from(arguments.publishers) * u64::from(arguments.messages);
    while left > 0 {
        match timeout(PATIENCE, client.read()).await {
            Ok(read) => read?,
            Err(_) => return Ok(flaws + left),
        }
        client.packets(|packet, _| {
            let Packet::Publish(publish) = packet else { return };
            let publisher =
                publish.topic.strip_prefix("fan/").and_then(|n| n.parse::<usize>().ok());
            let number = publish.payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
            let due = publisher.and_then(|publisher| next.get_mut(publisher));
            let good = due.is_some_and(|due| {
                let good = Some(*due) == number && publish.qos == qos;
                *due = number.unwrap_or(*due) + 1;
                good
            });
            flaws += u64::from(!good);
            left = left.saturating_sub(1);
        })?;
        client.flush().await?;
    }
    Ok(flaws)
}
