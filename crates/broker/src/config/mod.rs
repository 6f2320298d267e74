//! What an operator can decide about the broker. Defaults are those of `config/dockside.toml`.

mod contradictions;
mod listen;
mod problems;
mod restart;
mod risks;
mod users;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use dockside_access::config::{Access, Effect, Preset, Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::listen::{ClientCertificates, ClientIdentity, Listen, Listener, Transport};
pub use self::problems::Problem;
pub use self::users::{Algorithm, Http, Jwt, Users};

/// Configuration of the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where clients connect.
    pub mqtt: Mqtt,
    /// More addresses where clients connect.
    pub listeners: Vec<Listener>,
    /// Who may connect.
    pub users: Users,
    /// Who may publish and subscribe where.
    pub access: Access,
    /// Where operators look.
    pub admin: Admin,
    /// Where Prometheus looks.
    pub metrics: Metrics,
    /// Limits on everything a client can make grow.
    pub limits: Limits,
    /// The in-memory log between publishers and subscribers.
    pub live_log: LiveLog,
    /// Where data is kept.
    pub data: Data,
    /// How it is kept.
    pub store: Store,
    /// Flight tasks.
    pub flight_task: FlightTask,
    /// Docks.
    pub dock: Dock,
    /// What somebody should look at.
    pub alerts: Alerts,
}

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mqtt {
    /// Address of a listener without encryption, or `off`; port 0 takes any free port.
    pub listen: Listen,
    /// Lets clients in that give no user name, from other machines too.
    pub allow_anonymous: bool,
    /// From accept to CONNECT, TLS handshake included, milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a stop may take, milliseconds.
    pub stop_timeout_ms: u64,
    /// Longest keep alive, seconds; a 5.0 client that asks for more, or for none, is told. 0: any.
    pub keep_alive_max_s: u16,
    /// How often the `$SYS` tree is published, seconds; 0 is never.
    pub sys_interval_s: u32,
    /// How long a will waits at least for its client after a restart, seconds.
    pub will_grace_s: u32,
}

/// Where operators look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address of the admin listener; loopback only where nobody has to log in.
    pub listen: SocketAddr,
    /// A file whose first line is the token that the API then asks for; empty: no token.
    pub token_file: PathBuf,
    /// `user:hash`, a line a user who may log in on the page; empty: none.
    pub password_file: PathBuf,
    /// Users of `password_file` who may change something; the others look.
    pub operators: Vec<String>,
    /// Names of this listener, besides `localhost` and IP addresses.
    pub hosts: Vec<String>,
}

/// Where Prometheus looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Address that serves `/metrics`, `/livez` and `/readyz` to anybody and nothing else, or `off`.
    pub listen: Listen,
}

/// Limits on everything a client can make grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at the same time.
    pub connections: usize,
    /// Connections of one address at the same time (IPv6: of one /64); 0: as many as of all.
    pub connections_per_address: usize,
    /// Connections whose CONNECT is not there yet.
    pub unauthenticated: usize,
    /// Connections that are accepted in a second, of all addresses; 0: any number.
    pub connects_per_second: u32,
    /// Connections that one address may make in a second; 0: any number.
    pub connects_per_address_per_second: u32,
    /// Messages that one client may publish in a second; 0: any number.
    pub messages_per_second: u32,
    /// Largest packet from a client, bytes in all.
    pub packet_bytes: u32,
    /// Largest CONNECT, bytes in all: what an unknown client can make the broker hold.
    pub connect_packet_bytes: u32,
    /// Bytes of a topic name or filter.
    pub topic_bytes: u16,
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
    /// Topic aliases the broker uses towards a 5.0 client that takes some.
    pub topic_aliases_out: u16,
    /// Messages that wait for one client.
    pub mailbox_messages: usize,
    /// Bytes that wait for one client.
    pub mailbox_bytes: usize,
    /// Sessions that are kept, connected or not.
    pub sessions: usize,
    /// How long a session is kept without a connection, seconds, whatever its client asks for.
    pub session_expiry_s: u32,
    /// Bytes that wait for all clients that are not connected.
    pub session_bytes: usize,
    /// Retained messages; one more is not retained.
    pub retained_messages: usize,
    /// Bytes of all retained messages and their topics; a quarter of `store.max_bytes` at most.
    pub retained_bytes: usize,
}

/// Where data is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// Directory; created if it does not exist.
    pub dir: PathBuf,
}

