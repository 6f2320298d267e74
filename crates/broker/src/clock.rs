//! The two clocks: a monotonic one for ages and deadlines, the wall clock for what people read.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the process first asked; never goes back.
pub(crate) fn monotonic_ms() -> u64 {
    START.elapsed().as_millis() as u64
}

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
