//! `idle`: what a client that says nothing costs the broker.
//!
//! ```text
//! cargo build --release --workspace && target/release/idle
//! ```
//! Exit code 1 above the limit.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use dockside_bench::broker::Broker;
use docksim::client::Client;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Clients that connect at the same time.
const AT_A_TIME: usize = 64;

/// Connect clients that do nothing and look at the broker's resident memory and CPU
#[derive(Clone, Copy, Parser)]
struct Arguments {
    /// Connections
    #[arg(long, default_value_t = 5_000)]
    connections: u32,
    /// Resident memory that is allowed for each, KiB
    #[arg(long, default_value_t = 8.0)]
    limit_kib: f64,
    /// How long the broker's CPU is looked at
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match idle(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("idle: {error} (as many descriptors as connections are needed: ulimit -n)");
            ExitCode::FAILURE
        }
    }
}

async fn idle(arguments: Arguments) -> io::Result<bool> {
    let broker = Broker::start(tempfile::tempdir()?, &[])?;
    // The first ones pay for what all share.
    let mut clients = connect(broker.address(), 0..100).await?;
    let before = broker.memory_kib("VmRSS:")?;
    let began = Instant::now();
    clients.append(&mut connect(broker.address(), 100..100 + arguments.connections).await?);
    let rate = f64::from(arguments.connections) / began.elapsed().as_secs_f64();
    let each = (broker.memory_kib("VmRSS:")? - before) / f64::from(arguments.connections);
    let (began, before) = (Instant::now(), broker.cpu()?);
    sleep(Duration::from_secs_f64(arguments.seconds)).await;
    let share = broker.cpu()?.us_since(&before) / began.elapsed().as_micros() as f64;
    let count = arguments.connections;
    println!(
        "{count} idle connections: {rate:.0} connects/s, {each:.2} KiB resident each, {:.2} % of a core",
        share * 100.0
    );
    Ok(each <= arguments.limit_kib)
}

/// Connects some at a time.
async fn connect(address: SocketAddr, numbers: Range<u32>) -> io::Result<Vec<Client>> {
    let (mut numbers, mut connecting, mut clients) = (numbers, JoinSet::new(), Vec::new());
    loop {
        while connecting.len() < AT_A_TIME
            && let Some(n) = numbers.next()
        {
            connecting.spawn(async move {
                Client::connect(&address.into(), &format!("idle{n}"), "").await
            });
        }
        let Some(client) = connecting.join_next().await else { return Ok(clients) };
        clients.push(client??);
    }
}
