//! Quantiles of the latest replies, for people who look; Prometheus has its own histogram.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Four to a doubling, from 1 us on: a quantile is right within a fifth.
const BUCKETS: usize = 96;

/// Replies since the last look.
pub(crate) struct Latency {
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Latency {
    /// So many replies took so long.
    pub(crate) fn record(&self, duration: Duration, count: usize) {
        let quarters = (duration.as_secs_f64() * 1e6).max(1.0).log2() * 4.0;
        let bucket = (quarters as usize).min(BUCKETS - 1);
        self.buckets[bucket].fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Median and 99th percentile since the last look, microseconds; none without a reply.
    pub(crate) fn take(&self) -> Option<(f64, f64)> {
        let counts = self.buckets.each_ref().map(|bucket| bucket.swap(0, Ordering::Relaxed));
        let all: u64 = counts.iter().sum();
        let quantile = |part: f64| {
            let mut rest = (all as f64 * part) as u64;
            let bucket = counts.iter().position(|count| match rest.checked_sub(*count) {
                Some(less) => {
                    rest = less;
                    false
                }
                None => true,
            });
            // The middle of the bucket.
            2f64.powf((bucket.unwrap_or(BUCKETS - 1) as f64 + 0.5) / 4.0)
        };
        (all > 0).then(|| (quantile(0.5), quantile(0.99)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_latest_replies() {
        let latency = Latency::default();
        assert_eq!(latency.take(), None);
        latency.record(Duration::from_micros(100), 98);
        latency.record(Duration::from_millis(50), 2);
        let (p50, p99) = latency.take().unwrap();
        assert!((80.0..125.0).contains(&p50) && (40_000.0..62_500.0).contains(&p99), "{p50} {p99}");
        assert_eq!(latency.take(), None);
        latency.record(Duration::ZERO, 1);
        latency.record(Duration::from_secs(100_000), 1);
        assert!(latency.take().is_some());
    }
}
