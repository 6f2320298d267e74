//! The writer: one thread with one order for everything that has to be ordered or kept.
//!
//! QoS 1 and 2, retained messages, wills, topics that a plugin claims, the broker's own messages,
//! subscriptions and the beginning and end of sessions go through it. It drains its queue, commits in
//! one transaction what of the group must be kept (`ledger` knows), appends the group to the live log
//! and completes the jobs that somebody waits for. A group with nothing to keep touches no disk.
//!
//! What cannot be kept now is held, in its order, and tried again; everything else passes meanwhile
//! (`held`).
//!
//! Where answers promise nothing, events are kept many at a time (`unkept`).
//!
//! Where much has come, what takes long is left for later, in slices (`slow`).
//!
//! Whoever rings does a group of one batch itself, on its own thread (`turn`).

mod ahead;
#[cfg(feature = "bench")]
pub(crate) mod bench;
mod effort;
mod failing;
mod held;
mod history;
mod ledger;
mod mover;
mod room;
mod slow;
mod spare;
mod transaction;
mod turn;
mod unfollowed;
mod unkept;
mod waiting;
mod work;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

pub(crate) use self::history::KNOWN_EVENTS;
pub(crate) use self::ledger::{Ledger, Space};
use self::mover::Mover;
use self::turn::Desk;
pub(crate) use self::turn::Turn;
pub(crate) use self::unfollowed::Unfollowed;
use self::work::Work;
use crate::budget::OnItsWay;
use crate::live_log::{LiveLog, Watch};
use crate::mailbox::{Mailbox, Ticket};
use crate::metrics::StoreMetrics;
use crate::record::Instance;

/// The queue in front of the writer. Bounded by the writer's budget, and by the beginning, the will
/// and the end of each session, which are a few bytes.
#[derive(Default)]
pub(crate) struct WriterQueue {
    group: Mutex<Group>,
    thread: OnceLock<Thread>,
    desk: OnceLock<Arc<Desk>>,
    /// [`Effort::share`](effort::Effort::share), 0 before the first group.
    share: AtomicU64,
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
    from: From,
}

/// Whose a batch is.
#[derive(Debug)]
pub(crate) struct From {
    /// The session of the connection; 0 is another part of the broker, or about a session.
    pub(crate) session: Instance,
    /// The messages that are done with it.
    pub(crate) on_its_way: Option<OnItsWay>,
}

impl From {
    pub(crate) fn broker() -> Self {
        Self::session(0)
    }

    pub(crate) fn session(session: Instance) -> Self {
        Self { session, on_its_way: None }
    }
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

/// Memory an idle queue may keep, and when it is one. Not between one group and the next: what comes anew from the
/// system has to be cleared first.
const IDLE_BYTES: usize = 256 << 10;
const IDLE: Duration = Duration::from_secs(1);

impl Group {
    fn give_back(&mut self) {
        self.entries.shrink_to(IDLE_BYTES);
    }

    /// Batches that were taken and not done are the first again.
    fn put_back(&mut self, first: Self) {
        let shift = first.entries.len();
        let behind = std::mem::replace(self, Self { closed: self.closed, ..first });
        self.entries.extend_from_slice(&behind.entries);
        let moved =
            behind.batches.into_iter().map(|batch| Batch { end: batch.end + shift, ..batch });
        self.batches.extend(moved);
    }
}

impl WriterQueue {
    /// Queues entries of a connection, or of another part of the broker (0). `true` if the queue was empty: the writer
    /// must be woken.
    pub(crate) fn append(
        &self,
        from: From,
        entries: &[u8],
        charge: u64,
        completion: Option<Completion>,
    ) -> bool {
        let mut group = self.group.lock().expect("no panic while it is held");
        let first = group.batches.is_empty();
        group.entries.extend_from_slice(entries);
        let end = group.entries.len();
        group.batches.push(Batch { end, charge, completion, from });
        first
    }

    /// Messages that one connection may have on their way here.
    pub(crate) fn share(&self) -> u64 {
        match self.share.load(Ordering::Relaxed) {
            0 => u64::MAX,
            share => share,
        }
    }

    /// Gives the memory back that large groups took, in whichever of the buffers it is.
    fn give_back(&self, groups: [&mut Group; 2]) {
        groups.into_iter().for_each(Group::give_back);
        self.group.lock().expect("no panic while it is held").give_back();
    }

    fn worked(&self, work: &Work) {
        self.share.store(work.effort.share(), Ordering::Relaxed);
    }

    /// Lets the writer end when it has done everything.
    pub(crate) fn close(&self) {
        self.group.lock().expect("no panic while it is held").closed = true;
        self.wake();
    }

    /// Wakes the writer.
    pub(crate) fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// Starts the writer's thread; it ends after [`WriterQueue::close`], with what was kept in the file.
pub(crate) fn start(
    queue: &Arc<WriterQueue>,
    log: Arc<LiveLog>,
    ledger: Ledger,
    metrics: StoreMetrics,
) -> std::io::Result<JoinHandle<()>> {
    let mover = ledger.mover().map_err(std::io::Error::other)?;
    let mover = Mover::start(move || mover.move_log(), Arc::clone(&log), {
        let queue = Arc::clone(queue);
        move || queue.wake()
    })?;
    let mut work = Work::new(Arc::clone(&log), ledger, metrics);
    work.moves_with(mover);
    let desk = Arc::new(Mutex::new(Some(work)));
    let handle = thread::Builder::new().name("writer".to_owned()).spawn({
        let (queue, desk) = (Arc::clone(queue), Arc::clone(&desk));
        move || {
            let _watch = Watch::new(&log);
            write(&queue, &desk);
        }
    })?;
    // Set once here, before anybody else knows the queue.
    let _ = queue.thread.set(handle.thread().clone());
    let _ = queue.desk.set(desk);
    Ok(handle)
}

fn write(queue: &WriterQueue, desk: &Desk) {
    let mut group = Group::default();
    // Since when nothing has come.
    let mut idle_since = None;
    loop {
        // Before the group: what others took before it is done before it.
        let mut at_desk = desk.lock().expect("a panic at the desk ends the broker");
        let Some(work) = at_desk.as_mut() else { return };
        work.go_on();
        std::mem::swap(&mut *queue.group.lock().expect("no panic while it is held"), &mut group);
        let closed = group.closed;
        if group.batches.is_empty() && !work.goes_on_with_slow() {
            if closed && work.slow.is_empty() {
                return at_desk.take().into_iter().for_each(Work::end);
            }
            let sleep = work.rest();
            if idle_since.get_or_insert_with(Instant::now).elapsed() >= IDLE {
                queue.give_back([&mut group, &mut work.spare]);
            }
            drop(at_desk);
            thread::park_timeout(sleep);
            continue;
        }
        idle_since = None;
        let rows = work.sort(&mut group);
        if !group.batches.is_empty() {
            work.group(&group.entries, &mut group.batches);
        }
        if work.goes_on_with_slow() {
            work.slice(rows);
        }
        queue.worked(work);
        drop(at_desk);
        group.entries.clear();
        if closed {
            // The other half of the swap has lost the flag.
            queue.close();
        }
    }
}
