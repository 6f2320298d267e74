//! The `$SYS/broker/...` tree, by the names that mosquitto gave it and monitoring tools read.
//!
//! Values are retained messages of the broker, published when they have changed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use dockside_mqtt::QoS;

use crate::metrics::Counts;
use crate::record::{self, Entry, Published};
use crate::retained::Room;
use crate::shared::Shared;

/// What the tree counts.
#[derive(Debug, Default)]
pub(crate) struct SysCounters {
    packets_received: AtomicU64,
    packets_sent: AtomicU64,
    publishes_received: AtomicU64,
    publishes_sent: AtomicU64,
    publishes_dropped: AtomicU64,
    publish_bytes_received: AtomicU64,
    publish_bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
    sockets: AtomicU64,
    connects: AtomicU64,
    connected_at_most: AtomicU64,
    expired: AtomicU64,
    subscriptions: AtomicU64,
    shared_subscriptions: AtomicU64,
}

impl SysCounters {
    /// Adds what a connection counted in its turn.
    pub(crate) fn add(&self, counts: &Counts) {
        let dropped = counts.dropped_expired + counts.dropped_too_large + counts.dropped_acl;
        for (total, value) in [
            (&self.packets_received, counts.packets_received.total()),
            (&self.packets_sent, counts.packets_sent.total()),
            (&self.publishes_received, counts.received.iter().sum()),
            (&self.publishes_sent, counts.sent.iter().sum()),
            (&self.publishes_dropped, dropped),
            (&self.publish_bytes_received, counts.message_bytes_received.iter().sum()),
            (&self.publish_bytes_sent, counts.message_bytes_sent.iter().sum()),
            (&self.bytes_received, counts.bytes_received),
            (&self.bytes_sent, counts.bytes_sent),
        ] {
            if value > 0 {
                total.fetch_add(value, Ordering::Relaxed);
            }
        }
    }

    /// Messages that came.
    pub(crate) fn publishes_received(&self) -> u64 {
        self.publishes_received.load(Ordering::Relaxed)
    }

    /// Messages that came, that went out, and that could not be delivered.
    pub(crate) fn messages(&self) -> [u64; 3] {
        [&self.publishes_received, &self.publishes_sent, &self.publishes_dropped]
            .map(|total| total.load(Ordering::Relaxed))
    }

    /// Subscriptions there are, plain and shared.
    pub(crate) fn subscribed(&self) -> [u64; 2] {
        [&self.subscriptions, &self.shared_subscriptions].map(|count| count.load(Ordering::Relaxed))
    }

    /// Messages that could not be delivered.
    pub(crate) fn dropped(&self, count: u64) {
        self.publishes_dropped.fetch_add(count, Ordering::Relaxed);
    }

    /// A socket was accepted.
    pub(crate) fn accepted(&self) {
        self.sockets.fetch_add(1, Ordering::Relaxed);
    }

    /// A client was let in; so many are connected now.
    pub(crate) fn connected(&self, now: usize) {
        self.connects.fetch_add(1, Ordering::Relaxed);
        self.connected_at_most.fetch_max(now as u64, Ordering::Relaxed);
    }

    /// Sessions have expired.
    pub(crate) fn expired(&self, count: u64) {
        self.expired.fetch_add(count, Ordering::Relaxed);
    }

    /// Subscriptions there are.
    pub(crate) fn subscriptions(&self, plain: usize, shared: usize) {
        self.subscriptions.store(plain as u64, Ordering::Relaxed);
        self.shared_subscriptions.store(shared as u64, Ordering::Relaxed);
    }

    /// Totals whose rate is shown as a load, by name.
    fn loads(&self) -> [(&'static str, u64); 9] {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("messages/received", get(&self.packets_received)),
            ("messages/sent", get(&self.packets_sent)),
            ("publish/received", get(&self.publishes_received)),
            ("publish/sent", get(&self.publishes_sent)),
            ("publish/dropped", get(&self.publishes_dropped)),
            ("bytes/received", get(&self.bytes_received)),
            ("bytes/sent", get(&self.bytes_sent)),
            ("sockets", get(&self.sockets)),
            ("connections", get(&self.connects)),
        ]
    }
}

/// Publishes the tree.
#[derive(Default)]
pub(crate) struct SysTree {
    /// When it was published last.
    published_ms: Option<u64>,
    /// What was published last, by topic.
    known: HashMap<String, String>,
    loads: [Load; 9],
}

/// A rate a minute, as averages over 1, 5 and 15 minutes that forget exponentially.
#[derive(Clone, Copy, Default)]
struct Load {
    total: u64,
    averages: [f64; 3],
}