/// How data is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// How long publishers wait for a store that does not work, milliseconds.
    pub stall_timeout_ms: u64,
    /// How long answered events are kept, days.
    pub history_days: u32,
    /// Answered events that are kept; the oldest go first.
    pub history_rows: u64,
    /// Bytes of the file and its write-ahead log. Before it is reached the oldest events go, then the oldest messages
    /// of the session that most wait for.
    pub max_bytes: u64,
    /// Bytes of the file system that stay free: below that the oldest events go, then the oldest messages of the
    /// session that most wait for. 0: nothing goes.
    pub min_free_bytes: u64,
    /// How long entries of the audit log are kept, days.
    pub audit_days: u32,
    /// Entries of the audit log that are kept; the oldest go first.
    pub audit_rows: u64,
}

/// Flight tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlightTask {
    /// After how long without an event a task that is not over is called silent, seconds.
    pub silent_after_s: u32,
    /// Whether how tasks stand is published, retained, on `dockside/flight-tasks/{sn}`.
    pub publish_state: bool,
    /// By serial number: how a dock numbers its steps, where what it says of itself does not tell.
    pub step_families: BTreeMap<String, String>,
}

/// What somebody should look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// Whether what fires is published as retained JSON on `dockside/alerts`.
    pub publish: bool,
}

/// Docks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dock {
    /// After how long without a message a dock that is connected is called silent, seconds.
    pub silent_after_s: u32,
}

/// What an acknowledgement promises.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// What was acknowledged survives a kill of the process at any instant.
    #[default]
    Commit,
    /// It survives a power cut.
    Sync,
    /// Nothing: answers do not wait.
    Memory,
}

/// The least that a budget of [`LiveLog`] may be: a quarter of it, the most that is charged for a message, is more than
/// any message has that lies in the log itself. With less, more would be on its way than was charged for, and the log
/// would drop it.
pub const LEAST_BUDGET: u64 = 512 << 10;

/// The in-memory log between publishers and subscribers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LiveLog {
    /// Bytes of one segment.
    pub segment_bytes: usize,
    /// Segments that are kept; all but two hold the two budgets.
    pub segments: usize,
    /// Bytes of QoS 0 messages on their way to the dispatcher: 524288 at least.
    pub direct_budget_bytes: u64,
    /// Bytes of all other messages on their way to the dispatcher: 524288 at least.
    pub writer_budget_bytes: u64,
}

impl LiveLog {
    /// The smallest there may be.
    #[must_use]
    pub fn smallest() -> Self {
        Self {
            segment_bytes: LEAST_BUDGET as usize,
            segments: 4,
            direct_budget_bytes: LEAST_BUDGET,
            writer_budget_bytes: LEAST_BUDGET,
        }
    }
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 1883)).into(),
            allow_anonymous: false,
            connect_timeout_ms: 10_000,
            stop_timeout_ms: 10_000,
            keep_alive_max_s: 0,
            sys_interval_s: 10,
            will_grace_s: 30,
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 9464));
        Self {
            listen,
            token_file: PathBuf::new(),
            password_file: PathBuf::new(),
            operators: Vec::new(),
            hosts: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 0,
            unauthenticated: 2_000,
            connects_per_second: 0,
            connects_per_address_per_second: 0,
            messages_per_second: 0,
            packet_bytes: 1 << 20,
            connect_packet_bytes: 16 << 10,
            topic_bytes: u16::MAX,
            topic_levels: 128,
            subscriptions: 1_000,
            subscription_bytes: 256 << 10,
            receive_maximum: 1_000,
            inflight: u16::MAX,
            topic_aliases: 16,
            topic_aliases_out: 16,
            mailbox_messages: 100_000,
            mailbox_bytes: 32 << 20,
            sessions: 10_000,
            session_expiry_s: 7 * 24 * 3600,
            session_bytes: 256 << 20,
            retained_messages: 100_000,
            retained_bytes: 128 << 20,
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: "data".into() }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            durability: Durability::Commit,
            stall_timeout_ms: 10_000,
            history_days: 30,
            history_rows: 1_000_000,
            max_bytes: 4 << 30,
            min_free_bytes: 0,
            audit_days: 365,
            audit_rows: 1_000_000,
        }
    }
}

impl Default for FlightTask {
    fn default() -> Self {
        Self { silent_after_s: 60, publish_state: false, step_families: BTreeMap::new() }
    }
}

impl Default for Dock {
    fn default() -> Self {
        Self { silent_after_s: 60 }
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
