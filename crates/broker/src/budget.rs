//! Bytes on their way from publishers to the dispatcher, one budget a lane.
//!
//! A connection takes a charge before it appends or queues a message, so the writer and the
//! dispatcher never wait for one; the dispatcher gives it back. Without it only reading from that
//! connection stops.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;

use crate::record::Instance;

/// What a message costs besides its bytes: rumqttd counts only those, but keeps more.
const OVERHEAD: u64 = 256;

/// A bound on bytes, and who waits for some.
#[derive(Debug)]
pub(crate) struct Budget {
    total: u64,
    used: AtomicU64,
    waited_for: AtomicBool,
    waiting: Mutex<HashMap<Instance, Waker>>,
}

impl Budget {
    pub(crate) fn new(total: u64) -> Self {
        Self {
            total,
            used: AtomicU64::new(0),
            waited_for: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }

    /// The charge of a message of `size` bytes: never more than the budget, so that the largest
    /// packet passes alone.
    pub(crate) fn charge(&self, size: usize) -> u64 {
        (size as u64 + OVERHEAD).min(self.total)
    }

    /// Takes a charge for a session if it is there; otherwise wakes `waker` when some has been
    /// given back.
    pub(crate) fn take(&self, charge: u64, instance: Instance, waker: &Waker) -> bool {
        if self.try_take(charge) {
            return true;
        }
        let mut waiting = self.waiting.lock().expect("no panic while it is held");
        waiting.insert(instance, waker.clone());
        drop(waiting);
        self.waited_for.store(true, Ordering::SeqCst);
        // Given back between the first try and the entry above: nobody would wake us.
        self.try_take(charge)
    }

    fn try_take(&self, charge: u64) -> bool {
        let fits = |used: u64| (used + charge <= self.total).then_some(used + charge);
        self.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits).is_ok()
    }

    /// Gives charges back and wakes who waits.
    pub(crate) fn give_back(&self, charge: u64) {
        self.used.fetch_sub(charge, Ordering::SeqCst);
        if self.waited_for.swap(false, Ordering::SeqCst) {
            let waiting =
                std::mem::take(&mut *self.waiting.lock().expect("no panic while it is held"));
            waiting.into_values().for_each(Waker::wake);
        }
    }

    /// Bytes taken.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn what_is_taken_comes_back_and_wakes_who_waits() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let budget = Budget::new(1_000);
        let charge = budget.charge(344);
        assert_eq!(charge, 600);
        assert!(budget.take(charge, 1, &waker));
        assert!(!budget.take(charge, 1, &waker));
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
        budget.give_back(charge);
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(budget.take(charge, 1, &waker));
        assert_eq!(budget.used(), 600);
    }

    #[test]
    fn the_largest_packet_passes_alone() {
        let budget = Budget::new(1_000);
        let charge = budget.charge(1_000_000);
        assert_eq!(charge, 1_000);
        assert!(budget.take(charge, 1, Waker::noop()));
        assert!(!budget.take(budget.charge(0), 1, Waker::noop()));
    }
}