impl Load {
    fn update(&mut self, total: u64, seconds: f64) {
        let rate = (total - self.total) as f64 * 60.0 / seconds;
        self.total = total;
        for (average, minutes) in self.averages.iter_mut().zip([1.0, 5.0, 15.0]) {
            let kept = (-seconds / (60.0 * minutes)).exp();
            *average = rate + kept * (*average - rate);
        }
    }
}

impl SysTree {
    /// Publishes what has changed, if it is time.
    pub(crate) fn tick(&mut self, shared: &Shared) {
        let interval_ms = u64::from(shared.config.mqtt.sys_interval_s) * 1000;
        let now_ms = shared.clock.now_ms();
        let since = self.published_ms.map(|last| now_ms.saturating_sub(last));
        if interval_ms == 0 || since.is_some_and(|since| since < interval_ms) {
            return;
        }
        self.published_ms = Some(now_ms);
        if let Some(since) = since {
            let totals = shared.sys.loads();
            for (load, (_, total)) in self.loads.iter_mut().zip(totals) {
                load.update(total, since as f64 / 1000.0);
            }
        }
        let mut entries = Vec::new();
        for (topic, value) in self.values(shared, now_ms) {
            if self.known.get(&topic) != Some(&value) {
                append(&mut entries, &topic, &value);
                self.known.insert(topic, value);
            }
        }
        if !entries.is_empty() {
            shared.append_ordered(&entries);
        }
    }

    fn values(&self, shared: &Shared, now_ms: u64) -> Vec<(String, String)> {
        let sys = &shared.sys;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let connected = shared.clients.load(Ordering::SeqCst) as u64;
        let (_, asleep) = shared.sessions.count();
        let (asleep, waiting) = (asleep as u64, shared.sessions.waiting() as u64);
        let (retained, retained_bytes) = shared.retained();
        let (retained, retained_bytes) = (retained as u64, retained_bytes as u64);
        let waiting_bytes = shared.sessions.bytes.get() as u64;
        let numbers = [
            ("clients/total", connected + asleep),
            ("clients/connected", connected),
            ("clients/active", connected),
            ("clients/disconnected", asleep),
            ("clients/inactive", asleep),
            ("clients/maximum", get(&sys.connected_at_most)),
            ("clients/expired", get(&sys.expired)),
            ("messages/received", get(&sys.packets_received)),
            ("messages/sent", get(&sys.packets_sent)),
            ("messages/stored", retained + waiting),
            ("store/messages/count", retained + waiting),
            ("store/messages/bytes", retained_bytes + waiting_bytes),
            ("retained messages/count", retained),
            ("subscriptions/count", get(&sys.subscriptions)),
            ("shared_subscriptions/count", get(&sys.shared_subscriptions)),
            ("publish/messages/received", get(&sys.publishes_received)),
            ("publish/messages/sent", get(&sys.publishes_sent)),
            ("publish/messages/dropped", get(&sys.publishes_dropped)),
            ("publish/bytes/received", get(&sys.publish_bytes_received)),
            ("publish/bytes/sent", get(&sys.publish_bytes_sent)),
            ("bytes/received", get(&sys.bytes_received)),
            ("bytes/sent", get(&sys.bytes_sent)),
        ];
        let topic = |name: &str| format!("$SYS/broker/{name}");
        let mut values = vec![
            (topic("version"), format!("dockside version {}", env!("CARGO_PKG_VERSION"))),
            (topic("uptime"), format!("{} seconds", now_ms / 1000)),
        ];
        values.extend(numbers.map(|(name, value)| (topic(name), value.to_string())));
        for (load, (name, _)) in self.loads.iter().zip(sys.loads()) {
            for (average, span) in load.averages.iter().zip(["1min", "5min", "15min"]) {
                values.push((topic(&format!("load/{name}/{span}")), format!("{average:.2}")));
            }
        }
        values
    }
}

fn append(entries: &mut Vec<u8>, topic: &str, value: &str) {
    let published = Published {
        publisher: 0,
        except_publisher: false,
        qos: QoS::AtMostOnce,
        retain: true,
        room: Room::Unasked,
        expires_ms: u64::MAX,
        seq: 0,
        topic,
        read: None,
        properties: b"",
        payload: value.as_bytes(),
    };
    record::append(entries, &Entry::Publish(published));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_comes_near_a_steady_rate_and_forgets_it() {
        let mut load = Load::default();
        for minute in 1..=60 {
            load.update(minute * 600, 60.0);
        }
        assert!((load.averages[0] - 600.0).abs() < 1.0, "{:?}", load.averages);
        assert!((load.averages[2] - 600.0).abs() < 15.0, "{:?}", load.averages);
        for _ in 0..15 {
            load.update(36_000, 60.0);
        }
        assert!(load.averages[0] < 1.0 && load.averages[2] > 200.0, "{:?}", load.averages);
    }
}
