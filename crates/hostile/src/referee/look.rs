//! What the system tells about a process.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::LOOK;

/// Resident memory of a process, MiB; 0 if it has ended.
fn resident_mib(id: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// Open descriptors of a process; 0 if it has ended.
pub(super) fn descriptors(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count)
}

/// CPU time of a process (fields `utime` and `stime` of the kernel's `stat`, in hundredths of a second).
pub(super) fn cpu_time(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The name, which may hold anything, ends with the last parenthesis; `utime` is the 12th field behind it.
    let fields =
        stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ').skip(11).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// The largest resident memory of a process, looked at again and again.
pub(super) struct Peak {
    watching: AbortHandle,
    mib: Arc<AtomicU64>,
}

impl Peak {
    /// Looks from now on.
    pub(super) fn watch(id: u32) -> Self {
        let mib = Arc::new(AtomicU64::new(0));
        let largest = Arc::clone(&mib);
        let watching = tokio::spawn(async move {
            loop {
                largest.fetch_max(resident_mib(id).ceil() as u64, Ordering::Relaxed);
                sleep(LOOK).await;
            }
        });
        Self { watching: watching.abort_handle(), mib }
    }

    /// The largest so far; nobody looks any more.
    pub(super) fn end(self) -> f64 {
        self.watching.abort();
        self.mib.load(Ordering::Relaxed) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_about_this_process() {
        let id = std::process::id();
        assert!(resident_mib(id) > 0.5);
        assert!(descriptors(id) >= 3);
        let mut spent = cpu_time(id);
        // Work until a tick of it is seen.
        while spent.is_zero() {
            spent = cpu_time(id);
        }
    }
}
