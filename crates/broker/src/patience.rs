//! How long to look for what comes next before sleeping until it does.
//!
//! Where one message answers the other, the next comes some microseconds after the last was sent on, and to wake a core
//! that sleeps takes longer than that. So whoever has sent something on looks again a few times, as long as that is
//! worth it.

use std::time::{Duration, Instant};

/// How long one looks at most: a client has its answer by then, has sent what comes next, and been woken for both.
const AT_MOST: Duration = Duration::from_micros(100);

/// Looks that were worth it, at most. One in vain counts as two: of three, two must be worth it.
const WORTH_AT_MOST: u32 = 32;
const IN_VAIN: u32 = 2;

/// So many times one sleeps at once before it is tried again.
const TRY_EVERY: u32 = 64;

/// Whether looking was worth it lately.
#[derive(Default, Debug)]
pub(crate) struct Patience {
    worth: u32,
    slept: u32,
    rests: bool,
}

impl Patience {
    /// Until when to look; none is to sleep at once.
    pub(crate) fn until(&mut self, now: Instant) -> Option<Instant> {
        if std::mem::take(&mut self.rests) {
            return None;
        }
        if self.worth == 0 {
            self.slept += 1;
            if self.slept < TRY_EVERY {
                return None;
            }
            self.slept = 0;
        }
        Some(now + AT_MOST)
    }

    /// Somebody else has work to do: it is slept at once this time.
    pub(crate) fn rest(&mut self) {
        self.rests = true;
    }

    /// Whether something came while one looked.
    pub(crate) fn looked(&mut self, has_come: bool) {
        self.worth = match has_come {
            true => (self.worth + 1).min(WORTH_AT_MOST),
            false => self.worth.saturating_sub(IN_VAIN),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_looks_as_long_as_it_is_worth_it_and_tries_again_now_and_then() {
        let mut patience = Patience::default();
        let now = Instant::now();
        let looks = |patience: &mut Patience| patience.until(now).is_some();
        let tries = |patience: &mut Patience| (1..).find(|_| looks(patience)).unwrap();
        assert_eq!(tries(&mut patience), TRY_EVERY);
        patience.looked(false);
        assert_eq!(tries(&mut patience), TRY_EVERY, "in vain");
        for _ in 0..1_000 {
            patience.looked(true);
            assert_eq!(patience.until(now), Some(now + AT_MOST));
        }
        let in_vain = (1..).find(|_| {
            patience.looked(false);
            !looks(&mut patience)
        });
        assert_eq!(in_vain, Some(WORTH_AT_MOST / IN_VAIN));
        assert_eq!(tries(&mut patience), TRY_EVERY - 1);
        patience.looked(true);
        patience.rest();
        assert!(!looks(&mut patience) && looks(&mut patience), "this time");
    }

    /// Of so many rings, how many were looked out for, if something comes in these looks.
    fn looked(rings: u32, has_come: impl Fn(u32) -> bool) -> u32 {
        let mut patience = Patience::default();
        let mut looks = 0;
        for _ in 0..rings {
            if patience.until(Instant::now()).is_some() {
                patience.looked(has_come(looks));
                looks += 1;
            }
        }
        looks
    }

    #[test]
    fn what_comes_half_the_time_is_not_waited_for() {
        assert!(looked(64_000, |look| look % 2 == 0) < 64_000 / 25);
        assert!(looked(64_000, |look| look % 4 == 0) < 64_000 / 40);
        assert!(looked(64_000, |look| look % 4 != 0) > 60_000, "three of four");
    }
}
