//! Packets by their type.

use metrics::{Counter, counter};

/// Names of the types in MQTT 5.0 section 2.1.2, from 1 on.
const TYPES: [&str; 15] = [
    "connect",
    "connack",
    "publish",
    "puback",
    "pubrec",
    "pubrel",
    "pubcomp",
    "subscribe",
    "suback",
    "unsubscribe",
    "unsuback",
    "pingreq",
    "pingresp",
    "disconnect",
    "auth",
];

/// Packets of one direction that a connection has counted.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Packets([u32; TYPES.len()]);

impl Packets {
    /// One more, that begins with this byte. There is no packet whose type is 0.
    pub(crate) fn count(&mut self, first: u8) {
        if let Some(count) =
            usize::from(first >> 4).checked_sub(1).and_then(|at| self.0.get_mut(at))
        {
            *count += 1;
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.iter().copied().map(u64::from).sum()
    }
}

/// Counters of both directions.
pub(crate) struct PacketCounters {
    received: [Counter; TYPES.len()],
    sent: [Counter; TYPES.len()],
}

impl PacketCounters {
    pub(super) fn register() -> Self {
        Self {
            received: TYPES.map(|t| counter!("dockside_packets_received_total", "type" => t)),
            sent: TYPES.map(|t| counter!("dockside_packets_sent_total", "type" => t)),
        }
    }

    /// Adds what was counted.
    pub(crate) fn add(&self, received: &Packets, sent: &Packets) {
        let both = self.received.iter().zip(received.0).chain(self.sent.iter().zip(sent.0));
        for (counter, count) in both.filter(|(_, count)| *count > 0) {
            counter.increment(count.into());
        }
    }
}
