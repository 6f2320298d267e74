//! Metrics of the parts that there is one of: the lanes, what is kept, the dispatcher.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::StoreSeen;
use crate::writer::Space;

/// Bytes on their way to the dispatcher, by lane.
pub(crate) struct PendingGauges {
    direct: Gauge,
    writer: Gauge,
}

impl PendingGauges {
    pub(crate) fn register() -> Self {
        let lane = |lane: &'static str| gauge!("dockside_live_log_pending_bytes", "lane" => lane);
        Self { direct: lane("direct"), writer: lane("writer") }
    }

    pub(crate) fn set(&self, direct: u64, writer: u64) {
        self.direct.set(direct as f64);
        self.writer.set(writer as f64);
    }
}

/// Sessions and retained messages, and the clock that they age by.
pub(crate) struct KeptMetrics {
    connected: Gauge,
    asleep: Gauge,
    expired: Counter,
    retained: Gauge,
    retained_bytes: Gauge,
    of_retained: Gauge,
    clock_doubted: Gauge,
}

/// What the store holds, by what it is for.
fn storage_bytes(kind: &'static str) -> Gauge {
    gauge!("dockside_storage_bytes", "kind" => kind)
}

impl KeptMetrics {
    pub(crate) fn register() -> Self {
        let sessions = |state: &'static str| gauge!("dockside_sessions", "state" => state);
        Self {
            connected: sessions("online"),
            asleep: sessions("offline"),
            expired: counter!("dockside_sessions_expired_total"),
            retained: gauge!("dockside_retained_messages"),
            retained_bytes: gauge!("dockside_retained_bytes"),
            of_retained: storage_bytes("retained"),
            clock_doubted: gauge!("dockside_clock_doubted"),
        }
    }

    /// Sessions that are kept and those of them without a connection; messages and their bytes.
    pub(crate) fn set(&self, (kept, asleep): (usize, usize), (messages, bytes): (usize, usize)) {
        self.connected.set(kept.saturating_sub(asleep) as f64);
        self.asleep.set(asleep as f64);
        self.retained.set(messages as f64);
        self.retained_bytes.set(bytes as f64);
        self.of_retained.set(bytes as f64);
    }

    /// Whether the wall clock is not believed.
    pub(crate) fn clock_doubted(&self, is_doubted: bool) {
        self.clock_doubted.set(if is_doubted { 1.0 } else { 0.0 });
    }

    pub(crate) fn expired(&self, count: u64) {
        self.expired.increment(count);
    }
}

/// Docks and flight tasks.
pub(crate) struct SiteMetrics {
    online: Gauge,
    silent: Gauge,
    /// In the order of [`STATUSES`]; the last is every other, and none.
    tasks: [Gauge; STATUSES.len() + 1],
    unacknowledged: Counter,
}

/// What a flight task can be, as DJI documents it.
const STATUSES: [&str; 9] = [
    "sent",
    "in_progress",
    "paused",
    "ok",
    "rejected",
    "failed",
    "canceled",
    "timeout",
    "partially_done",
];

/// How many flight tasks have each status; the last is every other, and none.
pub(crate) fn count_statuses<'a>(
    statuses: impl Iterator<Item = Option<&'a str>>,
) -> [(&'static str, usize); STATUSES.len() + 1] {
    let mut counts =
        std::array::from_fn(|at| (STATUSES.get(at).copied().unwrap_or("other"), 0usize));
    for status in statuses {
        let known = status.and_then(|status| STATUSES.iter().position(|s| *s == status));
        counts[known.unwrap_or(STATUSES.len())].1 += 1;
    }
    counts
}

/// A counter a status, and one for every other.
pub(crate) struct TransitionMetrics([Counter; STATUSES.len() + 1]);

impl TransitionMetrics {
    pub(crate) fn register() -> Self {
        Self(std::array::from_fn(|at| {
            let status = STATUSES.get(at).copied().unwrap_or("other");
            counter!("dockside_flight_task_transitions_total", "status" => status)
        }))
    }

    /// A flight task has this status now, and had another one.
    pub(crate) fn count(&self, status: Option<&str>) {
        let known = STATUSES.iter().position(|known| Some(*known) == status);
        self.0[known.unwrap_or(STATUSES.len())].increment(1);
    }
}

impl SiteMetrics {
    pub(crate) fn register() -> Self {
        let tasks = |at: usize| {
            let status = STATUSES.get(at).copied().unwrap_or("other");
            gauge!("dockside_flight_tasks", "status" => status)
        };
        Self {
            online: gauge!("dockside_docks_online"),
            silent: gauge!("dockside_docks_silent"),
            tasks: std::array::from_fn(tasks),
            unacknowledged: counter!("dockside_events_unacknowledged_total"),
        }
    }

    pub(crate) fn docks(&self, online: usize, silent: usize) {
        self.online.set(online as f64);
        self.silent.set(silent as f64);
    }

    /// The status of every task that is shown.
    pub(crate) fn tasks<'a>(&self, statuses: impl Iterator<Item = Option<&'a str>>) {
        let counts = count_statuses(statuses);
        self.tasks.iter().zip(counts).for_each(|(gauge, (_, count))| gauge.set(count as f64));
    }

    /// Replies that were given up, for want of an application's acknowledgement.
    pub(crate) fn unacknowledged(&self, replies: usize) {
        self.unacknowledged.increment(replies as u64);
    }
}

/// Counters of the dispatcher.
pub(crate) struct DispatcherMetrics {
    plain: Gauge,
    shared: Gauge,
    pub(crate) no_subscriber: Counter,
    pub(crate) queue_full: Counter,
    pub(crate) full_qos0: Counter,
    pub(crate) offline: Counter,
    pub(crate) retained_full: Counter,
}

