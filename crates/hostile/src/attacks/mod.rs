//! What attackers do. None of them ends by itself, unless it is told in packets.

mod descriptors;
mod events;
mod flood;
mod half_open;
pub(crate) mod lengths;
mod malformed;
mod silent;
mod slow;
pub(crate) mod stuck;
pub(crate) mod subscriptions;
mod takeover;
mod topics;

use clap::ValueEnum;

use crate::attack::Attack;

/// What an attacker does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// Good packets of 3.1.1 and 5.0, damaged
    MutatedPackets,
    /// Random bytes, before and behind a CONNECT
    RandomBytes,
    /// Types, flags and contents that no packet may have, and a second CONNECT
    IllegalPackets,
    /// Lengths of 256 MB and of the limits, before and behind CONNECT, and then hardly a byte
    HugeLengths,
    /// Clients whose packets come a byte at a time
    SlowlorisTcp,
    /// CONNECTs that come a byte at a time
    SlowlorisConnect,
    /// TLS handshakes that come a byte at a time
    SlowlorisTls,
    /// WebSocket upgrades that come a byte at a time
    SlowlorisWebsocket,
    /// Thousands of connections that say nothing, half of them behind a CONNECT
    SilentConnections,
    /// Connections that are reset before, within and behind CONNECT, some with a will
    HalfOpen,
    /// Hundreds of thousands of topics, and deep ones
    TopicBomb,
    /// Retained messages on topics that never come again
    RetainedBomb,
    /// Packets full of filters, with wildcards, long, shared
    SubscriptionBomb,
    /// Subscribing and unsubscribing without end
    SubscriptionChurn,
    /// Everybody has the same client identifier
    Takeovers,
    /// Clients that come and go as fast as they can
    Reconnects,
    /// Small messages at QoS 0
    FloodQos0,
    /// QoS 1, and the acknowledgements are never read
    FloodQos1,
    /// QoS 2, and nothing is ever released
    FloodQos2,
    /// Messages of a megabyte
    FloodLarge,
    /// QoS 1 for a session that is kept and not connected
    FloodKept,
    /// Subscribers that never read, with and without a session, and somebody who sends to them
    StuckReaders,
    /// Events of a gateway that are no JSON, or too much of it
    MaliciousEvents,
    /// More connections than the broker has descriptors
    Descriptors,
}

impl Kind {
    /// The name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Packets that it sends and then ends, if it is told in packets; together they are at least `all`.
    pub(crate) fn packets(self, all: u64) -> Option<u64> {
        match self {
            Self::MutatedPackets => Some(all),
            Self::RandomBytes | Self::IllegalPackets => Some(all / 4),
            _ => None,
        }
    }
}

/// Attacks.
pub(crate) async fn run(kind: Kind, attack: &Attack) {
    match kind {
        Kind::MutatedPackets => malformed::mutated(attack).await,
        Kind::RandomBytes => malformed::random_bytes(attack).await,
        Kind::IllegalPackets => malformed::illegal(attack).await,
        Kind::HugeLengths => lengths::run(attack).await,
        Kind::SlowlorisTcp => slow::packets(attack).await,
        Kind::SlowlorisConnect => slow::connect_packets(attack).await,
        Kind::SlowlorisTls => slow::tls(attack).await,
        Kind::SlowlorisWebsocket => slow::websocket(attack).await,
        Kind::SilentConnections => silent::run(attack).await,
        Kind::HalfOpen => half_open::run(attack).await,
        Kind::TopicBomb => topics::bomb(attack).await,
        Kind::RetainedBomb => topics::retained(attack).await,
        Kind::SubscriptionBomb => subscriptions::bomb(attack).await,
        Kind::SubscriptionChurn => subscriptions::churn(attack).await,
        Kind::Takeovers => takeover::takeovers(attack).await,
        Kind::Reconnects => takeover::reconnects(attack).await,
        Kind::FloodQos0 => flood::qos_0(attack).await,
        Kind::FloodQos1 => flood::qos_1(attack).await,
        Kind::FloodQos2 => flood::qos_2(attack).await,
        Kind::FloodLarge => flood::large(attack).await,
        Kind::FloodKept => flood::kept(attack).await,
        Kind::StuckReaders => stuck::run(attack).await,
        Kind::MaliciousEvents => events::run(attack).await,
        Kind::Descriptors => descriptors::run(attack).await,
    }
}
