//! Who is at the other end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dockside_mqtt::packet::{Disconnect, Packet};
use dockside_mqtt::property::{PropertyId, PropertyList};
use dockside_mqtt::{ReasonCode, Version, codec};

use crate::access::Identity;
use crate::config::Transport;
use crate::record::Instance;
use crate::refusals::Whom;
use crate::shared::Shared;

/// Who is connected, and what it asked for.
pub(crate) struct Client {
    pub(crate) id: Arc<str>,
    /// Whether the broker chose it.
    pub(crate) id_is_assigned: bool,
    pub(crate) instance: Instance,
    pub(crate) version: Version,
    pub(crate) identity: Identity,
    /// The user name it gave, whether or not it had to log in, or that of its certificate.
    pub(crate) user: Option<Arc<str>>,
    pub(crate) peer: SocketAddr,
    pub(crate) transport: Transport,
    /// One and a half keep alives; none is never.
    pub(crate) keep_alive: Option<Duration>,
    /// The largest packet it takes.
    pub(crate) maximum_packet: u32,
    /// How long its session is kept without a connection, seconds.
    pub(crate) session_expiry: u32,
    /// Topic aliases it takes.
    pub(crate) topic_aliases: u16,
    /// Whether it wants to be told more than a code of what failed [MQTT-3.1.2-29].
    pub(crate) wants_reasons: bool,
    /// Whether it is no client, but somebody at the admin listener.
    pub(crate) is_operator: bool,
}

impl Client {
    /// Somebody who publishes through the admin listener, for one message.
    pub(crate) fn operator(shared: &Shared, user: Option<Arc<str>>, peer: SocketAddr) -> Self {
        let id: Arc<str> = "admin API".into();
        Self {
            identity: shared.access.restored(None, &id),
            id,
            id_is_assigned: true,
            instance: shared.new_instance(),
            version: Version::V5,
            user,
            peer,
            transport: Transport::Tcp,
            keep_alive: None,
            maximum_packet: u32::MAX,
            session_expiry: 0,
            topic_aliases: 0,
            wants_reasons: false,
            is_operator: true,
        }
    }

    /// For whoever asks why something happened to it.
    pub(crate) fn whom(&self) -> Whom<'_> {
        // An assigned identifier is another one every time and tells nobody anything.
        let client_id = (!self.id_is_assigned).then_some(&*self.id);
        let user = self.user.as_deref();
        Whom { address: self.peer, client_id, user, topic: None }
    }

    /// A DISCONNECT for a 5.0 client, with a sentence for people if that fits [MQTT-3.14.2-3]; nothing if not even
    /// the code fits [MQTT-3.1.2-24].
    pub(super) fn disconnect(&self, reason: ReasonCode, detail: Option<&str>) -> Vec<u8> {
        let mut list = PropertyList::new();
        if let Some(detail) = detail {
            list.text(PropertyId::ReasonString, detail);
        }
        for properties in [list.as_properties(), PropertyList::new().as_properties()] {
            let mut out = Vec::new();
            let disconnect = Packet::Disconnect(Disconnect { reason, properties });
            codec::encode(&mut out, &disconnect, self.version);
            if out.len() <= self.maximum_packet as usize {
                return out;
            }
        }
        Vec::new()
    }
}
