//! What all attackers have: where the broker is, random numbers, half a core, and an end.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use docksim::random::Random;
use docksim::target::Target;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use crate::attacks::{self, Kind};
use crate::pace::Pace;
use crate::report::{Counts, Report, add};

/// Packets a second that an attacker gets rid of at least, on a slow machine: what it is given time for.
const SLOWEST: u64 = 300;

/// Command line of an attacker.
#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    /// What it does
    #[arg(value_enum)]
    pub(crate) kind: Kind,
    /// The listener without encryption
    #[arg(long)]
    pub(crate) address: SocketAddr,
    /// The TLS listener
    #[arg(long)]
    pub(crate) tls_address: SocketAddr,
    /// The WebSocket listener
    #[arg(long)]
    pub(crate) ws_address: Option<SocketAddr>,
    /// Certificates of the authority of the TLS listener
    #[arg(long)]
    pub(crate) ca: PathBuf,
    /// Attacks through the TLS listener
    #[arg(long)]
    pub(crate) tls: bool,
    /// Packets, where an attack is told in packets
    #[arg(long)]
    pub(crate) packets: u64,
    /// Seconds, where it is not
    #[arg(long)]
    pub(crate) seconds: f64,
    /// Repeats an attack as far as the machine's timing allows
    #[arg(long)]
    pub(crate) seed: u64,
}

/// An attacker; clones share everything.
#[derive(Clone)]
pub(crate) struct Attack {
    pub(crate) arguments: Rc<Arguments>,
    pub(crate) door: Rc<Target>,
    pub(crate) counts: Rc<Counts>,
    pub(crate) pace: Rc<Pace>,
    packets_left: Rc<Cell<u64>>,
}

impl Attack {
    /// Does something `count` times at once, each with its number and random numbers of its own, and waits
    /// for all of them.
    pub(crate) async fn lanes<F>(&self, count: u64, lane: impl Fn(Self, Random, u64) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let mut lanes = JoinSet::new();
        for number in 0..count {
            let random = Random::new(self.arguments.seed, number);
            lanes.spawn_local(lane(self.clone(), random, number));
        }
        while let Some(ended) = lanes.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }

    /// Whether there is a packet left to be sent, which is then counted as sent.
    pub(crate) fn take_packet(&self) -> bool {
        let Some(left) = self.packets_left.get().checked_sub(1) else { return false };
        self.packets_left.set(left);
        self.sent(1);
        true
    }

    /// Whether there are packets left.
    pub(crate) fn has_packets(&self) -> bool {
        self.packets_left.get() > 0
    }

    /// Counts packets.
    pub(crate) fn sent(&self, packets: u64) {
        add(&self.counts.packets, packets);
    }

    /// The listener's address that attacks go to which speak TCP themselves.
    pub(crate) fn address(&self) -> SocketAddr {
        self.door.address
    }
}

/// Attacks, and prints the report; true if the packets that were asked for were sent.
///
/// # Errors
/// The authority's certificates cannot be read.
pub(crate) async fn run(arguments: Arguments) -> io::Result<bool> {
    let door = if arguments.tls {
        Target::from(arguments.tls_address).with_tls("127.0.0.1", &arguments.ca)?
    } else {
        Target::from(arguments.address)
    };
    let kind = arguments.kind;
    let packets = kind.packets(arguments.packets);
    let seconds = Duration::try_from_secs_f64(arguments.seconds).map_err(io::Error::other)?;
    let time = seconds + Duration::from_secs(packets.unwrap_or(0) / SLOWEST);
    let attack = Attack {
        arguments: Rc::new(arguments),
        door: Rc::new(door),
        counts: Rc::default(),
        pace: Rc::new(Pace::new()),
        packets_left: Rc::new(Cell::new(packets.unwrap_or(0))),
    };
    // Most attacks have no end of their own.
    let attacking = timeout(time, attacks::run(kind, &attack));
    let _ = LocalSet::new().run_until(attacking).await;
    let (cpu_ms, wall_ms) = attack.pace.spent();
    let Counts { connections, handshakes, refused, packets, bytes } = &*attack.counts;
    let report = Report {
        connections: connections.get(),
        handshakes: handshakes.get(),
        refused: refused.get(),
        packets: packets.get(),
        bytes: bytes.get(),
        cpu_ms,
        wall_ms,
    };
    println!("{report}");
    Ok(!attack.has_packets())
}
