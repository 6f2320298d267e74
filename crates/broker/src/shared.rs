//! What every connection shares.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::task::Poll;
use std::time::Instant;

use dockside_access::policy::Policy;
use dockside_interceptor::Interceptor;
use dockside_store::Seq;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{Access, Elsewhere};
use crate::arrivals::{Addresses, Arrivals, Pace};
use crate::awaited::Awaited;
use crate::board::Board;
use crate::board::changes::Site;
use crate::board::docks::Docks;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::Config;
use crate::keep::{self, KeepAside};
use crate::listener::{Sockets, Turns};
use crate::live_log::LiveLog;
use crate::message::MESSAGE_OVERHEAD;
use crate::metrics::{ConnectionMetrics, Latency, LimitMetrics, StoreSeen};
use crate::patience::Patience;
use crate::publish::Interceptors;
use crate::pulse::Pulse;
use crate::reading::Reading;
use crate::record::Instance;
use crate::refusals::Refusals;
use crate::registry::Registry;
use crate::retained::{Full, Retained, Room};
use crate::sessions::Sessions;
use crate::sys::SysCounters;
use crate::tail::Tail;
use crate::writer::{Completion, From, Turn, WriterQueue};

/// The parts of the broker that connections meet.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) log: Arc<LiveLog>,
    pub(crate) writer: Arc<WriterQueue>,
    pub(crate) direct_budget: Budget,
    pub(crate) writer_budget: Budget,
    pub(crate) registry: Arc<Registry>,
    pub(crate) sessions: Sessions,
    pub(crate) retained: Arc<RwLock<Retained>>,
    pub(crate) reading: Reading,
    pub(crate) board: Arc<Board>,
    pub(crate) docks: Docks,
    /// As it was looked at last.
    pub(crate) site: Mutex<Site>,
    pub(crate) latency: Latency,
    pub(crate) awaited: Awaited,
    /// Whether the store could be written lately.
    pub(crate) store_works: Arc<AtomicBool>,
    pub(crate) store_seen: Arc<StoreSeen>,
    pub(crate) pulse: Arc<Pulse>,
    /// Listeners that could not accept when they last tried.
    pub(crate) deaf: AtomicUsize,
    pub(crate) handshakes: Turns,
    pub(crate) clock: Arc<Clock>,
    pub(crate) sys: SysCounters,
    pub(crate) tail: Tail,
    pub(crate) access: Access,
    pub(crate) refusals: Refusals,
    pub(crate) interceptors: Interceptors,
    pub(crate) metrics: ConnectionMetrics,
    pub(crate) limits: LimitMetrics,
    /// Connections whose CONNECT is not there yet.
    pub(crate) arrivals: Arc<Arrivals>,
    pub(crate) addresses: Arc<Addresses>,
    /// What of the process's descriptors is for clients.
    pub(crate) sockets: Sockets,
    /// Of `limits.connects_per_second`.
    pub(crate) pace: Mutex<Pace>,
    /// Clients that are let in, against `limits.connections`.
    pub(crate) clients: AtomicUsize,
    /// Connections that accept publishes.
    pub(crate) accepting: TaskTracker,
    /// Cancelled when the broker stops.
    pub(crate) stopping: CancellationToken,
    instances: AtomicU64,
    /// Numbers of earlier starts are not greater.
    pub(crate) first_number: Seq,
    doorbell: Notify,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        (policy, elsewhere): (Arc<Policy>, Elsewhere),
        log: Arc<LiveLog>,
        (reading, board, docks, clock, first_number): (Reading, Arc<Board>, Docks, Arc<Clock>, Seq),
        plugins: Vec<Arc<dyn Interceptor>>,
    ) -> Self {
        Self {
            log,
            writer: Arc::default(),
            direct_budget: Budget::new(config.live_log.direct_budget_bytes),
            writer_budget: Budget::new(config.live_log.writer_budget_bytes),
            registry: Arc::default(),
            sessions: Sessions::new(&config.limits),
            retained: Arc::new(RwLock::new(Retained::new(&config.limits))),
            reading,
            board,
            docks,
            site: Mutex::default(),
            latency: Latency::default(),
            awaited: Awaited::default(),
            store_works: Arc::new(AtomicBool::new(true)),
            store_seen: Arc::default(),
            pulse: Arc::default(),
            deaf: AtomicUsize::new(0),
            handshakes: Turns::new(),
            clock,
            sys: SysCounters::default(),
            tail: Tail::default(),
            access: Access::new(&config, policy, elsewhere),
            refusals: Refusals::default(),
            interceptors: Interceptors::new(plugins),
            metrics: ConnectionMetrics::register(),
            limits: LimitMetrics::register(),
            arrivals: Arc::default(),
            addresses: Arc::default(),
            sockets: Sockets::of(&config.limits),
            pace: Mutex::new(Pace::fresh(config.limits.connects_per_second, 0)),
            clients: AtomicUsize::new(0),
            accepting: TaskTracker::new(),
            stopping: CancellationToken::new(),
            instances: AtomicU64::new(first_number),
            first_number,
            doorbell: Notify::new(),
            config,
        }
    }

    /// A number no other session has had.
    pub(crate) fn new_instance(&self) -> Instance {
        self.instances.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Asks for room for a retained message of a topic: `size` bytes of topic, properties and payload.
    pub(crate) fn promise_to_retain(&self, topic: &str, size: usize) -> Result<Room, Full> {
        let retained = self.retained.read().expect("no panic while it is held");
        retained.promise(topic, size + MESSAGE_OVERHEAD)
    }

    /// How many messages are retained, and their bytes.
    pub(crate) fn retained(&self) -> (usize, usize) {
        let retained = self.retained.read().expect("no panic while it is held");
        (retained.len(), retained.bytes())
    }

    /// Drops retained messages that have expired, here and in the store, if it is known what time it is.
    pub(crate) fn expire_retained(&self) {
        if self.clock.doubt().is_some() {
            return;
        }
        let mut retained = self.retained.write().expect("no panic while it is held");
        let gone = retained.expire(self.clock.now_ms());
        drop(retained);
        let mut entries = Vec::new();
        for (topic, seq) in gone.into_iter().filter(|(_, seq)| *seq > 0) {
            keep::append_aside(&self.log, &mut entries, KeepAside::NotRetained(topic, seq));
        }
        if !entries.is_empty() {
            self.append_ordered(&entries);
        }
    }

    /// Appends entries of QoS 0 with nothing to keep.
    pub(crate) fn append_direct(&self, entries: &[u8], charge: u64) {
        if self.log.append_direct(entries, charge) {
            self.doorbell.notify_one();
        }
    }

    /// Queues entries for the writer that are the broker's own, or about a session.
    pub(crate) fn append_ordered(&self, entries: &[u8]) {
        self.append_of(From::broker(), entries, 0, None);
    }

    /// Queues entries of a connection for the writer.
    pub(crate) fn append_of(
        &self,
        from: From,
        entries: &[u8],
        charge: u64,
        completion: Option<Completion>,
    ) {
        if self.writer.append(from, entries, charge, completion) {
            self.doorbell.notify_one();
        }
    }

    /// Waits for the doorbell, and looks out for it before sleeping where that is worth it.
    async fn next_ring(&self, patience: &mut Patience) {
        let mut ring = pin!(self.doorbell.notified());
        if ring.as_mut().enable() {
            // It came before: that says nothing about what comes next.
            return;
        }
        if let Some(until) = patience.until(Instant::now()) {
            while Instant::now() < until {
                if ring.as_mut().enable() {
                    return patience.looked(true);
                }
                tokio::task::yield_now().await;
            }
            patience.looked(false);
        }
        ring.await;
    }

    /// Sends on what connections have gathered, once all that are ready have had their turn: one
    /// wake-up of the other threads for many messages, and no timer.
    pub(crate) async fn answer_the_doorbell(&self) {
        let mut patience = Patience::default();
        loop {
            self.next_ring(&mut patience).await;
            let_others_go_first().await;
            self.log.flush();
            match self.writer.take_turn() {
                Turn::Idle => {}
                Turn::Taken => {
                    // Whoever waited for it answers before anything else is done.
                    let_others_go_first().await;
                    if self.writer.finish_turn() {
                        patience.rest();
                    }
                }
                Turn::Declined => {
                    self.writer.wake();
                    // It has something to do, perhaps on this core.
                    patience.rest();
                }
            }
        }
    }
}

/// To the end of the queue of tasks that are ready. Unlike `yield_now` it does not ask the system for more of
/// them, which costs a call.
async fn let_others_go_first() {
    let mut was_here = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut was_here, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
