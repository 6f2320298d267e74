//! `compare`: Dockside, the floor and mosquitto with a responder, side by side in one run.
//!
//! ```text
//! cargo build --release --workspace && target/release/compare
//! ```
//! Every round starts every peer afresh, in turn; broker (with its responder) is pinned to one core
//! and the load tool to another. Rates and CPU are medians; CPU is what the kernel accounts to the
//! broker's threads, the responder's included, for each reply that the load tool verified.

mod peer;
mod table;

use std::io;
use std::process::{Command, ExitCode};

use clap::Parser;
use serde_json::Value;

use crate::peer::Peer;
use crate::table::Row;

/// Measure Dockside against the floor and against mosquitto with a responder
#[derive(Parser)]
struct Arguments {
    /// Rounds of each workload
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Seconds of load in each round
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Core of the broker
    #[arg(long, default_value_t = 0)]
    broker_core: usize,
    /// Core of the load tool
    #[arg(long, default_value_t = 1)]
    tool_core: usize,
}

/// What the load tool is told, and what the floor is told instead: it has no subscribers.
struct Workload {
    name: &'static str,
    docks: u32,
    apps: u32,
    window: u16,
}

const WORKLOADS: &[Workload] = &[
    Workload { name: "reply 1x1 QoS 1", docks: 1, apps: 0, window: 1 },
    Workload { name: "reply 1x1 QoS 1, one application", docks: 1, apps: 1, window: 1 },
    Workload { name: "reply 50x1 QoS 1, one application", docks: 50, apps: 1, window: 1 },
    Workload { name: "reply 50x32 QoS 1, one application", docks: 50, apps: 1, window: 32 },
];

/// One run of one peer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) rate: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) cpu_us: f64,
    pub(crate) resident_mib: f64,
    /// Wrong, duplicate, missing and undelivered, added up.
    pub(crate) flaws: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut flaws = 0;
    table::machine(&arguments.rounds, arguments.seconds);
    for workload in WORKLOADS {
        match compare(workload, &arguments) {
            Ok(rows) => {
                flaws += rows.iter().map(|row| row.flaws(Peer::Dockside)).sum::<u64>();
                table::print(workload.name, &rows);
            }
            Err(error) => {
                eprintln!("compare: {}: {error}", workload.name);
                return ExitCode::FAILURE;
            }
        }
    }
    if flaws == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("compare: Dockside gave {flaws} wrong, duplicate, missing or undelivered messages");
    ExitCode::FAILURE
}

fn compare(workload: &Workload, arguments: &Arguments) -> io::Result<Vec<Row>> {
    let peers: Vec<Peer> = Peer::ALL.into_iter().filter(|peer| peer.is_installed()).collect();
    let mut rows: Vec<Row> = peers.iter().map(|peer| Row::new(*peer)).collect();
    for round in 0..arguments.rounds {
        for turn in 0..peers.len() {
            // Whoever goes first in one round goes last in the next.
            let at = (turn + round) % peers.len();
            rows[at].runs.push(run(peers[at], workload, arguments)?);
        }
        eprintln!("{}: round {} of {}", workload.name, round + 1, arguments.rounds);
    }
    Ok(rows)
}

fn run(peer: Peer, workload: &Workload, arguments: &Arguments) -> io::Result<Measured> {
    let running = peer.start(arguments.broker_core)?;
    let apps = if peer == Peer::Floor { 0 } else { workload.apps };
    let before = running.cpu_us()?;
    let output = Command::new("taskset")
        .args(["-c", &arguments.tool_core.to_string()])
        .arg(peer::sibling("docksim")?)
        .args(["load", "--broker", &running.address().to_string()])
        .args(["--docks", &workload.docks.to_string()])
        .args(["--apps", &apps.to_string()])
        .args(["--window", &workload.window.to_string()])
        .args(["--seconds", &arguments.seconds.to_string()])
        .output()?;
    let cpu_us = running.cpu_us()? - before;
    let resident_mib = running.resident_mib()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    let report: Value = serde_json::from_str(last).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        io::Error::other(format!("{} under load: {said}", peer.name()))
    })?;
    let number = |key: &str| report[key].as_f64().unwrap_or(0.0);
    let faults = ["wrong", "duplicate", "missing", "not_delivered", "delivered_twice"];
    Ok(Measured {
        rate: number("events_per_second"),
        p50_us: number("p50_us"),
        p99_us: number("p99_us"),
        cpu_us: cpu_us / number("events").max(1.0),
        resident_mib,
        flaws: faults.iter().map(|key| number(key) as u64).sum(),
    })
}
