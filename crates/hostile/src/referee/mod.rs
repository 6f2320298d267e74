//! The referee: one broker, one dock, and one attacker after the other.
//!
//! - [`settings`]: the bounds that the broker is given; [`broker`]: its process; [`look`]: what the system tells about it.
//! - [`dock`]: dock, witness, newcomer; [`book`]: what they saw.
//! - [`verdict`]: what must not be; [`mod@line`]: how it is told.

mod book;
mod broker;
mod dock;
mod line;
mod look;
pub(crate) mod settings;
mod verdict;

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use docksim::target::Target;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use self::book::Shared;
use self::broker::Broker;
use self::look::Peak;
use self::verdict::{Allowed, Flaw, Seen, judge};
use crate::attacks::Kind;
use crate::report::Report;

/// Descriptors of the broker that is to run out of them.
const FEW_DESCRIPTORS: &str = "256";

/// Cores that it may use meanwhile: a dock, clients that come and go, a broker that does not spin.
const FEW_CORES: f64 = 0.35;

/// What a TLS handshake may cost it: about twice what the two exchanges of keys and the signature do. Spinning takes a
/// whole core.
const HANDSHAKE: Duration = Duration::from_micros(400);

/// How often a condition and the broker's memory are looked at.
const LOOK: Duration = Duration::from_millis(25);

/// How long the last replies and the descriptors are waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long an attacker may take beyond its time.
const GRACE: Duration = Duration::from_secs(60);

/// Command line of the referee.
#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    /// Damaged packets; a quarter of it each of random and of illegal ones besides
    #[arg(long, default_value_t = 100_000)]
    packets: u64,
    /// Seconds of each other attack
    #[arg(long, default_value_t = 4.0)]
    seconds_per_attack: f64,
    /// Only these attacks
    #[arg(long, value_enum, value_name = "NAME")]
    only: Vec<Kind>,
    /// The broker's program; without it, the one beside this program
    #[arg(long)]
    broker: Option<PathBuf>,
    /// Dock, witness and attackers use the TLS listener
    #[arg(long)]
    tls: bool,
    /// 99 of 100 replies come within so many milliseconds
    #[arg(long, default_value_t = 20.0)]
    p99_ms: f64,
    /// Resident memory of the broker, MiB; what its bounds allow if left out
    #[arg(long, default_value_t = settings::resident_mib())]
    rss_mib: u64,
    /// Growth of the broker's log, bytes a minute; as much where an attack is shorter
    #[arg(long, default_value_t = 1 << 20)]
    log_bytes: u64,
    /// Repeats a run as far as the machine's timing allows; without it, a new one
    #[arg(long)]
    seed: Option<u64>,
}

/// Everything; true if every verdict is good.
///
/// # Errors
/// The broker cannot be started, or the referee is told to stop.
pub(crate) async fn run(arguments: Arguments) -> io::Result<bool> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Broker and attacker end with the future.
    tokio::select! {
        outcome = all(arguments) => outcome,
        _ = terminate.recv() => Err(io::ErrorKind::Interrupted.into()),
        _ = interrupt.recv() => Err(io::ErrorKind::Interrupted.into()),
    }
}

async fn all(arguments: Arguments) -> io::Result<bool> {
    let beside = std::env::current_exe()?.with_file_name("dockside");
    let program = arguments.broker.clone().unwrap_or(beside).canonicalize()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_micros() as u64);
    let seed = arguments.seed.unwrap_or(now);
    println!("seed {seed}; p99 {} ms, RSS {} MiB allowed", arguments.p99_ms, arguments.rss_mib);
    println!("{}", line::HEAD);
    let referee = Referee { arguments, program, seed };
    let asked = |kind: &Kind| {
        let only = &referee.arguments.only;
        only.is_empty() || only.contains(kind)
    };
    // The broker with few descriptors is another one.
    let kinds: Vec<_> = Kind::value_variants().iter().copied().filter(asked).collect();
    let (few, many): (Vec<_>, Vec<_>) =
        kinds.into_iter().partition(|kind| *kind == Kind::Descriptors);
    let mut counts = Outcome::default();
    for (kinds, descriptors) in [(many, "max"), (few, FEW_DESCRIPTORS)] {
        if !kinds.is_empty() {
            referee.attacks(&kinds, descriptors, &mut counts).await?;
        }
    }
    let Outcome { good, bad, skipped } = counts;
    println!("{good} attacks held, {bad} BAD, {skipped} SKIPPED; seed {seed}");
    Ok(bad == 0 && good > 0)
}

