//! Metrics of the parts that there is one of: the lanes, what is kept, the dispatcher.

use metrics::{Counter, Gauge, counter, gauge};

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

/// Sessions and retained messages.
pub(crate) struct KeptMetrics {
    connected: Gauge,
    asleep: Gauge,
    expired: Counter,
    retained: Gauge,
    retained_bytes: Gauge,
}

impl KeptMetrics {
    pub(crate) fn register() -> Self {
        let sessions = |state: &'static str| gauge!("dockside_sessions", "state" => state);
        Self {
            connected: sessions("connected"),
            asleep: sessions("disconnected"),
            expired: counter!("dockside_sessions_expired_total"),
            retained: gauge!("dockside_retained_messages"),
            retained_bytes: gauge!("dockside_retained_bytes"),
        }
    }

    /// Sessions that are kept and those of them without a connection; messages and their bytes.
    pub(crate) fn set(&self, (kept, asleep): (usize, usize), (messages, bytes): (usize, usize)) {
        self.connected.set(kept.saturating_sub(asleep) as f64);
        self.asleep.set(asleep as f64);
        self.retained.set(messages as f64);
        self.retained_bytes.set(bytes as f64);
    }

    pub(crate) fn expired(&self, count: u64) {
        self.expired.increment(count);
    }
}

/// Counters of the dispatcher.
pub(crate) struct DispatcherMetrics {
    plain: Gauge,
    shared: Gauge,
    pub(crate) no_subscriber: Counter,
    pub(crate) queue_full: Counter,
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
            offline: dropped("offline"),
            retained_full: dropped("retained_full"),
        };
        metrics.subscriptions(0, 0);
        metrics
    }

    pub(crate) fn subscriptions(&self, plain: usize, shared: usize) {
        self.plain.set(plain as f64);
        self.shared.set(shared as f64);
    }
}
