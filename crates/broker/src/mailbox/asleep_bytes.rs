//! The bound on what waits for nobody who is connected.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::Limits;

/// Bytes that wait for nobody who is connected: in sessions without a connection and in shared groups.
#[derive(Debug)]
pub(crate) struct AsleepBytes {
    bytes: AtomicUsize,
    at_most: usize,
    /// What each session may hold whatever the others do, so that none takes all.
    each: usize,
}

impl AsleepBytes {
    pub(crate) fn new(limits: &Limits) -> Self {
        let at_most = limits.session_bytes;
        Self { bytes: AtomicUsize::new(0), at_most, each: at_most / limits.sessions.max(1) }
    }

    pub(crate) fn get(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// How many of so many bytes are too many.
    pub(crate) fn excess(&self, bytes: usize) -> usize {
        bytes.saturating_sub(self.each.max(self.at_most.saturating_sub(self.get())))
    }

    /// Whether so many bytes are too many for a session or group that holds `own`.
    pub(crate) fn is_full(&self, own: usize, size: usize) -> bool {
        self.get() + size > self.at_most && own + size > self.each
    }
}
