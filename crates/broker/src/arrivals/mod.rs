//! Connections whose CONNECT is not there yet: how many there may be, who goes for another one, and how fast
//! they may come.

mod addresses;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub(crate) use self::addresses::{AddressPlace, Addresses, Allowed, Pace, TooMany};

/// Those who have not said who they are, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    /// Those that have said nothing at all.
    silent: BTreeMap<u64, Arc<Notify>>,
    begun: BTreeMap<u64, Arc<Notify>>,
}

impl Arrivals {
    /// Gives a connection its place. Whether another one goes for it, because there are `limit` already: the oldest of
    /// those that have said nothing or of those that have said something, whichever are more. So neither crowds out
    /// the other.
    pub(crate) fn enter(self: &Arc<Self>, limit: usize) -> (Arrival, bool) {
        let mut inner = self.inner();
        let is_full = inner.silent.len() + inner.begun.len() >= limit;
        if is_full {
            let Inner { silent, begun, .. } = &mut *inner;
            let more = if silent.len() >= begun.len() { silent } else { begun };
            let oldest = more.pop_first();
            if let Some((_, goes)) = oldest {
                goes.notify_one();
            }
        }
        let number = inner.next;
        inner.next += 1;
        let displaced = Arc::new(Notify::new());
        inner.silent.insert(number, Arc::clone(&displaced));
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
    /// It has said something: it does not go before those that are silent.
    pub(crate) fn has_begun(&self) {
        if self.has_begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut inner = self.arrivals.inner();
        // Who goes already is in neither.
        if let Some(displaced) = inner.silent.remove(&self.number) {
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
        let (silent, _) = arrivals.enter(4);
        let mut begun = Vec::new();
        for n in 0..20 {
            let (arrival, full) = arrivals.enter(4);
            assert_eq!(full, n > 2);
            arrival.has_begun();
            begun.push(arrival);
        }
        assert!(!goes(&silent));
        assert_eq!(begun.iter().filter(|arrival| goes(arrival)).count(), 17);
    }

    #[test]
    fn the_oldest_of_those_that_are_more_goes() {
        let arrivals = Arc::<Arrivals>::default();
        let (first, full) = arrivals.enter(3);
        assert!(!full);
        first.has_begun();
        let ((second, _), (third, _)) = (arrivals.enter(3), arrivals.enter(3));
        assert!(![&first, &second, &third].into_iter().any(goes));
        let (fourth, full) = arrivals.enter(3);
        assert!(full && goes(&second) && !goes(&third) && !goes(&first));
        third.has_begun();
        fourth.has_begun();
        let (fifth, full) = arrivals.enter(3);
        assert!(full && goes(&first) && !goes(&third));
        drop(third);
        // Who has gone takes nobody's place with it.
        drop((first, second));
        let (_sixth, full) = arrivals.enter(3);
        assert!(!full && !goes(&fourth) && !goes(&fifth));
    }
}
