//! How long messages take through the broker: one in 64 carries the time at which it was read, and the latest write of
//! it to a subscriber's socket is what it took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::Instant;

use metrics::{Histogram, histogram};

/// Messages of which one is timed.
pub(crate) const ONE_OF: u32 = 64;

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since a moment of this process; never 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Stamp(pub(crate) u64);

impl Stamp {
    pub(crate) fn now() -> Self {
        let nanoseconds = BEGAN.elapsed().as_nanos();
        Self(u64::try_from(nanoseconds).unwrap_or(u64::MAX).max(1))
    }
}

/// The times of a message that is timed. What it took counts once nobody has the message any more.
#[derive(Debug)]
pub(crate) struct Timing {
    read: Stamp,
    /// 0 while nobody was sent the message.
    written: AtomicU64,
}

impl Timing {
    pub(crate) fn since(read: Stamp) -> Self {
        Self { read, written: AtomicU64::new(0) }
    }

    /// The message has been written to a socket now.
    pub(crate) fn written(&self, now: Stamp) {
        self.written.fetch_max(now.0, Ordering::Relaxed);
    }

    /// From read to the latest write, seconds; none if there was no write.
    fn took(&self) -> Option<f64> {
        let written = self.written.load(Ordering::Relaxed);
        (written > 0).then(|| written.saturating_sub(self.read.0) as f64 / 1e9)
    }
}

impl Drop for Timing {
    fn drop(&mut self) {
        self.took().into_iter().for_each(|seconds| durations().record(seconds));
    }
}

/// The histogram, registered by the first call.
pub(crate) fn durations() -> &'static Histogram {
    static DURATIONS: OnceLock<Histogram> = OnceLock::new();
    DURATIONS.get_or_init(|| histogram!("dockside_delivery_duration_seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_takes_until_its_last_write() {
        let timing = Timing::since(Stamp(1_000_000_000));
        assert_eq!(timing.took(), None);
        timing.written(Stamp(4_000_000_000));
        timing.written(Stamp(3_000_000_000));
        assert_eq!(timing.took(), Some(3.0));
    }

    #[test]
    fn stamps_grow() {
        let first = Stamp::now();
        assert!(first.0 > 0 && Stamp::now() >= first);
    }
}
