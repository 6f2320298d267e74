//! The broker's own metrics: every name, every label value, and the recorder behind them.
//!
//! Handles are looked up once, when a part of the broker starts, so every series exists at 0 and
//! the hot path pays one addition. Connections count in plain integers and add once a turn.

mod described;
mod latency;
mod limits;
mod packets;
mod rooms;
mod store_seen;

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use dockside_mqtt::{QoS, Version};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::clock;
use crate::config::Transport;
use crate::mailbox::Undelivered;
use crate::timing;

pub(crate) use self::latency::Latency;
pub(crate) use self::limits::{Limit, LimitMetrics};
use self::packets::{PacketCounters, Packets};
pub(crate) use self::rooms::{
    DispatcherMetrics, KeptMetrics, PendingGauges, SiteMetrics, StoreMetrics, TransitionMetrics,
    count_statuses,
};
pub(crate) use self::store_seen::StoreSeen;

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Buckets of durations in seconds, from a microsecond to a second. 5 ms is a bound of `deploy/alerts.yml`: between two
/// buckets Prometheus only guesses.
const REPLY_BUCKETS: [f64; 15] = [
    1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 5e-2, 1.0,
];

/// Buckets of the time until a client is let in: a thousand that come at once wait for their passwords.
const CONNECT_BUCKETS: [f64; 13] =
    [1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Buckets of the way of a message.
const DELIVERY_BUCKETS: [f64; 14] =
    [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5, 1.0];

/// Buckets of what waits for a disk.
const COMMIT_BUCKETS: [f64; 11] =
    [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.1, 1.0];

/// Installs the process's recorder, once; every later call gives the same handle. Metrics that are
/// registered before the first call are lost.
pub fn recorder() -> &'static PrometheusHandle {
    RECORDER.get_or_init(|| {
        let buckets: [(&str, &[f64]); 4] = [
            ("dockside_delivery_duration_seconds", &DELIVERY_BUCKETS),
            ("dockside_event_reply_duration_seconds", &REPLY_BUCKETS),
            ("dockside_connect_duration_seconds", &CONNECT_BUCKETS),
            ("dockside_storage_commit_duration_seconds", &COMMIT_BUCKETS),
        ];
        let mut builder = PrometheusBuilder::new();
        for (name, values) in buckets {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(name.to_owned()), values)
                .expect("no list of buckets is empty");
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed; /metrics shows only this one");
        }
        described::all();
        metrics_process::Collector::default().describe();
        handle
    })
}

/// All metrics as Prometheus scrapes them; it takes a core for a moment.
pub(crate) fn text() -> String {
    metrics_process::Collector::default().collect();
    recorder().render()
}

/// Facts that do not change while the process runs.
pub(crate) fn set_constants(connections_limit: usize) {
    let revision = option_env!("DOCKSIDE_REVISION").unwrap_or("unknown");
    gauge!("dockside_build_info", "version" => env!("CARGO_PKG_VERSION"),
        "revision" => revision, "rustc" => env!("DOCKSIDE_RUSTC"))
    .set(1.0);
    gauge!("dockside_connections_limit").set(connections_limit as f64);
}

/// When the certificate in a file ends, seconds since 1970.
pub(crate) fn certificate_ends(file: &Path, ends_s: i64) {
    let file = file.display().to_string();
    let name = "dockside_tls_certificate_not_after_timestamp_seconds";
    gauge!(name, "file" => file).set(ends_s as f64);
}

/// What came of a start or a reload.
pub(crate) fn reloaded(successful: bool) {
    gauge!("dockside_config_last_reload_successful").set(if successful { 1.0 } else { 0.0 });
    if successful {
        let seconds = clock::wall_ms() as f64 / 1000.0;
        gauge!("dockside_config_last_reload_success_timestamp_seconds").set(seconds);
    }
}

/// Why a client was not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rejected {
    BadCredentials,
    Tls,
    ClientId,
    Version,
    Limit,
    Timeout,
    Protocol,
    NotAuthorized,
    Network,
    Unavailable,
}

impl Rejected {
    const ALL: [(Self, &'static str); 10] = [
        (Self::BadCredentials, "bad_credentials"),
        (Self::Tls, "tls"),
        (Self::ClientId, "client_id"),
        (Self::Version, "version"),
        (Self::Limit, "limit"),
        (Self::Timeout, "timeout"),
        (Self::Protocol, "protocol"),
        (Self::NotAuthorized, "not_authorized"),
        (Self::Network, "network"),
        (Self::Unavailable, "unavailable"),
    ];
}

/// Who ended a connection, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Closed {
    Client,
    KeepAlive,
    Takeover,
    Protocol,
    Network,
    SlowConsumer,
    StoreStalled,
    TooLarge,
    Admin,
    Expired,
    Shutdown,
}

