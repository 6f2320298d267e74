//! What an operator can decide about the broker. Defaults are those of `config/dockside.toml`.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Configuration of the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where clients connect.
    pub mqtt: Mqtt,
    /// Where operators look.
    pub admin: Admin,
    /// Limits on everything a client can make grow.
    pub limits: Limits,
    /// The in-memory log between publishers and subscribers.
    pub live_log: LiveLog,
}

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mqtt {
    /// Address of the MQTT listener; port 0 takes any free port.
    pub listen: SocketAddr,
    /// Allows an address that is not loopback although anybody may then connect.
    pub allow_anonymous: bool,
    /// From accept to CONNECT, milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a stop may take, milliseconds.
    pub stop_timeout_ms: u64,
}

/// Where operators look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address of `/metrics`, `/livez` and `/readyz`; loopback only.
    pub listen: SocketAddr,
}

/// Limits on everything a client can make grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at the same time.
    pub connections: usize,
    /// Largest packet from a client, bytes in all.
    pub packet_bytes: u32,
    /// Largest CONNECT, bytes in all: what an unknown client can make the broker hold.
    pub connect_packet_bytes: u32,
    /// Levels of a topic name or filter.
    pub topic_levels: usize,
    /// Subscriptions of one session.
    pub subscriptions: usize,
    /// Bytes of all filters of one session.
    pub subscription_bytes: usize,
    /// Unacknowledged QoS 1 and 2 messages from a 5.0 client (its receive maximum).
    pub receive_maximum: u16,
    /// Unacknowledged QoS 1 and 2 messages to a client.
    pub inflight: u16,
    /// Topic aliases a 5.0 client may define.
    pub topic_aliases: u16,
    /// Messages that wait for one client.
    pub mailbox_messages: usize,
    /// Bytes that wait for one client.
    pub mailbox_bytes: usize,
}

/// The in-memory log between publishers and subscribers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LiveLog {
    /// Bytes of one segment.
    pub segment_bytes: usize,
    /// Segments that are kept.
    pub segments: usize,
    /// Bytes of QoS 0 messages on their way to the dispatcher.
    pub direct_budget_bytes: u64,
    /// Bytes of all other messages on their way to the dispatcher.
    pub writer_budget_bytes: u64,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 1883)),
            allow_anonymous: false,
            connect_timeout_ms: 10_000,
            stop_timeout_ms: 10_000,
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9464)) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            packet_bytes: 1 << 20,
            connect_packet_bytes: 16 << 10,
            topic_levels: 128,
            subscriptions: 1_000,
            subscription_bytes: 256 << 10,
            receive_maximum: 1_000,
            inflight: u16::MAX,
            topic_aliases: 16,
            mailbox_messages: 100_000,
            mailbox_bytes: 32 << 20,
        }
    }
}

impl Default for LiveLog {
    fn default() -> Self {
        Self {
            segment_bytes: 4 << 20,
            segments: 4,
            direct_budget_bytes: 4 << 20,
            writer_budget_bytes: 4 << 20,
        }
    }
}

impl Mqtt {
    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) fn stop_timeout(&self) -> Duration {
        Duration::from_millis(self.stop_timeout_ms)
    }
}

/// A value that cannot be: which key, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Dotted key.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub remedy: String,
}

impl Config {
    /// Everything that is wrong with values that have the right type.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |good: bool, key: &'static str, remedy: &dyn Fn() -> String| {
            if !good {
                problems.push(Problem { key, remedy: remedy() });
            }
        };
        let (mqtt, limits, log) = (&self.mqtt, &self.limits, &self.live_log);
        check(mqtt.listen.ip().is_loopback() || mqtt.allow_anonymous, "mqtt.listen", &|| {
            format!(
                "{} can be reached from the network and nobody has to log in; listen on loopback, or set mqtt.allow_anonymous = true if that is meant",
                mqtt.listen
            )
        });
        check(self.admin.listen.ip().is_loopback(), "admin.listen", &|| {
            format!("{} is not loopback; the admin listener has no login", self.admin.listen)
        });
        for (key, value) in [
            ("mqtt.connect_timeout_ms", mqtt.connect_timeout_ms),
            ("mqtt.stop_timeout_ms", mqtt.stop_timeout_ms),
            ("limits.connections", limits.connections as u64),
            ("limits.subscriptions", limits.subscriptions as u64),
            ("limits.receive_maximum", limits.receive_maximum.into()),
            ("limits.inflight", limits.inflight.into()),
            ("limits.mailbox_messages", limits.mailbox_messages as u64),
        ] {
            check(value > 0, key, &|| "must be at least 1".to_owned());
        }
        check((1..=1_000).contains(&limits.topic_levels), "limits.topic_levels", &|| {
            "must be 1 to 1000".to_owned()
        });
        check(limits.connections <= 1_000_000, "limits.connections", &|| {
            "must be at most 1000000".to_owned()
        });
        check((128..=268_435_460).contains(&limits.packet_bytes), "limits.packet_bytes", &|| {
            "must be 128 to 268435460, the largest packet MQTT has".to_owned()
        });
        check(limits.connect_packet_bytes >= 128, "limits.connect_packet_bytes", &|| {
            "must be at least 128".to_owned()
        });
        check((65_536..=1 << 30).contains(&log.segment_bytes), "live_log.segment_bytes", &|| {
            "must be 65536 to 1073741824".to_owned()
        });
        check(log.segments <= 1_024, "live_log.segments", &|| "must be at most 1024".to_owned());
        for (key, bytes) in [
            ("live_log.direct_budget_bytes", log.direct_budget_bytes),
            ("live_log.writer_budget_bytes", log.writer_budget_bytes),
        ] {
            check(bytes >= 65_536, key, &|| "must be at least 65536".to_owned());
        }
        // A record is dropped with its segment; what is on its way must fit beside the one that
        // is being filled and the one that is being read.
        let room = (log.segments.saturating_sub(2) as u64).saturating_mul(log.segment_bytes as u64);
        let budgets = log.direct_budget_bytes.saturating_add(log.writer_budget_bytes);
        check(budgets <= room, "live_log.segments", &|| {
            format!(
                "the two budgets ({budgets} bytes) must fit into all segments but two ({room} bytes); add segments or lower the budgets"
            )
        });
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(Config::default().problems(), []);
    }

    #[test]
    fn contradictions_name_their_key() {
        let mut config = Config::default();
        config.mqtt.listen = SocketAddr::from(([0, 0, 0, 0], 1883));
        config.admin.listen = SocketAddr::from(([0, 0, 0, 0], 9464));
        config.limits.inflight = 0;
        config.limits.packet_bytes = 1;
        config.live_log.segments = 3;
        let keys: Vec<_> = config.problems().iter().map(|p| p.key).collect();
        assert_eq!(
            keys,
            [
                "mqtt.listen",
                "admin.listen",
                "limits.inflight",
                "limits.packet_bytes",
                "live_log.segments"
            ]
        );
        config.mqtt.allow_anonymous = true;
        assert!(!config.problems().iter().any(|p| p.key == "mqtt.listen"));
    }
}
