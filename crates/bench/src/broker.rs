//! The broker that was built beside the measurement, as a process.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A broker on a port of its own; ended with the value.
pub struct Broker {
    child: Child,
    address: SocketAddr,
    _dir: TempDir,
}

impl Broker {
    /// Starts it in `dir`, with these keys of the configuration as environment variables.
    ///
    /// # Errors
    /// It is not built, or does not listen.
    pub fn start(dir: TempDir, environment: &[(&str, &str)]) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?.with_file_name("dockside"))
            .args(["--mqtt", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .env("DOCKSIDE_LOG__LEVEL", "error")
            .envs(environment.iter().copied())
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let line = BufReader::new(out).lines().next().transpose()?.unwrap_or_default();
        let address = line.strip_prefix("mqtt listening on ").and_then(|a| a.parse().ok());
        let address = address.ok_or_else(|| io::Error::other(line))?;
        Ok(Self { child, address, _dir: dir })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Memory by a key of the kernel's status (`VmRSS:`, `VmHWM:`), KiB.
    ///
    /// # Errors
    /// The process has ended.
    pub fn memory_kib(&self, key: &str) -> io::Result<f64> {
        memory_kib(&self.child, key)
    }

    /// CPU time of its threads so far.
    ///
    /// # Errors
    /// The process has ended.
    pub fn cpu(&self) -> io::Result<Cpu> {
        Cpu::of(&self.child)
    }
}

/// Memory of a process by a key of the kernel's status (`VmRSS:`, `VmHWM:`), KiB.
///
/// # Errors
/// The process has ended.
pub fn memory_kib(process: &Child, key: &str) -> io::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.ok_or_else(|| io::Error::other("no such line"))
}

/// CPU time of a process by thread, nanoseconds, as the scheduler accounts it.
#[derive(Default)]
pub struct Cpu(HashMap<OsString, u64>);

impl Cpu {
    /// So far. What threads have used that are gone is not known any more.
    ///
    /// # Errors
    /// The process has ended.
    pub fn of(process: &Child) -> io::Result<Self> {
        let mut threads = HashMap::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", process.id()))? {
            let task = task?;
            // It may have ended since.
            let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
            let first = text.split_whitespace().next().and_then(|n| n.parse().ok());
            threads.insert(task.file_name(), first.ok_or(io::ErrorKind::InvalidData)?);
        }
        Ok(Self(threads))
    }

    /// Microseconds since then, of the threads that are still there.
    #[must_use]
    pub fn us_since(&self, before: &Self) -> f64 {
        let used = |(thread, now): (_, &u64)| now - before.0.get(thread).unwrap_or(&0);
        self.0.iter().map(used).sum::<u64>() as f64 / 1000.0
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
