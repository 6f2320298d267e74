//! Attacks the broker from processes of their own while a dock flies, and judges what the dock noticed.
//!
//! ```text
//! cargo build --release --workspace && target/release/hostile
//! ```
//! Starts the broker beside this program with small bounds, a dock with ten events a second, and one
//! attacker after the other: this program again, at nice 19 and with half a core. After each of them the
//! dock must have every reply, once and in time, and the broker must be as small as it was told, without
//! a panic and without a descriptor more. Exit code 1 if one verdict is bad; the broker's log is kept then.
//!
//! # Layout
//! - [`attacks`]: what attackers do, a file a kind of it; [`attack`]: what they all have.
//! - [`packets`], [`damage`]: good packets, and what becomes of them; [`link`]: a connection.
//! - [`pace`]: half a core; [`report`]: what an attacker says at its end.
//! - [`referee`]: the broker, the dock, the witness, the verdict.

mod attack;
mod attacks;
mod damage;
mod link;
mod pace;
mod packets;
mod referee;
mod report;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Attacks a broker while a dock flies, and judges what the dock noticed
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    arguments: referee::Arguments,
}

#[derive(Subcommand)]
enum Command {
    /// One attacker; the referee starts them
    Attack(attack::Arguments),
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let outcome = match line.command {
        // One thread: a process that has one core at most is easily held to half of it.
        Some(Command::Attack(arguments)) => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .and_then(|runtime| runtime.block_on(attack::run(arguments))),
        None => tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .and_then(|runtime| runtime.block_on(referee::run(line.arguments))),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("hostile: {error}");
            ExitCode::FAILURE
        }
    }
}
