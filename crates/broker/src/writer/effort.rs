//! How long the writer takes for an entry, and so how many of them one connection may have on their way: whoever comes
//! next waits for them, and bytes say little of that. A message that nobody keeps takes less than a microsecond, one for
//! a hundred sessions some milliseconds.

use std::time::Duration;

/// The writer's time that one connection may take before others have their turn.
const TURN: Duration = Duration::from_millis(4);

/// None would wait for ever.
const LEAST: u64 = 1;

/// Before anything is known: a message that is kept for one.
const TO_BEGIN_WITH: u64 = 20_000;

/// Nanoseconds an entry takes, those of late counting most. What a commit takes is not in it: it is the same for many.
#[derive(Debug)]
pub(super) struct Effort {
    entry_ns: u64,
}

impl Default for Effort {
    fn default() -> Self {
        Self { entry_ns: TO_BEGIN_WITH }
    }
}

impl Effort {
    /// So many entries took so long.
    pub(super) fn took(&mut self, entries: usize, time: Duration) {
        let Some(each) = time.as_nanos().checked_div(entries as u128) else { return };
        let each = u64::try_from(each).unwrap_or(u64::MAX >> 3).min(u64::MAX >> 3);
        self.entry_ns = (self.entry_ns * 7 + each) / 8;
    }

    /// Messages that one connection may have on their way.
    pub(super) fn share(&self) -> u64 {
        (TURN.as_nanos() as u64 / self.entry_ns.max(1)).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_leaves_few_to_each() {
        let mut effort = Effort::default();
        assert_eq!(effort.share(), 200);
        for _ in 0..100 {
            effort.took(500, Duration::from_micros(500));
        }
        assert!((3_900..=4_100).contains(&effort.share()), "{}", effort.share());
        for _ in 0..100 {
            effort.took(3, Duration::from_millis(30));
        }
        assert_eq!(effort.share(), LEAST);
        effort.took(0, Duration::from_secs(1));
        assert_eq!(effort.share(), LEAST);
        for _ in 0..100 {
            effort.took(1, Duration::MAX);
        }
        for _ in 0..1_000 {
            effort.took(1_000_000, Duration::ZERO);
        }
        assert!(effort.share() > 100_000, "{}", effort.share());
    }
}
