//! The `docksim` command. Exit codes: 0 every reply was right, 1 not, 2 bad command line.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use dockside_mqtt::QoS;
use docksim::target::Target;
use docksim::{fly, load, onboard, site};

/// Simulated docks: fly a task against a broker, play a whole site or a first contact, or load it
#[derive(Parser)]
#[command(version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    broker: BrokerArguments,
}

/// Which broker, and how to get in.
#[derive(Args)]
struct BrokerArguments {
    /// Address of the broker
    #[arg(long, default_value = "127.0.0.1:1883", global = true, value_name = "HOST:PORT")]
    broker: String,
    /// Speak TLS, and trust the authorities in this PEM file
    #[arg(long, global = true, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// User to log in as; without it a dock logs in as its serial number, an application as `backend`
    #[arg(long, global = true, value_name = "USER")]
    user: Option<String>,
    /// File whose first line is the password; the environment's DOCKSIM_PASSWORD does it too
    #[arg(long, global = true, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl BrokerArguments {
    fn target(&self) -> io::Result<Target> {
        let target = Target::from(resolve(&self.broker)?);
        let mut target = match &self.tls_ca {
            Some(file) => {
                let host = self.broker.rsplit_once(':').map_or(&*self.broker, |(host, _)| host);
                target.with_tls(host.trim_matches(['[', ']']), file)?
            }
            None => target,
        };
        target.user.clone_from(&self.user);
        target.password = match &self.password_file {
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
                })?;
                text.lines().next().map(str::to_owned)
            }
            None => std::env::var("DOCKSIM_PASSWORD").ok(),
        };
        Ok(target)
    }
}

#[derive(Subcommand)]
enum Command {
    /// Fly one realistic task and show the reply to every event
    Fly {
        /// Serial number of the dock
        #[arg(long, default_value = "SIMDOCK2000001")]
        sn: String,
        /// Milliseconds from one event to the next
        #[arg(long, default_value_t = 100)]
        pace_ms: u64,
    },
    /// Load a broker with docks and applications, and check everything that comes back
    Load {
        /// Docks that send events
        #[arg(long, default_value_t = 1)]
        docks: u32,
        /// Applications that subscribe to every event
        #[arg(long, default_value_t = 0)]
        apps: u32,
        /// Events a dock may have unanswered
        #[arg(long, default_value_t = 1)]
        window: u16,
        /// QoS of events and subscriptions: 0, 1 or 2
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
        qos: u8,
        /// Seconds of load
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
    },
    /// Play a whole site from a seed: tasks of every kind, hand-overs, lost connections
    Site(SiteArguments),
    /// Play a dock's first contact in the documented order and check the shape of every reply
    Onboard(OnboardArguments),
}

#[derive(Args)]
struct SiteArguments {
    /// What the site is made from: the same seed sends the same but for the times
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Docks of the site
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    docks: u32,
    /// Seconds until the script ends, of real time
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// How many times as quick as the script's the time goes, up to 100
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Write here how docks and flight tasks should stand, as JSON
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
}

#[derive(Args)]
struct OnboardArguments {
    /// Serial number of the dock
    #[arg(long, default_value = "SIMDOCK1")]
    sn: String,
    /// Serial number of its aircraft
    #[arg(long, default_value = "SIMDRONE1")]
    aircraft: String,
    /// The organization's code for new devices
    #[arg(long, default_value = "")]
    binding_code: String,
    /// Which organization
    #[arg(long, default_value = "")]
    organization_id: String,
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let CommandLine { command, broker } = CommandLine::parse();
    let broker = match broker.target() {
        Ok(broker) => broker,
        Err(error) => return failed(&error),
    };
    match command {
        Command::Fly { sn, pace_ms } => {
            match runtime.block_on(fly::fly(&broker, &sn, Duration::from_millis(pace_ms))) {
                Ok(summary) => flown(&summary),
                Err(error) => failed(&error),
            }
        }
        Command::Load { docks, apps, window, qos, seconds } => {
            let plan = load::Plan {
                broker,
                docks,
                apps,
                window: window.max(1),
                qos: QoS::from_bits(qos).unwrap_or(QoS::AtLeastOnce),
                time: Duration::from_secs_f64(seconds.clamp(0.01, 86_400.0)),
            };
            match runtime.block_on(load::run(plan)) {
                Ok(report) => {
                    report.print();
                    if report.is_perfect() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
                }
                Err(error) => failed(&error),
            }
        }
        Command::Site(arguments) => match runtime.block_on(play(&broker, &arguments)) {
            Ok(code) => code,
            Err(error) => failed(&error),
        },
        Command::Onboard(arguments) => match runtime.block_on(contact(&broker, arguments)) {
            Ok(code) => code,
            Err(error) => failed(&error),
        },
    }
}

fn code(is_perfect: bool) -> ExitCode {
    if is_perfect { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn play(broker: &Target, arguments: &SiteArguments) -> io::Result<ExitCode> {
    let invalid = |detail: String| io::Error::new(io::ErrorKind::InvalidInput, detail);
    let (seconds, speed) = (arguments.seconds, arguments.speed);
    if !(seconds > 0.0 && speed > 0.0 && speed <= site::SPEED_AT_MOST) {
        let at_most = site::SPEED_AT_MOST;
        return Err(invalid(format!(
            "--seconds and --speed are above 0, --speed at most {at_most}"
        )));
    }
    let length_s = (seconds * speed).ceil() as u64;
    let plan = site::plan::plan(arguments.seed, arguments.docks, length_s).map_err(invalid)?;
    let pace = site::Pace { speed, ..site::Pace::default() };
    let report = site::run(broker, plan, pace).await?;
    report.print();
    if let Some(file) = &arguments.expect {
        report.write(file)?;
    }
    Ok(code(report.is_perfect()))
}

async fn contact(broker: &Target, arguments: OnboardArguments) -> io::Result<ExitCode> {
    let OnboardArguments { sn, aircraft, binding_code, organization_id } = arguments;
    let patience = onboard::Options::default().patience;
    let options = onboard::Options { sn, aircraft, binding_code, organization_id, patience };
    let summary = onboard::onboard(broker, &options).await?;
    println!(
        "{} answered, {} malformed, {} missing",
        summary.count(|outcome| matches!(outcome, onboard::Outcome::Answered(_))),
        summary.count(|outcome| matches!(outcome, onboard::Outcome::Malformed(_))),
        summary.count(|outcome| matches!(outcome, onboard::Outcome::Missing)),
    );
    Ok(code(summary.is_perfect()))
}

/// The first address of a `host:port`.
fn resolve(address: &str) -> io::Result<SocketAddr> {
    let wrong = |detail: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("--broker {address}: {detail}"))
    };
    let mut found = address.to_socket_addrs().map_err(|error| wrong(&error))?;
    found.next().ok_or_else(|| wrong(&"no address has this name"))
}

fn flown(summary: &fly::Summary) -> ExitCode {
    let mut round_trips = summary.round_trips.clone();
    round_trips.sort_unstable();
    let at = |index: usize| {
        let round_trip = round_trips.get(index).copied().unwrap_or_default();
        round_trip.as_secs_f64() * 1000.0
    };
    println!(
        "{} events, {} replies, {} wrong, {} missing; round trip {:.2} ms at the median, {:.2} ms at most",
        summary.events,
        summary.replies,
        summary.wrong,
        summary.missing,
        at(round_trips.len() / 2),
        at(round_trips.len().saturating_sub(1)),
    );
    if summary.is_perfect() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("docksim: {error}");
    ExitCode::FAILURE
}
