//! `compare`: Dockside, the floors, mosquitto with a responder and stock rumqttd, side by side in one run.
//!
//! ```text
//! cargo build --release --workspace && target/release/compare
//! ```
//! Every round starts every peer afresh, in turn; broker (with its responder) is pinned to one core
//! and the load tool to another. Rates and CPU are medians; CPU is what the kernel accounts to the
//! broker's threads, the responder's included, for each reply or delivery that the load tool verified,
//! the tool's connections among it: with few messages that is most of it. Beside it stands the load tool's own share
//! of its core: near 1 the tool is the limit, and rates are its own. The floor of replies has no application.
//! Exit code 1 on a wrong reply or a lost delivery of Dockside or a floor; those of others stand in their row.

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
    /// Only peers with this in their name, and the first of each workload, by which the others are measured
    #[arg(long, default_value = "")]
    peer: String,
}

/// How much longer than the load a load tool may take, seconds.
const PATIENCE_S: f64 = 30.0;

/// One run of one peer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) rate: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Of DRC, where there is any.
    pub(crate) drc_us: [f64; 2],
    pub(crate) cpu_us: f64,
    pub(crate) resident_mib: f64,
    /// CPU time of the load tool, share of its core.
    pub(crate) tool: f64,
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
    let is_peer = |workload: &Workload| {
        let mut peers = workload.peers().iter().filter(|peer| !peer.is_floor());
        peers.any(|peer| peer.name().contains(&arguments.peer))
    };
    if !workloads.iter().any(|workload| is_peer(workload)) {
        eprintln!("compare: no peer has {:?} in its name", arguments.peer);
        return ExitCode::FAILURE;
    }
    let mut is_well = true;
    table::machine(arguments.rounds, arguments.seconds);
    println!("broker on core {}, load tool on {}", arguments.broker_cores, arguments.tool_cores);
    for workload in workloads {
        let (rows, failed) = compare(workload, &arguments);
        table::print(workload.name, &rows);
        let flaws = rows.iter().filter(|row| row.is_ours()).map(Row::flaws).sum::<u64>();
        if flaws > 0 {
            eprintln!("compare: {flaws} wrong, duplicate, missing or undelivered: see flaws");
        }
        if let Some(error) = &failed {
            eprintln!("compare: {}: {error}", workload.name);
        }
        is_well &= flaws == 0 && failed.is_none();
    }
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What was measured, and what put an end to it.
fn compare(workload: &Workload, arguments: &Arguments) -> (Vec<Row>, Option<io::Error>) {
    let peers = workload.peers().iter().enumerate();
    // Whom the others are measured by first.
    let wanted = |(at, peer): &(usize, &Peer)| *at == 0 || peer.name().contains(&arguments.peer);
    let peers = peers.filter(wanted).map(|(_, peer)| *peer).filter(|peer| peer.is_installed());
    let mut rows: Vec<Row> = peers.map(Row::new).collect();
    for round in 0..arguments.rounds {
        for turn in 0..rows.len() {
            // Whoever goes first in one round goes last in the next.
            let at = (turn + round) % rows.len();
            let row = &mut rows[at];
            match run(row.peer, workload, arguments) {
                Ok(run) => row.runs.push(run),
                Err(error) => {
                    let error = io::Error::other(format!("{}: {error}", row.peer.name()));
                    return (rows, Some(error));
                }
            }
        }
        eprintln!("{}: round {} of {}", workload.name, round + 1, arguments.rounds);
    }
    (rows, None)
}

fn run(peer: Peer, workload: &Workload, arguments: &Arguments) -> io::Result<Measured> {
    let running = peer.start(&arguments.broker_cores)?;
    let (tool, told) = workload.tool(peer);
    let before = running.cpu()?;
    let patience = arguments.seconds.ceil() + PATIENCE_S;
    let output = Command::new("timeout")
        .args(["-k", "1", &patience.to_string()])
        .args(["taskset", "-c", &arguments.tool_cores])
        .arg(peer::sibling(tool)?)
        .args(told)
        .args(["--broker", &running.address.to_string()])
        .args(["--seconds", &arguments.seconds.to_string()])
        .output()?;
    let cpu = running.cpu()?;
    let cpu_us: f64 = cpu.iter().zip(&before).map(|(now, before)| now.us_since(before)).sum();
    let resident_mib = running.resident_mib()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    let report: Value = serde_json::from_str(last).map_err(|_| {
        io::Error::other(format!("{tool}: {}", String::from_utf8_lossy(&output.stderr)))
    })?;
    let number = |key: &str| report[key].as_f64().unwrap_or(0.0);
    let faults = ["wrong", "duplicate", "missing", "not_delivered", "not_sent", "delivered_twice"];
    Ok(Measured {
        rate: number("events_per_second"),
        p50_us: number("p50_us"),
        p99_us: number("p99_us"),
        drc_us: [number("drc_p50_us"), number("drc_p99_us")],
        cpu_us: cpu_us / number("events").max(1.0),
        resident_mib,
        tool: number("tool_cpu_s") / arguments.seconds,
        flaws: faults.iter().map(|key| number(key) as u64).sum(),
    })
}
