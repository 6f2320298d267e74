//! `idle`: what a client that says nothing costs the broker.
//!
//! ```text
//! cargo build --release --workspace && target/release/idle
//! ```
//! Exit code 1 above the limit.

use std::io;
use std::process::ExitCode;

use clap::Parser;
use dockside_bench::broker::Broker;
use docksim::client::Client;

/// Connect clients that do nothing and look at the broker's resident memory
#[derive(Clone, Copy, Parser)]
struct Arguments {
    /// Connections
    #[arg(long, default_value_t = 5_000)]
    connections: u32,
    /// Resident memory that is allowed for each, KiB
    #[arg(long, default_value_t = 8.0)]
    limit_kib: f64,
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
    let connect = |n: u32| {
        let address = broker.address();
        async move { Client::connect(&address.into(), &format!("idle{n}"), "").await }
    };
    // The first ones pay for what all share.
    let mut clients = Vec::new();
    for n in 0..100 {
        clients.push(connect(n).await?);
    }
    let before = broker.memory_kib("VmRSS:")?;
    for n in 0..arguments.connections {
        clients.push(connect(100 + n).await?);
    }
    let each = (broker.memory_kib("VmRSS:")? - before) / f64::from(arguments.connections);
    println!("{} idle connections: {each:.2} KiB resident each", arguments.connections);
    Ok(each <= arguments.limit_kib)
}
