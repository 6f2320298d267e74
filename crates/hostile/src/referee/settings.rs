//! The bounds that the broker is given, and how much memory they allow it.

use std::fmt::Write;
use std::path::Path;

use crate::attacks::{lengths, stuck, subscriptions};

/// `limits.connections`; more than any attack but [`Kind::SilentConnections`] has.
///
/// [`Kind::SilentConnections`]: crate::attacks::Kind::SilentConnections
const CONNECTIONS: u64 = 2_000;
/// `limits.packet_bytes`.
pub(crate) const PACKET_BYTES: u32 = 1 << 20;
/// `limits.connect_packet_bytes`.
pub(crate) const CONNECT_PACKET_BYTES: u32 = 16 << 10;
/// `limits.mailbox_bytes`.
const MAILBOX_BYTES: u64 = 1 << 20;
/// `limits.session_bytes`.
const SESSION_BYTES: u64 = 16 << 20;
/// `limits.subscription_bytes`.
const SUBSCRIPTION_BYTES: u64 = 32 << 10;
/// `limits.retained_bytes`.
const RETAINED_BYTES: u64 = 8 << 20;
/// `live_log.segment_bytes` and `live_log.segments`.
const SEGMENT_BYTES: u64 = 2 << 20;
const SEGMENTS: u64 = 4;

/// Resident memory that these bounds allow, MiB.
///
/// What is bounded for each connection would be gigabytes if all connections used it. No attack has so many that
/// do: what counts for each is how many of its connections hold that much at once, and the attacks are
/// added up, because memory that was freed may stay with the process.
pub(crate) fn resident_mib() -> u64 {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    // Code, runtime, SQLite's caches, an idle broker with a few clients.
    let process = 40 * MIB;
    // The segments and, beside the log, what the two budgets (2 MiB each) let pass in large entries.
    let log = SEGMENTS * SEGMENT_BYTES + 4 * MIB;
    // 18 KiB a client with TLS (ARCHITECTURE.md, Decisions), 256 sockets more than clients.
    let idle = (CONNECTIONS + 256) * 18 * KIB;
    // A quarter of the lanes hold a packet that is nearly whole; a buffer that grows by doubling takes twice that.
    let partial = lengths::LANES / 4 * 2 * u64::from(PACKET_BYTES);
    // Mailbox, what was sent and not acknowledged, what the socket does not take (256 KiB), for each.
    let stuck = stuck::READERS * (2 * MAILBOX_BYTES + 256 * KIB);
    // "They take about seven times their bytes" (ARCHITECTURE.md, Bounds).
    let filters = subscriptions::LANES * SUBSCRIPTION_BYTES * 7;
    // Values, topics and the tree that finds them.
    let retained = 2 * RETAINED_BYTES;
    // 10,000 topics of 256 bytes and 100,000 routes.
    let routes = 10 * MIB;
    let all = process + log + idle + partial + stuck + filters + retained + SESSION_BYTES + routes;
    // What the allocator holds beside what is used.
    all * 5 / 4 / MIB
}

/// Files of the TLS listener.
pub(crate) struct Pair<'a> {
    pub(crate) certificate: &'a Path,
    pub(crate) key: &'a Path,
}

/// The configuration; with a WebSocket listener or without.
pub(crate) fn configuration(pair: &Pair<'_>, websocket: bool) -> String {
    let mut text = String::new();
    let path = |path: &Path| format!("{:?}", path.display().to_string());
    let (certificate, key) = (path(pair.certificate), path(pair.key));
    // Short times: what an attack leaves behind is gone soon.
    let _ = write!(
        text,
        r#"[mqtt]
listen = "127.0.0.1:0"
connect_timeout_ms = 2000

[[listeners]]
listen = "127.0.0.1:0"
transport = "tls"
certificate = {certificate}
key = {key}

[admin]
listen = "127.0.0.1:0"

[limits]
connections = {CONNECTIONS}
packet_bytes = {PACKET_BYTES}
connect_packet_bytes = {CONNECT_PACKET_BYTES}
subscriptions = 100
subscription_bytes = {SUBSCRIPTION_BYTES}
mailbox_messages = 5000
mailbox_bytes = {MAILBOX_BYTES}
sessions = 500
session_expiry_s = 5
session_bytes = {SESSION_BYTES}
retained_messages = 10000
retained_bytes = {RETAINED_BYTES}

[live_log]
segment_bytes = {SEGMENT_BYTES}
segments = {SEGMENTS}
direct_budget_bytes = 2097152
writer_budget_bytes = 2097152

[store]
max_bytes = 134217728
"#
    );
    if websocket {
        text.push_str("\n[[listeners]]\nlisten = \"127.0.0.1:0\"\ntransport = \"ws\"\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_small_and_no_guess() {
        assert!((200..500).contains(&resident_mib()), "{}", resident_mib());
    }
}
