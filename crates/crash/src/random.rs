//! Random numbers that a seed repeats (SplitMix64: Steele, Lea and Flood, 2014).

use std::time::Duration;

/// A generator; every client has its own, so that one's pace does not change another's numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The generator of the client `name` in a run with this seed.
    pub(crate) fn of(seed: u64, name: &str) -> Self {
        Self::new(seed ^ crate::payload::sum(name.as_bytes()))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound`, without it; 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.next() % bound as u64) as usize }
    }

    /// True in one of `n` cases.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A time from `from` to `to`, in microseconds.
    pub(crate) fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let span = to.saturating_sub(from).as_micros() as usize;
        from + Duration::from_micros(self.below(span + 1) as u64)
    }

    /// A number of milliseconds from `from` to `to`.
    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        self.between(Duration::from_millis(from), Duration::from_millis(to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_numbers_and_names_have_their_own() {
        let numbers = |mut random: Random| [random.next(), random.next(), random.next()];
        assert_eq!(numbers(Random::of(7, "p1")), numbers(Random::of(7, "p1")));
        assert_ne!(numbers(Random::of(7, "p1")), numbers(Random::of(7, "p2")));
        assert_ne!(numbers(Random::of(7, "p1")), numbers(Random::of(8, "p1")));
    }

    #[test]
    fn numbers_keep_within_their_bounds() {
        let mut random = Random::new(1);
        let (from, to) = (Duration::from_millis(50), Duration::from_millis(60));
        for _ in 0..1_000 {
            assert!(random.below(3) < 3);
            assert!((from..=to).contains(&random.between(from, to)));
        }
        assert_eq!(random.below(0), 0);
    }
}
