//! Why a client is not let in, what it is told, and what is kept for the engineer.

use std::time::Duration;

use dockside_mqtt::packet::{Connack, Connect, Packet};
use dockside_mqtt::property::{Properties, PropertyId, PropertyList};
use dockside_mqtt::{ProtocolError, ReasonCode, Version, codec};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::Arrived;
use crate::connection::linger;
use crate::metrics::Rejected;
use crate::refusals::{Cause, Stage, Whom};
use crate::shared::Shared;

/// A CONNACK with nothing but a code: what everybody takes, whoever it is.
const BARE: u32 = 5;

/// Why a client is not let in, and whether it is told.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The form of the CONNACK; without one the connection is just closed.
    version: Option<Version>,
    why: Rejected,
    error: ProtocolError,
    remedy: &'static str,
    stage: Stage,
    client: Option<Box<Client>>,
    /// The largest packet the client takes, as far as it has said.
    maximum_packet: u32,
}

/// Who it says it is.
#[derive(Debug)]
struct Client {
    id: Box<str>,
    user: Option<Box<str>>,
}

impl Refusal {
    /// Nothing is said to whoever does not speak MQTT.
    pub(super) fn silent(why: Rejected, detail: &'static str, remedy: &'static str) -> Self {
        Self::new(None, why, ProtocolError::protocol(detail), remedy)
    }

    /// Whether it asked for more than it may have.
    pub(super) fn is_too_large(&self) -> bool {
        self.error.reason == ReasonCode::PacketTooLarge
    }

    /// The broker stops.
    pub(super) fn unavailable() -> Self {
        Self::silent(Rejected::Unavailable, "the broker stops", "")
    }

    /// A broken CONNECT: only 5.0 has a code to say so.
    pub(super) fn broken(error: ProtocolError, version: Option<Version>) -> Self {
        let remedy = if error.reason == ReasonCode::PacketTooLarge {
            "a CONNECT this long is rarely meant; if it is, raise limits.connect_packet_bytes"
        } else {
            "the client breaks the protocol; see the reason, and look for a newer version of it"
        };
        Self::new(version.filter(|v| v.is_v5()), Rejected::Protocol, error, remedy)
    }

    pub(super) fn version(error: ProtocolError, version: Version) -> Self {
        let remedy = "set the client to MQTT 3.1.1 or 5.0";
        Self::new(Some(version), Rejected::Version, error, remedy)
    }

    pub(super) fn told(
        connect: &Connect<'_>,
        why: Rejected,
        (reason, detail): (ReasonCode, &'static str),
        remedy: &'static str,
    ) -> Self {
        let error = ProtocolError::new(reason, detail);
        Self::new(Some(connect.version), why, error, remedy)
    }

    /// Of a client that had been let in.
    pub(super) fn of(
        client: &crate::connection::Client,
        why: Rejected,
        (reason, detail): (ReasonCode, &'static str),
        remedy: &'static str,
    ) -> Self {
        let error = ProtocolError::new(reason, detail);
        let id = if client.id_is_assigned { "" } else { &*client.id };
        let known = Client { id: id.into(), user: client.user.as_deref().map(Box::from) };
        let refusal = Self::new(Some(client.version), why, error, remedy);
        let maximum_packet = client.maximum_packet;
        Self { client: Some(Box::new(known)), maximum_packet, ..refusal }
    }

    fn new(
        version: Option<Version>,
        why: Rejected,
        error: ProtocolError,
        remedy: &'static str,
    ) -> Self {
        let stage = match why {
            Rejected::Network => Stage::Tcp,
            Rejected::Tls => Stage::Tls,
            Rejected::Limit => Stage::Limit,
            Rejected::BadCredentials => Stage::Password,
            Rejected::NotAuthorized => Stage::Acl,
            _ => Stage::Connect,
        };
        Self { version, why, error, remedy, stage, client: None, maximum_packet: BARE }
    }

    /// The CONNACK, with a sentence for people if that fits [MQTT-3.2.2-19]; nothing if not even the
    /// code does [MQTT-3.1.2-24].
    fn connack(&self, version: Version) -> Vec<u8> {
        let mut list = PropertyList::new();
        // Whoever tries names and passwords is not told which of them was wrong.
        if self.stage != Stage::Password {
            list.text(PropertyId::ReasonString, self.error.detail);
        }
        for properties in [list.as_properties(), Properties::EMPTY] {
            // [MQTT-3.2.2-6]
            let reason = self.error.reason;
            let connack = Packet::Connack(Connack { session_present: false, reason, properties });
            let mut out = Vec::new();
            codec::encode(&mut out, &connack, version);
            if out.len() <= self.maximum_packet as usize {
                return out;
            }
        }
        Vec::new()
    }

    /// How far it had come, where that is not what its reason says.
    pub(super) fn at(mut self, stage: Stage) -> Self {
        self.stage = stage;
        self
    }

    /// With who it says it is.
    pub(super) fn of_client(mut self, connect: &Connect<'_>) -> Self {
        let user = connect.username.map(Box::from);
        let maximum = connect.properties.number(PropertyId::MaximumPacketSize);
        self.maximum_packet = maximum.unwrap_or(codec::MAX_PACKET);
        self.client = Some(Box::new(Client { id: connect.client_id.into(), user }));
        self
    }
}

/// Tells the client, as far as it can be told, and closes [MQTT-3.2.2-7].
pub(super) async fn refuse<S>(mut io: S, arrived: &Arrived, shared: &Shared, refusal: Refusal)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    note(arrived, shared, &refusal);
    if refusal.why == Rejected::Unavailable && refusal.version.is_none() {
        return;
    }
    if let Some(version) = refusal.version {
        let out = refusal.connack(version);
        out.first().iter().for_each(|first| shared.metrics.told(**first));
        let write = async {
            io.write_all(&out).await?;
            io.flush().await
        };
        // The peer may be gone, or not read: it is refused either way.
        let _ = tokio::time::timeout(Duration::from_secs(1), write).await;
    }
    linger(io).await;
}

/// Counts a refusal and keeps why, for whoever asks; that the broker stops is nobody's fault.
pub(super) fn note(arrived: &Arrived, shared: &Shared, refusal: &Refusal) {
    shared.metrics.rejected(refusal.why);
    if refusal.why == Rejected::Unavailable && refusal.version.is_none() {
        return;
    }
    let reason = match refusal.version {
        Some(_) => refusal.error.to_string().into(),
        // The code is for the client; without one the detail says it all.
        None => refusal.error.detail.into(),
    };
    let client = refusal.client.as_deref();
    let known = arrived.whom();
    let whom = Whom {
        client_id: client.map(|client| &*client.id).filter(|id| !id.is_empty()),
        user: client.and_then(|client| client.user.as_deref()).or(known.user),
        ..known
    };
    let cause = Cause { reason, remedy: refusal.remedy };
    shared.refusals.record(whom, refusal.stage, cause, false);
}
