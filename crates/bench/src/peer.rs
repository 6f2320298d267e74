//! The peers: how each is started, and what the kernel says it used.

use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Peer {
    Floor,
    Dockside,
    Mosquitto,
}

/// A peer that runs; dropping it ends its processes.
pub(crate) struct Running {
    processes: Vec<Child>,
    address: SocketAddr,
    _dir: TempDir,
}

/// How long a peer may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

impl Peer {
    pub(crate) const ALL: [Self; 3] = [Self::Floor, Self::Dockside, Self::Mosquitto];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Dockside => "dockside",
            Self::Mosquitto => "mosquitto + responder",
        }
    }

    /// Whether it can be measured here; says so if not.
    pub(crate) fn is_installed(self) -> bool {
        if self != Self::Mosquitto || mosquitto().is_some() {
            return true;
        }
        eprintln!("compare: mosquitto is not installed and is left out");
        false
    }

    /// Starts it on a core and waits until it listens.
    pub(crate) fn start(self, core: usize) -> io::Result<Running> {
        let dir = tempfile::tempdir()?;
        let address = free_address()?;
        let on_core = |program: PathBuf| {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string()]).arg(program);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let mut command = match self {
            Self::Floor => {
                let mut command = on_core(sibling("floor")?);
                command.arg(address.to_string());
                command
            }
            Self::Dockside => {
                let mut command = on_core(sibling("dockside")?);
                command.args(["--mqtt", &address.to_string(), "--admin", "127.0.0.1:0"]);
                command.arg("--data").arg(dir.path());
                command
            }
            Self::Mosquitto => {
                let file = dir.path().join("mosquitto.conf");
                let config = format!(
                    "listener {} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n\
                     max_queued_messages 0\nmax_inflight_messages 0\npersistence false\n",
                    address.port()
                );
                fs::File::create(&file)?.write_all(config.as_bytes())?;
                let mut command = on_core(mosquitto().unwrap_or_else(|| "mosquitto".into()));
                command.arg("-c").arg(file);
                command
            }
        };
        let mut running = Running { processes: vec![command.spawn()?], address, _dir: dir };
        running.wait_until_it_listens()?;
        if self == Self::Mosquitto {
            let mut responder = on_core(sibling("responder")?);
            responder.arg(address.to_string()).stdout(Stdio::piped());
            let mut responder = responder.spawn()?;
            let said = responder.stdout.take();
            running.processes.push(responder);
            // It speaks once it has subscribed.
            io::Read::read_exact(&mut said.ok_or(io::ErrorKind::BrokenPipe)?, &mut [0])?;
        }
        Ok(running)
    }
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// CPU time of all threads so far, microseconds, as the scheduler accounts it.
    pub(crate) fn cpu_us(&self) -> io::Result<f64> {
        let mut nanoseconds = 0u64;
        for process in &self.processes {
            for task in fs::read_dir(format!("/proc/{}/task", process.id()))? {
                let text = fs::read_to_string(task?.path().join("schedstat"))?;
                let first = text.split_whitespace().next().and_then(|n| n.parse::<u64>().ok());
                nanoseconds += first.ok_or(io::ErrorKind::InvalidData)?;
            }
        }
        Ok(nanoseconds as f64 / 1000.0)
    }

    /// Resident memory of all processes.
    pub(crate) fn resident_mib(&self) -> io::Result<f64> {
        let mut kib = 0.0;
        for process in &self.processes {
            let text = fs::read_to_string(format!("/proc/{}/status", process.id()))?;
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let number = line.and_then(|line| line.split_whitespace().next());
            kib += number.and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
        }
        Ok(kib / 1024.0)
    }

    fn wait_until_it_listens(&self) -> io::Result<()> {
        let began = Instant::now();
        loop {
            match TcpStream::connect(self.address) {
                Ok(_) => return Ok(()),
                Err(error) if began.elapsed() > PATIENCE => return Err(error),
                Err(_) => std::thread::yield_now(),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
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

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
