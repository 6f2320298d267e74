//! From an accepted socket to a session: TLS and CONNECT under one deadline, the decision, CONNACK
//! (MQTT 5.0 sections 3.1, 3.2).

mod admit;
mod arrived;
mod connack;
mod no_login;
mod refusal;

use std::sync::Arc;

use dockside_mqtt::codec::{self, Frame};
use dockside_mqtt::packet::{Connect, Packet};
use dockside_mqtt::{ReasonCode, Version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use self::admit::{Admitted, ClientSlot, admit};
pub(crate) use self::arrived::{Arrived, Cut};
use self::connack::{Asked, Granted};
use self::refusal::{Refusal, refuse};
use crate::connection::{Begins, Client, Connection, SessionGuard};
use crate::listener::websocket::Violation;
use crate::metrics::{Limit, Rejected};
use crate::record::Instance;
use crate::refusals::Stage;
use crate::sessions::Session;
use crate::shared::Shared;

/// Notes that a client hung up before it said anything, or all of its CONNECT.
pub(crate) fn hung_up(arrived: &Arrived, shared: &Shared) {
    refusal::note(arrived, shared, &ended_early());
}

/// Notes that a client was sent away before it had said who it is.
pub(crate) fn cut(arrived: &Arrived, shared: &Shared, cut: Cut, is_silent: bool) {
    refusal::note(arrived, shared, &cut_short(cut, is_silent));
}

/// Notes that an address may have no more, before anything is done for it; whether that is so.
pub(crate) fn is_too_many(arrived: &Arrived, shared: &Shared) -> bool {
    let refused = arrived.check_address(None, shared);
    refused.map_err(|refusal| refusal::note(arrived, shared, &refusal)).is_err()
}

/// Serves one socket from CONNECT to its end.
pub(crate) async fn serve<S>(mut io: S, mut arrived: Arrived, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    // Boxed, each: what it takes to come in is not kept by a connection's task all its life.
    let outcome = tokio::select! {
        outcome = Box::pin(arrive(&mut io, &mut arrived, &shared)) => outcome,
        () = shared.stopping.cancelled() => Err(Refusal::unavailable()),
    };
    let (admitted, rest) = match outcome {
        Ok(admitted) => admitted,
        Err(refusal) => return Box::pin(refuse(io, &arrived, &shared, refusal)).await,
    };
    if let Some(served) = Box::pin(enter(io, &arrived, admitted, shared)).await {
        let Served { connection, _slot } = served;
        // What was measured on the way goes; the place of its address stays with the connection.
        connection.run(rest).await;
    }
}

/// Reads CONNECT and decides; with what came behind it.
async fn arrive<S>(
    io: &mut S,
    arrived: &mut Arrived,
    shared: &Arc<Shared>,
) -> Result<(Box<Admitted>, Vec<u8>), Refusal>
where
    S: AsyncRead + Unpin,
{
    let mut buffer = Vec::with_capacity(512);
    let maximum = shared.config.limits.connect_packet_bytes;
    let read = arrived.in_time(shared, read_connect(io, &mut buffer, maximum)).await;
    let used = match read {
        Ok(Ok(used)) => used,
        Ok(Err(refusal)) => {
            if refusal.is_too_large() {
                shared.limits.reached(Limit::ConnectPacketBytes);
            }
            return Err(refusal);
        }
        Err(cut) => return Err(cut_short(cut, buffer.is_empty())),
    };
    // [MQTT-3.1.4-1]
    let connect = decode(&buffer)?;
    shared.metrics.introduced(0x10);
    let checked = arrived.check_address(Some(&connect), shared);
    checked.map_err(|refusal| refusal.of_client(&connect))?;
    arrived.has_said_connect();
    let arrived = &*arrived;
    let mut rest = buffer[used..].to_vec();
    let admitted = tokio::select! {
        biased;
        admitted = admit(&connect, arrived, shared) => admitted,
        refusal = gone(io, &mut rest) => Err(refusal),
    };
    let admitted = admitted.map_err(|refusal| refusal.of_client(&connect))?;
    Ok((Box::new(admitted), rest))
}

/// Bytes behind a CONNECT that are read before it is answered.
const AHEAD_BYTES: usize = 16 << 10;

/// Resolves when the client hangs up before it is answered, so that it waits for nothing; reads what
/// it sends ahead meanwhile, which nobody looks at if it is refused [MQTT-3.1.4-6].
async fn gone<S: AsyncRead + Unpin>(io: &mut S, rest: &mut Vec<u8>) -> Refusal {
    while rest.len() < AHEAD_BYTES {
        match io.read_buf(rest).await {
            Ok(count) if count > 0 => {}
            _ => {
                let detail = "hung up before its login was answered";
                let remedy = "the client may be impatient: passwords wait in line after a cold start; give it a longer connect timeout";
                return Refusal::silent(Rejected::Network, detail, remedy);
            }
        }
    }
    std::future::pending().await
}

fn cut_short(cut: Cut, is_silent: bool) -> Refusal {
    let (why, detail, remedy) = match cut {
        Cut::Late if is_silent => (
            Rejected::Timeout,
            "connected and said nothing",
            "the client may wait for TLS, or be a port scan or a health check; check its address scheme (tcp://, mqtts://)",
        ),
        Cut::Late => (
            Rejected::Timeout,
            "no whole CONNECT in time",
            "check the network's quality; the time is mqtt.connect_timeout_ms",
        ),
        Cut::Displaced => (
            Rejected::Limit,
            "no CONNECT before limits.unauthenticated others came",
            "find out who opens connections and says nothing (this list tells addresses), or raise limits.unauthenticated",
        ),
        Cut::Stopping => return Refusal::unavailable(),
    };
    Refusal::silent(why, detail, remedy)
}

fn ended_early() -> Refusal {
    let detail = "the connection ended before a whole CONNECT";
    let remedy = "the client or the network in between ended it: often a health check, a port scan, or a client that expects TLS";
    Refusal::silent(Rejected::Network, detail, remedy)
}

fn no_websocket(violation: Violation) -> Refusal {
    let (detail, remedy) = (violation.detail(), violation.remedy());
    Refusal::silent(Rejected::Protocol, detail, remedy).at(Stage::WebSocket)
}

/// Reads until the first packet, which must be a CONNECT [MQTT-3.1.0-1], is whole; returns its length.
async fn read_connect<S>(io: &mut S, buffer: &mut Vec<u8>, maximum: u32) -> Result<usize, Refusal>
where
    S: AsyncRead + Unpin,
{
    loop {
        if let Some(&first) = buffer.first()
            && first != 0x10
        {
            return Err(not_mqtt(first));
        }
        match codec::split(buffer, maximum) {
            Ok(Some((_, used))) => return Ok(used),
            Ok(None) => {}
            Err(error) => return Err(Refusal::broken(error, version_hint(buffer))),
        }
        match io.read_buf(buffer).await {
            Ok(count) if count > 0 => {}
            Ok(_) => return Err(ended_early()),
            Err(error) => return Err(Violation::of(&error).map_or_else(ended_early, no_websocket)),
        }
    }
}

/// What a first byte tells of somebody who does not speak MQTT.
fn not_mqtt(first: u8) -> Refusal {
    let (detail, remedy) = match first {
        0x16 => (
            "the client speaks TLS to a listener without it",
            "give it a tcp:// or mqtt:// address, or the port of a tls listener",
        ),
        b'A'..=b'Z' => (
            "the client speaks HTTP or WebSocket to an MQTT listener",
            "give it a tcp:// address, or the port of a listener whose transport is \"ws\"",
        ),
        _ => ("the first packet is not CONNECT", "only MQTT clients are served here"),
    };
    Refusal::silent(Rejected::Protocol, detail, remedy)
}

/// The version of a CONNECT that has only begun to arrive.
fn version_hint(buffer: &[u8]) -> Option<Version> {
    let body = buffer.get(1..)?;
    let header = body.iter().take(4).position(|byte| byte & 0x80 == 0)? + 1;
    let frame = Frame { first: 0x10, body: body.get(header..)?, padded: false };
    codec::connect_version(&frame).ok()
}

fn decode(buffer: &[u8]) -> Result<Box<Connect<'_>>, Refusal> {
    let frame = match codec::split(buffer, u32::MAX) {
        Ok(Some((frame, _))) => frame,
        Ok(None) => return Err(not_mqtt(0)),
        Err(error) => return Err(Refusal::broken(error, None)),
    };
    match codec::decode(&frame, Version::V311) {
        Ok(Packet::Connect(connect)) => Ok(connect),
        Ok(_) => Err(not_mqtt(frame.first)),
        Err(error) if error.reason == ReasonCode::UnsupportedProtocolVersion => {
            // A client of a later version reads the later form [MQTT-3.1.2-2].
            let level = frame.body.strip_prefix(b"\0\x04MQTT").and_then(|rest| rest.first());
            let later = level.is_some_and(|level| (6..0x80).contains(level));
            Err(Refusal::version(error, if later { Version::V5 } else { Version::V311 }))
        }
        Err(error) => Err(Refusal::broken(error, codec::connect_version(&frame).ok())),
    }
}

