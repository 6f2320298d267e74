//! Whether the wall clock can be believed: without I/O and without a clock.
//!
//! What is kept across a restart ages by the wall clock, and a wall clock can be wrong: a machine without
//! a battery starts in the past, a mistyped date is in the future. What would have expired by it would be
//! lost, so nothing does before somebody says that it is right, or it is again.

use std::fmt;

/// What a wall clock may be set by while somebody looks.
const JUMP_MS: u64 = 3_600_000;

/// How long after its start a machine may learn what time it is: one without a battery starts where it was
/// stopped, and a time server sets it forward.
const SETTLING_MS: u64 = 900_000;

/// What a clock may go back by without being earlier.
const SLACK_MS: u64 = 1_000;

/// When something was, by the wall clock and by the clock that nobody sets.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Moment {
    /// Milliseconds since 1970.
    pub(crate) wall_ms: u64,
    /// Which start of the machine; 0 if that is not known.
    pub(crate) boot: u64,
    /// Milliseconds since then, those asleep too.
    pub(crate) uptime_ms: u64,
}

impl Moment {
    /// What has passed from here to another moment, if the machine has run all the time.
    fn passed_ms(&self, to: &Self) -> Option<u64> {
        let is_same = self.boot == to.boot && self.boot != 0;
        // A container may have an uptime of its own, which begins again.
        if is_same { to.uptime_ms.checked_sub(self.uptime_ms) } else { None }
    }

    /// What time it is `now` by what was believed here, whatever the wall clock says.
    pub(crate) fn believed_ms(&self, now: &Self) -> u64 {
        self.wall_ms + self.passed_ms(now).unwrap_or(0)
    }
}

/// Why the wall clock is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Doubt {
    /// It is earlier than what is kept.
    Earlier {
        /// By so many milliseconds.
        by_ms: u64,
    },
    /// It was set while the machine ran.
    Jumped {
        /// By so many milliseconds; below 0 it went back.
        by_ms: i64,
    },
}

impl Doubt {
    /// What is to be said of a clock that shows `now`, and was believed `last`.
    pub(crate) fn of(last: &Moment, now: &Moment) -> Option<Self> {
        if last.passed_ms(now).is_some() {
            let by_ms = now.wall_ms.cast_signed() - last.believed_ms(now).cast_signed();
            let settles = by_ms > 0 && now.uptime_ms < SETTLING_MS;
            if by_ms.unsigned_abs() > JUMP_MS && !settles {
                return Some(Self::Jumped { by_ms });
            }
        }
        let by_ms = last.wall_ms.saturating_sub(now.wall_ms);
        (by_ms > SLACK_MS).then_some(Self::Earlier { by_ms })
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earlier { by_ms } => {
                write!(f, "the wall clock is {} earlier than what is kept", Span(*by_ms))
            }
            Self::Jumped { by_ms } => {
                let way = if *by_ms < 0 { "back" } else { "forward" };
                write!(f, "the wall clock was set {way} by {}", Span(by_ms.unsigned_abs()))
            }
        }
    }
}

/// Milliseconds for people.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1000;
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
        match (days, hours, minutes) {
            (0, 0, 0) => write!(f, "{seconds} s"),
            (0, 0, _) => write!(f, "{minutes} min"),
            (0, _, _) => write!(f, "{hours} h {minutes} min"),
            _ => write!(f, "{days} d {hours} h"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    fn at(wall_ms: u64, boot: u64, uptime_ms: u64) -> Moment {
        Moment { wall_ms, boot, uptime_ms }
    }

    #[test]
    fn a_clock_that_goes_on_is_believed() {
        let last = at(100 * HOUR_MS, 7, HOUR_MS);
        for (wall_hours, boot, uptime_hours) in
            [(100, 7, 1), (110, 7, 11), (111, 7, 11), (109, 7, 11)]
        {
            let now = at(wall_hours * HOUR_MS, boot, uptime_hours * HOUR_MS);
            assert_eq!(Doubt::of(&last, &now), None, "{now:?}");
        }
        // A machine that was off has no witness.
        assert_eq!(Doubt::of(&last, &at(10_000 * HOUR_MS, 8, 5)), None);
        assert_eq!(Doubt::of(&at(5, 0, 5), &at(10_000 * HOUR_MS, 0, 6)), None);
        assert_eq!(Doubt::of(&Moment::default(), &last), None, "nothing was kept before");
    }

    #[test]
    fn a_clock_that_was_set_or_is_earlier_is_not() {
        let last = at(100 * HOUR_MS, 7, HOUR_MS);
        let said = |now: Moment| Doubt::of(&last, &now).map(|doubt| doubt.to_string());
        let forward = at(102 * HOUR_MS + 1, 7, 2 * HOUR_MS);
        assert_eq!(said(forward).unwrap(), "the wall clock was set forward by 1 h 0 min");
        let back = at(50 * HOUR_MS, 7, HOUR_MS);
        assert_eq!(said(back).unwrap(), "the wall clock was set back by 2 d 2 h");
        let earlier = at(100 * HOUR_MS - 600_000, 7, HOUR_MS);
        assert_eq!(said(earlier).unwrap(), "the wall clock is 10 min earlier than what is kept");
        let other_boot = at(1_001, 8, 0);
        assert_eq!(
            said(other_boot).unwrap(),
            "the wall clock is 4 d 3 h earlier than what is kept"
        );
        assert_eq!(said(at(100 * HOUR_MS - SLACK_MS, 8, 0)), None);
        assert_eq!(
            said(at(100 * HOUR_MS - 2 * SLACK_MS, 8, 0)).unwrap(),
            "the wall clock is 2 s earlier than what is kept"
        );
    }

    /// A machine without a battery is off for days, and a time server tells it so.
    #[test]
    fn a_machine_that_has_just_started_learns_the_time() {
        let started = at(100 * HOUR_MS, 7, 10_000);
        let told = |uptime_ms| Doubt::of(&started, &at(180 * HOUR_MS, 7, uptime_ms));
        assert_eq!(told(60_000), None);
        assert!(told(SETTLING_MS).is_some());
        assert!(Doubt::of(&started, &at(20 * HOUR_MS, 7, 60_000)).is_some(), "not back");
        // An uptime that begins again is no witness.
        assert_eq!(Doubt::of(&at(100 * HOUR_MS, 7, HOUR_MS), &at(105 * HOUR_MS, 7, 5_000)), None);
    }

    #[test]
    fn time_goes_on_by_the_clock_that_nobody_sets() {
        let last = at(100, 7, 10);
        assert_eq!(last.believed_ms(&at(99_999, 7, 25)), 115);
        assert_eq!(last.believed_ms(&at(99_999, 8, 25)), 100, "what passed is not known");
    }
}
