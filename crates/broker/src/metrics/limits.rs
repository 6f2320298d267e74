//! How often a limit of the configuration was met, one counter a limit.

use metrics::{Counter, counter};

/// A limit that a client can meet, under `limits` unless it says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Limit {
    Connections,
    ConnectionsPerAddress,
    Unauthenticated,
    ConnectsPerSecond,
    ConnectsPerAddressPerSecond,
    MessagesPerSecond,
    PacketBytes,
    ConnectPacketBytes,
    TopicBytes,
    TopicLevels,
    Subscriptions,
    SubscriptionBytes,
    ReceiveMaximum,
    Mailbox,
    Sessions,
    Retained,
    Budget,
}

impl Limit {
    const ALL: [(Self, &'static str); 17] = [
        (Self::Connections, "connections"),
        (Self::ConnectionsPerAddress, "connections_per_address"),
        (Self::Unauthenticated, "unauthenticated"),
        (Self::ConnectsPerSecond, "connects_per_second"),
        (Self::ConnectsPerAddressPerSecond, "connects_per_address_per_second"),
        (Self::MessagesPerSecond, "messages_per_second"),
        (Self::PacketBytes, "packet_bytes"),
        (Self::ConnectPacketBytes, "connect_packet_bytes"),
        (Self::TopicBytes, "topic_bytes"),
        (Self::TopicLevels, "topic_levels"),
        (Self::Subscriptions, "subscriptions"),
        (Self::SubscriptionBytes, "subscription_bytes"),
        (Self::ReceiveMaximum, "receive_maximum"),
        (Self::Mailbox, "mailbox"),
        (Self::Sessions, "sessions"),
        (Self::Retained, "retained"),
        (Self::Budget, "live_log_budget"),
    ];
}

/// One counter a limit.
pub(crate) struct LimitMetrics(Vec<Counter>);

impl LimitMetrics {
    pub(crate) fn register() -> Self {
        let counter = |(_, limit): &(_, &'static str)| counter!("dockside_limits_reached_total", "limit" => *limit);
        Self(Limit::ALL.iter().map(counter).collect())
    }

    /// A client has met a limit.
    pub(crate) fn reached(&self, limit: Limit) {
        self.0[limit as usize].increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_stand_in_the_order_of_their_enum() {
        assert!(Limit::ALL.iter().enumerate().all(|(at, (limit, _))| *limit as usize == at));
    }
}
