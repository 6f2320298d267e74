//! From an accepted socket to a session: CONNECT under a timeout, the decision, CONNACK
//! (MQTT 5.0 sections 3.1, 3.2).

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dockside_mqtt::codec::{self, Frame};
use dockside_mqtt::packet::{Connack, Connect, Packet, Will};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
use dockside_mqtt::{ProtocolError, ReasonCode, Version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::access::Identity;
use crate::connection::{Client, Connection, SessionGuard, WillMessage, linger};
use crate::mailbox::Mailbox;
use crate::metrics::Rejected;
use crate::publish;
use crate::shared::Shared;

/// Serves one socket from CONNECT to its end.
pub(crate) async fn serve<S>(mut io: S, peer: SocketAddr, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let timeout = shared.config.mqtt.connect_timeout();
    let read = read_connect(&mut io, shared.config.limits.connect_packet_bytes);
    let stopped = shared.stopping.cancelled();
    let in_time = async {
        tokio::select! {
            read = tokio::time::timeout(timeout, read) => read,
            () = stopped => Ok(Err(Refusal::silent(Rejected::Unavailable, "the broker stops"))),
        }
    };
    let (buffer, used) = match in_time.await {
        Ok(Ok(read)) => read,
        Ok(Err(refusal)) => return refuse(io, peer, &shared, refusal).await,
        Err(_) => {
            let refusal = Refusal::silent(Rejected::Timeout, "no CONNECT in time");
            return refuse(io, peer, &shared, refusal).await;
        }
    };
    let decision = match decode(&buffer) {
        Ok(connect) => admit(&connect, peer, &shared),
        Err(refusal) => Err(refusal),
    };
    let admitted = match decision {
        Ok(admitted) => admitted,
        Err(refusal) => return refuse(io, peer, &shared, refusal).await,
    };
    let rest = buffer[used..].to_vec();
    drop(buffer);
    enter(io, admitted, rest, shared).await;
}

/// Reads until the first packet is whole; returns the bytes and the packet's length.
async fn read_connect<S>(io: &mut S, maximum: u32) -> Result<(Vec<u8>, usize), Refusal>
where
    S: AsyncRead + Unpin,
{
    let mut buffer = Vec::with_capacity(512);
    loop {
        if let Some(&first) = buffer.first()
            && first != 0x10
        {
            return Err(Refusal::silent(Rejected::Protocol, "the first packet is not CONNECT"));
        }
        match codec::split(&buffer, maximum) {
            Ok(Some((_, used))) => return Ok((buffer, used)),
            Ok(None) => {}
            Err(error) => return Err(Refusal::of(error, version_hint(&buffer))),
        }
        match io.read_buf(&mut buffer).await {
            Ok(0) => {
                let detail = "closed before CONNECT was complete";
                return Err(Refusal::silent(Rejected::Network, detail));
            }
            Ok(_) => {}
            Err(_) => {
                return Err(Refusal::silent(Rejected::Network, "connection lost before CONNECT"));
            }
        }
    }
}

/// The version of a CONNECT that has only begun to arrive.
fn version_hint(buffer: &[u8]) -> Option<Version> {
    let body = buffer.get(1..)?;
    let header = body.iter().take(4).position(|byte| byte & 0x80 == 0)? + 1;
    codec::connect_version(&Frame { first: 0x10, body: body.get(header..)? }).ok()
}

fn decode(buffer: &[u8]) -> Result<Box<Connect<'_>>, Refusal> {
    let (frame, _) = codec::split(buffer, u32::MAX)
        .map_err(|error| Refusal::of(error, None))?
        .ok_or(Refusal::silent(Rejected::Protocol, "CONNECT is not complete"))?;
    match codec::decode(&frame, Version::V311) {
        Ok(Packet::Connect(connect)) => Ok(connect),
        Ok(_) => Err(Refusal::silent(Rejected::Protocol, "the first packet is not CONNECT")),
        Err(error) if error.reason == ReasonCode::UnsupportedProtocolVersion => {
            // A client of a later version reads the later form [MQTT-3.1.2-2].
            let level = frame.body.strip_prefix(b"\0\x04MQTT").and_then(|rest| rest.first());
            let later = level.is_some_and(|level| (6..0x80).contains(level));
            let version = if later { Version::V5 } else { Version::V311 };
            Err(Refusal { version: Some(version), why: Rejected::Version, error })
        }
        Err(error) => Err(Refusal::of(error, codec::connect_version(&frame).ok())),
    }
}

