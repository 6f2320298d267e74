//! The writer: one thread with one order for everything that has to be ordered or kept.
//!
//! QoS 1 and 2, retained messages, wills, topics that a plugin claims, the broker's own messages,
//! subscriptions and the beginning and end of sessions go through it. It drains its queue, commits in
//! one transaction what of the group must be kept (`ledger` knows), appends the group to the live log
//! and completes the jobs that somebody waits for. A group with nothing to keep touches no disk.
//!
//! What cannot be kept now is held, in its order, and tried again; everything else passes meanwhile
//! (`held`).

mod failing;
mod held;
mod history;
mod ledger;
mod room;
mod waiting;
mod work;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

pub(crate) use self::history::KNOWN_EVENTS;
pub(crate) use self::ledger::{Ledger, Space};
use self::work::Work;
use crate::live_log::{LiveLog, Watch};
use crate::mailbox::{Mailbox, Ticket};
use crate::metrics::StoreMetrics;

/// The queue in front of the writer. Bounded by the writer's budget, and by the beginning, the will
/// and the end of each session, which are a few bytes.
#[derive(Default)]
pub(crate) struct WriterQueue {
    group: Mutex<Group>,
    thread: OnceLock<Thread>,
    rung: AtomicBool,
}

#[derive(Default)]
struct Group {
    entries: Vec<u8>,
    batches: Vec<Batch>,
    closed: bool,
}

/// What one connection, or another part of the broker, has handed over at once.
struct Batch {
    /// Where its entries end.
    end: usize,
    charge: u64,
    completion: Option<Completion>,
}

/// Who hears that a job is done, and when.
pub(crate) struct Completion {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) ticket: Ticket,
    /// As soon as it is kept: nothing that its client does then can overtake the job in the live log.
    /// Otherwise when it is there.
    pub(crate) once_kept: bool,
}

impl Completion {
    fn complete(self) {
        self.mailbox.complete(self.ticket);
    }
}

/// Memory an idle queue may keep.
const IDLE_BYTES: usize = 256 << 10;

impl WriterQueue {
    /// Queues entries. `true` if the queue was empty: the writer must be woken.
    pub(crate) fn append(
        &self,
        entries: &[u8],
        charge: u64,
        completion: Option<Completion>,
    ) -> bool {
        let mut group = self.group.lock().expect("no panic while it is held");
        let first = group.batches.is_empty();
        group.entries.extend_from_slice(entries);
        let end = group.entries.len();
        group.batches.push(Batch { end, charge, completion });
        first
    }

    /// Lets the writer end when it has done everything.
    pub(crate) fn close(&self) {
        self.group.lock().expect("no panic while it is held").closed = true;
        self.wake();
    }

    /// Wakes the writer.
    pub(crate) fn wake(&self) {
        self.rung.store(true, Ordering::Release);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Whether somebody rings within the time that it takes to be woken: whoever waits for an answer asks
    /// again at once, and a thread that sleeps costs both more than it would have spent here.
    fn is_rung_soon(&self) -> bool {
        let start = Instant::now();
        while !self.rung.swap(false, Ordering::Acquire) {
            if start.elapsed() > AWAKE {
                return false;
            }
            thread::yield_now();
        }
        true
    }
}

/// How long the writer stays awake with nothing to do.
const AWAKE: Duration = Duration::from_micros(50);

/// Starts the writer's thread; it ends after [`WriterQueue::close`], with what was kept in the file.
pub(crate) fn start(
    queue: &Arc<WriterQueue>,
    log: Arc<LiveLog>,
    ledger: Ledger,
    metrics: StoreMetrics,
) -> std::io::Result<JoinHandle<()>> {
    let handle = thread::Builder::new().name("writer".to_owned()).spawn({
        let queue = Arc::clone(queue);
        move || {
            let _watch = Watch::new(&log);
            write(&queue, Work::new(Arc::clone(&log), ledger, metrics));
        }
    })?;
    // Set once here, before anybody else knows the queue.
    let _ = queue.thread.set(handle.thread().clone());
    Ok(handle)
}

fn write(queue: &WriterQueue, mut work: Work) {
    let mut group = Group::default();
    let mut was_single = false;
    loop {
        std::mem::swap(&mut *queue.group.lock().expect("no panic while it is held"), &mut group);
        let closed = group.closed;
        if group.batches.is_empty() {
            if closed {
                return work.end();
            }
            match work.retry_in() {
                // Where many ask, the next group is there already.
                None if was_single && queue.is_rung_soon() => {}
                None => {
                    thread::park_timeout(work.idle_after());
                    work.idle();
                }
                Some(time) => {
                    thread::park_timeout(time);
                    work.retry();
                }
            }
            continue;
        }
        was_single = group.batches.len() == 1;
        work.group(&group.entries, &mut group.batches);
        group.entries.clear();
        group.entries.shrink_to(IDLE_BYTES);
        if closed {
            // The other half of the swap has lost the flag.
            queue.close();
        }
    }
}
