//! Kills the broker under load, again and again, and checks that it kept what it acknowledged.
//!
//! Starts the broker beside this program, lets publishers, subscribers and docks work, kills the broker
//! at a random instant, starts it again on the same data, and looks whether everything that was
//! acknowledged is there: messages, their order and number, sessions, retained values, the history of
//! events. Exit code 1 if something is missing; the data and the broker's log are kept then.
//!
//! # Layout
//! - [`ledger`], [`retained`]: the books and the checks, without I/O; [`finding`]: what they find.
//! - [`sender`], [`receiver`]: the two sides of QoS 1 and 2 in a session, without I/O.
//! - [`publisher`], [`subscriber`], [`dock`]: clients, each over a [`link`]; [`clients`]: who there is.
//! - [`looks`]: what is retained, and what the history has.
//! - [`run`]: the rounds; [`shared`]: what they share with the clients; [`broker`]: the process.
//! - [`payload`], [`random`]: messages with a check sum, numbers with a seed.

mod broker;
mod clients;
mod dock;
mod finding;
mod ledger;
mod link;
mod looks;
mod payload;
mod publisher;
mod random;
mod receiver;
mod retained;
mod run;
mod sender;
mod shared;
mod subscriber;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;

use crate::broker::Broker;
use crate::run::{Plan, Run};

/// Findings that are printed.
const SHOWN: usize = 30;

/// Kills the broker under load and checks that it kept what it acknowledged
#[derive(Parser)]
struct Arguments {
    /// How many times the broker is killed
    #[arg(long, default_value_t = 25)]
    kills: u32,
    /// Repeats a run as far as the machine's timing allows; without it, a new one
    #[arg(long)]
    seed: Option<u64>,
    /// The broker's level of durability; without it, the broker's default
    #[arg(long, value_parser = ["commit", "sync", "memory"])]
    durability: Option<String>,
    /// Cuts every client's connection instead of killing the broker
    #[arg(long)]
    no_kill: bool,
    /// The broker's program; without it, the one beside this program
    #[arg(long)]
    broker: Option<PathBuf>,
    /// Longest time under load before a kill, seconds
    #[arg(long, default_value_t = 0.8)]
    seconds_per_round: f64,
}

fn now() -> u64 {
    // Any number will do; it is printed.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_micros() as u64)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(now);
    let beside = std::env::current_exe()?.with_file_name("dockside");
    let program = arguments.broker.unwrap_or(beside).canonicalize()?;
    let plan = Plan {
        seed,
        strikes: arguments.kills,
        cut: arguments.no_kill,
        longest: Duration::try_from_secs_f64(arguments.seconds_per_round)?,
    };
    println!("seed {seed}");
    let mut dir = tempfile::Builder::new().prefix("dockside-crash-").tempdir()?;
    let broker = Broker::new(program, dir.path(), arguments.durability)?;
    let outcome = Run::new(plan, broker).run().await;
    println!("{}", outcome.summary);
    if outcome.findings.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    dir.disable_cleanup(true);
    println!("{} findings in round {}, seed {seed}:", outcome.findings.len(), outcome.round);
    outcome.findings.iter().take(SHOWN).for_each(|finding| println!("  {finding}"));
    if outcome.findings.len() > SHOWN {
        println!("  and {} more", outcome.findings.len() - SHOWN);
    }
    println!("the data and the broker's log are kept in {}", dir.path().display());
    Ok(ExitCode::FAILURE)
}
