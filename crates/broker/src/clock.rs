//! The two clocks: a monotonic one for ages and deadlines, which tests can push forward, and the
//! wall clock for what people read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

/// The monotonic clock of one broker: everything that expires looks at it.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    start_wall_ms: u64,
    ahead_ms: AtomicU64,
    pushed: Notify,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            start_wall_ms: wall_ms(),
            ahead_ms: AtomicU64::new(0),
            pushed: Notify::new(),
        }
    }
}

impl Clock {
    /// Milliseconds since the broker was made; never goes back.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.at(Instant::now())
    }

    /// Milliseconds since 1970 by this clock: the wall clock at start, and what has passed since. For what
    /// must be understood after a restart.
    pub(crate) fn kept_ms(&self) -> u64 {
        self.start_wall_ms + self.now_ms()
    }

    /// As [`Clock::now_ms`], for an instant that was read just now.
    pub(crate) fn at(&self, now: Instant) -> u64 {
        let real = now.saturating_duration_since(self.start);
        real.as_millis() as u64 + self.ahead_ms.load(Ordering::Relaxed)
    }

    /// Lets time pass at once, for tests: sessions, wills, messages and keep alives age by it.
    pub fn advance(&self, by: Duration) {
        self.ahead_ms.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
        self.pushed.notify_one();
    }

    /// When something that lives for so many seconds from now on has expired.
    pub(crate) fn in_seconds(&self, seconds: u32) -> u64 {
        self.now_ms() + u64::from(seconds) * 1000
    }

    /// Resolves when the clock has been pushed forward.
    pub(crate) async fn pushed(&self) {
        self.pushed.notified().await;
    }
}

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
