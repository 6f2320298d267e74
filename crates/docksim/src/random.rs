//! Random numbers that a seed repeats (SplitMix64: Steele, Lea and Flood, 2014).

/// A generator. Whoever plans something has one of its own, so that more of one thing does not change
/// the numbers of another.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator number `stream` of a seed.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        // Through the generator once: neighbouring seeds and streams must not overlap.
        let mut first = Self(seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03));
        Self(first.bits())
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from `from` to `to`, both included; `from` if there is none.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        let span = to.saturating_sub(from);
        from + self.bits() % span.saturating_add(1).max(1)
    }

    /// True in one of `n` cases.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.between(1, n) == 1
    }

    /// One of them; the type's default if there is none.
    pub fn pick<T: Copy + Default>(&mut self, from: &[T]) -> T {
        let last = from.len().saturating_sub(1) as u64;
        from.get(self.between(0, last) as usize).copied().unwrap_or_default()
    }

    /// A UUID in form, of version 4.
    pub fn uuid(&mut self) -> String {
        let (high, low) = (self.bits(), self.bits());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xFFFF,
            high & 0xFFF,
            low >> 48 & 0x3FFF | 0x8000,
            low & 0xFFFF_FFFF_FFFF
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_numbers_and_streams_have_their_own() {
        let numbers = |mut random: Random| [random.bits(), random.bits(), random.bits()];
        assert_eq!(numbers(Random::new(7, 1)), numbers(Random::new(7, 1)));
        assert_ne!(numbers(Random::new(7, 1)), numbers(Random::new(7, 2)));
        assert_ne!(numbers(Random::new(7, 1)), numbers(Random::new(8, 1)));
    }

    #[test]
    fn numbers_keep_within_their_bounds() {
        let mut random = Random::new(1, 0);
        for _ in 0..1_000 {
            assert!((3..=5).contains(&random.between(3, 5)));
            assert!([2, 4].contains(&random.pick(&[2, 4])));
        }
        assert_eq!(random.between(5, 3), 5);
        assert_eq!(random.pick::<u8>(&[]), 0);
        assert!(random.between(0, u64::MAX) > 0);
    }

    #[test]
    fn a_uuid_has_the_form_of_one() {
        let uuid = Random::new(1, 0).uuid();
        let lengths: Vec<_> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(uuid.as_bytes()[14], b'4');
    }
}