/// Waits for the former owner of the client identifier, and begins or resumes the session.
async fn enter<S>(
    io: S,
    arrived: &Arrived,
    admitted: Box<Admitted>,
    shared: Arc<Shared>,
) -> Option<Served<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let Admitted { mut client, will, asked, granted, mailbox, claim, slot } = *admitted;
    let claim = claim.settled().await;
    let entered = match session(&shared, &client, asked, &granted) {
        Ok(entered) => entered,
        Err(refusal) => {
            drop(claim);
            refuse(io, arrived, &shared, refusal).await;
            return None;
        }
    };
    let Entered { mut session, resumed, restored, ended, connack } = entered;
    if let Some(instance) = restored {
        shared.reading.resume(instance, &mut session, &shared.clock).await;
    }
    client.instance = resumed.unwrap_or(client.instance);
    if session.kept.is_some() {
        mailbox.keep();
    }
    let is_kept = session.kept.is_some();
    let begins = Begins { is_resumed: resumed.is_some(), is_kept, took: arrived.since(), ended };
    let guard = SessionGuard::begin(&shared, &client, &mailbox, (claim, begins), will);
    let connection = Connection::new(io, shared, client, mailbox, guard, (session, connack));
    Some(Served { connection: Box::new(connection), _slot: slot })
}

