//! The broker as a process: its log, its signals, its service manager.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dockside::config::{Arguments, Config, Format, Log};
use dockside_broker::config::Transport;
use dockside_broker::{BindError, Broker, Pulse, Reloader};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::{BAD_CONFIGURATION, BROKEN, CANNOT_CONNECT, CANNOT_CREATE, fail};

/// Panics of one place in the code that have a line in the log, in a second.
const PANICS_A_SECOND: u32 = 10;

/// Runs a broker until it is told to stop.
pub(crate) fn run(config: &Config, arguments: &Arguments) -> ExitCode {
    log_to_stderr(&config.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(BROKEN, &format!("the runtime cannot be started: {error}")),
    };
    let code = runtime.block_on(serve(config, arguments));
    // Whoever is still connected was cut off with a warning.
    runtime.shutdown_background();
    code
}

async fn serve(config: &Config, arguments: &Arguments) -> ExitCode {
    let broker = match dockside::bind(config).await {
        Ok(broker) => broker,
        Err(error @ BindError::LiveLog(_)) => return fail(BROKEN, &error.to_string()),
        Err(error @ BindError::Store(_)) => return fail(CANNOT_CREATE, &error.to_string()),
        Err(error @ BindError::Configuration(_)) => {
            return fail(BAD_CONFIGURATION, &error.to_string());
        }
        Err(error) => return fail(CANNOT_CONNECT, &error.to_string()),
    };
    let signals = stop_signals().and_then(|stop| Ok((stop, signal(SignalKind::hangup())?)));
    let (stop, hangup) = match signals {
        Ok(signals) => signals,
        Err(error) => return fail(BROKEN, &format!("signals cannot be received: {error}")),
    };
    say_addresses(&broker);
    for risk in config.broker().risks() {
        tracing::warn!("{}: {}", risk.key, risk.remedy);
    }
    let reloading = tokio::spawn(reload(
        hangup,
        broker.reloader(),
        arguments.clone(),
        Arc::new(config.clone()),
    ));
    notify(&[NotifyState::Ready]);
    let watching = sd_notify::watchdog_enabled()
        .map(|within| tokio::spawn(feed_the_watchdog(broker.pulse(), within)));
    let outcome = broker.run(stop).await;
    reloading.abort();
    watching.iter().for_each(JoinHandle::abort);
    match outcome {
        Ok(()) => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(dead) => fail(BROKEN, &dead.to_string()),
    }
}

fn say_addresses(broker: &Broker) {
    for (transport, address) in broker.mqtt_addresses() {
        let over = match transport {
            Transport::Tcp => "",
            Transport::Tls => " over tls",
            Transport::Ws => " over websocket",
            Transport::Wss => " over websocket and tls",
        };
        say(&format!("mqtt{over} listening on {address}"));
    }
    say(&format!("admin listening on {}", broker.admin_address()));
    if let Some(address) = broker.metrics_address() {
        say(&format!("metrics listening on {address}"));
    }
}

/// Tells the service manager that messages still move, for as long as they do: it starts a broker again that does not say
/// so `within` this time.
async fn feed_the_watchdog(pulse: Arc<Pulse>, within: Duration) {
    // Often enough that one look at a bad moment is not the end.
    let mut every = tokio::time::interval((within / 10).max(Duration::from_millis(1)));
    loop {
        every.tick().await;
        match pulse.stuck_for() {
            None => notify(&[NotifyState::Watchdog]),
            Some(since) => {
                tracing::error!(seconds = since.as_secs(), "stuck: nothing is dispatched");
            }
        }
    }
}

/// Follows SIGHUP for as long as the broker runs.
async fn reload(
    mut hangup: Signal,
    reloader: Reloader,
    arguments: Arguments,
    started: Arc<Config>,
) {
    while hangup.recv().await.is_some() {
        tracing::info!("SIGHUP: reloading");
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            notify(&[NotifyState::Reloading, now]);
        }
        let (reloader, arguments) = (reloader.clone(), arguments.clone());
        let started = Arc::clone(&started);
        // Files are read.
        let work =
            tokio::task::spawn_blocking(move || reload_once(&reloader, &arguments, &started));
        if work.await.is_err() {
            tracing::error!("the reload failed; what was there before stays");
        }
        notify(&[NotifyState::Ready]);
    }
}

fn reload_once(reloader: &Reloader, arguments: &Arguments, started: &Config) {
    // Files are read by the reload: a bad certificate must not keep a removed user in.
    let config = match Config::load_values(arguments) {
        Ok(config) => config,
        Err(problems) => {
            problems.iter().for_each(|problem| tracing::error!("{problem}"));
            tracing::error!("the configuration was not reloaded; what was there before stays");
            return reloader.failed();
        }
    };
    let reloaded = reloader.reload(&config.broker());
    for problem in &reloaded.problems {
        tracing::error!("{}: {}; what was there before stays", problem.key, problem.remedy);
    }
    for table in started.need_restart(&config) {
        tracing::warn!("[{table}] differs from what runs; only a restart takes it over");
    }
    if reloaded.problems.is_empty() {
        tracing::info!(users = reloaded.users, "users and rules were reloaded");
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
        notify(&[NotifyState::Stopping]);
    })
}

/// Tells the service manager, if there is one.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

fn log_to_stderr(log: &Log) {
    // rumqttd speaks of its own clients, which are the broker's links.
    let filter = format!("{},rumqttd=off", log.level.as_str());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // A log on a full disk is no reason to end: its own error would be printed where nothing can be.
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .with_target(false);
    log_panics();
    match log.format {
        Format::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).init(),
    }
}

/// A panic is a line of the log like any other; a plugin may panic over every message, and has a few lines.
fn log_panics() {
    let lines = Mutex::new((Instant::now(), HashMap::<String, u32>::new()));
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.0.elapsed() >= Duration::from_secs(1) {
            *lines = (Instant::now(), HashMap::new());
        }
        let of_place = lines.1.entry(place.clone()).or_default();
        *of_place = of_place.saturating_add(1);
        if *of_place > PANICS_A_SECOND {
            return;
        }
        drop(lines);
        let why = panic.payload_as_str().unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        match Backtrace::capture() {
            trace if trace.status() == BacktraceStatus::Captured => {
                tracing::error!(thread, %trace, "panicked at {place}: {why}");
            }
            _ => tracing::error!(thread, "panicked at {place}: {why}"),
        }
    }));
}

/// Standard output may be closed, or a pipe that nobody reads: the broker serves all the same.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
