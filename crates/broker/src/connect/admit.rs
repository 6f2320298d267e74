//! The decision about a CONNECT: is it sound, who is it, may it, is there room.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dockside_mqtt::packet::{Connect, Will};
use dockside_mqtt::property::PropertyId;
use dockside_mqtt::{ProtocolError, ReasonCode, Version};

use super::Arrived;
use super::connack::{Asked, Granted};
use super::no_login::no_login;
use super::refusal::Refusal;
use crate::access::Identity;
use crate::connection::Client;
use crate::mailbox::Mailbox;
use crate::metrics::{Limit, Rejected};
use crate::publish;
use crate::registry::{Owner, Pending};
use crate::shared::Shared;
use crate::will::WillMessage;

/// A client that may come in.
pub(super) struct Admitted {
    pub(super) client: Client,
    pub(super) will: Option<WillMessage>,
    pub(super) asked: Asked,
    pub(super) granted: Granted,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) claim: Pending,
    pub(super) slot: ClientSlot,
}

/// One of `limits.connections`.
pub(super) struct ClientSlot(Arc<Shared>);

impl ClientSlot {
    fn take(shared: &Arc<Shared>, takes_over: bool) -> Option<Self> {
        let limit = shared.sockets.connections;
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

/// Decides [MQTT-3.1.4-2]; waits only for its login.
pub(super) async fn admit(
    connect: &Connect<'_>,
    arrived: &Arrived,
    shared: &Arc<Shared>,
) -> Result<Admitted, Refusal> {
    check(connect)?;
    let (peer, certified) = (arrived.peer, arrived.certified.as_ref());
    let login = shared.access.log_in(connect, peer, certified, shared.clock.kept_ms()).await;
    let login = login.map_err(|why| no_login(connect, why))?;
    if login.is_no_aircraft {
        // Somebody had announced it, and has lost it.
        shared.registry.wake_all();
        shared.sessions.review(shared, None);
    }
    let instance = shared.new_instance();
    // [MQTT-3.1.3-6] [MQTT-3.1.3-7]; what a client gives may be of any length [MQTT-3.1.3-5].
    let assigned = connect
        .client_id
        .is_empty()
        .then(|| format!("dockside-{:016x}", RandomState::new().hash_one(instance)));
    let id: Arc<str> = assigned.as_deref().unwrap_or(connect.client_id).into();
    let identity = shared.access.identity(login, &id);
    let will =
        connect.will.map(|will| check_will(connect, &will, &identity, shared)).transpose()?;
    // Whoever takes a session over gets the place of the connection that it ends.
    let takes_over = shared.registry.is_owned_by(&id, identity.user());
    let slot = ClientSlot::take(shared, takes_over).ok_or_else(|| {
        shared.limits.reached(Limit::Connections);
        let told = (ReasonCode::QuotaExceeded, "limits.connections is reached");
        let remedy = "raise limits.connections, or find out who holds them (dockside_connections)";
        Refusal::told(connect, Rejected::Limit, told, remedy)
    })?;
    let mailbox = Arc::new(Mailbox::new(&shared.config.limits, &shared.sessions.bytes));
    let owner = Owner::new(instance, Arc::clone(&mailbox), identity.user().cloned(), arrived.peer);
    let claim = shared.registry.claim(Arc::clone(&id), owner).map_err(|_| {
        let detail = "another user is connected with this client identifier";
        let remedy = "give every client an identifier of its own; dockside why CLIENTID shows who is connected with this one";
        let told = (ReasonCode::ClientIdentifierNotValid, detail);
        Refusal::told(connect, Rejected::ClientId, told, remedy)
    })?;
    let asked = Asked::by(connect);
    let granted = Granted::to(asked, &shared.config);
    let client = client(connect, arrived, (id, instance, identity), &granted);
    Ok(Admitted { client, will, asked, granted, mailbox, claim, slot })
}

fn client(
    connect: &Connect<'_>,
    arrived: &Arrived,
    (id, instance, identity): (Arc<str>, u64, Identity),
    granted: &Granted,
) -> Client {
    // A token or a certificate says whose it is, with a user name or without.
    let name = connect.username.filter(|name| !name.is_empty());
    let user = name.map(Arc::from).or_else(|| identity.user().cloned());
    Client {
        id,
        id_is_assigned: connect.client_id.is_empty(),
        instance,
        version: connect.version,
        identity,
        user,
        peer: arrived.peer,
        transport: arrived.transport,
        keep_alive: granted.silence(),
        maximum_packet: granted.maximum_packet,
        session_expiry: granted.session_expiry,
        topic_aliases: granted.topic_aliases,
        wants_reasons: Asked::by(connect).wants_reasons,
        is_operator: false,
    }
}

fn check(connect: &Connect<'_>) -> Result<(), Refusal> {
    let refused =
        |why, reason, detail, remedy| Err(Refusal::told(connect, why, (reason, detail), remedy));
    let needs_id = connect.version == Version::V31 || !connect.clean_start;
    if connect.client_id.is_empty() && !connect.version.is_v5() && needs_id {
        // [MQTT-3.1.3-8] of 3.1.1; 3.1 has none that is empty.
        return refused(
            Rejected::ClientId,
            ReasonCode::ClientIdentifierNotValid,
            "an empty client identifier needs a clean session",
            "give the client an identifier, or let it ask for a clean session",
        );
    }
    if connect.properties.text(PropertyId::AuthenticationMethod).is_some() {
        return refused(
            Rejected::NotAuthorized,
            ReasonCode::BadAuthenticationMethod,
            "enhanced authentication is not offered",
            "let the client log in with user name and password",
        );
    }
    if connect.properties.iter().any(|p| p.id == PropertyId::AuthenticationData) {
        return refused(
            Rejected::Protocol,
            ReasonCode::ProtocolError,
            "authentication data without a method",
            "the client breaks the protocol; look for a newer version of it",
        );
    }
    Ok(())
}

fn check_will(
    connect: &Connect<'_>,
    will: &Will<'_>,
    identity: &Identity,
    shared: &Shared,
) -> Result<WillMessage, Refusal> {
    let refused = |error| Refusal::broken(error, Some(connect.version));
    publish::check_topic(will.topic, shared).map_err(refused)?;
    publish::check(will.properties).map_err(refused)?;
    identity.publish(will.topic).map_err(|_| {
        let told = (ReasonCode::NotAuthorized, "not allowed to publish its will");
        let remedy = "allow the will's topic under access.rules, or let the client do without it";
        Refusal::told(connect, Rejected::NotAuthorized, told, remedy)
    })?;
    if will.retain && connect.version.is_v5() && shared.config.limits.retained_messages == 0 {
        // [MQTT-3.2.2-13]
        let detail = "retained messages are not offered";
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
