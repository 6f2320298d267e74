//! `flood`: millions of small publishes must leave the broker small.
//!
//! ```text
//! cargo build --release --workspace && target/release/flood
//! ```
//! Starts the broker that was built beside it, sends 20-byte messages, one a packet, at QoS 0 and 1,
//! without a subscriber and with one, and says what the broker then holds. Exit code 1 above the
//! limit, or if the subscriber missed a QoS 1 message.

use std::io;
use std::process::ExitCode;

use clap::Parser;
use dockside_bench::broker::Broker;
use dockside_mqtt::packet::Packet;
use dockside_mqtt::{PacketId, QoS};
use docksim::client::Client;
use tokio::task::LocalSet;

/// Flood a broker with small publishes and look at its resident memory
#[derive(Clone, Copy, Parser)]
struct Arguments {
    /// Publishes of each run
    #[arg(long, default_value_t = 10_000_000)]
    publishes: u64,
    /// Resident memory that is allowed, MiB
    #[arg(long, default_value_t = 128.0)]
    limit_mib: f64,
}

/// Publishes between two looks at what came back.
const BATCH: u64 = 1_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut good = true;
    println!(
        "| publishes of 20 B | subscriber | received | RSS MiB | peak MiB |\n|---|---|---|---|---|"
    );
    for (qos, subscriber) in [
        (QoS::AtMostOnce, false),
        (QoS::AtMostOnce, true),
        (QoS::AtLeastOnce, false),
        (QoS::AtLeastOnce, true),
    ] {
        match LocalSet::new().run_until(flood(arguments, qos, subscriber)).await {
            Ok(ran_well) => good &= ran_well,
            Err(error) => {
                eprintln!("flood: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn flood(arguments: Arguments, qos: QoS, subscriber: bool) -> io::Result<bool> {
    let broker = Broker::start(tempfile::tempdir()?, &[])?;
    let received = std::rc::Rc::new(std::cell::Cell::new(0u64));
    if subscriber {
        let mut client = Client::connect(&broker.address().into(), "subscriber", "").await?;
        client.subscribe("flood", qos).await?;
        let received = std::rc::Rc::clone(&received);
        tokio::task::spawn_local(async move {
            while client.read().await.is_ok() {
                let count = |packet: &Packet<'_>, _: &mut Vec<u8>| {
                    received.set(received.get() + u64::from(matches!(packet, Packet::Publish(_))));
                };
                if client.packets(count).is_err() || client.flush().await.is_err() {
                    return;
                }
            }
        });
    }
    let mut client = Client::connect(&broker.address().into(), "flooder", "").await?;
    for _ in 0..arguments.publishes / BATCH {
        for n in 1..=BATCH {
            client.publish("flood", &[b'x'; 20], qos, PacketId::new(n as u16));
        }
        client.push(&Packet::Pingreq);
        client.flush().await?;
        let mut answered = false;
        while !answered {
            client.read().await?;
            client.packets(|packet, _| answered |= matches!(packet, Packet::Pingresp))?;
            client.flush().await?;
        }
    }
    let sent = arguments.publishes / BATCH * BATCH;
    // QoS 1 arrives whole; QoS 0 may be dropped, but what comes has come after a little while.
    let mut before = u64::MAX;
    while subscriber && received.get() < sent && before != received.get() {
        before = received.get();
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    let mib = |key| broker.memory_kib(key).map(|kib| kib / 1024.0);
    let (resident, peak) = (mib("VmRSS:")?, mib("VmHWM:")?);
    let who = if subscriber { "one" } else { "none" };
    println!(
        "| {sent} at QoS {} | {who} | {} | {resident:.1} | {peak:.1} |",
        qos.bits(),
        received.get()
    );
    let complete = !subscriber || qos == QoS::AtMostOnce || received.get() == sent;
    Ok(complete && resident < arguments.limit_mib)
}
