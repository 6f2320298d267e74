//! The writer: one thread with one order for everything that has to be ordered or kept.
//!
//! QoS 1 and 2, retained messages, wills, topics that a plugin claims, the broker's own messages,
//! subscriptions and the beginning and end of sessions go through it. It drains its queue, appends
//! the group to the live log and completes the jobs that somebody waits for. It has nothing to
//! commit yet; a commit belongs between the two.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle, Thread};

use crate::live_log::{Dead, LiveLog};
use crate::mailbox::{Mailbox, Ticket};

/// The queue in front of the writer. Bounded by the writer's budget, and by the beginning, the will
/// and the end of each session, which are a few bytes.
#[derive(Default)]
pub(crate) struct WriterQueue {
    group: Mutex<Group>,
    thread: OnceLock<Thread>,
}

#[derive(Default)]
struct Group {
    entries: Vec<u8>,
    charge: u64,
    completions: Vec<(Arc<Mailbox>, Ticket)>,
    closed: bool,
}

/// Memory an idle queue may keep.
const IDLE_BYTES: usize = 256 << 10;

impl WriterQueue {
    /// Queues entries. `true` if the queue was empty: the writer must be woken.
    pub(crate) fn append(
        &self,
        entries: &[u8],
        charge: u64,
        completion: Option<(Arc<Mailbox>, Ticket)>,
    ) -> bool {
        let mut group = self.group.lock().expect("no panic while it is held");
        let first = group.entries.is_empty() && group.completions.is_empty();
        group.entries.extend_from_slice(entries);
        group.charge += charge;
        group.completions.extend(completion);
        first
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

/// Starts the writer's thread; it ends after [`WriterQueue::close`].
pub(crate) fn start(
    queue: &Arc<WriterQueue>,
    log: Arc<LiveLog>,
) -> std::io::Result<JoinHandle<()>> {
    let handle = thread::Builder::new().name("writer".to_owned()).spawn({
        let queue = Arc::clone(queue);
        move || {
            let _watch = Watch(&log);
            write(&queue, &log);
        }
    })?;
    // Set once here, before anybody else knows the queue.
    let _ = queue.thread.set(handle.thread().clone());
    Ok(handle)
}

/// Reports a writer that ends by a panic: nothing would be ordered or acknowledged any more.
struct Watch<'a>(&'a LiveLog);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.report(Dead::room());
        }
    }
}

fn write(queue: &WriterQueue, log: &LiveLog) {
    let mut group = Group::default();
    loop {
        std::mem::swap(&mut *queue.group.lock().expect("no panic while it is held"), &mut group);
        let closed = group.closed;
        if group.entries.is_empty() && group.completions.is_empty() {
            if closed {
                return;
            }
            thread::park();
            continue;
        }
        log.append_group(&group.entries, group.charge);
        for (mailbox, ticket) in group.completions.drain(..) {
            mailbox.complete(ticket);
        }
        group.entries.clear();
        group.entries.shrink_to(IDLE_BYTES);
        group.charge = 0;
        if closed {
            // The other half of the swap has lost the flag.
            queue.close();
        }
    }
}
