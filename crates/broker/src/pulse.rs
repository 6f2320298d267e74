//! Whether the broker still moves messages: what the dispatcher does is counted, and while it has nothing to do a barrier
//! goes through the live log and comes back. Neither waits for the disk: a broker whose disk is slow is not made better
//! by starting it again, nor is one that has much to do.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::live_log::Aside;
use crate::record::{self, Entry};
use crate::shared::Shared;

/// Between two beats.
const EVERY: Duration = Duration::from_secs(1);

/// A broker that has not moved anything for so long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// When something moved last.
#[derive(Debug)]
pub struct Pulse {
    last: Mutex<Instant>,
    /// Turns of the dispatcher.
    turns: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { last: Mutex::new(Instant::now()), turns: AtomicU64::new(0) }
    }
}

impl Pulse {
    /// How long nothing has gone through, if that is so long that the broker is stuck.
    #[must_use]
    pub fn stuck_for(&self) -> Option<Duration> {
        let last = *self.last.lock().expect("no panic while it is held");
        Some(last.elapsed()).filter(|since| *since >= STUCK_AFTER)
    }

    /// The dispatcher has ended a turn.
    pub(crate) fn moves(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    fn beat(&self) {
        *self.last.lock().expect("no panic while it is held") = Instant::now();
    }
}

/// Why the broker is not ready, for people; nothing if it is.
pub(crate) fn not_ready(shared: &Shared) -> Option<&'static str> {
    if !shared.log.is_alive() {
        Some("the live log is broken; the process ends")
    } else if shared.stopping.is_cancelled() {
        Some("the broker is stopping: nobody new is let in")
    } else if shared.deaf.load(Ordering::Relaxed) > 0 {
        Some("a listener cannot accept connections; those that are there go on; see the log")
    } else if !shared.store_works.load(Ordering::Relaxed) {
        Some("the store cannot be written: what must be kept waits unacknowledged; see the log")
    } else {
        None
    }
}

/// Beats for as long as anything moves; one barrier at a time is on its way.
pub(crate) async fn run(shared: &Shared) {
    let send = |passed| {
        let number = shared.log.put_aside(Aside::Barrier(passed));
        let mut entry = Vec::new();
        record::append(&mut entry, &Entry::Barrier(number));
        shared.log.append_direct(&entry, 0);
        // Whoever else sends on what is gathered may be in a transaction.
        shared.log.flush_by_the_log();
    };
    beat(&shared.pulse, send).await;
}

async fn beat(pulse: &Pulse, send: impl Fn(oneshot::Sender<()>)) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut turns = pulse.turns.load(Ordering::Relaxed);
    let mut under_way: Option<oneshot::Receiver<()>> = None;
    loop {
        every.tick().await;
        let passing = under_way.get_or_insert_with(|| {
            let (passed, passing) = oneshot::channel();
            send(passed);
            passing
        });
        let answer = timeout(EVERY, passing).await;
        let before = std::mem::replace(&mut turns, pulse.turns.load(Ordering::Relaxed));
        if answer == Ok(Ok(())) || turns != before {
            pulse.beat();
        }
        if answer.is_ok() {
            under_way = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_answers_is_alive_and_what_does_not_is_stuck() {
        let pulse = Pulse::default();
        let a_minute = Duration::from_secs(60);
        let answers = |passed: oneshot::Sender<()>| passed.send(()).unwrap();
        let _ = tokio::time::timeout(a_minute, beat(&pulse, answers)).await;
        assert_eq!(pulse.stuck_for(), None);
        // The dispatcher is there and does nothing, or is gone: either way nothing comes back.
        let held = RefCell::new(Vec::new());
        let holds = |passed| held.borrow_mut().push(passed);
        let _ = tokio::time::timeout(Duration::from_secs(9), beat(&pulse, holds)).await;
        assert_eq!(pulse.stuck_for(), None, "not for long enough");
        let _ = tokio::time::timeout(a_minute, beat(&pulse, drop)).await;
        assert!(pulse.stuck_for() >= Some(a_minute), "{pulse:?}");
        assert_eq!(held.borrow().len(), 1, "one barrier at a time");
        let _ = tokio::time::timeout(a_minute, beat(&pulse, answers)).await;
        assert_eq!(pulse.stuck_for(), None, "it moves again");
        // So much is before the barrier that it does not come back in time, and the dispatcher is at it.
        let busy = async {
            loop {
                tokio::time::sleep(Duration::from_millis(700)).await;
                pulse.moves();
            }
        };
        let never = |passed| held.borrow_mut().push(passed);
        let both = async { tokio::join!(busy, beat(&pulse, never)) };
        let _ = tokio::time::timeout(a_minute, both).await;
        assert_eq!(pulse.stuck_for(), None, "what has much to do is not stuck");
        assert_eq!(held.borrow().len(), 2);
    }
}