/// Verdicts.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    good: u32,
    bad: u32,
    skipped: u32,
}

struct Referee {
    arguments: Arguments,
    program: PathBuf,
    seed: u64,
}

/// A broker with a dock that flies and a witness.
struct Site {
    broker: Broker,
    target: Target,
    shared: Arc<Shared>,
    /// The fewest open descriptors that it has had between two attacks.
    fewest: usize,
    _clients: JoinSet<()>,
}

impl Referee {
    /// These attacks, against one broker.
    async fn attacks(
        &self,
        kinds: &[Kind],
        descriptors: &str,
        outcome: &mut Outcome,
    ) -> io::Result<()> {
        let mut dir = tempfile::Builder::new().prefix("dockside-hostile-").tempdir()?;
        let mut site = self.site(&dir, descriptors).await?;
        let before = outcome.bad;
        for &kind in kinds {
            if kind == Kind::SlowlorisWebsocket && site.broker.ws.is_none() {
                println!("| {} | SKIPPED: this broker has no WebSocket listener |", kind.name());
                outcome.skipped += 1;
                continue;
            }
            let seen = self.attack(kind, &mut site).await?;
            let flaws = judge(&seen, &self.allowed(kind));
            println!("{}", line::line(&kind.name(), &seen, &flaws));
            if flaws.is_empty() {
                outcome.good += 1;
            } else {
                outcome.bad += 1;
            }
            if flaws.iter().any(|flaw| matches!(flaw, Flaw::Ended(_))) {
                println!("the broker has ended: a new one for what is left");
                drop(site);
                site = self.site(&dir, descriptors).await?;
            }
        }
        if outcome.bad > before {
            dir.disable_cleanup(true);
            println!("data and log of the broker are kept in {}", dir.path().display());
        }
        Ok(())
    }

    fn allowed(&self, kind: Kind) -> Allowed {
        let arguments = &self.arguments;
        Allowed {
            p99: Duration::from_secs_f64(arguments.p99_ms.max(0.0) / 1e3),
            resident_mib: arguments.rss_mib as f64,
            log_bytes: arguments.log_bytes,
            broker_cores: (kind == Kind::Descriptors).then_some(FEW_CORES),
            handshake: if arguments.tls { HANDSHAKE } else { Duration::ZERO },
            packets: kind.packets(arguments.packets).unwrap_or(0),
        }
    }

    /// A broker, and the dock's first reply.
    async fn site(&self, dir: &TempDir, descriptors: &str) -> io::Result<Site> {
        let broker = Broker::start(&self.program, dir.path(), descriptors).await?;
        let target = if self.arguments.tls {
            Target::from(broker.tls).with_tls("127.0.0.1", &broker.authority())?
        } else {
            broker.mqtt.into()
        };
        let shared = Arc::new(Shared::default());
        let mut clients = JoinSet::new();
        clients.spawn(dock::witness(target.clone(), Arc::clone(&shared)));
        if !true_in_time(|| shared.book().is_listening()).await {
            return Err(io::Error::other("the witness cannot subscribe"));
        }
        clients.spawn(dock::fly(target.clone(), Arc::clone(&shared)));
        if !true_in_time(|| shared.book().has_begun()).await {
            return Err(io::Error::other("the dock has no reply"));
        }
        // What the broker opens once for everybody is open before anything is counted.
        if let Some(why) = dock::newcomer(&target).await {
            return Err(io::Error::other(format!("the newcomer cannot fly: {why}")));
        }
        let fewest = settled_descriptors(broker.id()).await;
        Ok(Site { broker, target, shared, fewest, _clients: clients })
    }

