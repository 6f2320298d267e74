//! The broker that was built beside the measurement, as a process.

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

    /// CPU time so far, microseconds.
    ///
    /// # Errors
    /// The process has ended.
    pub fn cpu_us(&self) -> io::Result<f64> {
        cpu_us(&self.child)
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

/// CPU time of all threads of a process so far, microseconds, as the scheduler accounts it.
///
/// # Errors
/// The process has ended.
pub fn cpu_us(process: &Child) -> io::Result<f64> {
    let mut nanoseconds = 0u64;
    for task in std::fs::read_dir(format!("/proc/{}/task", process.id()))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split_whitespace().next().and_then(|n| n.parse::<u64>().ok());
        nanoseconds += first.ok_or(io::ErrorKind::InvalidData)?;
    }
    Ok(nanoseconds as f64 / 1000.0)
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
