//! CONNACK: what a client asked for, what it is granted and what it must know (MQTT 5.0 section 3.2).

use std::time::Duration;

use dockside_mqtt::codec;
use dockside_mqtt::packet::{Connack, Connect, Packet};
use dockside_mqtt::property::{PropertyId, PropertyList};
use dockside_mqtt::{ReasonCode, Version};

use crate::config::Config;
use crate::sessions::Window;

/// What a CONNECT asks for besides being let in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    version: Version,
    pub(super) clean_start: bool,
    keep_alive: u16,
    session_expiry: u32,
    receive_maximum: u16,
    maximum_packet: u32,
    topic_aliases: u16,
    pub(super) wants_reasons: bool,
}

impl Asked {
    pub(super) fn by(connect: &Connect<'_>) -> Self {
        let number = |id| connect.properties.number(id);
        let short = |id, none| number(id).map_or(none, |n| u16::try_from(n).unwrap_or(u16::MAX));
        // Without clean session a session of 3.1.1 lives on without an end [MQTT-3.1.2-4].
        let without_end = !connect.version.is_v5() && !connect.clean_start;
        let session_expiry = if without_end { u32::MAX } else { 0 };
        Self {
            version: connect.version,
            clean_start: connect.clean_start,
            keep_alive: connect.keep_alive,
            session_expiry: number(PropertyId::SessionExpiryInterval).unwrap_or(session_expiry),
            receive_maximum: short(PropertyId::ReceiveMaximum, u16::MAX),
            maximum_packet: number(PropertyId::MaximumPacketSize)
                .unwrap_or(codec::MAX_PACKET)
                .min(codec::MAX_PACKET),
            topic_aliases: short(PropertyId::TopicAliasMaximum, 0),
            wants_reasons: number(PropertyId::RequestProblemInformation) != Some(0),
        }
    }
}

/// What it is granted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granted {
    asked: Asked,
    keep_alive: u16,
    pub(super) session_expiry: u32,
    pub(super) maximum_packet: u32,
    pub(super) topic_aliases: u16,
    pub(super) window: Window,
}

impl Granted {
    pub(super) fn to(asked: Asked, config: &Config) -> Self {
        let limits = &config.limits;
        let v5 = asked.version.is_v5();
        let longest = config.mqtt.keep_alive_max_s;
        let too_long = asked.keep_alive == 0 || asked.keep_alive > longest;
        // Only 5.0 can be told.
        let keep_alive = if v5 && longest > 0 && too_long { longest } else { asked.keep_alive };
        let expiry_at_most = if limits.sessions == 0 { 0 } else { limits.session_expiry_s };
        Self {
            asked,
            keep_alive,
            session_expiry: asked.session_expiry.min(expiry_at_most),
            maximum_packet: asked.maximum_packet,
            topic_aliases: asked.topic_aliases.min(limits.topic_aliases_out),
            window: Window {
                from_client: if v5 { limits.receive_maximum.into() } else { u32::MAX },
                to_client: asked.receive_maximum.min(limits.inflight),
                bytes_to_client: limits.mailbox_bytes,
                aliases: if v5 { limits.topic_aliases } else { 0 },
            },
        }
    }

    /// One and a half keep alives, those of the client if it was told no others [MQTT-3.2.2-22]; none is
    /// never.
    pub(super) fn silence(&self) -> Option<Duration> {
        let keep_alive = Duration::from_secs(self.keep_alive.into());
        (!keep_alive.is_zero()).then(|| keep_alive.mul_f32(1.5))
    }

    /// The packet; `None` if it is larger than the client takes [MQTT-3.1.2-24].
    pub(super) fn connack(
        &self,
        session_present: bool,
        assigned: Option<&str>,
        config: &Config,
    ) -> Option<Vec<u8>> {
        let limits = &config.limits;
        let mut list = PropertyList::new();
        if self.session_expiry != self.asked.session_expiry {
            list.number(PropertyId::SessionExpiryInterval, self.session_expiry);
        }
        list.number(PropertyId::ReceiveMaximum, limits.receive_maximum.into());
        if limits.retained_messages == 0 {
            list.number(PropertyId::RetainAvailable, 0);
        }
        list.number(PropertyId::MaximumPacketSize, limits.packet_bytes);
        if let Some(id) = assigned {
            // [MQTT-3.2.2-16]
            list.text(PropertyId::AssignedClientIdentifier, id);
        }
        if limits.topic_aliases > 0 {
            list.number(PropertyId::TopicAliasMaximum, limits.topic_aliases.into());
        }
        if self.keep_alive != self.asked.keep_alive {
            // [MQTT-3.1.2-21]
            list.number(PropertyId::ServerKeepAlive, self.keep_alive.into());
        }
        let reason = ReasonCode::Success;
        // 3.1 has no such flag.
        let session_present = session_present && self.asked.version != Version::V31;
        // The first packet, and the only one of its kind [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.0-2]
        // [MQTT-3.2.2-2] [MQTT-3.2.2-3]; no response information [MQTT-3.1.2-28].
        let connack = Connack { session_present, reason, properties: list.as_properties() };
        let mut out = Vec::new();
        codec::encode(&mut out, &Packet::Connack(connack), self.asked.version);
        (out.len() <= self.maximum_packet as usize).then_some(out)
    }
}
