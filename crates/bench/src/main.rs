//! `compare`: Dockside, the floors, mosquitto with a responder and stock rumqttd, side by side in one run.
//!
//! ```text
//! cargo build --release --workspace && target/release/compare
//! ```
//! Every round starts every peer afresh, in turn; broker (with its responder) is pinned to one core
//! and the load tool to another. Rates and CPU are medians; CPU is what the kernel accounts to the
//! broker's threads, the responder's included, for each reply or delivery that the load tool verified.
//! Exit code 1 on a wrong reply or a lost delivery, whoever's.

mod peer;
mod running;
mod table;
mod workload;

use std::io;
use std::process::{Command, ExitCode};

use clap::Parser;
use serde_json::Value;

use crate::peer::Peer;
use crate::table::Row;
use crate::workload::{WORKLOADS, Workload};

/// Measure Dockside against the floors, mosquitto with a responder, and stock rumqttd
#[derive(Parser)]
struct Arguments {
    /// Rounds of each workload
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Seconds of load in each round
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Cores of the broker, as taskset takes them
    #[arg(long, default_value = "0")]
    broker_cores: String,
    /// Cores of the load tool
    #[arg(long, default_value = "1")]
    tool_cores: String,
    /// Only workloads with this in their name
    #[arg(long, default_value = "")]
    workload: String,
    /// Only peers with this in their name, the floors besides
    #[arg(long, default_value = "")]
    peer: String,
}

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
    let workloads: Vec<_> =
        WORKLOADS.iter().filter(|workload| workload.name.contains(&arguments.workload)).collect();
    if workloads.is_empty() {
        eprintln!("compare: no workload has {:?} in its name", arguments.workload);
        return ExitCode::FAILURE;
    }
    let mut flaws = 0;
    table::machine(arguments.rounds, arguments.seconds);
    println!("broker on core {}, load tool on {}", arguments.broker_cores, arguments.tool_cores);
    for workload in workloads {
        match compare(workload, &arguments) {
            Ok(rows) => {
                flaws += rows.iter().map(Row::flaws).sum::<u64>();
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
    eprintln!("compare: {flaws} messages were wrong, duplicate, missing or undelivered: see flaws");
    ExitCode::FAILURE
}

fn compare(workload: &Workload, arguments: &Arguments) -> io::Result<Vec<Row>> {
    let (floor, others) = workload.peers().split_first().ok_or(io::ErrorKind::NotFound)?;
    let others = others.iter().filter(|peer| peer.name().contains(&arguments.peer));
    let peers: Vec<Peer> =
        [floor].into_iter().chain(others).copied().filter(|peer| peer.is_installed()).collect();
    let mut rows: Vec<Row> = peers.iter().map(|peer| Row::new(*peer)).collect();
    for round in 0..arguments.rounds {
        for turn in 0..peers.len() {
            // Whoever goes first in one round goes last in the next.
            let at = (turn + round) % peers.len();
            let run = run(peers[at], workload, arguments);
            let named = |error| io::Error::other(format!("{}: {error}", peers[at].name()));
            rows[at].runs.push(run.map_err(named)?);
        }
        eprintln!("{}: round {} of {}", workload.name, round + 1, arguments.rounds);
    }
    Ok(rows)
}

fn run(peer: Peer, workload: &Workload, arguments: &Arguments) -> io::Result<Measured> {
    let running = peer.start(&arguments.broker_cores)?;
    let (tool, told) = workload.tool(peer);
    let before = running.cpu_us()?;
    let output = Command::new("taskset")
        .args(["-c", &arguments.tool_cores])
        .arg(peer::sibling(tool)?)
        .args(told)
        .args(["--broker", &running.address.to_string()])
        .args(["--seconds", &arguments.seconds.to_string()])
        .output()?;
    let cpu_us = running.cpu_us()? - before;
    let resident_mib = running.resident_mib()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    let report: Value = serde_json::from_str(last).map_err(|_| {
        io::Error::other(format!("{tool}: {}", String::from_utf8_lossy(&output.stderr)))
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