/// A connection to be served, and its place.
struct Served<S> {
    connection: Box<Connection<S>>,
    _slot: ClientSlot,
}

/// The session that a client enters, and what it is told of it.
struct Entered {
    session: Session,
    /// The session that it was, if it was there before.
    resumed: Option<Instance>,
    /// The same, if that was before a restart.
    restored: Option<Instance>,
    /// The one that has ended for it.
    ended: Option<Instance>,
    connack: Vec<u8>,
}

fn session(
    shared: &Shared,
    client: &Client,
    asked: Asked,
    granted: &Granted,
) -> Result<Entered, Refusal> {
    let who = (&client.identity, &client.id);
    // [MQTT-3.1.4-4] [MQTT-3.1.2-4] [MQTT-3.1.2-5]
    let (resumed, ended) = shared.sessions.take(shared, who, asked.clean_start);
    let assigned = client.id_is_assigned.then_some(&*client.id);
    let Some(connack) = granted.connack(resumed.is_some(), assigned, &shared.config) else {
        // What was there stays there.
        resumed.into_iter().for_each(|asleep| shared.sessions.put(shared, asleep));
        let detail = "CONNACK is larger than the client's maximum packet size";
        let told = (ReasonCode::PacketTooLarge, detail);
        return Err(Refusal::of(client, Rejected::Protocol, told, "let it take larger packets"));
    };
    if let Some(asleep) = resumed {
        let session = asleep.session.resumed(&granted.window);
        let instance = asleep.instance;
        let restored = asleep.restored.then_some(instance);
        return Ok(Entered { session, resumed: Some(instance), restored, ended, connack });
    }
    let kept = match granted.session_expiry {
        0 => None,
        _ => Some(shared.sessions.place().ok_or_else(|| {
            shared.limits.reached(Limit::Sessions);
            let told = (ReasonCode::QuotaExceeded, "limits.sessions is reached");
            let remedy = "raise limits.sessions, or let clients that need no session connect clean; limits.session_expiry_s ends those that nobody comes back to";
            Refusal::of(client, Rejected::Limit, told, remedy)
        })?),
    };
    // [MQTT-3.1.2-6]
    Ok(Entered {
        session: Session::new(kept, &granted.window),
        resumed: None,
        restored: None,
        ended,
        connack,
    })
}
