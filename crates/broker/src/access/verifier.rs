//! Passwords are verified on threads of their own, a few at a time, so that a thousand docks that
//! come back at once cost the connected ones nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dockside_access::hash::{Hash, Memory};
use dockside_access::password_file::PasswordFile;
use dockside_access::throttle::TooMany;
use ring::hmac;
use ring::rand::SystemRandom;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::attempts::{Attempt, Attempts};

/// Verifications at the same time; each may take a core and some 20 MiB.
const WORKERS_AT_MOST: usize = 8;

/// Attempts with names that are no user's that may wait; more are refused unseen.
const STRANGERS_AT_MOST: usize = 64;

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
    places: usize,
    workers: Arc<Semaphore>,
    /// Names that are no user's stand in a line of their own, which ends in one place of the queue:
    /// guessing names makes no dock wait.
    strangers: Semaphore,
    stranger: Arc<Semaphore>,
    /// What the workers work in, while there is work.
    memories: Arc<Mutex<Vec<Memory>>>,
    attempts: Arc<Attempts>,
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
        Self::with_workers(workers.min(WORKERS_AT_MOST), cache_ms)
    }

    /// One that takes a core at most, and remembers no password.
    pub(crate) fn one_at_a_time() -> Self {
        Self::with_workers(1, 0)
    }

    fn with_workers(workers: usize, cache_ms: u64) -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok();
        Self {
            places: workers,
            workers: Arc::new(Semaphore::new(workers)),
            strangers: Semaphore::new(STRANGERS_AT_MOST),
            stranger: Arc::new(Semaphore::new(1)),
            memories: Arc::default(),
            attempts: Arc::default(),
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
        // Who is a stranger is known without a look: beyond the line's end it is simply said.
        let _line = match known {
            Some(_) => None,
            None => Some(self.strangers.try_acquire().map_err(|_| Wrong::User)?),
        };
        let (place, attempt) = self.turn(known.is_none(), address, user).await?;
        // Without a user it takes as long as with one.
        let hash = known.map(|(_, hash)| hash).or(users.slowest_hash());
        // Another connection of this user may have been first.
        let right = if known.is_some_and(|(name, hash)| self.remembers(name, hash, password)) {
            attempt.looked_at(true);
            true
        } else if let Some(hash) = hash {
            let whose = (address, Box::from(user), known.is_some());
            attempt.hand_over();
            self.hashed((hash, password), whose, place).await?
        } else {
            attempt.looked_at(false);
            false
        };
        let outcome = known.filter(|_| right);
        match (known, outcome) {
            (_, Some((name, hash))) => {
                self.remember(name, hash, password);
                Ok(Arc::clone(name))
            }
            (Some(_), None) => Err(Wrong::Password),
            (None, None) => Err(Wrong::User),
        }
    }

    /// Waits for a worker, and for the pause that failed attempts have earned. It is asked for with
    /// the worker in hand, so that many attempts at once gain nothing.
    async fn turn<'a>(
        &'a self,
        stranger: bool,
        address: IpAddr,
        user: &'a str,
    ) -> Result<(Place, Attempt<'a>), Wrong> {
        let place = self.place(stranger).await?;
        let begun = self.attempts.begin(address, user);
        let (attempt, wait) = begun.map_err(|TooMany| Wrong::TooMany)?;
        if wait.is_zero() {
            return Ok((place, attempt));
        }
        drop(place);
        tokio::time::sleep(wait).await;
        Ok((self.place(stranger).await?, attempt))
    }

    /// A worker; for a stranger the one that strangers may have.
    async fn place(&self, stranger: bool) -> Result<Place, Wrong> {
        let one = async |places: &Arc<Semaphore>| {
            let place = Arc::clone(places).acquire_owned().await;
            place.map_err(|_| Wrong::Unverified)
        };
        let stranger = if stranger { Some(one(&self.stranger).await?) } else { None };
        Ok(Place { _worker: one(&self.workers).await?, _stranger: stranger })
    }

    /// The place is taken until the work is done, though its client may have gone meanwhile: its attempt counts all the
    /// same. Whose it is: an address, a name, and whether that is a user's.
    async fn hashed(
        &self,
        (hash, password): (&Hash, &[u8]),
        (address, user, is_known): (IpAddr, Box<str>, bool),
        place: Place,
    ) -> Result<bool, Wrong> {
        let (hash, password) = (hash.clone(), password.to_vec());
        let (memories, attempts) = (Arc::clone(&self.memories), Arc::clone(&self.attempts));
        let work = tokio::task::spawn_blocking(move || {
            let _place = place;
            let mut memory = lock(&memories).pop().unwrap_or_default();
            let right = hash.verify(&password, &mut memory);
            // As many as there are workers, at most.
            lock(&memories).push(memory);
            attempts.looked_at(address, &user, right && is_known);
            right
        });
        work.await.map_err(|_| Wrong::Unverified)
    }

    /// Gives the workers' memory back if nobody has just used it; called now and then.
    pub(crate) fn tidy(&self) {
        if self.workers.available_permits() == self.places {
            lock(&self.memories).clear();
        }
    }

    /// Forgets the passwords of users that are gone. A changed one is not remembered anyway.
    pub(crate) fn forget_all_but(&self, users: Option<&PasswordFile>) {
        lock(&self.remembered).retain(|user, _| users.is_some_and(|users| users.contains(user)));
    }

    /// Whether this password was right not long ago; then it is remembered for longer.
    fn remembers(&self, user: &str, hash: &Hash, password: &[u8]) -> bool {
        let mut remembered = lock(&self.remembered);
        let (Some(known), Some(key)) = (remembered.get_mut(user), &self.key) else { return false };
        let now = Instant::now();
        let right = known.until > now
            && hmac::verify(key, &message(hash, password), known.tag.as_ref()).is_ok();
        if right {
            known.until = now + self.remember_for;
        }
        right
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

/// A place among the workers.
struct Place {
    _worker: OwnedSemaphorePermit,
    _stranger: Option<OwnedSemaphorePermit>,
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
        verifier.forget_all_but(Some(&users));
        assert!(verifier.remembers(name, hash, b"secret"));
        verifier.forget_all_but(None);
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

    /// Names that are no user's have one worker at most, whatever their number.
    #[tokio::test(start_paused = true)]
    async fn a_user_does_not_wait_behind_strangers() {
        let hash = Hash::create(b"secret").unwrap();
        let users = Arc::new(PasswordFile::parse(&format!("dock:{}\n", hash.as_str())).unwrap());
        let verifier = Arc::new(Verifier::new(60_000));
        let mut strangers: tokio::task::JoinSet<_> = (0..1_000)
            .map(|n| {
                let (verifier, users) = (Arc::clone(&verifier), Arc::clone(&users));
                let name = format!("nobody {n}");
                async move { verifier.verify(&users, &name, b"secret", HERE).await.unwrap_err() }
            })
            .collect();
        // Beyond the line's end they are told at once.
        for _ in 0..1_000 - STRANGERS_AT_MOST {
            assert_eq!(strangers.join_next().await.unwrap().unwrap(), Wrong::User);
        }
        verifier.verify(&users, "dock", b"secret", HERE).await.unwrap();
        let mut before = 0;
        while strangers.try_join_next().is_some() {
            before += 1;
        }
        assert!(before < 8, "{before} strangers were looked at first");
        assert!(strangers.join_all().await.iter().all(|wrong| *wrong == Wrong::User));
    }

    /// A client that hangs up takes its place in the line with it.
    #[tokio::test(start_paused = true)]
    async fn who_hangs_up_leaves_nothing_behind() {
        let (verifier, users) = (Verifier::new(60_000), users());
        for _ in 0..4 {
            verifier.verify(&users, "dock", b"guess", HERE).await.unwrap_err();
        }
        for _ in 0..50 {
            let waiting = verifier.verify(&users, "dock", b"guess", HERE);
            let soon = tokio::time::timeout(Duration::from_millis(1), waiting).await;
            assert!(soon.is_err(), "it waits for its turn");
        }
        let began = Instant::now();
        assert_eq!(verifier.verify(&users, "dock", b"secret", HERE).await.as_deref(), Ok("dock"));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
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