impl Closed {
    const ALL: [(Self, &'static str); 11] = [
        (Self::Client, "client"),
        (Self::KeepAlive, "keepalive"),
        (Self::Takeover, "takeover"),
        (Self::Protocol, "protocol"),
        (Self::Network, "network"),
        (Self::SlowConsumer, "slow_consumer"),
        (Self::StoreStalled, "store_stalled"),
        (Self::TooLarge, "too_large"),
        (Self::Admin, "admin"),
        (Self::Expired, "expired"),
        (Self::Shutdown, "shutdown"),
    ];
}

/// Requests that the rules of access allowed or denied.
pub(crate) fn acl_check(action: &'static str, result: &'static str) -> Counter {
    counter!("dockside_acl_checks_total", "action" => action, "result" => result)
}

/// Counters of connections.
pub(crate) struct ConnectionMetrics {
    /// By transport, then by version.
    connected: [[Gauge; 3]; 4],
    opened: [Counter; 4],
    closed: Vec<Counter>,
    rejected: Vec<Counter>,
    received: [Counter; 3],
    sent: [Counter; 3],
    message_bytes_received: [Counter; 3],
    message_bytes_sent: [Counter; 3],
    bytes_received: Counter,
    bytes_sent: Counter,
    dropped_expired: Counter,
    dropped_too_large: Counter,
    dropped_acl: Counter,
    dropped_full: Counter,
    dropped_full_qos0: Counter,
    pub(crate) dropped_hook: Counter,
    dropped_offline: Counter,
    publishes_allowed: Counter,
    publishes_denied: Counter,
    packets: PacketCounters,
    redelivered: Counter,
    resumed: Counter,
    inflight: [Gauge; 2],
    connect_duration: Histogram,
    pub(crate) reply_duration: Histogram,
    pub(crate) hook_panics: Counter,
    pub(crate) hook_over_budget: Counter,
}

const TRANSPORTS: [Transport; 4] = [Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss];

const QOS: [&str; 3] = ["0", "1", "2"];

impl ConnectionMetrics {
    pub(crate) fn register() -> Self {
        let dropped =
            |reason: &'static str| counter!("dockside_messages_dropped_total", "reason" => reason);
        timing::durations();
        Self {
            connected: TRANSPORTS.map(|transport| {
                let listener = transport.as_str();
                ["3.1", "3.1.1", "5"].map(|version| {
                    gauge!("dockside_connections", "listener" => listener, "protocol" => version)
                })
            }),
            opened: TRANSPORTS.map(|transport| {
                let listener = transport.as_str();
                counter!("dockside_connections_opened_total", "listener" => listener)
            }),
            closed: Closed::ALL
                .iter()
                .map(|(_, r)| counter!("dockside_connections_closed_total", "reason" => *r))
                .collect(),
            rejected: Rejected::ALL
                .iter()
                .map(|(_, r)| counter!("dockside_connects_rejected_total", "reason" => *r))
                .collect(),
            received: QOS.map(|q| counter!("dockside_messages_received_total", "qos" => q)),
            sent: QOS.map(|q| counter!("dockside_messages_sent_total", "qos" => q)),
            message_bytes_received: QOS
                .map(|q| counter!("dockside_message_bytes_received_total", "qos" => q)),
            message_bytes_sent: QOS
                .map(|q| counter!("dockside_message_bytes_sent_total", "qos" => q)),
            bytes_received: counter!("dockside_bytes_received_total"),
            bytes_sent: counter!("dockside_bytes_sent_total"),
            dropped_expired: dropped("expired"),
            dropped_too_large: dropped("too_large"),
            dropped_acl: dropped("acl"),
            dropped_full: dropped("queue_full"),
            dropped_full_qos0: dropped("qos0_backpressure"),
            dropped_hook: dropped("hook"),
            dropped_offline: dropped("offline"),
            publishes_allowed: acl_check("publish", "allow"),
            publishes_denied: acl_check("publish", "deny"),
            packets: PacketCounters::register(),
            redelivered: counter!("dockside_messages_redelivered_total"),
            resumed: counter!("dockside_sessions_resumed_total"),
            inflight: ["in", "out"]
                .map(|way| gauge!("dockside_inflight_messages", "direction" => way)),
            connect_duration: histogram!("dockside_connect_duration_seconds"),
            reply_duration: histogram!("dockside_event_reply_duration_seconds"),
            hook_panics: counter!("dockside_hook_panics_total"),
            hook_over_budget: counter!("dockside_hook_over_budget_total"),
        }
    }

