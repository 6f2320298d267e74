//! Whether the broker still moves messages: a barrier goes the way of a QoS 0 message, through the live log and the
//! dispatcher, and comes back. The disk is not on that way: a broker whose disk is slow is not made better by starting
//! it again.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::live_log::Aside;
use crate::record::{self, Entry};
use crate::shared::Shared;

/// Between two beats.
const EVERY: Duration = Duration::from_secs(1);

/// A broker that has not moved anything for so long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// When the last barrier came back.
#[derive(Debug)]
pub struct Pulse {
    last: Mutex<Instant>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { last: Mutex::new(Instant::now()) }
    }
}

impl Pulse {
    /// How long nothing has gone through, if that is so long that the broker is stuck.
    #[must_use]
    pub fn stuck_for(&self) -> Option<Duration> {
        let last = *self.last.lock().expect("no panic while it is held");
        Some(last.elapsed()).filter(|since| *since >= STUCK_AFTER)
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

/// Beats for as long as the dispatcher answers; one barrier at a time is on its way.
pub(crate) async fn run(shared: &Shared) {
    let send = |passed| {
        let number = shared.log.put_aside(Aside::Barrier(passed));
        let mut entry = Vec::new();
        record::append(&mut entry, &Entry::Barrier(number));
        shared.append_direct(&entry, 0);
    };
    beat(&shared.pulse, send).await;
}

async fn beat(pulse: &Pulse, send: impl Fn(oneshot::Sender<()>)) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let (passed, passing) = oneshot::channel();
        send(passed);
        if passing.await.is_ok() {
            pulse.beat();
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
    }
}