/// Why a client is not let in, and whether it is told.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    /// The form of the CONNACK; without one the connection is just closed.
    version: Option<Version>,
    why: Rejected,
    error: ProtocolError,
}

impl Refusal {
    fn silent(why: Rejected, detail: &'static str) -> Self {
        Self { version: None, why, error: ProtocolError::protocol(detail) }
    }

    /// A broken CONNECT: only 5.0 has a code to say so.
    fn of(error: ProtocolError, version: Option<Version>) -> Self {
        Self { version: version.filter(|v| v.is_v5()), why: Rejected::Protocol, error }
    }

    fn told(
        connect: &Connect<'_>,
        why: Rejected,
        reason: ReasonCode,
        detail: &'static str,
    ) -> Self {
        Self { version: Some(connect.version), why, error: ProtocolError::new(reason, detail) }
    }
}

async fn refuse<S>(mut io: S, peer: SocketAddr, shared: &Shared, refusal: Refusal)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    shared.metrics.rejected(refusal.why);
    // The code is for the client; without one the detail says it all.
    match refusal.version {
        Some(_) => tracing::info!(%peer, reason = %refusal.error, "connection refused"),
        None => tracing::info!(%peer, reason = refusal.error.detail, "connection refused"),
    }
    if refusal.why == Rejected::Unavailable {
        return;
    }
    if let Some(version) = refusal.version {
        let connack = Packet::Connack(Connack {
            session_present: false,
            reason: refusal.error.reason,
            properties: Properties::EMPTY,
        });
        let mut out = Vec::new();
        codec::encode(&mut out, &connack, version);
        let write = io.write_all(&out);
        // The peer may be gone, or not read: it is refused either way.
        let _ = tokio::time::timeout(Duration::from_secs(1), write).await;
    }
    linger(io).await;
}

/// A client that may come in.
struct Admitted {
    client: Client,
    will: Option<WillMessage>,
    connack: Vec<u8>,
    receive_maximum: u32,
    window: u16,
    _slot: ClientSlot,
}

/// One of `limits.connections`.
struct ClientSlot(Arc<Shared>);

impl ClientSlot {
    fn take(shared: &Arc<Shared>, takes_over: bool) -> Option<Self> {
        let limit = shared.config.limits.connections;
        let fits = |clients: usize| (clients < limit || takes_over).then_some(clients + 1);
        let taken = shared.clients.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits);
        taken.ok().map(|_| Self(Arc::clone(shared)))
    }
}

impl Drop for ClientSlot {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::SeqCst);
    }
}

fn admit(
    connect: &Connect<'_>,
    peer: SocketAddr,
    shared: &Arc<Shared>,
) -> Result<Admitted, Refusal> {
    check(connect)?;
    let identity = shared.access.connect(connect).map_err(|reason| {
        Refusal::told(connect, Rejected::NotAuthorized, reason, "not allowed to connect")
    })?;
    let will =
        connect.will.map(|will| check_will(connect, &will, &identity, shared)).transpose()?;
    // Whoever takes a session over gets the place of the connection that it ends.
    let takes_over = shared.registry.has(connect.client_id);
    let slot = ClientSlot::take(shared, takes_over).ok_or_else(|| {
        let detail = "limits.connections is reached";
        Refusal::told(connect, Rejected::Limit, ReasonCode::QuotaExceeded, detail)
    })?;
    let instance = shared.new_instance();
    let assigned = connect
        .client_id
        .is_empty()
        .then(|| format!("dockside-{:016x}", RandomState::new().hash_one(instance)));
    let client_id = assigned.as_deref().unwrap_or(connect.client_id);
    let limits = &shared.config.limits;
    let v5 = connect.version.is_v5();
    let client_maximum = connect.properties.number(PropertyId::ReceiveMaximum);
    let window = client_maximum.and_then(|n| u16::try_from(n).ok()).unwrap_or(u16::MAX);
    let keep_alive = Duration::from_secs(connect.keep_alive.into());
    Ok(Admitted {
        connack: connack(connect, assigned.as_deref(), shared),
        client: Client {
            id: client_id.into(),
            instance,
            version: connect.version,
            identity,
            peer,
            keep_alive: (!keep_alive.is_zero()).then(|| keep_alive.mul_f32(1.5)),
            maximum_packet: connect
                .properties
                .number(PropertyId::MaximumPacketSize)
                .unwrap_or(codec::MAX_PACKET)
                .min(codec::MAX_PACKET),
            session_expiry: connect
                .properties
                .number(PropertyId::SessionExpiryInterval)
                .unwrap_or(0),
        },
        will,
        receive_maximum: if v5 { limits.receive_maximum.into() } else { u32::MAX },
        window: window.min(limits.inflight),
        _slot: slot,
    })
}

