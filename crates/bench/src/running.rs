//! A peer that runs, and what the kernel says it used.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::process::Child;
use std::time::{Duration, Instant};

use dockside_bench::broker::{Cpu, memory_kib};
use tempfile::TempDir;

/// A peer that runs; dropping it ends its processes.
pub(crate) struct Running {
    pub(crate) processes: Vec<Child>,
    pub(crate) address: SocketAddr,
    pub(crate) _dir: TempDir,
}

/// How long a peer may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

impl Running {
    /// CPU time of all processes so far.
    pub(crate) fn cpu(&self) -> io::Result<Vec<Cpu>> {
        self.processes.iter().map(Cpu::of).collect()
    }

    /// Resident memory of all processes.
    pub(crate) fn resident_mib(&self) -> io::Result<f64> {
        let each = self.processes.iter().map(|process| memory_kib(process, "VmRSS:"));
        Ok(each.sum::<io::Result<f64>>()? / 1024.0)
    }

    pub(crate) fn wait_until_it_listens(&self) -> io::Result<()> {
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
        // The responder first: it would complain of a broker that is gone.
        for process in self.processes.iter_mut().rev() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
