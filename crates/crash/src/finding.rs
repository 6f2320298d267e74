//! What the broker did that it must not do.

use std::fmt;

/// One violation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Finding {
    /// Acknowledged to their publisher, and never delivered to this subscriber.
    Lost { subscriber: String, topic: String, counters: Vec<u64> },
    /// Published and subscribed to at QoS 2, and delivered again.
    Doubled { subscriber: String, topic: String, counter: u64 },
    /// Delivered for the first time behind a later message of its topic.
    OutOfOrder { subscriber: String, topic: String, counter: u64, behind: u64 },
    /// The check sum is wrong, or it came on another topic than it was published on.
    Corrupt { client: String, topic: String, bytes: usize },
    /// Nobody published it.
    Invented { client: String, topic: String, counter: u64 },
    /// No filter of this subscriber matches.
    NotAsked { subscriber: String, topic: String },
    /// Delivered at another QoS than the lower of the message's and the subscription's.
    WrongQos { subscriber: String, topic: String, counter: u64, qos: u8 },
    /// A packet identifier that the subscriber had not released came with another message.
    IdentifierReused { subscriber: String, packet_id: u16 },
    /// A retained topic has neither its last acknowledged value nor a later one that was sent.
    Retained { topic: String, found: Option<u64>, acknowledged: u64, cleared: bool, sent: u64 },
    /// Answered with result 0, and not in the history.
    EventMissing { tid: String, gateway: String },
    /// The history cannot be read.
    NoHistory(String),
    /// CONNACK says that there is no session where one was kept.
    SessionLost { client: String },
    /// CONNACK, SUBACK, PUBACK or PUBREC says that something failed.
    Refused { client: String, what: String },
    /// A packet that has no place here, DISCONNECT among them.
    Unexpected { client: String, packet: String },
    /// The connection ended, and nobody had killed the broker or cut the connection.
    ConnectionLost { client: String, error: String },
    /// A condition did not come true in time.
    Stuck(String),
    /// The broker ended by itself, or did not come back.
    Broker(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { subscriber, topic, counters } => write!(
                f,
                "lost: {subscriber} never got {topic} {} ({} acknowledged)",
                Ranges(counters),
                counters.len()
            ),
            Self::Doubled { subscriber, topic, counter } => {
                write!(f, "doubled: {subscriber} got {topic} {counter} again, at QoS 2")
            }
            Self::OutOfOrder { subscriber, topic, counter, behind } => write!(
                f,
                "out of order: {subscriber} got {topic} {counter} for the first time behind {behind}"
            ),
            Self::Corrupt { client, topic, bytes } => {
                write!(f, "corrupt: {client} got {bytes} bytes on {topic} that nobody wrote")
            }
            Self::Invented { client, topic, counter } => {
                write!(f, "invented: {client} got {topic} {counter}, which nobody published")
            }
            Self::NotAsked { subscriber, topic } => {
                write!(f, "not asked for: {subscriber} got a message on {topic}")
            }
            Self::WrongQos { subscriber, topic, counter, qos } => {
                write!(f, "wrong QoS: {subscriber} got {topic} {counter} at QoS {qos}")
            }
            Self::IdentifierReused { subscriber, packet_id } => write!(
                f,
                "packet identifier {packet_id} brought {subscriber} another message before PUBREL"
            ),
            Self::Retained { topic, found, acknowledged, cleared, sent } => write!(
                f,
                "retained: {topic} has {}; acknowledged is {acknowledged}{}, sent up to {sent}",
                found.map_or("no value".to_owned(), |counter| format!("value {counter}")),
                if *cleared { " (a clear)" } else { "" }
            ),
            Self::EventMissing { tid, gateway } => {
                write!(f, "history: {tid} of {gateway} was answered and is not there")
            }
            Self::NoHistory(error) => write!(f, "history: {error}"),
            Self::SessionLost { client } => write!(f, "session lost: that of {client}"),
            Self::Refused { client, what } => write!(f, "refused: {client}: {what}"),
            Self::Unexpected { client, packet } => write!(f, "unexpected: {client} got {packet}"),
            Self::ConnectionLost { client, error } => {
                write!(f, "connection lost without a kill: {client}: {error}")
            }
            Self::Stuck(what) => write!(f, "not in time: {what}"),
            Self::Broker(what) => write!(f, "the broker {what}"),
        }
    }
}

/// Counters in ascending order, neighbours together: `3, 7..=9`.
struct Ranges<'a>(&'a [u64]);

impl fmt::Display for Ranges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.0.chunk_by(|a, b| a + 1 == *b);
        for (n, group) in groups.enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            match group {
                [one] => write!(f, "{comma}{one}")?,
                [first, .., last] => write!(f, "{comma}{first}..={last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_told_in_ranges() {
        let (subscriber, topic) = ("s1".to_owned(), "a/b".to_owned());
        let lost = Finding::Lost { subscriber, topic, counters: vec![3, 7, 8, 9, 11] };
        assert_eq!(lost.to_string(), "lost: s1 never got a/b 3, 7..=9, 11 (5 acknowledged)");
    }
}