    pub(crate) fn connected(&self, transport: Transport, version: Version) -> &Gauge {
        &self.connected[transport as usize][version as usize]
    }

    /// A client was let in so long after it was accepted; whether its session was there.
    pub(crate) fn opened(&self, transport: Transport, took: Duration, is_resumed: bool) {
        self.opened[transport as usize].increment(1);
        self.connect_duration.record(took.as_secs_f64());
        self.resumed.increment(u64::from(is_resumed));
    }

    /// Messages from and to a client that are not acknowledged: so many now, so many before.
    pub(crate) fn inflight(&self, now: [u32; 2], before: [u32; 2]) {
        for (gauge, (now, before)) in self.inflight.iter().zip(now.into_iter().zip(before)) {
            if now != before {
                gauge.increment(f64::from(now) - f64::from(before));
            }
        }
    }

    /// A packet of somebody who is not let in yet, by its first byte.
    pub(crate) fn introduced(&self, first: u8) {
        let mut received = Packets::default();
        received.count(first);
        self.packets.add(&received, &Packets::default());
    }

    /// A packet to somebody who is not let in.
    pub(crate) fn told(&self, first: u8) {
        let mut sent = Packets::default();
        sent.count(first);
        self.packets.add(&Packets::default(), &sent);
    }

    pub(crate) fn closed(&self, reason: Closed) {
        self.closed[reason as usize].increment(1);
    }

    /// Messages that a session could not keep when its connection ended.
    pub(crate) fn undelivered(&self, undelivered: &Undelivered) {
        if undelivered.full > 0 {
            self.dropped_full.increment(undelivered.full);
        }
        if undelivered.full_qos0 > 0 {
            self.dropped_full_qos0.increment(undelivered.full_qos0);
        }
        if undelivered.offline > 0 {
            self.dropped_offline.increment(undelivered.offline);
        }
    }

    pub(crate) fn rejected(&self, reason: Rejected) {
        self.rejected[reason as usize].increment(1);
    }

    /// Adds what a connection counted in its turn, and empties it.
    pub(crate) fn add(&self, counts: &mut Counts) {
        let counts = std::mem::take(counts);
        let by_qos = [
            (&self.received, counts.received),
            (&self.sent, counts.sent),
            (&self.message_bytes_received, counts.message_bytes_received),
            (&self.message_bytes_sent, counts.message_bytes_sent),
        ];
        for (counter, value) in by_qos.iter().flat_map(|(c, v)| c.iter().zip(v)) {
            if *value > 0 {
                counter.increment(*value);
            }
        }
        self.packets.add(&counts.packets_received, &counts.packets_sent);
        let pairs = [
            (&self.redelivered, counts.redelivered),
            (&self.bytes_received, counts.bytes_received),
            (&self.bytes_sent, counts.bytes_sent),
            (&self.dropped_expired, counts.dropped_expired),
            (&self.dropped_too_large, counts.dropped_too_large),
            (&self.dropped_acl, counts.dropped_acl),
            (&self.publishes_allowed, counts.publishes_allowed),
            (&self.publishes_denied, counts.publishes_denied),
        ];
        for (counter, value) in pairs {
            if value > 0 {
                counter.increment(value);
            }
        }
    }
}

/// What a connection counts between two additions to the metrics.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) received: [u64; 3],
    pub(crate) sent: [u64; 3],
    pub(crate) message_bytes_received: [u64; 3],
    pub(crate) message_bytes_sent: [u64; 3],
    pub(crate) packets_received: Packets,
    pub(crate) packets_sent: Packets,
    pub(crate) redelivered: u64,
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) dropped_expired: u64,
    pub(crate) dropped_too_large: u64,
    pub(crate) dropped_acl: u64,
    pub(crate) publishes_allowed: u64,
    pub(crate) publishes_denied: u64,
}

impl Counts {
    pub(crate) fn received(&mut self, qos: QoS, payload: &[u8]) {
        self.received[usize::from(qos.bits())] += 1;
        self.message_bytes_received[usize::from(qos.bits())] += payload.len() as u64;
    }

    pub(crate) fn sent(&mut self, qos: QoS, payload: &[u8]) {
        self.packets_sent.count(0x30);
        self.sent[usize::from(qos.bits())] += 1;
        self.message_bytes_sent[usize::from(qos.bits())] += payload.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_stand_in_the_order_of_their_enum() {
        assert!(Rejected::ALL.iter().enumerate().all(|(at, (r, _))| *r as usize == at));
        assert!(Closed::ALL.iter().enumerate().all(|(at, (c, _))| *c as usize == at));
    }
}
