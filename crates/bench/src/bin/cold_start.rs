//! A cold start: docks that all come back at once, each with a user and a password of its own.
//!
//! Starts the broker beside this program, lets every dock connect at the same moment and says when the
//! last one was in. Exit code 1 if one was not let in, or if it took longer than the time allowed.

use std::fs;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use dockside_access::hash::Hash;
use dockside_bench::broker::Broker;
use docksim::client::Client;
use docksim::target::Target;
use tokio::task::JoinSet;

/// Docks that come back at once after a cold start
#[derive(Parser)]
struct Arguments {
    /// Docks
    #[arg(long, default_value_t = 1_000)]
    docks: u32,
    /// Seconds in which all must be in
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
}

const PASSWORD: &str = "the password of a dock";

/// A directory with a password for every dock.
fn users(docks: u32) -> io::Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    let mut users = String::new();
    // A salt of its own each, as `dockside passwd` makes them.
    let mut hashes = Vec::new();
    for _ in 0..docks.min(16) {
        hashes.push(Hash::create(PASSWORD.as_bytes()).map_err(io::Error::other)?);
    }
    for dock in 0..docks {
        let hash = &hashes[dock as usize % hashes.len()];
        users += &format!("{}:{}\n", user(dock), hash.as_str());
    }
    fs::write(dir.path().join("users"), users)?;
    Ok(dir)
}

fn user(dock: u32) -> String {
    format!("SIMDOCK{dock:07}")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<ExitCode> {
    let Arguments { docks, seconds } = Arguments::parse();
    let environment = [("DOCKSIDE_USERS__PASSWORD_FILE", "users")];
    let broker = Broker::start(users(docks)?, &environment)?;
    let mut all_in = true;
    for round in ["cold", "again, passwords remembered"] {
        let began = Instant::now();
        let mut connecting = JoinSet::new();
        for dock in 0..docks {
            let mut target = Target::from(broker.address());
            target.password = Some(PASSWORD.to_owned());
            connecting.spawn(async move {
                let user = user(dock);
                Client::connect(&target, &user, &user).await.map(|client| (client, Instant::now()))
            });
        }
        let outcomes = connecting.join_all().await;
        let refused = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        let mut times: Vec<Duration> =
            outcomes.iter().flatten().map(|(_, at)| at.duration_since(began)).collect();
        times.sort_unstable();
        let at = |part: usize| times.get(part).map_or(f64::NAN, Duration::as_secs_f64);
        let last = at(times.len().saturating_sub(1));
        println!(
            "{round}: {docks} docks at once, {refused} not let in; half of them in after {:.2} s, the last after {last:.2} s",
            at(times.len() / 2)
        );
        all_in &= refused == 0 && last <= seconds;
    }
    // By then the workers' memory has been given back.
    tokio::time::sleep(Duration::from_secs(3)).await;
    println!("the broker holds {:.1} MiB", broker.memory_kib("VmRSS:")? / 1024.0);
    Ok(if all_in { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
