//! The verdict: what was seen during an attack, against what is allowed. No I/O.

use std::fmt;
use std::time::Duration;

use crate::report::Report;

/// What an attacker may use; its own account is a little late.
const CORES: f64 = 0.6;

/// What a broker takes that spins, whatever handshakes cost, cores.
const SPINS: f64 = 0.9;

/// What is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    /// 99 of 100 replies come within it.
    pub(crate) p99: Duration,
    /// Resident memory of the broker, MiB.
    pub(crate) resident_mib: f64,
    /// Growth of its log, bytes a minute; as much where an attack is shorter.
    pub(crate) log_bytes: u64,
    /// CPU of the broker, cores, besides handshakes; none where an attack gives it work to do.
    pub(crate) broker_cores: Option<f64>,
    /// What a handshake with a client may cost it.
    pub(crate) handshake: Duration,
    /// Packets that the attacker is to send.
    pub(crate) packets: u64,
}

/// What the dock and the witness saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flown {
    /// Events that were sent.
    pub(crate) events: usize,
    /// Events without a reply.
    pub(crate) lost: usize,
    /// Events with two or more.
    pub(crate) doubled: usize,
    /// Replies that were wrong.
    pub(crate) wrong: usize,
    /// Events that the witness did not get.
    pub(crate) unseen: usize,
    /// Events that it got twice.
    pub(crate) seen_twice: usize,
    /// Connections of the two that ended.
    pub(crate) cut: Vec<String>,
    /// From sending to reply, in order.
    pub(crate) latencies: Vec<Duration>,
}

impl Flown {
    /// The latency that so many of a thousand replies do not exceed; the largest one where there are too few to
    /// tell them apart.
    pub(crate) fn latency(&self, per_mille: usize) -> Duration {
        let rank = (self.latencies.len() * per_mille).div_ceil(1000);
        self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// What was seen during an attack and behind it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) flown: Flown,
    /// What the attacker said; none if it failed.
    pub(crate) attacker: Option<Report>,
    /// Largest resident memory, MiB.
    pub(crate) resident_mib: f64,
    /// Open descriptors of the broker before and at the end, when they had had time to come back.
    pub(crate) descriptors: (usize, usize),
    /// CPU of the broker during the attack, cores.
    pub(crate) broker_cores: f64,
    /// Growth of its log, bytes.
    pub(crate) log_bytes: u64,
    /// How long the attack was.
    pub(crate) lasted: Duration,
    /// Lines of its log that tell of a panic.
    pub(crate) panics: Vec<String>,
    /// `dockside_hook_panics_total`; none if it could not be asked.
    pub(crate) hook_panics: Option<u64>,
    /// How the broker ended.
    pub(crate) ended: Option<String>,
    /// Why a new client could not connect and fly.
    pub(crate) newcomer: Option<String>,
}

/// One thing that must not be.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Flaw {
    NoEvents,
    Lost(usize),
    Doubled(usize),
    Wrong(usize),
    Unseen(usize),
    SeenTwice(usize),
    Cut(String),
    Late(Duration),
    Memory(f64),
    Descriptors(usize),
    Busy(f64),
    Log(u64),
    Panic(String),
    HookPanics(u64),
    NoMetrics,
    Ended(String),
    Newcomer(String),
    NoAttack,
    Idle,
    Packets(u64),
    Greedy(f64),
}

/// Everything that is wrong; nothing if the broker has held.
pub(crate) fn judge(seen: &Seen, allowed: &Allowed) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let flown = &seen.flown;
    let mut check = |bad: bool, flaw: Flaw| {
        if bad {
            flaws.push(flaw);
        }
    };
    check(flown.events == 0, Flaw::NoEvents);
    check(flown.lost > 0, Flaw::Lost(flown.lost));
    check(flown.doubled > 0, Flaw::Doubled(flown.doubled));
    check(flown.wrong > 0, Flaw::Wrong(flown.wrong));
    check(flown.unseen > 0, Flaw::Unseen(flown.unseen));
    check(flown.seen_twice > 0, Flaw::SeenTwice(flown.seen_twice));
    let p99 = flown.latency(990);
    check(p99 > allowed.p99, Flaw::Late(p99));
    check(seen.resident_mib > allowed.resident_mib, Flaw::Memory(seen.resident_mib));
    let (before, after) = seen.descriptors;
    check(after > before, Flaw::Descriptors(after - before.min(after)));
    let handshakes = seen.attacker.map_or(0.0, |report| {
        let seconds = report.wall_ms.max(1) as f64 / 1e3;
        report.handshakes as f64 * allowed.handshake.as_secs_f64() / seconds
    });
    let may = |cores: f64| (cores + handshakes).min(SPINS);
    let busy = allowed.broker_cores.is_some_and(|cores| seen.broker_cores > may(cores));
    check(busy, Flaw::Busy(seen.broker_cores));
    let minutes = (seen.lasted.as_secs_f64() / 60.0).max(1.0);
    let is_log_long = seen.log_bytes as f64 > allowed.log_bytes as f64 * minutes;
    check(is_log_long, Flaw::Log(seen.log_bytes));
    match seen.hook_panics {
        None => check(true, Flaw::NoMetrics),
        Some(count) => check(count > 0, Flaw::HookPanics(count)),
    }
    match &seen.attacker {
        None => check(true, Flaw::NoAttack),
        Some(report) => {
            check(report.connections == 0, Flaw::Idle);
            check(report.packets < allowed.packets, Flaw::Packets(report.packets));
            check(report.cores() > CORES, Flaw::Greedy(report.cores()));
        }
    }
    flaws.extend(flown.cut.iter().cloned().map(Flaw::Cut));
    flaws.extend(seen.panics.iter().cloned().map(Flaw::Panic));
    flaws.extend(seen.ended.clone().map(Flaw::Ended));
    flaws.extend(seen.newcomer.clone().map(Flaw::Newcomer));
    flaws
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEvents => write!(f, "the dock sent no event"),
            Self::Lost(count) => write!(f, "{count} events without a reply"),
            Self::Doubled(count) => write!(f, "{count} events were answered twice"),
            Self::Wrong(count) => write!(f, "{count} replies were wrong"),
            Self::Unseen(count) => write!(f, "the witness missed {count} events"),
            Self::SeenTwice(count) => write!(f, "the witness got {count} events twice"),
            Self::Cut(who) => write!(f, "a connection ended: {who}"),
            Self::Late(p99) => write!(f, "p99 is {:.1} ms", p99.as_secs_f64() * 1e3),
            Self::Memory(mib) => write!(f, "{mib:.0} MiB resident"),
            Self::Descriptors(count) => write!(f, "{count} descriptors did not come back"),
            Self::Busy(cores) => write!(f, "the broker used {cores:.2} cores"),
            Self::Log(bytes) => write!(f, "{bytes} bytes of log"),
            Self::Panic(line) => write!(f, "a panic: {line}"),
            Self::HookPanics(count) => write!(f, "{count} panics of plugins"),
            Self::NoMetrics => write!(f, "/metrics did not answer"),
            Self::Ended(how) => write!(f, "the broker ended: {how}"),
            Self::Newcomer(why) => write!(f, "a new client cannot fly: {why}"),
            Self::NoAttack => write!(f, "the attacker failed"),
            Self::Idle => write!(f, "the attacker had no connection"),
            Self::Packets(count) => write!(f, "only {count} packets were sent"),
            Self::Greedy(cores) => write!(f, "the attacker used {cores:.2} cores"),
        }
    }
}

#[cfg(test)]
mod tests;
