//! The clocks: a monotonic one for ages and deadlines, which tests can push forward, and the wall clock
//! for what must be understood after a restart, as long as it can be believed (`doubt`).

mod doubt;

use std::fs;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

pub(crate) use self::doubt::{Doubt, Moment};

/// A difference that is none: two clocks are not read at one instant.
const JITTER_MS: u64 = 100;

/// The clock of one broker: everything that expires looks at it.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    ahead_ms: AtomicU64,
    /// What the wall clock is wrong by, for tests.
    wrong_ms: AtomicI64,
    /// What [`Clock::kept_ms`] adds to [`Clock::now_ms`].
    kept_from_ms: AtomicU64,
    boot: u64,
    /// What the machine has run longer than it has, for tests.
    up_for_ms: u64,
    belief: Mutex<Belief>,
    pushed: Notify,
}

/// What is thought of the wall clock.
#[derive(Clone, Copy, Debug)]
struct Belief {
    /// When it was believed last.
    last: Moment,
    doubt: Option<Doubt>,
}

/// What has become of the wall clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Doubted(Doubt),
    /// It is right again.
    Right,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(0, 0)
    }
}

impl Clock {
    /// A clock whose wall clock is wrong by so many milliseconds, on a machine that has run for long: for
    /// tests.
    #[must_use]
    pub fn wrong_by(wrong_ms: i64) -> Self {
        Self::new(wrong_ms, 24 * 3_600_000)
    }

    fn new(wrong_ms: i64, up_for_ms: u64) -> Self {
        let clock = Self {
            start: Instant::now(),
            ahead_ms: AtomicU64::new(0),
            wrong_ms: AtomicI64::new(wrong_ms),
            kept_from_ms: AtomicU64::new(0),
            boot: boot(),
            up_for_ms,
            belief: Mutex::new(Belief { last: Moment::default(), doubt: None }),
            pushed: Notify::new(),
        };
        let moment = clock.moment();
        clock.belief().last = moment;
        clock.go_on_from(moment.wall_ms);
        clock
    }

    /// Milliseconds since the broker was made; never goes back.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.at(Instant::now())
    }

    /// Milliseconds since 1970, for what must be understood after a restart: the wall clock, or what has
    /// passed since it was believed last.
    pub(crate) fn kept_ms(&self) -> u64 {
        self.kept_at(self.now_ms())
    }

    /// As [`Clock::kept_ms`], for a [`Clock::now_ms`] that was read just now.
    pub(crate) fn kept_at(&self, now_ms: u64) -> u64 {
        self.kept_from_ms.load(Ordering::Relaxed) + now_ms
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

    /// Sets the wall clock, for tests.
    pub fn set_wrong_by(&self, wrong_ms: i64) {
        self.wrong_ms.store(wrong_ms, Ordering::Relaxed);
        self.pushed.notify_one();
    }

    /// When something that lives for so many seconds from now on has expired.
    pub(crate) fn in_seconds(&self, seconds: u32) -> u64 {
        self.now_ms() + u64::from(seconds) * 1000
    }

    /// Resolves when a clock has been pushed or set.
    pub(crate) async fn pushed(&self) {
        self.pushed.notified().await;
    }

    /// Why nothing that is kept expires now, if so.
    pub(crate) fn doubt(&self) -> Option<Doubt> {
        self.belief().doubt
    }

    /// When the wall clock was believed last, unless it is not now.
    pub(crate) fn believed(&self) -> Option<Moment> {
        let belief = self.belief();
        belief.doubt.is_none().then_some(belief.last)
    }

    /// What the store saw last, before anything is taken from it: whether the wall clock can be believed.
    pub(crate) fn compare(&self, last: Moment) -> Option<Doubt> {
        let now = self.moment();
        let mut belief = self.belief();
        belief.doubt = Doubt::of(&last, &now);
        if belief.doubt.is_some() {
            belief.last = last;
            self.go_on_from(last.believed_ms(&now));
        }
        belief.doubt
    }

    /// Looks at the wall clock, once a second or so.
    pub(crate) fn look(&self) -> Option<Change> {
        let now = self.moment();
        let mut belief = self.belief();
        let mut doubt = Doubt::of(&belief.last, &now);
        if belief.doubt.is_none() && matches!(doubt, Some(Doubt::Earlier { .. })) {
            // It was set by less than an hour: it is followed.
            doubt = None;
        }
        let before = std::mem::replace(&mut belief.doubt, doubt);
        if doubt.is_none() {
            belief.last = now;
            if self.kept_ms().abs_diff(now.wall_ms) > JITTER_MS {
                self.go_on_from(now.wall_ms);
            }
        }
        match (before, doubt) {
            (None, Some(doubt)) => Some(Change::Doubted(doubt)),
            (Some(_), None) => Some(Change::Right),
            _ => None,
        }
    }

    /// The wall clock is right, whatever was thought of it; that.
    pub(crate) fn accept(&self) -> Option<Doubt> {
        let now = self.moment();
        let mut belief = self.belief();
        belief.last = now;
        self.go_on_from(now.wall_ms);
        belief.doubt.take()
    }

    fn go_on_from(&self, wall_ms: u64) {
        self.kept_from_ms.store(wall_ms.saturating_sub(self.now_ms()), Ordering::Relaxed);
    }

    /// Now. Time that was pushed has passed by all clocks.
    pub(crate) fn moment(&self) -> Moment {
        let ahead_ms = self.ahead_ms.load(Ordering::Relaxed);
        let wrong_ms = self.wrong_ms.load(Ordering::Relaxed);
        let uptime_ms = if self.boot == 0 { None } else { uptime_ms() };
        Moment {
            wall_ms: (wall_ms() + ahead_ms).saturating_add_signed(wrong_ms),
            boot: if uptime_ms.is_some() { self.boot } else { 0 },
            uptime_ms: uptime_ms.unwrap_or_default() + ahead_ms + self.up_for_ms,
        }
    }

    fn belief(&self) -> MutexGuard<'_, Belief> {
        self.belief.lock().expect("no panic while it is held")
    }
}

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A number of this start of the machine (proc(5)); 0 where there is none.
fn boot() -> u64 {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(15).collect();
    u64::from_str_radix(&digits, 16).unwrap_or(0)
}

