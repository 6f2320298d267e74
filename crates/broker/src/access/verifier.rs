//! Passwords are verified on threads of their own, a few at a time, so that a thousand docks that
//! come back at once cost the connected ones nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dockside_access::hash::Hash;
use dockside_access::password_file::PasswordFile;
use dockside_access::throttle::{Throttle, TooMany};
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Verifications at the same time; each may take a core and some 20 MiB.
const WORKERS_AT_MOST: usize = 8;

/// Why a user name with its password is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wrong {
    /// No such user; the client is told the same as for a wrong password.
    User,
    /// The user's password is another one.
    Password,
    /// Too many attempts wait; this one was not looked at.
    TooMany,
    /// It could not be looked at.
    Unverified,
}

/// The verification of passwords, its queue and its memory.
pub(crate) struct Verifier {
    workers: Semaphore,
    /// Names that are no user's take one place of the queue at most: guessing makes no dock wait.
    strangers: Semaphore,
    throttle: Mutex<Throttle>,
    started: Instant,
    remembered: Mutex<HashMap<Arc<str>, Remembered>>,
    remember_for: Duration,
    /// Of this process alone: what is remembered is worthless elsewhere.
    key: Option<hmac::Key>,
}

/// A password that was right.
struct Remembered {
    tag: hmac::Tag,
    until: Instant,
}

impl Verifier {
    pub(crate) fn new(cache_ms: u64) -> Self {
        let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok();
        Self {
            workers: Semaphore::new(workers.min(WORKERS_AT_MOST)),
            strangers: Semaphore::new(1),
            throttle: Mutex::default(),
            started: Instant::now(),
            remembered: Mutex::default(),
            remember_for: Duration::from_millis(cache_ms),
            key,
        }
    }

    /// The user's name, as it is kept, if this is its password.
    pub(crate) async fn verify(
        &self,
        users: &PasswordFile,
        user: &str,
        password: &[u8],
        address: IpAddr,
    ) -> Result<Arc<str>, Wrong> {
        let known = users.get(user);
        // First: somebody who guesses at the name of a dock does not slow the dock itself.
        if let Some((name, hash)) = known
            && self.remembers(name, hash, password)
        {
            return Ok(Arc::clone(name));
        }
        // Names that are no user's stand in a line of their own.
        let stranger = if known.is_none() { self.strangers.acquire().await.ok() } else { None };
        let worker = self.turn(address, user).await?;
        // Without a user it takes as long as with one, so that the time tells nobody who is one.
        let hash = known.map(|(_, hash)| hash).or(users.any_hash());
        // Another connection of this user may have been first.
        let right = known.is_some_and(|(name, hash)| self.remembers(name, hash, password))
            || match hash {
                Some(hash) => hashed(hash, password).await?,
                None => false,
            };
        drop((worker, stranger));
        match known {
            Some((name, hash)) if right => {
                lock(&self.throttle).succeeded(address, user);
                self.remember(name, hash, password);
                Ok(Arc::clone(name))
            }
            _ => {
                lock(&self.throttle).failed(address, user, self.started.elapsed());
                Err(if known.is_some() { Wrong::Password } else { Wrong::User })
            }
        }
    }

    /// Waits for a worker, and for the pause that failed attempts have earned. It is asked for with
    /// the worker in hand, so that many attempts at once gain nothing.
    async fn turn(&self, address: IpAddr, user: &str) -> Result<SemaphorePermit<'_>, Wrong> {
        let worker = self.workers.acquire().await.map_err(|_| Wrong::Unverified)?;
        let wait = lock(&self.throttle).admit(address, user, self.started.elapsed());
        match wait {
            Err(TooMany) => Err(Wrong::TooMany),
            Ok(wait) if wait.is_zero() => Ok(worker),
            Ok(wait) => {
                drop(worker);
                tokio::time::sleep(wait).await;
                self.workers.acquire().await.map_err(|_| Wrong::Unverified)
            }
        }
    }

    /// Forgets every password.
    pub(crate) fn forget(&self) {
        lock(&self.remembered).clear();
    }

    fn remembers(&self, user: &str, hash: &Hash, password: &[u8]) -> bool {
        let remembered = lock(&self.remembered);
        let Some(known) = remembered.get(user) else { return false };
        let message = message(hash, password);
        known.until > Instant::now()
            && self
                .key
                .as_ref()
                .is_some_and(|key| hmac::verify(key, &message, known.tag.as_ref()).is_ok())
    }

    /// Bounded by the number of users: one entry for each.
    fn remember(&self, user: &Arc<str>, hash: &Hash, password: &[u8]) {
        if self.remember_for.is_zero() {
            return;
        }
        let Some(key) = &self.key else { return };
        let tag = hmac::sign(key, &message(hash, password));
        let until = Instant::now() + self.remember_for;
        lock(&self.remembered).insert(Arc::clone(user), Remembered { tag, until });
    }
}

