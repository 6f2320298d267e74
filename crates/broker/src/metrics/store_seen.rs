//! What the writer saw of the store last, for whoever asks meanwhile: the store itself may be what does not answer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use dockside_store::Usage;

/// As it was looked at last.
#[derive(Default, Debug)]
pub(crate) struct StoreSeen {
    usage: Mutex<Option<Usage>>,
    queued: AtomicU64,
    queued_bytes: AtomicU64,
}

impl StoreSeen {
    pub(super) fn looked(&self, usage: Usage) {
        *self.usage.lock().expect("no panic while it is held") = Some(usage);
    }

    pub(super) fn set_queued(&self, messages: usize, bytes: usize) {
        self.queued.store(messages as u64, Ordering::Relaxed);
        self.queued_bytes.store(bytes as u64, Ordering::Relaxed);
    }

    /// What the file takes; none in the first seconds after a start.
    pub(crate) fn usage(&self) -> Option<Usage> {
        *self.usage.lock().expect("no panic while it is held")
    }

    /// Messages that wait in it for sessions and groups, and their bytes.
    pub(crate) fn queued(&self) -> (u64, u64) {
        (self.queued.load(Ordering::Relaxed), self.queued_bytes.load(Ordering::Relaxed))
    }
}
