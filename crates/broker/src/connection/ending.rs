//! How a connection ends: DISCONNECT, the will, the end of the session.

use std::sync::Arc;
use std::time::Duration;

use dockside_mqtt::packet::{Disconnect, Packet, Will};
use dockside_mqtt::property::{Properties, PropertyId, Value};
use dockside_mqtt::{ProtocolError, QoS, ReasonCode, codec};
use metrics::Gauge;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Client, Connection};
use crate::clock;
use crate::live_log::Aside;
use crate::mailbox::{Command, Mailbox};
use crate::metrics::Closed;
use crate::publish::append_by_reference;
use crate::record::{self, Entry, Instance, Published};
use crate::refusals::{Cause, Stage};
use crate::registry::Claim;
use crate::shared::Shared;

/// How long a connection that the broker ends may take to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// DISCONNECT: the will is forgotten [MQTT-3.14.4-3].
    Client,
    /// DISCONNECT that asks for the will.
    ClientWithWill,
    /// The socket was closed or failed.
    Network,
    /// The client broke the protocol.
    Error(ProtocolError),
    /// The client was silent for too long.
    KeepAlive,
    /// New rules have no place for its user.
    UserGone,
    /// The broker wants it to end.
    Told(Command),
}

impl From<ProtocolError> for Ended {
    fn from(error: ProtocolError) -> Self {
        Self::Error(error)
    }
}

impl Ended {
    /// What a 5.0 client is told; nothing if it ended the connection itself.
    fn reason(self) -> Option<ReasonCode> {
        match self {
            Self::Client | Self::ClientWithWill | Self::Network => None,
            Self::Error(error) => Some(error.reason),
            Self::KeepAlive => Some(ReasonCode::KeepAliveTimeout),
            Self::UserGone => Some(ReasonCode::NotAuthorized),
            Self::Told(command) => Some(command.reason()),
        }
    }

    /// What an engineer is told; nothing of what is as it should be.
    fn cause(self) -> Option<(Stage, Cause)> {
        let cause = |reason: &'static str, remedy| Cause { reason: reason.into(), remedy };
        Some(match self {
            Self::Client | Self::ClientWithWill => return None,
            Self::Told(Command::Quiet | Command::Stop) => return None,
            Self::Network => (
                Stage::Tcp,
                cause(
                    "connection lost: the client or the network ended it without DISCONNECT",
                    "check the client's power and network, and routers that forget idle connections: a shorter keep alive helps",
                ),
            ),
            Self::Error(error) => {
                let remedy = match error.reason {
                    ReasonCode::PacketTooLarge => "send less, or raise limits.packet_bytes",
                    ReasonCode::QuotaExceeded => {
                        "ask for less, or raise the limit that the reason names"
                    }
                    _ => {
                        "the client breaks the protocol; see the reason, and look for a newer version of it"
                    }
                };
                let limit =
                    matches!(error.reason, ReasonCode::PacketTooLarge | ReasonCode::QuotaExceeded);
                let stage = if limit { Stage::Limit } else { Stage::Session };
                (stage, Cause { reason: error.to_string().into(), remedy })
            }
            Self::KeepAlive => (
                Stage::Tcp,
                cause(
                    "silent for one and a half times its keep alive",
                    "check the network in between; the client sent not even a PINGREQ",
                ),
            ),
            Self::UserGone => (
                Stage::Password,
                cause(
                    "its user is not in the password file any more",
                    "if that is not meant, add the user with `dockside passwd FILE USER` and reload",
                ),
            ),
            Self::Told(Command::TakenOver) => (
                Stage::Session,
                cause(
                    "another connection took its client identifier over",
                    "a reconnect; if it goes on and on, two clients use one client identifier",
                ),
            ),
            Self::Told(Command::SlowConsumer) => (
                Stage::Limit,
                cause(
                    "reads too slowly for the messages it subscribed to",
                    "subscribe to less or read faster; the bounds are limits.mailbox_messages and limits.mailbox_bytes",
                ),
            ),
        })
    }

    fn label(self) -> Closed {
        match self {
            Self::Client | Self::ClientWithWill => Closed::Client,
            Self::Network => Closed::Network,
            Self::Error(e) if e.reason == ReasonCode::PacketTooLarge => Closed::TooLarge,
            Self::Error(_) => Closed::Protocol,
            Self::KeepAlive => Closed::KeepAlive,
            Self::UserGone => Closed::Admin,
            Self::Told(Command::TakenOver) => Closed::Takeover,
            Self::Told(Command::SlowConsumer) => Closed::SlowConsumer,
            Self::Told(Command::Quiet | Command::Stop) => Closed::Shutdown,
        }
    }
}

/// A will, owned from CONNECT to the end of the connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct WillMessage {
    topic: Box<str>,
    payload: Box<[u8]>,
    qos: QoS,
    retain: bool,
    properties: Vec<u8>,
    expiry_seconds: Option<u32>,
}