/// What is signed: with the stored password in it, a changed one is not remembered.
fn message(hash: &Hash, password: &[u8]) -> Vec<u8> {
    [hash.as_str().as_bytes(), b"\0", password].concat()
}

async fn hashed(hash: &Hash, password: &[u8]) -> Result<bool, Wrong> {
    let (hash, password) = (hash.clone(), password.to_vec());
    let work = tokio::task::spawn_blocking(move || hash.verify(&password));
    work.await.map_err(|_| Wrong::Unverified)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const HASH: &str = "$7$101$KwMJa8HXMfPcbAl8$71LaWTK3hXYiVQXuZz/xBX+6PsHsog4kBhxZiDwlkybJ01dwqiLSz6ahSgZ4wdSc1RFsi00ANpyjzfXkgibScw==";

    fn users() -> PasswordFile {
        PasswordFile::parse(&format!("dock:{HASH}\nother:{HASH}\n")).unwrap()
    }

    #[tokio::test]
    async fn right_and_wrong_are_told_apart() {
        let (verifier, users) = (Verifier::new(60_000), users());
        let verify = |user, password| verifier.verify(&users, user, password, HERE);
        assert_eq!(verify("dock", b"secret").await.as_deref(), Ok("dock"));
        assert_eq!(verify("dock", b"Secret").await, Err(Wrong::Password));
        assert_eq!(verify("dock", b"").await, Err(Wrong::Password));
        assert_eq!(verify("stranger", b"secret").await, Err(Wrong::User));
    }

    #[tokio::test]
    async fn only_a_right_password_is_remembered_and_only_for_its_user() {
        let (verifier, users) = (Verifier::new(60_000), users());
        let (name, hash) = users.get("dock").unwrap();
        verifier.verify(&users, "dock", b"wrong", HERE).await.unwrap_err();
        assert!(!verifier.remembers(name, hash, b"wrong"));
        verifier.verify(&users, "dock", b"secret", HERE).await.unwrap();
        assert!(verifier.remembers(name, hash, b"secret"));
        assert!(!verifier.remembers(name, hash, b"wrong"));
        assert!(!verifier.remembers("other", hash, b"secret"));
        let changed = Hash::create(b"secret").unwrap();
        assert!(!verifier.remembers(name, &changed, b"secret"), "the stored password is another");
        verifier.forget();
        assert!(!verifier.remembers(name, hash, b"secret"));
        let never = Verifier::new(0);
        never.verify(&users, "dock", b"secret", HERE).await.unwrap();
        assert!(!never.remembers(name, hash, b"secret"));
    }

    /// A guesser behind the same router does not keep the dock out whose name it guesses at.
    #[tokio::test(start_paused = true)]
    async fn who_is_remembered_passes_a_guesser_in_its_own_name() {
        let (verifier, users) = (Verifier::new(60_000), users());
        verifier.verify(&users, "dock", b"secret", HERE).await.unwrap();
        for _ in 0..12 {
            verifier.verify(&users, "dock", b"guess", HERE).await.unwrap_err();
        }
        let now = Instant::now();
        verifier.verify(&users, "dock", b"secret", HERE).await.unwrap();
        assert_eq!(now.elapsed(), Duration::ZERO, "it did not wait");
    }

    /// Many attempts at once are no way around the pause.
    #[tokio::test(start_paused = true)]
    async fn guesses_at_once_are_slowed_too() {
        let verifier = Arc::new(Verifier::new(60_000));
        let guesses = (0..200).map(|n| {
            let verifier = Arc::clone(&verifier);
            async move {
                let guess = format!("guess {n}");
                verifier.verify(&users(), "dock", guess.as_bytes(), HERE).await.unwrap_err()
            }
        });
        let guesses: tokio::task::JoinSet<_> = guesses.collect();
        let outcomes = guesses.join_all().await;
        let looked_at = outcomes.iter().filter(|wrong| **wrong == Wrong::Password).count();
        assert!(looked_at < 3 + WORKERS_AT_MOST + 8, "{looked_at} of 200 were looked at");
        assert!(looked_at >= 3);
    }
}
