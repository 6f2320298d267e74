//! Half a core: an attacker measures its own CPU time and sleeps when it has had more.

use std::cell::Cell;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, sleep};

/// CPU seconds a second.
const SHARE: f64 = 0.5;

/// What may be had ahead after a time of idleness, CPU seconds: a burst is no more than this.
const AHEAD: f64 = 0.01;

/// The account of a process.
#[derive(Debug)]
pub(crate) struct Pace {
    began: Instant,
    at: Cell<(Instant, Duration)>,
    /// CPU seconds that were had beyond the share.
    debt: Cell<f64>,
}

/// CPU time of this process, all its threads.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), nanoseconds)
}

impl Pace {
    pub(crate) fn new() -> Self {
        let began = Instant::now();
        Self { began, at: Cell::new((began, cpu_time())), debt: Cell::new(0.0) }
    }

    /// Lets others go on, and sleeps off what is owed.
    pub(crate) async fn breathe(&self) {
        let (now, cpu) = (Instant::now(), cpu_time());
        let (then, before) = self.at.replace((now, cpu));
        let debt = owed(self.debt.get(), cpu.saturating_sub(before), now - then);
        self.debt.set(debt);
        if debt > 0.0 {
            sleep(Duration::from_secs_f64(debt / SHARE)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }

    /// CPU time and time since the start, milliseconds.
    pub(crate) fn spent(&self) -> (u64, u64) {
        (cpu_time().as_millis() as u64, self.began.elapsed().as_millis() as u64)
    }
}

/// What is owed after so much CPU time in so much time.
fn owed(before: f64, cpu: Duration, time: Duration) -> f64 {
    (before + cpu.as_secs_f64() - SHARE * time.as_secs_f64()).max(-AHEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_a_core_is_owed_and_idleness_is_not_saved() {
        let ms = Duration::from_millis;
        assert!((owed(0.0, ms(100), ms(100)) - 0.05).abs() < 1e-9);
        assert!((owed(0.05, ms(0), ms(100))).abs() < 1e-9);
        assert!((owed(0.0, ms(0), ms(60_000)) + AHEAD).abs() < 1e-9);
    }
}
