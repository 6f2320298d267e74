//! Bytes on their way from publishers to the dispatcher, one budget a lane.
//!
//! A connection takes a charge before it appends or queues a message, so the writer and the
//! dispatcher never wait for one; the dispatcher gives it back. Without it only reading from that
//! connection stops.
//!
//! A connection that has something on its way gets more only as long as sixteen times as much is free, and a quarter
//! of the budget stays so: one flooder holds a seventeenth, and whoever has nothing on its way finds room, a large packet too.
//! Nor has it more messages on their way to the writer than that does in a few milliseconds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use crate::record::Instance;

/// What a message costs besides its bytes: rumqttd counts only those, but keeps more.
const OVERHEAD: u64 = 256;

/// A connection has at most this part of what is free: what is before others' messages in a lane is what they wait for.
const PART: u64 = 16;

/// This part is for those who have nothing on their way.
const KEPT_FREE: u64 = 4;

/// A bound on bytes, and who waits for some.
#[derive(Debug)]
pub(crate) struct Budget {
    total: u64,
    /// Everything that was ever taken, and given back: a lane is a queue, so what was taken up to a place in it is
    /// back when as much has been given back.
    taken: AtomicU64,
    given: AtomicU64,
    waited_for: AtomicBool,
    waiting: Mutex<HashMap<Instance, Waker>>,
}

/// What one connection has on its way in a lane.
pub(crate) trait Share {
    /// Bytes and messages, where so much of everything that was taken has been given back.
    fn on_its_way(&mut self, given: u64) -> (u64, u64);
    /// One more message; so much of everything was taken with it.
    fn add(&mut self, charge: u64, up_to: u64);
}

/// Of a lane that is a queue, in two parts: when the older is back, the newer takes its place.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct InTurn {
    older: Taken,
    newer: Taken,
}

#[derive(Clone, Copy, Default, Debug)]
struct Taken {
    messages: u64,
    bytes: u64,
    up_to: u64,
}

impl Share for InTurn {
    fn on_its_way(&mut self, given: u64) -> (u64, u64) {
        while self.older.messages > 0 && self.older.up_to <= given {
            self.older = std::mem::take(&mut self.newer);
        }
        (self.older.bytes + self.newer.bytes, self.older.messages + self.newer.messages)
    }

    fn add(&mut self, charge: u64, up_to: u64) {
        let part = if self.older.messages == 0 { &mut self.older } else { &mut self.newer };
        part.messages += 1;
        part.bytes += charge;
        part.up_to = up_to;
    }
}

/// Of a lane in which some pass others: whoever has done with messages tells.
#[derive(Default, Debug)]
pub(crate) struct Counted {
    bytes: AtomicU64,
    messages: AtomicU64,
}

impl Share for Arc<Counted> {
    fn on_its_way(&mut self, _: u64) -> (u64, u64) {
        (self.bytes.load(Ordering::SeqCst), self.messages.load(Ordering::SeqCst))
    }

    fn add(&mut self, charge: u64, _: u64) {
        self.bytes.fetch_add(charge, Ordering::SeqCst);
        self.messages.fetch_add(1, Ordering::SeqCst);
    }
}

/// Messages that are on their way, until this goes. That must be before their charge is given back: it wakes who waits.
#[derive(Debug)]
pub(crate) struct OnItsWay {
    share: Arc<Counted>,
    bytes: u64,
    messages: u64,
}

impl OnItsWay {
    pub(crate) fn new(share: &Arc<Counted>, bytes: u64, messages: u64) -> Self {
        Self { share: Arc::clone(share), bytes, messages }
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.share.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        self.share.messages.fetch_sub(self.messages, Ordering::SeqCst);
    }
}

impl Budget {
    pub(crate) fn new(total: u64) -> Self {
        Self {
            total,
            taken: AtomicU64::new(0),
            given: AtomicU64::new(0),
            waited_for: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }

    /// All of it, bytes.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The charge of a message of `size` bytes: never more than a quarter of the budget, which is
    /// there for those who have nothing on their way, so that the largest packet passes too. What is charged too
    /// little for lies beside the log ([`LEAST_BUDGET`](crate::config::LEAST_BUDGET)).
    pub(crate) fn charge(&self, size: usize) -> u64 {
        (size as u64 + OVERHEAD).min(self.total / KEPT_FREE)
    }

    /// Takes a charge for a session if it is there, and the session has fewer messages than `at_most` on their way;
    /// otherwise wakes `waker` when some has been given back.
    pub(crate) fn take(
        &self,
        ask: (u64, u64),
        share: &mut impl Share,
        (instance, waker): (Instance, &Waker),
    ) -> bool {
        if self.try_take(ask, share) {
            return true;
        }
        let mut waiting = self.waiting.lock().expect("no panic while it is held");
        waiting.insert(instance, waker.clone());
        drop(waiting);
        self.waited_for.store(true, Ordering::SeqCst);
        // Given back between the first try and the entry above: nobody would wake us.
        self.try_take(ask, share)
    }

    fn try_take(&self, (charge, at_most): (u64, u64), share: &mut impl Share) -> bool {
        let given = self.given.load(Ordering::SeqCst);
        let (bytes, messages) = share.on_its_way(given);
        if messages > 0 && messages >= at_most {
            return false;
        }
        let fits = |taken: u64| {
            let free = self.total.checked_sub(taken - given)?;
            let fits = match messages {
                0 => charge <= free,
                _ => (bytes + charge) * PART <= free && charge + self.total / KEPT_FREE <= free,
            };
            fits.then_some(taken + charge)
        };
        match self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits) {
            Ok(taken) => {
                share.add(charge, taken + charge);
                true
            }
            Err(_) => false,
        }
    }

