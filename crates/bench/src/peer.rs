//! The peers, and how each is started.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::running::Running;

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Peer {
    /// Frames packets and sends a canned reply.
    Floor,
    /// Frames packets and sends them on.
    FanFloor,
    Dockside(Level),
    /// With a responder beside it.
    MosquittoResponds,
    Mosquitto,
    /// rumqttd as it is, with a plugin on its local link.
    Stock,
    /// The same with `TCP_NODELAY`.
    StockNoDelay,
}

/// `store.durability`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Level {
    Memory,
    Commit,
    Sync,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Commit => "commit",
            Self::Sync => "sync",
        }
    }
}

impl Peer {
    /// Those that answer events; the first is the floor.
    pub(crate) const ANSWERING: &[Self] = &[
        Self::Floor,
        Self::Dockside(Level::Memory),
        Self::Dockside(Level::Commit),
        Self::Dockside(Level::Sync),
        Self::MosquittoResponds,
        Self::Stock,
        Self::StockNoDelay,
    ];

    /// Those that send messages on; the first is the floor.
    pub(crate) const FORWARDING: &[Self] = &[
        Self::FanFloor,
        Self::Dockside(Level::Commit),
        Self::Mosquitto,
        Self::Stock,
        Self::StockNoDelay,
    ];

    /// Those that serve a whole site; it has no floor, and the first is who is to be beaten.
    pub(crate) const SITE: &[Self] = &[
        Self::MosquittoResponds,
        Self::Dockside(Level::Memory),
        Self::Dockside(Level::Commit),
        Self::Dockside(Level::Sync),
        Self::Stock,
        Self::StockNoDelay,
    ];

    pub(crate) fn name(self) -> String {
        match self {
            Self::Floor => "floor".to_owned(),
            Self::FanFloor => "fan-out floor".to_owned(),
            Self::Dockside(level) => format!("dockside, {}", level.name()),
            Self::MosquittoResponds => "mosquitto + responder".to_owned(),
            Self::Mosquitto => "mosquitto".to_owned(),
            Self::Stock => "stock rumqttd".to_owned(),
            Self::StockNoDelay => "stock rumqttd, TCP_NODELAY".to_owned(),
        }
    }

    /// Whether it is only what the machine can do.
    pub(crate) fn is_floor(self) -> bool {
        matches!(self, Self::Floor | Self::FanFloor)
    }

    fn is_mosquitto(self) -> bool {
        matches!(self, Self::Mosquitto | Self::MosquittoResponds)
    }

    /// Whether it can be measured here; says so if not.
    pub(crate) fn is_installed(self) -> bool {
        if !self.is_mosquitto() || mosquitto().is_some() {
            return true;
        }
        eprintln!("compare: mosquitto is not installed and is left out");
        false
    }

    /// Starts it on these cores and waits until it serves.
    pub(crate) fn start(self, cores: &str) -> io::Result<Running> {
        let dir = tempfile::tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new("taskset");
        command.args(["-c", cores]).stdout(Stdio::null()).stderr(Stdio::null());
        match self {
            Self::Floor => command.arg(sibling("floor")?).arg(address.to_string()),
            Self::FanFloor => command.arg(sibling("fan_floor")?).arg(address.to_string()),
            Self::Dockside(level) => command
                .arg(sibling("dockside")?)
                .args(["--mqtt", &address.to_string(), "--admin", "127.0.0.1:0"])
                .arg("--data")
                .arg(dir.path())
                .env("DOCKSIDE_STORE__DURABILITY", level.name()),
            Self::Mosquitto | Self::MosquittoResponds => {
                let file = dir.path().join("mosquitto.conf");
                let config = format!(
                    "listener {} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n\
                     max_queued_messages 0\nmax_inflight_messages 0\npersistence false\n",
                    address.port()
                );
                std::fs::write(&file, config)?;
                let program = mosquitto().unwrap_or_else(|| "mosquitto".into());
                command.arg(program).arg("-c").arg(file)
            }
            Self::Stock | Self::StockNoDelay => {
                command.arg(sibling("stock")?).arg(address.to_string()).stdout(Stdio::piped());
                if self == Self::StockNoDelay { command.arg("--nodelay") } else { &mut command }
            }
        };
        let mut running = Running { processes: vec![command.spawn()?], address, _dir: dir };
        if matches!(self, Self::Stock | Self::StockNoDelay) {
            wait_until_it_speaks(&mut running.processes[0])?;
        }
        running.wait_until_it_listens()?;
        if self == Self::MosquittoResponds {
            let mut responder = Command::new("taskset");
            responder.args(["-c", cores]).arg(sibling("responder")?).arg(address.to_string());
            running.processes.push(responder.stdout(Stdio::piped()).spawn()?);
            wait_until_it_speaks(&mut running.processes[1])?;
        }
        Ok(running)
    }
}

/// It does once it has subscribed.
fn wait_until_it_speaks(process: &mut Child) -> io::Result<()> {
    let said = process.stdout.take();
    io::Read::read_exact(&mut said.ok_or(io::ErrorKind::BrokenPipe)?, &mut [0])
}

/// A program that was built beside this one.
pub(crate) fn sibling(name: &str) -> io::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() {
        return Ok(path);
    }
    let remedy = "is not built: cargo build --release --workspace";
    Err(io::Error::new(io::ErrorKind::NotFound, format!("{} {remedy}", path.display())))
}

/// Debian installs it where only root's path leads.
fn mosquitto() -> Option<PathBuf> {
    ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
}
