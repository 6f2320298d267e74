//! The broker as a process that is killed and started again, on the same port and the same directory.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Time in which it must listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ports that no system gives to the end of a connection that asks for none: a client that tries again
/// and again while there is no broker would else, once in a while, connect to itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// What stays the same over all restarts.
#[derive(Debug)]
pub(crate) struct Broker {
    program: PathBuf,
    /// The working directory: `data` and `broker.log`.
    dir: PathBuf,
    address: SocketAddr,
    durability: Option<String>,
    child: Option<Child>,
}

impl Broker {
    /// A broker that has not been started.
    ///
    /// # Errors
    /// No port is free.
    pub(crate) fn new(
        program: PathBuf,
        dir: &Path,
        durability: Option<String>,
    ) -> io::Result<Self> {
        let address = free_address()?;
        Ok(Self { program, dir: dir.to_owned(), address, durability, child: None })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its database.
    pub(crate) fn database(&self) -> PathBuf {
        self.dir.join("data").join("dockside.db")
    }

    /// Starts it; the time until it listens.
    ///
    /// # Errors
    /// It cannot be started, or does not listen in time.
    pub(crate) async fn start(&mut self) -> io::Result<Duration> {
        let began = Instant::now();
        let log = OpenOptions::new().create(true).append(true).open(self.dir.join("broker.log"))?;
        let mut command = Command::new(&self.program);
        command
            .args(["--mqtt", &self.address.to_string(), "--admin", "127.0.0.1:0"])
            .env("DOCKSIDE_DATA__DIR", self.dir.join("data"))
            .env("DOCKSIDE_LOG__LEVEL", "warn")
            .current_dir(&self.dir)
            .stdout(Stdio::piped())
            .stderr(log);
        if let Some(durability) = &self.durability {
            command.env("DOCKSIDE_STORE__DURABILITY", durability);
        }
        let mut child = command.spawn()?;
        let out = child.stdout.take();
        self.child = Some(child);
        let out = out.ok_or(io::ErrorKind::BrokenPipe)?;
        let first_line = spawn_blocking(move || BufReader::new(out).lines().next().transpose());
        let line = timeout(PATIENCE, first_line).await??;
        match line? {
            Some(line) if line.starts_with("mqtt listening on ") => Ok(began.elapsed()),
            other => Err(io::Error::other(format!(
                "it says {:?} where it should say that it listens",
                other.unwrap_or_default()
            ))),
        }
    }

    /// Kills it as a power cut would; with the returned value, when it is gone.
    ///
    /// # Errors
    /// It had ended by itself.
    pub(crate) fn kill(&mut self) -> io::Result<impl Future<Output = io::Result<()>> + use<>> {
        let mut child = self.child.take().ok_or(io::ErrorKind::NotFound)?;
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("it had ended by itself: {status}")));
        }
        child.kill()?;
        Ok(async move {
            spawn_blocking(move || child.wait()).await??;
            Ok(())
        })
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        Some(status.to_string())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An address of this machine that nobody listens on; runs side by side look from different ports on.
fn free_address() -> io::Result<SocketAddr> {
    let skip = std::process::id() as usize % PORTS.len();
    let ports = PORTS.cycle().skip(skip).take(PORTS.len());
    let mut addresses = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let free = addresses.find(|address| TcpListener::bind(address).is_ok());
    free.ok_or_else(|| io::ErrorKind::AddrInUse.into())
}