    /// One attack, and what was seen of it.
    async fn attack(&self, kind: Kind, site: &mut Site) -> io::Result<Seen> {
        let Site { broker, target, shared, fewest, .. } = site;
        let id = broker.id();
        let log_from = broker.log_bytes();
        // A scrape or a newcomer that is still on its way out is no room for a leak.
        *fewest = settled_descriptors(id).await.min(*fewest);
        let descriptors = *fewest;
        let peak = Peak::watch(id);
        shared.book().begin();
        let (began, cpu) = (Instant::now(), look::cpu_time(id));
        let attacker = self.send_attacker(kind, broker).await?;
        let spent = look::cpu_time(id).saturating_sub(cpu);
        let lasted = began.elapsed();
        let broker_cores = spent.as_secs_f64() / lasted.as_secs_f64();
        true_in_time(|| look::descriptors(id) <= descriptors).await;
        let after = look::descriptors(id);
        let end = shared.book().next();
        true_in_time(|| shared.book().is_complete(end)).await;
        let flown = shared.book().flown(end);
        let newcomer = dock::newcomer(target).await;
        Ok(Seen {
            flown,
            attacker,
            resident_mib: peak.end(),
            descriptors: (descriptors, after),
            broker_cores,
            log_bytes: broker.log_bytes() - log_from,
            lasted,
            panics: broker.panics(log_from)?,
            hook_panics: broker.counter("dockside_hook_panics_total").await,
            ended: broker.ended(),
            newcomer,
        })
    }

    /// Starts an attacker, at nice 19, and waits for its end; its report.
    async fn send_attacker(&self, kind: Kind, broker: &Broker) -> io::Result<Option<Report>> {
        let arguments = &self.arguments;
        let mut command = Command::from(broker::limited("max"));
        command.args(["nice", "-n", "19"]).arg(std::env::current_exe()?);
        command.args(["attack", &kind.name()]);
        command.args(["--address", &broker.mqtt.to_string()]);
        command.args(["--tls-address", &broker.tls.to_string()]);
        if let Some(address) = broker.ws {
            command.args(["--ws-address", &address.to_string()]);
        }
        command.arg("--ca").arg(broker.authority());
        if arguments.tls {
            command.arg("--tls");
        }
        command.args(["--packets", &arguments.packets.to_string()]);
        command.args(["--seconds", &arguments.seconds_per_attack.to_string()]);
        command.args(["--seed", &self.seed.to_string()]);
        command.stdout(Stdio::piped()).kill_on_drop(true);
        let attacker = command.spawn()?;
        // It sends so many packets a second at least (attack.rs).
        let seconds = arguments.seconds_per_attack.max(0.0) + arguments.packets as f64 / 300.0;
        let time = Duration::try_from_secs_f64(seconds).map_err(io::Error::other)? + GRACE;
        let Ok(ended) = timeout(time, attacker.wait_with_output()).await else { return Ok(None) };
        let output = ended?;
        let text = String::from_utf8_lossy(&output.stdout);
        // Whether it sent enough, the verdict says.
        Ok(text.lines().find_map(Report::read))
    }
}

/// Waits for a condition; whether it came true.
async fn true_in_time(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        sleep(LOOK).await;
    }
}

/// Open descriptors of a process, once they are the same at two looks.
async fn settled_descriptors(id: u32) -> usize {
    let mut before = look::descriptors(id);
    true_in_time(|| std::mem::replace(&mut before, look::descriptors(id)) == before).await;
    before
}
