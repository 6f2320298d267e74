//! A turn of the writer's work on the thread of whoever rings, where that is quicker than waking the writer:
//! with one thing to do, two changes of thread cost as much as the work.
//!
//! Nothing here may wait for a disk or for somebody else: then the writer's own thread does it.

use std::sync::{Mutex, TryLockError};
use std::time::{Duration, Instant};

use super::work::Work;
use super::{Group, WriterQueue};

/// A turn that took longer was waiting for something.
const SLOW: Duration = Duration::from_millis(5);

/// How long the writer's thread does everything after that.
const PAUSE: Duration = Duration::from_secs(1);

/// The work, for whoever has the turn; none once the writer has ended.
pub(super) type Desk = Mutex<Option<Work>>;

impl WriterQueue {
    /// Does what is queued, if that is one batch and nothing speaks against it. `false`: the writer must be
    /// woken. After a turn comes [`WriterQueue::finish_turn`], once whoever waited has had its answer.
    pub(crate) fn take_turn(&self) -> bool {
        let Some(mut desk) = self.desk.get().and_then(|desk| desk.try_lock().ok()) else {
            return false;
        };
        let Some(work) = desk.as_mut().filter(|work| work.may_be_anywhere()) else { return false };
        let mut group = Group::default();
        {
            let mut queued = self.group.lock().expect("no panic while it is held");
            if queued.batches.len() != 1 || queued.closed {
                return false;
            }
            std::mem::swap(&mut *queued, &mut group);
        }
        let started = Instant::now();
        let is_done = work.hasty_group(&group.entries, &mut group.batches);
        if !is_done || started.elapsed() > SLOW {
            work.pause_until = Some(Instant::now() + PAUSE);
        }
        if !is_done {
            self.group.lock().expect("no panic while it is held").put_back(group);
        }
        is_done
    }

    /// Lets what was kept in a turn go on.
    pub(crate) fn finish_turn(&self) {
        match self.desk.get().map(|desk| desk.try_lock()) {
            Some(Ok(mut desk)) => {
                let Some(work) = desk.as_mut() else { return };
                work.go_on();
                if !work.wants_its_thread() {
                    return;
                }
            }
            // The writer is at it, and begins with this.
            Some(Err(TryLockError::WouldBlock)) | None => return,
            Some(Err(TryLockError::Poisoned(_))) => {}
        }
        self.wake();
    }
}