fn check(connect: &Connect<'_>) -> Result<(), Refusal> {
    if connect.client_id.is_empty() && !connect.version.is_v5() && !connect.clean_start {
        // [MQTT-3.1.3-8] of 3.1.1
        return Err(Refusal::told(
            connect,
            Rejected::ClientId,
            ReasonCode::ClientIdentifierNotValid,
            "an empty client identifier needs a clean session",
        ));
    }
    if connect.properties.text(PropertyId::AuthenticationMethod).is_some() {
        return Err(Refusal::told(
            connect,
            Rejected::NotAuthorized,
            ReasonCode::BadAuthenticationMethod,
            "enhanced authentication is not offered",
        ));
    }
    if connect.properties.iter().any(|p| p.id == PropertyId::AuthenticationData) {
        return Err(Refusal::told(
            connect,
            Rejected::Protocol,
            ReasonCode::ProtocolError,
            "authentication data without a method",
        ));
    }
    Ok(())
}

fn check_will(
    connect: &Connect<'_>,
    will: &Will<'_>,
    identity: &Identity,
    shared: &Shared,
) -> Result<WillMessage, Refusal> {
    let refused = |error: ProtocolError| {
        let version = Some(connect.version).filter(|v| v.is_v5());
        Refusal { version, why: Rejected::Protocol, error }
    };
    publish::check_topic(will.topic, &shared.config.limits).map_err(refused)?;
    publish::check(will.properties).map_err(refused)?;
    shared.access.publish(identity, will.topic).map_err(|reason| {
        Refusal::told(connect, Rejected::NotAuthorized, reason, "not allowed to publish the will")
    })?;
    if will.retain && connect.version.is_v5() {
        // [MQTT-3.2.2-13]
        let detail = "retained messages are not offered yet";
        return Err(refused(ProtocolError::new(ReasonCode::RetainNotSupported, detail)));
    }
    let lies = will.properties.number(PropertyId::PayloadFormatIndicator) == Some(1)
        && std::str::from_utf8(will.payload).is_err();
    if lies {
        let detail = "the will's payload is not UTF-8 as it says";
        return Err(refused(ProtocolError::new(ReasonCode::PayloadFormatInvalid, detail)));
    }
    Ok(WillMessage::new(will))
}

/// What a 5.0 client must know: what is granted, and what is not offered.
fn connack(connect: &Connect<'_>, assigned: Option<&str>, shared: &Shared) -> Vec<u8> {
    let limits = &shared.config.limits;
    let mut list = PropertyList::new();
    list.number(PropertyId::ReceiveMaximum, limits.receive_maximum.into())
        .number(PropertyId::RetainAvailable, 0)
        .number(PropertyId::MaximumPacketSize, limits.packet_bytes)
        .number(PropertyId::SharedSubscriptionAvailable, 0);
    if limits.topic_aliases > 0 {
        list.number(PropertyId::TopicAliasMaximum, limits.topic_aliases.into());
    }
    if connect.properties.number(PropertyId::SessionExpiryInterval).is_some_and(|s| s > 0) {
        // Sessions end with their connection [MQTT-3.2.2-15].
        list.number(PropertyId::SessionExpiryInterval, 0);
    }
    if let Some(id) = assigned {
        list.text(PropertyId::AssignedClientIdentifier, id);
    }
    let connack = Packet::Connack(Connack {
        session_present: false,
        reason: ReasonCode::Success,
        properties: list.as_properties(),
    });
    let mut out = Vec::new();
    codec::encode(&mut out, &connack, connect.version);
    out
}

/// Takes the client identifier, begins the session and serves it to its end.
async fn enter<S>(io: S, admitted: Admitted, rest: Vec<u8>, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let Admitted { client, will, connack, receive_maximum, window, _slot } = admitted;
    let mailbox = Arc::new(Mailbox::new(&shared.config.limits));
    let id = Arc::clone(&client.id);
    let claim = shared.registry.claim(id, client.instance, Arc::clone(&mailbox)).await;
    let guard = SessionGuard::begin(&shared, &client, &mailbox, claim, will);
    let window = (receive_maximum, window);
    Connection::new(io, shared, client, mailbox, guard, window).run(connack, rest).await;
}
