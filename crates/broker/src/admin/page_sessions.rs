//! Who has logged in on the page.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};

/// How long a login lasts.
pub(super) const LIFETIME: Duration = Duration::from_secs(12 * 3_600);

/// Logins at the same time; beyond, the oldest goes.
const SESSIONS: usize = 1_000;

/// The logins, oldest first. Of their keys only digests are kept: what is read from this process
/// later is no login, and how long a search takes tells nothing of a key.
#[derive(Default)]
pub(super) struct PageSessions {
    sessions: VecDeque<Session>,
}

struct Session {
    key: [u8; 32],
    user: Arc<str>,
    until: Instant,
}

impl PageSessions {
    pub(super) fn add(&mut self, key: &str, user: Arc<str>, now: Instant) {
        while self.sessions.front().is_some_and(|oldest| oldest.until <= now)
            || self.sessions.len() >= SESSIONS
        {
            self.sessions.pop_front();
        }
        self.sessions.push_back(Session { key: hashed(key), user, until: now + LIFETIME });
    }

    /// Whose key this is.
    pub(super) fn user(&self, key: &str, now: Instant) -> Option<&Arc<str>> {
        let key = hashed(key);
        let found = self.sessions.iter().find(|session| session.key == key && now < session.until);
        found.map(|session| &session.user)
    }

    pub(super) fn remove(&mut self, key: &str) {
        let key = hashed(key);
        self.sessions.retain(|session| session.key != key);
    }
}

fn hashed(key: &str) -> [u8; 32] {
    let mut hashed = [0; 32];
    hashed.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
    hashed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user<'a>(sessions: &'a PageSessions, key: &str, now: Instant) -> Option<&'a str> {
        sessions.user(key, now).map(AsRef::as_ref)
    }

    #[test]
    fn a_key_is_its_users_until_it_is_old_or_removed() {
        let mut sessions = PageSessions::default();
        let now = Instant::now();
        sessions.add("k", "pat".into(), now);
        sessions.add("l", "vic".into(), now);
        assert_eq!(user(&sessions, "k", now), Some("pat"));
        assert_eq!(user(&sessions, "l", now), Some("vic"));
        assert_eq!(user(&sessions, "m", now), None);
        assert_eq!(user(&sessions, "", now), None);
        sessions.remove("l");
        assert_eq!(user(&sessions, "l", now), None);
        let last = now + LIFETIME - Duration::from_millis(1);
        assert_eq!(user(&sessions, "k", last), Some("pat"));
        assert_eq!(user(&sessions, "k", now + LIFETIME), None);
        sessions.add("n", "vic".into(), now + LIFETIME);
        assert_eq!(sessions.sessions.len(), 1, "what is over goes");
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_goes() {
        let mut sessions = PageSessions::default();
        let now = Instant::now();
        for n in 0..=SESSIONS {
            sessions.add(&n.to_string(), "pat".into(), now);
        }
        assert_eq!(sessions.sessions.len(), SESSIONS);
        assert_eq!(user(&sessions, "0", now), None);
        assert_eq!(user(&sessions, "1", now), Some("pat"));
        assert_eq!(user(&sessions, &SESSIONS.to_string(), now), Some("pat"));
    }

    #[test]
    fn no_key_is_kept_as_it_is() {
        let mut sessions = PageSessions::default();
        sessions.add("0123456789abcdef0123456789abcdef", "pat".into(), Instant::now());
        let kept = sessions.sessions[0].key;
        assert!(!b"0123456789abcdef0123456789abcdef".windows(8).any(|part| kept[..8] == *part));
    }
}