impl DispatcherMetrics {
    pub(crate) fn register() -> Self {
        let dropped =
            |reason: &'static str| counter!("dockside_messages_dropped_total", "reason" => reason);
        let subscriptions = |kind: &'static str| gauge!("dockside_subscriptions", "kind" => kind);
        let metrics = Self {
            plain: subscriptions("plain"),
            shared: subscriptions("shared"),
            no_subscriber: dropped("no_subscriber"),
            queue_full: dropped("queue_full"),
            full_qos0: dropped("qos0_backpressure"),
            offline: dropped("offline"),
            retained_full: dropped("retained_full"),
        };
        metrics.subscriptions(0, 0);
        // Always 0: a publisher beyond its rate waits, and what a stop leaves unsent goes with the session that ends, which
        // no reason counts.
        ["rate_limit", "shutdown"].iter().for_each(|reason| dropped(reason).increment(0));
        metrics
    }

    pub(crate) fn subscriptions(&self, plain: usize, shared: usize) {
        self.plain.set(plain as f64);
        self.shared.set(shared as f64);
    }
}

/// The store, as its writer sees it.
pub(crate) struct StoreMetrics {
    works: Arc<AtomicBool>,
    gauge: Gauge,
    failed: Counter,
    refused: Counter,
    commits: Counter,
    commit_duration: Histogram,
    queued: Gauge,
    queued_bytes: Gauge,
    of_queues: Gauge,
    of_sessions: Gauge,
    queue_full: Counter,
    events_trimmed: Counter,
    messages_trimmed: Counter,
    file_bytes: Gauge,
    disk_free: Gauge,
    disk_short: Gauge,
    is_disk_short: bool,
    seen: Arc<StoreSeen>,
    /// How long publishers wait before they are sent away.
    pub(crate) stall_timeout: Duration,
}

impl StoreMetrics {
    /// `works` is what `/readyz` looks at.
    pub(crate) fn register(works: &Arc<AtomicBool>, stall_timeout: Duration) -> Self {
        let errors = |op: &'static str| counter!("dockside_storage_errors_total", "op" => op);
        let metrics = Self {
            works: Arc::clone(works),
            gauge: gauge!("dockside_storage_works"),
            failed: errors("commit"),
            refused: errors("refuse"),
            commits: counter!("dockside_storage_commits_total"),
            commit_duration: histogram!("dockside_storage_commit_duration_seconds"),
            queued: gauge!("dockside_queued_messages"),
            queued_bytes: gauge!("dockside_queued_bytes"),
            of_queues: storage_bytes("queue"),
            of_sessions: storage_bytes("sessions"),
            queue_full: counter!("dockside_messages_dropped_total", "reason" => "queue_full"),
            events_trimmed: counter!("dockside_storage_trimmed_total", "what" => "event"),
            messages_trimmed: counter!("dockside_storage_trimmed_total", "what" => "message"),
            file_bytes: gauge!("dockside_storage_file_bytes"),
            disk_free: gauge!("dockside_storage_disk_free_bytes"),
            disk_short: gauge!("dockside_storage_disk_short"),
            is_disk_short: false,
            seen: Arc::default(),
            stall_timeout,
        };
        metrics.gauge.set(1.0);
        metrics
    }

    /// Tells there too.
    pub(crate) fn told_to(mut self, seen: &Arc<StoreSeen>) -> Self {
        self.seen = Arc::clone(seen);
        self
    }

    /// Whether it works now; `true` if that is new.
    pub(crate) fn works(&self, works: bool) -> bool {
        self.gauge.set(if works { 1.0 } else { 0.0 });
        self.works.swap(works, Ordering::Relaxed) != works
    }

    /// A transaction failed, and is tried again.
    pub(crate) fn failed(&self) {
        self.failed.increment(1);
    }

    /// Something could not be kept although the store works.
    pub(crate) fn refused(&self) {
        self.refused.increment(1);
    }

    /// A look at the room, with the rows that went for it; `true` if the file system has become short of
    /// space.
    pub(crate) fn looked(&mut self, space: &Space) -> bool {
        self.seen.looked(space.usage);
        self.events_trimmed.increment(space.events as u64);
        self.messages_trimmed.increment(space.messages as u64);
        self.file_bytes.set(space.usage.file as f64);
        if let Some(free) = space.usage.disk_free {
            self.disk_free.set(free as f64);
        }
        self.disk_short.set(if space.is_disk_short { 1.0 } else { 0.0 });
        !std::mem::replace(&mut self.is_disk_short, space.is_disk_short) && space.is_disk_short
    }

    /// Messages that were not acknowledged and are given up.
    pub(crate) fn forgotten(&self, messages: u64) {
        self.queue_full.increment(messages);
    }

    /// So many messages, with so many bytes, wait for sessions and groups.
    pub(crate) fn queued(&self, (messages, bytes): (usize, usize)) {
        self.seen.set_queued(messages, bytes);
        self.queued.set(messages as f64);
        self.queued_bytes.set(bytes as f64);
        self.of_queues.set(bytes as f64);
    }

    /// So many bytes are kept of sessions themselves.
    pub(crate) fn sessions(&self, bytes: u64) {
        self.of_sessions.set(bytes as f64);
    }

    /// A transaction, which took so long, and in which so many messages were dropped for want of room.
    pub(crate) fn committed(&self, took: Duration, dropped: u64) {
        self.commits.increment(1);
        self.commit_duration.record(took.as_secs_f64());
        if dropped > 0 {
            self.queue_full.increment(dropped);
        }
    }
}