    /// Gives charges back and wakes who waits.
    pub(crate) fn give_back(&self, charge: u64) {
        self.given.fetch_add(charge, Ordering::SeqCst);
        if self.waited_for.swap(false, Ordering::SeqCst) {
            let waiting =
                std::mem::take(&mut *self.waiting.lock().expect("no panic while it is held"));
            waiting.into_values().for_each(Waker::wake);
        }
    }

    /// Bytes taken.
    pub(crate) fn used(&self) -> u64 {
        // In this order: what is given back was taken before.
        let given = self.given.load(Ordering::SeqCst);
        self.taken.load(Ordering::SeqCst) - given
    }
}

#[cfg(test)]
mod tests {
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

    fn take(budget: &Budget, size: usize, share: &mut impl Share) -> bool {
        budget.take((budget.charge(size), u64::MAX), share, (1, Waker::noop()))
    }

    #[test]
    fn what_is_taken_comes_back_and_wakes_who_waits() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let (budget, mut share) = (Budget::new(10_000), InTurn::default());
        let charge = budget.charge(1_344);
        assert_eq!(charge, 1_600);
        assert!(budget.take((charge, u64::MAX), &mut share, (1, &waker)));
        assert!(!budget.take((charge, u64::MAX), &mut share, (1, &waker)));
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
        budget.give_back(charge);
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(budget.take((charge, u64::MAX), &mut share, (1, &waker)));
        assert_eq!(budget.used(), 1_600);
    }

    #[test]
    fn whatever_lies_in_the_log_is_charged_in_full() {
        let budget = Budget::new(crate::config::LEAST_BUDGET);
        let most = crate::record::LARGE + crate::publish::EFFECTS_BYTES;
        assert_eq!(budget.charge(most), most as u64 + OVERHEAD);
    }

    #[test]
    fn the_largest_packets_pass_though_others_flood() {
        let budget = Budget::new(1 << 20);
        let mut flooders = [InTurn::default(); 60];
        for flooder in &mut flooders {
            while take(&budget, 0, flooder) {}
        }
        assert_eq!(budget.charge(1_000_000), 1 << 18);
        let mut large = InTurn::default();
        let mut given = 0;
        while !take(&budget, 1_000_000, &mut large) {
            budget.give_back(256);
            for flooder in &mut flooders {
                take(&budget, 0, flooder);
            }
            given += 1;
            assert!(given < 100, "flooders leave it no room");
        }
        assert!(given > 0 && budget.used() <= 1 << 20);
        assert!(!take(&budget, 1_000_000, &mut large));
    }

    #[test]
    fn a_connection_has_so_many_messages_on_their_way_however_small() {
        let budget = Budget::new(1 << 20);
        let mut flooder = InTurn::default();
        let one = |flooder: &mut InTurn| budget.take((256, 3), flooder, (1, Waker::noop()));
        assert_eq!((0..5).filter(|_| one(&mut flooder)).count(), 3);
        budget.give_back(256);
        // What it has is counted in two parts.
        assert!(one(&mut flooder) && !one(&mut flooder));
        budget.give_back(3 * 256);
        assert_eq!((0..5).filter(|_| one(&mut flooder)).count(), 3);
        assert!(budget.take((256, 1), &mut InTurn::default(), (2, Waker::noop())), "others do");
    }

    /// Where some pass others, what others get back says nothing of one's own.
    #[test]
    fn a_counted_share_is_free_when_its_own_messages_are_done() {
        let budget = Budget::new(1 << 20);
        let mut share = Arc::<Counted>::default();
        let one = |share: &mut Arc<Counted>| budget.take((256, 1), share, (1, Waker::noop()));
        assert!(one(&mut share) && !one(&mut share));
        assert!(budget.take((256, 1), &mut Arc::default(), (2, Waker::noop())));
        let mine = OnItsWay::new(&share, 256, 1);
        budget.give_back(256);
        assert!(!one(&mut share), "that was the other's");
        drop(mine);
        assert!(one(&mut share));
    }

    #[test]
    fn a_flooder_leaves_room_for_everybody_else() {
        let budget = Budget::new(1 << 20);
        let mut flooder = InTurn::default();
        while take(&budget, 100, &mut flooder) {}
        let held = budget.used();
        assert!(held <= (1 << 20) / 17, "{held}");
        assert!(held > (1 << 20) / 18, "{held}");
        // What it gets back it may take again, and no more.
        for _ in 0..1_000 {
            budget.give_back(356);
            while take(&budget, 100, &mut flooder) {}
            assert!(budget.used() <= held);
        }
        for _ in 0..50 {
            let mut other = InTurn::default();
            assert!(take(&budget, 5_000, &mut other), "each has room");
        }
        let used = budget.used();
        budget.give_back(used);
        assert!(take(&budget, 100, &mut flooder));
        assert_eq!(flooder.on_its_way(0), (356, 1), "what is back counts no more");
    }
}
