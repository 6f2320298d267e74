//! How long to look for what comes next before sleeping until it does.
//!
//! Where one message answers the other, the next comes some microseconds after the last was sent on, and to wake a core
//! that sleeps takes longer than that. So whoever has sent something on looks again a few times, as long as that is
//! worth it.

use std::time::{Duration, Instant};

/// How long one looks at most: a client has its answer by then, has sent what comes next, and been woken for both.
const AT_MOST: Duration = Duration::from_micros(100);

/// Looks that were worth it, at most: so many in vain end it.
const WORTH_AT_MOST: u32 = 8;

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
        self.worth = if has_come { (self.worth + 1).min(WORTH_AT_MOST) } else { self.worth / 2 };
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
        assert_eq!(in_vain, Some(4), "8, 4, 2, 1");
        assert_eq!(tries(&mut patience), TRY_EVERY - 1);
        patience.looked(true);
        patience.rest();
        assert!(!looks(&mut patience) && looks(&mut patience), "this time");
    }

    /// What comes more seldom than half the time while one looks is not waited for.
    #[test]
    fn seldom_is_not_worth_it() {
        let mut patience = Patience::default();
        let mut looked = 0;
        for ring in 0..64_000 {
            if patience.until(Instant::now()).is_some() {
                looked += 1;
                patience.looked(ring % 4 == 0);
            }
        }
        assert!(looked < 64_000 / 30, "{looked}");
    }
}
