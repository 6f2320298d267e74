//! The books of failed attempts, and the attempts that are under way.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dockside_access::throttle::{Throttle, TooMany};
use tokio::time::Instant;

/// Who failed, and how long who fails waits.
pub(super) struct Attempts {
    throttle: Mutex<Throttle>,
    started: Instant,
}

/// An attempt in the books, closed whatever becomes of it.
pub(super) struct Attempt<'a> {
    attempts: &'a Attempts,
    address: IpAddr,
    user: &'a str,
    closed: bool,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { throttle: Mutex::default(), started: Instant::now() }
    }
}

impl Attempts {
    /// An attempt, and how long it waits for those of this user from this address that failed.
    pub(super) fn begin<'a>(
        &'a self,
        address: IpAddr,
        user: &'a str,
    ) -> Result<(Attempt<'a>, Duration), TooMany> {
        let wait = self.throttle().admit(address, user, self.started.elapsed())?;
        Ok((Attempt { attempts: self, address, user, closed: false }, wait))
    }

    /// Closes an attempt that was handed over: it was looked at.
    pub(super) fn looked_at(&self, address: IpAddr, user: &str, right: bool) {
        let mut throttle = self.throttle();
        if right {
            throttle.succeeded(address, user);
        } else {
            throttle.failed(address, user, self.started.elapsed());
        }
    }

    /// Closes an attempt that was handed over: it could not be looked at.
    pub(super) fn abandoned(&self, address: IpAddr, user: &str) {
        self.throttle().abandoned(address, user, self.started.elapsed());
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// Somebody else closes it, whatever becomes of the client meanwhile: [`Attempts::looked_at`].
    pub(super) fn hand_over(mut self) {
        self.closed = true;
    }

    pub(super) fn looked_at(mut self, right: bool) {
        self.attempts.looked_at(self.address, self.user, right);
        self.closed = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.closed {
            self.attempts.abandoned(self.address, self.user);
        }
    }
}
