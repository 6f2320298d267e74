//! Connections whose CONNECT is not there yet: how many there may be, who goes for another one, and how fast
//! they may come.

mod addresses;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub(crate) use self::addresses::{AddressPlace, Addresses, Allowed, Pace, TooMany};

/// A client says its first byte sooner, milliseconds.
const SILENT_MS: u64 = 1_000;

/// Those who have not said who they are, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    /// Those that have said nothing at all, and when they came.
    silent: BTreeMap<u64, (Arc<Notify>, u64)>,
    begun: BTreeMap<u64, Arc<Notify>>,
}

impl Arrivals {
    /// Gives a connection its place. Whether another one goes for it, because there are `limit` already: the oldest that
    /// has said nothing; but who has just come, and is one of a few, does not go for those who flood with a byte: then
    /// it is the oldest of these.
    pub(crate) fn enter(self: &Arc<Self>, limit: usize, now_ms: u64) -> (Arrival, bool) {
        let mut inner = self.inner();
        let is_full = inner.silent.len() + inner.begun.len() >= limit;
        if is_full {
            let Inner { silent, begun, .. } = &mut *inner;
            let are_more = silent.len() >= begun.len();
            let waits = |(_, since_ms): &(_, u64)| now_ms >= since_ms + SILENT_MS;
            let goes = match silent.first_entry() {
                Some(oldest) if are_more || waits(oldest.get()) => Some(oldest.remove().0),
                _ => begun.pop_first().map(|(_, goes)| goes),
            };
            goes.iter().for_each(|goes| goes.notify_one());
        }
        let number = inner.next;
        inner.next += 1;
        let displaced = Arc::new(Notify::new());
        inner.silent.insert(number, (Arc::clone(&displaced), now_ms));
        let arrivals = Arc::clone(self);
        (Arrival { arrivals, number, displaced, has_begun: AtomicBool::new(false) }, is_full)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a connection among those whose CONNECT is not there yet, given back with the value.
#[derive(Debug)]
pub(crate) struct Arrival {
    arrivals: Arc<Arrivals>,
    number: u64,
    displaced: Arc<Notify>,
    has_begun: AtomicBool,
}

impl Arrival {
    /// It has said something.
    pub(crate) fn has_begun(&self) {
        if self.has_begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut inner = self.arrivals.inner();
        // Who goes already is in neither.
        if let Some((displaced, _)) = inner.silent.remove(&self.number) {
            inner.begun.insert(self.number, displaced);
        }
    }

    /// Resolves when it goes for another one.
    pub(crate) async fn displaced(&self) {
        self.displaced.notified().await;
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut inner = self.arrivals.inner();
        inner.silent.remove(&self.number);
        inner.begun.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn goes(arrival: &Arrival) -> bool {
        pin!(arrival.displaced()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn those_who_say_a_byte_do_not_crowd_out_those_who_are_about_to() {
        let arrivals = Arc::<Arrivals>::default();
        let (silent, _) = arrivals.enter(4, 0);
        let mut begun = Vec::new();
        for n in 0..20 {
            let (arrival, full) = arrivals.enter(4, 0);
            assert_eq!(full, n > 2);
            arrival.has_begun();
            begun.push(arrival);
        }
        assert!(!goes(&silent));
        assert_eq!(begun.iter().filter(|arrival| goes(arrival)).count(), 17);
        let (_another, _) = arrivals.enter(4, SILENT_MS);
        assert!(goes(&silent), "it is about to say nothing");
    }

    #[test]
    fn the_oldest_that_has_said_nothing_goes_and_without_one_the_oldest() {
        let arrivals = Arc::<Arrivals>::default();
        let (first, full) = arrivals.enter(3, 0);
        assert!(!full);
        first.has_begun();
        let ((second, _), (third, _)) = (arrivals.enter(3, 0), arrivals.enter(3, 0));
        assert!(![&first, &second, &third].into_iter().any(goes));
        let (fourth, full) = arrivals.enter(3, 0);
        assert!(full && goes(&second) && !goes(&third) && !goes(&first));
        third.has_begun();
        fourth.has_begun();
        let (fifth, full) = arrivals.enter(3, 0);
        assert!(full && goes(&first) && !goes(&third));
        drop(third);
        // Who has gone takes nobody's place with it.
        drop((first, second));
        let (_sixth, full) = arrivals.enter(3, 0);
        assert!(!full && !goes(&fourth) && !goes(&fifth));
    }
}
