//! A will, from CONNECT to its publication (MQTT 5.0 section 3.1.2.5).

use dockside_mqtt::QoS;
use dockside_mqtt::packet::Will;
use dockside_mqtt::property::{PropertyId, Value};

use crate::keep::{self, KeepAside};
use crate::publish::append_by_reference;
use crate::record::{Instance, Published};
use crate::retained::Room;
use crate::shared::Shared;

/// A will, owned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct WillMessage {
    pub(crate) topic: Box<str>,
    pub(crate) payload: Box<[u8]>,
    pub(crate) qos: QoS,
    retain: bool,
    /// All but the two intervals, in their order [MQTT-3.1.3-10].
    properties: Vec<u8>,
    pub(crate) expiry_seconds: Option<u32>,
    /// How long it waits for its client to come back.
    pub(crate) delay_seconds: u32,
}

impl WillMessage {
    pub(crate) fn new(will: &Will<'_>) -> Self {
        let mut properties = Vec::new();
        let mut expiry_seconds = None;
        let mut delay_seconds = 0;
        for property in will.properties.iter() {
            match (property.id, property.value) {
                (PropertyId::WillDelayInterval, Value::Number(n)) => delay_seconds = n,
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
            delay_seconds,
        }
    }

    /// As the store has it.
    pub(crate) fn kept(&self, client_id: &str, user: Option<&str>) -> dockside_store::Will {
        dockside_store::Will {
            client_id: client_id.to_owned(),
            user: user.map(str::to_owned),
            topic: self.topic.to_string(),
            qos: self.qos.bits(),
            retain: self.retain,
            properties: self.properties.clone(),
            payload: self.payload.to_vec(),
            expiry_s: self.expiry_seconds,
            delay_s: self.delay_seconds,
        }
    }

    /// It is published no more.
    pub(crate) fn forget(&self, shared: &Shared, publisher: Instance) {
        let mut entry = Vec::new();
        keep::append_aside(&shared.log, &mut entry, KeepAside::Will(publisher, None));
        shared.append_ordered(&entry);
    }

    /// Publishes it, with all its properties [MQTT-3.1.2-8]; retained if it says so [MQTT-3.1.2-14]
    /// [MQTT-3.1.2-15].
    pub(crate) fn publish(&self, shared: &Shared, publisher: Instance) {
        let mut entry = Vec::new();
        let published = Published {
            publisher,
            except_publisher: false,
            qos: self.qos,
            retain: self.retain,
            room: Room::Unasked,
            expires_ms: self.expiry_seconds.map_or(u64::MAX, |s| shared.clock.in_seconds(s)),
            seq: 0,
            topic: &self.topic,
            read: None,
            properties: &self.properties,
            payload: &self.payload,
        };
        append_by_reference(shared, &mut entry, &published);
        // Gone with its publication, or not at all.
        keep::append_aside(&shared.log, &mut entry, KeepAside::Will(publisher, None));
        shared.append_ordered(&entry);
    }
}
