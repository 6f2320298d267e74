//! The `dockside` command.
//!
//! Exit codes: 0 stopped as asked, 64 bad configuration or command line (before any address is
//! bound), 69 an address cannot be bound, 70 the broker broke, 73 the data directory cannot be made.

mod command_line;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use dockside::config::{Config, Level};
use dockside_broker::BindError;
use tokio::signal::unix::{SignalKind, signal};

use crate::command_line::{Command, Request};

const BAD_CONFIGURATION: u8 = 64;
const CANNOT_BIND: u8 = 69;
const BROKEN: u8 = 70;
const CANNOT_CREATE: u8 = 73;

fn main() -> ExitCode {
    let Request { command, arguments } = match command_line::parse() {
        Ok(request) => request,
        Err(code) => return code,
    };
    let config = match Config::load(&arguments) {
        Ok(config) => config,
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("dockside: {problem}"));
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    match command {
        Command::Check => {
            println!("the configuration is sound");
            ExitCode::SUCCESS
        }
        Command::Run => run(&config),
    }
}

fn run(config: &Config) -> ExitCode {
    log_to_stderr(config.log.level);
    let dir = &config.data.dir;
    if let Err(error) = std::fs::create_dir_all(dir) {
        return fail(
            CANNOT_CREATE,
            &format!("data.dir: {} cannot be made: {error}", dir.display()),
        );
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(BROKEN, &format!("the runtime cannot be started: {error}")),
    };
    let code = runtime.block_on(serve(config));
    // Whoever is still connected was cut off with a warning.
    runtime.shutdown_background();
    code
}

async fn serve(config: &Config) -> ExitCode {
    let broker = match dockside::bind(config).await {
        Ok(broker) => broker,
        Err(error @ BindError::LiveLog(_)) => return fail(BROKEN, &error.to_string()),
        Err(error) => return fail(CANNOT_BIND, &error.to_string()),
    };
    let stop = match stop_signals() {
        Ok(stop) => stop,
        Err(error) => return fail(BROKEN, &format!("signals cannot be received: {error}")),
    };
    say(&format!("mqtt listening on {}", broker.mqtt_address()));
    say(&format!("admin listening on {}", broker.admin_address()));
    match broker.run(stop).await {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(dead) => fail(BROKEN, &dead.to_string()),
    }
}

/// Resolves at SIGTERM or SIGINT.
fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
    })
}

fn log_to_stderr(level: Level) {
    // rumqttd speaks of its own clients, which are the broker's links.
    let filter = format!("{},rumqttd=off", level.as_str());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

/// Standard output may be closed, or a pipe that nobody reads: the broker serves all the same.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn fail(code: u8, line: &str) -> ExitCode {
    eprintln!("dockside: {line}");
    ExitCode::from(code)
}
