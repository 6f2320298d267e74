//! How long a login attempt waits after failed ones.
//!
//! Slowed is who fails: a user name from an address. Never an address alone, because a site's docks
//! stand behind one router; and never a user name alone, or anybody could lock a dock out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Failed attempts that cost nothing: somebody mistypes.
const FREE: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// An attempt that had to wait longer is refused at once.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Failures are forgotten after this time without a new one.
const MEMORY: Duration = Duration::from_secs(600);
/// Entries of one half of the table.
const ENTRIES: usize = 8_192;

/// Too many attempts are waiting already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooMany;

type Key = (IpAddr, Box<str>);

/// The attempts that failed. Bounded: when a half is full, the older half is forgotten.
#[derive(Debug, Default)]
pub struct Throttle {
    young: HashMap<Key, Entry>,
    old: HashMap<Key, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    failures: u32,
    /// Attempts that have their place and have not been looked at; they count as if they had failed.
    waiting: u32,
    /// When the next attempt may be looked at; time since a fixed moment.
    free_at: Duration,
    last: Duration,
}

impl Throttle {
    /// How long this attempt has to wait before its password is looked at. The place is taken:
    /// attempts that come meanwhile wait behind it.
    ///
    /// # Errors
    /// [`TooMany`]: it would wait too long; it is refused without looking at its password.
    pub fn admit(
        &mut self,
        address: IpAddr,
        user: &str,
        now: Duration,
    ) -> Result<Duration, TooMany> {
        let Some(entry) = self.entry(address, user, now) else { return Ok(Duration::ZERO) };
        let wait = entry.free_at.saturating_sub(now);
        if wait > LONGEST_WAIT {
            return Err(TooMany);
        }
        if pause(entry.failures) > Duration::ZERO {
            entry.waiting = entry.waiting.saturating_add(1);
        }
        entry.free_at = now + wait + pause(entry.failures.saturating_add(entry.waiting));
        Ok(wait)
    }

    /// The attempt ended before its password was looked at: those behind it move up.
    pub fn abandoned(&mut self, address: IpAddr, user: &str, now: Duration) {
        if let Some(entry) = self.entry(address, user, now) {
            let pause = pause(entry.failures.saturating_add(entry.waiting));
            entry.free_at = entry.free_at.saturating_sub(pause);
            entry.waiting = entry.waiting.saturating_sub(1);
        }
    }

    /// The password was wrong.
    pub fn failed(&mut self, address: IpAddr, user: &str, now: Duration) {
        if let Some(entry) = self.entry(address, user, now) {
            entry.failures = entry.failures.saturating_add(1);
            entry.waiting = entry.waiting.saturating_sub(1);
            entry.last = now;
            entry.free_at = entry.free_at.max(now + pause(entry.failures));
            return;
        }
        if self.young.len() >= ENTRIES {
            self.old = std::mem::take(&mut self.young);
        }
        let entry = Entry { failures: 1, waiting: 0, free_at: now, last: now };
        self.young.insert((network(address), user.into()), entry);
    }

    /// The password was right.
    pub fn succeeded(&mut self, address: IpAddr, user: &str) {
        let key = (network(address), user.into());
        self.young.remove(&key);
        self.old.remove(&key);
    }

    fn entry(&mut self, address: IpAddr, user: &str, now: Duration) -> Option<&mut Entry> {
        let key = (network(address), user.into());
        let half = if self.young.contains_key(&key) { &mut self.young } else { &mut self.old };
        let forgotten = half.get(&key)?.last + MEMORY < now;
        if forgotten {
            half.remove(&key);
        }
        half.get_mut(&key)
    }
}

/// What one host can choose addresses from: in IPv6 the lower 64 bits.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

fn pause(failures: u32) -> Duration {
    match failures.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(beyond) => (FIRST_PAUSE * (1 << beyond.min(10))).min(LONGEST_PAUSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_guesser_gets_slower_and_nobody_else_does() {
        let mut throttle = Throttle::default();
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        for _ in 0..12 {
            let wait = throttle.admit(HERE, "dock", now).unwrap();
            waits.push(wait.as_millis());
            now += wait;
            throttle.failed(HERE, "dock", now);
        }
        assert_eq!(waits[..6], [0, 0, 0, 250, 500, 1_000]);
        assert_eq!(waits[9..], [8_000, 8_000, 8_000]);
        // Another user behind the same router, and the same user from elsewhere.
        assert_eq!(throttle.admit(HERE, "other", now), Ok(Duration::ZERO));
        assert_eq!(throttle.admit(THERE, "dock", now), Ok(Duration::ZERO));
        throttle.succeeded(HERE, "dock");
        assert_eq!(throttle.admit(HERE, "dock", now), Ok(Duration::ZERO));
    }

    #[test]
    fn attempts_at_once_wait_in_line_and_a_long_line_is_refused() {
        let mut throttle = Throttle::default();
        for _ in 0..9 {
            throttle.failed(HERE, "dock", Duration::ZERO);
        }
        let now = seconds(20);
        assert_eq!(throttle.admit(HERE, "dock", now), Ok(Duration::ZERO));
        assert_eq!(throttle.admit(HERE, "dock", now), Ok(seconds(8)));
        assert_eq!(throttle.admit(HERE, "dock", now), Err(TooMany));
        assert_eq!(throttle.admit(HERE, "dock", now + seconds(6)), Ok(seconds(10)));
    }

    #[test]
    fn a_crowd_of_guesses_gets_no_more_than_one_after_the_other() {
        let mut throttle = Throttle::default();
        for _ in 0..3 {
            throttle.failed(HERE, "dock", Duration::ZERO);
        }
        let now = seconds(1);
        let admitted = (0..1_000).filter(|_| throttle.admit(HERE, "dock", now).is_ok()).count();
        assert!(admitted < 8, "{admitted} within ten seconds");
    }

    #[test]
    fn a_host_that_changes_its_address_within_its_network_is_the_same() {
        let mut throttle = Throttle::default();
        let address = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, n]);
        for n in 0..9 {
            throttle.failed(address(n), "dock", Duration::ZERO);
        }
        assert!(throttle.admit(address(99), "dock", Duration::ZERO).unwrap() > seconds(1));
        let elsewhere = IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]);
        assert_eq!(throttle.admit(elsewhere, "dock", Duration::ZERO), Ok(Duration::ZERO));
    }

    #[test]
    fn who_gives_up_leaves_its_place() {
        let mut throttle = Throttle::default();
        for _ in 0..3 {
            throttle.failed(HERE, "dock", Duration::ZERO);
        }
        for n in 1..20 {
            throttle.admit(HERE, "dock", seconds(10 * n)).unwrap();
            throttle.abandoned(HERE, "dock", seconds(10 * n));
        }
        throttle.admit(HERE, "dock", seconds(500)).unwrap();
        let next = throttle.admit(HERE, "dock", seconds(500)).unwrap();
        assert_eq!(next, 2 * FIRST_PAUSE, "as if the others had not been there");
    }

    #[test]
    fn failures_are_forgotten_and_the_table_is_bounded() {
        let mut throttle = Throttle::default();
        for _ in 0..9 {
            throttle.failed(HERE, "dock", Duration::ZERO);
        }
        assert_eq!(throttle.admit(HERE, "dock", seconds(601)), Ok(Duration::ZERO));
        for n in 0..100_000 {
            throttle.failed(HERE, &n.to_string(), seconds(1));
        }
        assert!(throttle.young.len() + throttle.old.len() <= 2 * ENTRIES);
    }
}
