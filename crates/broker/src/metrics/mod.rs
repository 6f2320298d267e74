//! The broker's own metrics: every name, every label value, and the recorder behind them.
//!
//! Handles are looked up once, when a part of the broker starts, so every series exists at 0 and
//! the hot path pays one addition. Connections count in plain integers and add once a turn.

mod latency;
mod limits;
mod rooms;

use std::sync::OnceLock;

use dockside_mqtt::{QoS, Version};
use metrics::{Counter, Gauge, Histogram, Unit, counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::clock;
use crate::config::Transport;
use crate::mailbox::Undelivered;

pub(crate) use self::latency::Latency;
pub(crate) use self::limits::{Limit, LimitMetrics};
pub(crate) use self::rooms::{
    DispatcherMetrics, KeptMetrics, PendingGauges, SiteMetrics, StoreMetrics,
};

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Buckets of durations in seconds, from a microsecond to a second.
const REPLY_BUCKETS: [f64; 14] =
    [1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 1e-2, 5e-2, 1.0];

/// Installs the process's recorder, once; every later call gives the same handle. Metrics that are
/// registered before the first call are lost.
pub fn recorder() -> &'static PrometheusHandle {
    RECORDER.get_or_init(|| {
        let matcher = Matcher::Suffix("_duration_seconds".to_owned());
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(matcher, &REPLY_BUCKETS)
            .expect("the list of buckets is not empty");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed; /metrics shows only this one");
        }
        describe();
        metrics_process::Collector::default().describe();
        handle
    })
}

fn describe() {
    use metrics::{describe_counter as c, describe_gauge as g, describe_histogram as h};
    g!("dockside_docks_online", "Docks whose connection is there");
    g!("dockside_docks_silent", "Docks that are connected and say nothing");
    g!("dockside_flight_tasks", "Flight tasks that are shown, by status");
    c!(
        "dockside_events_unacknowledged_total",
        "Replies given up because the application that they wait for did not acknowledge the event"
    );
    g!("dockside_build_info", "What this is; always 1");
    g!("dockside_connections", "Connected clients");
    g!("dockside_connections_limit", "Connections that are allowed at the same time");
    c!("dockside_connections_opened_total", "Clients that were let in");
    c!("dockside_connections_closed_total", "Connections that ended, by who ended them and why");
    c!("dockside_connects_rejected_total", "Connections that ended before they were let in");
    c!(
        "dockside_limits_reached_total",
        "How often clients met a limit of the configuration, by its key under limits"
    );
    g!("dockside_subscriptions", "Subscriptions, shared ones apart");
    g!("dockside_sessions", "Sessions that are kept, with and without a connection");
    c!("dockside_sessions_expired_total", "Sessions that nobody came back to in time");
    g!("dockside_retained_messages", "Retained messages");
    g!("dockside_retained_bytes", Unit::Bytes, "What retained messages hold");
    c!("dockside_messages_received_total", "PUBLISH packets from clients");
    c!("dockside_messages_sent_total", "PUBLISH packets to clients");
    c!("dockside_message_bytes_received_total", Unit::Bytes, "Payload of PUBLISH from clients");
    c!("dockside_message_bytes_sent_total", Unit::Bytes, "Payload of PUBLISH to clients");
    c!("dockside_bytes_received_total", Unit::Bytes, "Bytes from clients");
    c!("dockside_bytes_sent_total", Unit::Bytes, "Bytes to clients");
    c!("dockside_messages_dropped_total", "Messages that did not reach a subscriber, or had none");
    h!(
        "dockside_event_reply_duration_seconds",
        Unit::Seconds,
        "From an event read to its reply written, on the direct path"
    );
    g!("dockside_live_log_pending_bytes", Unit::Bytes, "Charges on their way to the dispatcher");
    g!(
        "dockside_clock_doubted",
        "Whether the wall clock is not believed, and nothing expires by it"
    );
    g!("dockside_store_file_bytes", Unit::Bytes, "What the store's file takes, without its log");
    g!("dockside_store_disk_free_bytes", Unit::Bytes, "Free space of the store's file system");
    g!("dockside_store_disk_short", "Whether something goes for store.min_free_bytes");
    g!("dockside_store_works", "Whether the store could be written when it was last tried");
    c!("dockside_store_errors_total", "Transactions that failed");
    c!(
        "dockside_store_trimmed_total",
        "Rows that went early, so that the file stays within store.max_bytes"
    );
    c!("dockside_store_commits_total", "Transactions that were committed");
    c!("dockside_hook_panics_total", "Panics of plugins that were caught");
    c!("dockside_auth_attempts_total", "Logins, by who decides them and by result");
    c!("dockside_acl_checks_total", "Publishes and subscriptions, by the rules of access");
    g!("dockside_config_last_reload_successful", "Whether the last reload took everything over");
    g!(
        "dockside_config_last_reload_success_timestamp_seconds",
        Unit::Seconds,
        "When a start or a reload last took everything over"
    );
}

/// Facts that do not change while the process runs.
pub(crate) fn set_constants(connections_limit: usize) {
    let revision = option_env!("DOCKSIDE_REVISION").unwrap_or("unknown");
    gauge!("dockside_build_info", "version" => env!("CARGO_PKG_VERSION"),
        "revision" => revision, "rustc" => env!("DOCKSIDE_RUSTC"))
    .set(1.0);
    gauge!("dockside_connections_limit").set(connections_limit as f64);
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
    dropped_offline: Counter,
    publishes_allowed: Counter,
    publishes_denied: Counter,
    pub(crate) reply_duration: Histogram,
    pub(crate) hook_panics: Counter,
}

const TRANSPORTS: [Transport; 4] = [Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss];

const QOS: [&str; 3] = ["0", "1", "2"];

impl ConnectionMetrics {
    pub(crate) fn register() -> Self {
        let dropped =
            |reason: &'static str| counter!("dockside_messages_dropped_total", "reason" => reason);
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
            dropped_offline: dropped("offline"),
            publishes_allowed: acl_check("publish", "allow"),
            publishes_denied: acl_check("publish", "deny"),
            reply_duration: histogram!("dockside_event_reply_duration_seconds"),
            hook_panics: counter!("dockside_hook_panics_total"),
        }
    }

    pub(crate) fn connected(&self, transport: Transport, version: Version) -> &Gauge {
        &self.connected[transport as usize][version as usize]
    }

    pub(crate) fn opened(&self, transport: Transport) {
        self.opened[transport as usize].increment(1);
    }

    pub(crate) fn closed(&self, reason: Closed) {
        self.closed[reason as usize].increment(1);
    }

    /// Messages that a session could not keep when its connection ended.
    pub(crate) fn undelivered(&self, undelivered: &Undelivered) {
        if undelivered.full > 0 {
            self.dropped_full.increment(undelivered.full);
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
        let pairs = [
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
    pub(crate) packets_received: u64,
    pub(crate) packets_sent: u64,
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
        self.packets_sent += 1;
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
