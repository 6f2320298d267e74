//! Limits that contradict each other: the broker runs, but one of the two does not do what it seems to.

use super::{Limits, Problem};

impl Limits {
    /// Each contradiction by the key that has to change, with the other one in its remedy.
    pub(super) fn contradictions(&self) -> Vec<Problem> {
        let wide = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
        let packet = wide(self.packet_bytes);
        let pairs = [
            (
                self.connect_packet_bytes > self.packet_bytes,
                "limits.connect_packet_bytes",
                format!(
                    "a client that nobody knows may send more at once than one that has logged in (limits.packet_bytes = {packet}); lower it, or raise limits.packet_bytes"
                ),
            ),
            (
                self.mailbox_bytes < packet,
                "limits.mailbox_bytes",
                format!(
                    "the largest message (limits.packet_bytes = {packet}) passes only where nothing else waits: a client that is a little behind is closed for it, or loses older ones; raise it, or lower limits.packet_bytes"
                ),
            ),
            (
                self.retained_bytes < packet,
                "limits.retained_bytes",
                format!(
                    "the largest message (limits.packet_bytes = {packet}) is never retained; raise it, or lower limits.packet_bytes"
                ),
            ),
            (
                self.subscription_bytes < usize::from(self.topic_bytes),
                "limits.subscription_bytes",
                format!(
                    "the longest filter (limits.topic_bytes = {}) is more than a session may have in all; raise it, or lower limits.topic_bytes",
                    self.topic_bytes
                ),
            ),
            (
                self.connections_per_address > self.connections,
                "limits.connections_per_address",
                format!(
                    "is never reached: there are {} connections at most (limits.connections); lower it, or set it to 0",
                    self.connections
                ),
            ),
            (
                self.connects_per_second > 0
                    && self.connects_per_address_per_second > self.connects_per_second,
                "limits.connects_per_address_per_second",
                format!(
                    "is never reached: {} connections a second are accepted of all addresses (limits.connects_per_second); lower it, or set it to 0",
                    self.connects_per_second
                ),
            ),
        ];
        let found = pairs.into_iter().filter(|(is_one, ..)| *is_one);
        found.map(|(_, key, remedy)| Problem::new(key, remedy)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Limits};

    type Change = fn(&mut Limits);

    /// At the edge two limits agree; one further the key is named, with the other one as the way out.
    const TABLE: [(&str, &str, Change, Change); 6] = [
        (
            "limits.connect_packet_bytes",
            "limits.packet_bytes = 1048576",
            |limits| limits.connect_packet_bytes = limits.packet_bytes,
            |limits| limits.connect_packet_bytes = limits.packet_bytes + 1,
        ),
        (
            "limits.mailbox_bytes",
            "limits.packet_bytes = 1048576",
            |limits| limits.mailbox_bytes = limits.packet_bytes as usize,
            |limits| limits.mailbox_bytes = limits.packet_bytes as usize - 1,
        ),
        (
            "limits.retained_bytes",
            "limits.packet_bytes = 1048576",
            |limits| limits.retained_bytes = limits.packet_bytes as usize,
            |limits| limits.retained_bytes = limits.packet_bytes as usize - 1,
        ),
        (
            "limits.subscription_bytes",
            "limits.topic_bytes = 65535",
            |limits| limits.subscription_bytes = limits.topic_bytes.into(),
            |limits| limits.subscription_bytes = usize::from(limits.topic_bytes) - 1,
        ),
        (
            "limits.connections_per_address",
            "10000 connections at most (limits.connections)",
            |limits| limits.connections_per_address = limits.connections,
            |limits| limits.connections_per_address = limits.connections + 1,
        ),
        (
            "limits.connects_per_address_per_second",
            "7 connections a second",
            |limits| (limits.connects_per_second, limits.connects_per_address_per_second) = (7, 7),
            |limits| (limits.connects_per_second, limits.connects_per_address_per_second) = (7, 8),
        ),
    ];

    #[test]
    fn contradictions_are_said_with_both_keys() {
        for (key, other, agree, contradict) in TABLE {
            let mut config = Config::default();
            agree(&mut config.limits);
            assert_eq!(config.risks(), [], "{key}");
            contradict(&mut config.limits);
            let risks = config.risks();
            assert_eq!(config.problems(), [], "{key}: the broker runs");
            assert_eq!(risks.len(), 1, "{risks:?}");
            assert_eq!(risks[0].key, key);
            assert!(risks[0].remedy.contains(other), "{risks:?}");
        }
    }

    #[test]
    fn a_limit_that_is_off_contradicts_nothing() {
        let mut config = Config::default();
        config.limits.connects_per_address_per_second = 8;
        assert_eq!(config.risks(), []);
    }

    #[test]
    fn a_queue_or_a_filter_of_no_bytes_is_no_limit_but_a_mistake() {
        let mut config = Config::default();
        config.limits.mailbox_bytes = 0;
        config.limits.subscription_bytes = 0;
        let keys: Vec<_> = config.problems().into_iter().map(|problem| problem.key).collect();
        assert_eq!(keys, ["limits.subscription_bytes", "limits.mailbox_bytes"]);
    }
}