impl WillMessage {
    /// The delay is not kept: a session that ends with its connection publishes its will at once,
    /// whatever the delay (MQTT 5.0 section 3.1.3.2.2).
    pub(crate) fn new(will: &Will<'_>) -> Self {
        let mut properties = Vec::new();
        let mut expiry_seconds = None;
        for property in will.properties.iter() {
            match (property.id, property.value) {
                (PropertyId::WillDelayInterval, _) => {}
                (PropertyId::MessageExpiryInterval, Value::Number(n)) => expiry_seconds = Some(n),
                _ => properties.extend_from_slice(property.raw),
            }
        }
        Self {
            topic: will.topic.into(),
            payload: will.payload.into(),
            qos: will.qos,
            retain: will.retain,
            properties,
            expiry_seconds,
        }
    }
}

/// A session from its beginning to its end, which comes with this value's, whatever happens to
/// the task that holds it.
pub(crate) struct SessionGuard {
    shared: Arc<Shared>,
    instance: Instance,
    will: Option<WillMessage>,
    connected: Gauge,
    // Let go last, so that the next owner's jobs are queued behind the end of this one.
    _claim: Claim,
}

impl SessionGuard {
    /// Begins the session.
    pub(crate) fn begin(
        shared: &Arc<Shared>,
        client: &Client,
        mailbox: &Arc<Mailbox>,
        claim: Claim,
        will: Option<WillMessage>,
    ) -> Self {
        let number = shared.log.put_aside(Aside::Mailbox(Arc::clone(mailbox)));
        let mut entry = Vec::new();
        record::append(&mut entry, &Entry::Begin(client.instance, number));
        shared.append_ordered(&entry, 0, None);
        shared.metrics.opened(client.transport);
        let connected = shared.metrics.connected(client.transport, client.version).clone();
        connected.increment(1.0);
        let shared = Arc::clone(shared);
        Self { shared, instance: client.instance, will, connected, _claim: claim }
    }

    /// Forgets the will if its topic is one of these.
    pub(super) fn forget_will(&mut self, which: impl Fn(&str) -> bool) {
        self.will = self.will.take().filter(|will| !which(&will.topic));
    }

    /// Publishes the will, once.
    pub(crate) fn publish_will(&mut self) {
        let Some(will) = self.will.take() else { return };
        let mut entry = Vec::new();
        let expires = |seconds| clock::monotonic_ms() + u64::from(seconds) * 1000;
        let published = Published {
            publisher: self.instance,
            except_publisher: false,
            qos: will.qos,
            retain: will.retain,
            expires_ms: will.expiry_seconds.map_or(u64::MAX, expires),
            topic: &will.topic,
            properties: &will.properties,
            payload: &will.payload,
        };
        append_by_reference(&self.shared, &mut entry, &published);
        self.shared.append_ordered(&entry, 0, None);
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.publish_will();
        let mut entry = Vec::new();
        record::append(&mut entry, &Entry::End(self.instance));
        self.shared.append_ordered(&entry, 0, None);
        self.connected.decrement(1.0);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Ends the session, tells the client why and closes. The session does not wait for the socket.
    pub(super) async fn end(mut self: Box<Self>, ended: Ended) {
        self.shared.metrics.closed(ended.label());
        match ended.cause() {
            Some((stage, cause)) => {
                self.shared.refusals.record(self.client.whom(), stage, cause, false);
            }
            None => tracing::debug!(client_id = ?self.client.id, ?ended, "connection ended"),
        }
        if ended == Ended::Client {
            self.guard.will = None;
        }
        let Self { mut io, guard, accepting, unsent, client, .. } = *self;
        drop((guard, accepting));
        if matches!(ended, Ended::Network) {
            return;
        }
        let mut farewell = unsent.bytes().to_vec();
        if let Some(reason) = ended.reason()
            && client.version.is_v5()
        {
            let disconnect = Disconnect { reason, properties: Properties::EMPTY };
            codec::encode(&mut farewell, &Packet::Disconnect(disconnect), client.version);
        }
        // A client that does not read loses its last words.
        let write = async {
            io.write_all(&farewell).await?;
            io.flush().await
        };
        let _ = tokio::time::timeout(FAREWELL, write).await;
        linger(io).await;
    }
}

/// Closes so that the peer can read what was sent last: a socket that is closed while it holds
/// unread bytes resets the connection and takes the last words with it.
pub(crate) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut io: S) {
    let until_closed = async {
        if io.shutdown().await.is_ok() {
            // On the heap: every connection's task would hold it all its life.
            let mut sink = vec![0; 4096];
            while matches!(io.read(&mut sink).await, Ok(count) if count > 0) {}
        }
    };
    // Bounded: whoever goes on sending is cut.
    let _ = tokio::time::timeout(FAREWELL, until_closed).await;
}