/// What has passed since the machine was started, asleep or not (proc(5)): nobody can set it.
fn uptime_ms() -> Option<u64> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split_ascii_whitespace().next()?.parse().ok()?;
    Some((seconds * 1000.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 3_600_000;

    #[test]
    fn a_small_step_is_followed_and_a_large_one_waits_until_it_is_accepted_or_undone() {
        let clock = Clock::wrong_by(0);
        assert_eq!(clock.look(), None);
        let before = clock.kept_ms();
        clock.set_wrong_by(-600_000);
        assert_eq!((clock.look(), clock.doubt()), (None, None));
        assert!(clock.kept_ms() < before - 500_000);
        for way in [1, -1] {
            clock.set_wrong_by(way * DAY_MS);
            assert!(matches!(clock.look(), Some(Change::Doubted(Doubt::Jumped { .. }))));
            assert_eq!(clock.look(), None, "said once");
            assert!(clock.doubt().is_some() && clock.believed().is_none());
            assert!(clock.kept_ms() < before, "time goes on as it was");
            clock.set_wrong_by(-600_000);
            assert_eq!((clock.look(), clock.doubt()), (Some(Change::Right), None));
        }
        clock.set_wrong_by(DAY_MS);
        assert!(clock.look().is_some());
        assert!(clock.accept().is_some() && clock.accept().is_none());
        assert_eq!((clock.look(), clock.doubt()), (None, None));
        assert!(clock.kept_ms() > before + DAY_MS as u64 / 2);
    }

    #[test]
    fn a_start_before_what_is_kept_goes_on_from_there() {
        let kept = Moment { wall_ms: wall_ms() + 600_000, ..Moment::default() };
        let clock = Clock::default();
        assert!(matches!(clock.compare(kept), Some(Doubt::Earlier { .. })));
        assert!(clock.kept_ms() >= kept.wall_ms && clock.kept_ms() < kept.wall_ms + 60_000);
        assert_eq!(clock.look(), None);
        assert!(clock.doubt().is_some());
        clock.set_wrong_by(700_000);
        assert_eq!(clock.look(), Some(Change::Right), "a time server has been heard");
        assert_eq!(clock.compare(Moment::default()), None);
    }

    /// The machine has run all the time: what a wall clock says that was set forward while the broker was
    /// off is known to be wrong.
    #[test]
    fn a_start_after_the_clock_was_set_goes_on_by_what_has_passed() {
        let last = Clock::wrong_by(0).moment();
        assert!(last.boot != 0, "this needs /proc");
        let clock = Clock::wrong_by(30 * DAY_MS);
        assert!(
            matches!(clock.compare(last), Some(Doubt::Jumped { by_ms }) if by_ms > 29 * DAY_MS)
        );
        assert!(clock.kept_ms() < wall_ms() + 60_000);
    }
}
