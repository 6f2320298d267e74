//! Handshakes take turns: each costs more than a hundred messages, and thousands of clients may come at once.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::Semaphore;
use tokio::task::yield_now;

/// Places of each core. All of them take less time than a dock may be kept waiting; where a core is never idle they have one
/// turn each in the time of some 60 others.
const EACH: usize = 8;

/// The places of all that may have a turn at the same time.
pub(crate) struct Turns(Semaphore);

/// Wakes the task, and remembers that it did.
struct Woken {
    is_woken: AtomicBool,
    task: Waker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl Turns {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self(Semaphore::new(EACH * cores))
    }

    /// Goes on with `work` only when it has a place, and keeps that until whoever else is ready has been served: one
    /// that waits for its client has none, and thousands that are ready are a few in the runtime's queue.
    pub(super) async fn take<W: Future>(&self, work: W) -> W::Output {
        let mut work = pin!(work);
        let task = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let woken = Arc::new(Woken { is_woken: AtomicBool::new(false), task });
        let waker = Waker::from(Arc::clone(&woken));
        loop {
            let place = self.0.acquire().await.expect("it is never closed");
            // Whatever woke it before is seen now.
            woken.is_woken.swap(false, Ordering::Acquire);
            let done = work.as_mut().poll(&mut Context::from_waker(&waker));
            yield_now().await;
            drop(place);
            if let Poll::Ready(done) = done {
                return done;
            }
            poll_fn(|_| match woken.is_woken.swap(false, Ordering::Acquire) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also where it is woken while it still has its place.
    #[tokio::test]
    async fn what_takes_turns_ends_and_others_go_between() {
        let turns = Arc::new(Turns(Semaphore::new(1)));
        let mut left = 3;
        let work = turns.take(poll_fn(move |cx| {
            left -= 1;
            cx.waker().wake_by_ref();
            if left == 0 { Poll::Ready(7) } else { Poll::Pending }
        }));
        assert_eq!(work.await, 7);
        assert_eq!(turns.0.available_permits(), 1);
    }

    #[tokio::test]
    async fn whoever_waits_has_no_place() {
        let turns = Arc::new(Turns(Semaphore::new(1)));
        let (tell, told) = tokio::sync::oneshot::channel::<()>();
        let waits = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.take(told).await }
        });
        // As often as it takes until the other one waits.
        for _ in 0..10 {
            yield_now().await;
        }
        assert_eq!(turns.take(async { 7 }).await, 7);
        tell.send(()).unwrap();
        waits.await.unwrap().unwrap();
    }

    /// Ten that are always ready, one place: the other task is polled between any two of them.
    #[tokio::test]
    async fn others_are_served_between_turns() {
        let turns = Arc::new(Turns(Semaphore::new(1)));
        let since = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let (turns, since) = (Arc::clone(&turns), Arc::clone(&since));
            tasks.spawn(async move {
                for _ in 0..10 {
                    let before = turns.take(async { since.fetch_add(1, Ordering::Relaxed) }).await;
                    assert!(before < 2, "{before} in a row");
                }
            });
        }
        let other = tokio::spawn(async move {
            loop {
                since.store(0, Ordering::Relaxed);
                yield_now().await;
            }
        });
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        other.abort();
    }
}
