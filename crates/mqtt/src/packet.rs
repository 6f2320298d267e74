//! One model of packets for MQTT 3.1, 3.1.1 and 5.0 (MQTT 5.0 chapter 3).
//!
//! Packets borrow from the bytes they were read from. What a version does not have is empty:
//! a 3.1.1 packet has no properties and its acknowledgements are `Success`.

use std::num::NonZeroU16;

use crate::property::Properties;
use crate::reason::ReasonCode;

/// A packet identifier, 1 to 65,535 (section 2.2.1).
pub type PacketId = NonZeroU16;

/// The protocol version a connection speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// MQTT 3.1 (`MQIsdp`, level 3).
    V31,
    /// MQTT 3.1.1 (level 4).
    V311,
    /// MQTT 5.0 (level 5).
    V5,
}

impl Version {
    /// Whether packets carry properties and reason codes.
    #[must_use]
    pub fn is_v5(self) -> bool {
        self == Self::V5
    }

    /// The number people use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V31 => "3.1",
            Self::V311 => "3.1.1",
            Self::V5 => "5",
        }
    }
}

/// Quality of service (section 4.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum QoS {
    /// At most once.
    AtMostOnce = 0,
    /// At least once.
    AtLeastOnce = 1,
    /// Exactly once.
    ExactlyOnce = 2,
}

impl QoS {
    /// From two bits; 3 is malformed.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// 0, 1 or 2: bits on the wire, index of a metric.
    #[must_use]
    pub fn bits(self) -> u8 {
        self as u8
    }
}

/// Any control packet, sent or received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet<'a> {
    /// Section 3.1.
    Connect(Box<Connect<'a>>),
    /// Section 3.2.
    Connack(Connack<'a>),
    /// Section 3.3.
    Publish(Publish<'a>),
    /// Section 3.4.
    Puback(Ack<'a>),
    /// Section 3.5.
    Pubrec(Ack<'a>),
    /// Section 3.6.
    Pubrel(Ack<'a>),
    /// Section 3.7.
    Pubcomp(Ack<'a>),
    /// Section 3.8.
    Subscribe(Subscribe<'a>),
    /// Section 3.9.
    Suback(Codes<'a>),
    /// Section 3.10.
    Unsubscribe(Unsubscribe<'a>),
    /// Section 3.11.
    Unsuback(Codes<'a>),
    /// Section 3.12.
    Pingreq,
    /// Section 3.13.
    Pingresp,
    /// Section 3.14.
    Disconnect(Disconnect<'a>),
    /// Section 3.15.
    Auth(Auth<'a>),
}

/// CONNECT (section 3.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connect<'a> {
    /// The version asked for, by name and level.
    pub version: Version,
    /// Clean start; in 3.1.1 clean session.
    pub clean_start: bool,
    /// Seconds; 0 is never.
    pub keep_alive: u16,
    /// May be empty.
    pub client_id: &'a str,
    /// The will, if the will flag is set.
    pub will: Option<Will<'a>>,
    /// User name.
    pub username: Option<&'a str>,
    /// Password.
    pub password: Option<&'a [u8]>,
    /// Properties of the packet.
    pub properties: Properties<'a>,
}

/// The will of a CONNECT (section 3.1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Will<'a> {
    /// QoS it is published with.
    pub qos: QoS,
    /// Whether it is published as retained.
    pub retain: bool,
    /// Where it is published.
    pub topic: &'a str,
    /// What is published.
    pub payload: &'a [u8],
    /// Will properties, the delay among them.
    pub properties: Properties<'a>,
}

/// CONNACK (section 3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connack<'a> {
    /// Whether the server kept a session for this client.
    pub session_present: bool,
    /// In 3.1.1 the codec writes [`ReasonCode::connack_311`] and reads 0 or a refusal.
    pub reason: ReasonCode,
    /// Properties.
    pub properties: Properties<'a>,
}

/// PUBLISH (section 3.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Publish<'a> {
    /// Sent before, perhaps.
    pub dup: bool,
    /// Quality of service.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// Present with QoS 1 and 2 only.
    pub packet_id: Option<PacketId>,
    /// Topic name; empty where a topic alias stands for it.
    pub topic: &'a str,
    /// Properties.
    pub properties: Properties<'a>,
    /// The application message, any bytes.
    pub payload: &'a [u8],
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP (sections 3.4 to 3.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ack<'a> {
    /// Which exchange.
    pub packet_id: PacketId,
    /// How it went.
    pub reason: ReasonCode,
    /// Properties.
    pub properties: Properties<'a>,
}

impl Ack<'_> {
    /// An acknowledgement without properties.
    #[must_use]
    pub fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, properties: Properties::EMPTY }
    }
}

/// SUBSCRIBE (section 3.8).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscribe<'a> {
    /// Answered by the SUBACK with the same identifier.
    pub packet_id: PacketId,
    /// Properties, the subscription identifier among them.
    pub properties: Properties<'a>,
    /// Filters with their options, at least one.
    pub filters: Vec<(&'a str, SubscriptionOptions)>,
}

/// Options of one subscription (section 3.8.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubscriptionOptions {
    /// Maximum QoS.
    pub qos: QoS,
    /// Do not send the subscriber's own messages back.
    pub no_local: bool,
    /// Keep the retain flag as it was published.
    pub retain_as_published: bool,
    /// 0 send retained messages, 1 only for a new subscription, 2 never.
    pub retain_handling: u8,
}

impl SubscriptionOptions {
    /// Only a maximum QoS: all that 3.1.1 knows.
    #[must_use]
    pub fn qos(qos: QoS) -> Self {
        Self { qos, no_local: false, retain_as_published: false, retain_handling: 0 }
    }

    /// The option byte of the wire.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.qos.bits()
            | u8::from(self.no_local) << 2
            | u8::from(self.retain_as_published) << 3
            | self.retain_handling << 4
    }

    /// From the option byte; `None` if a reserved bit or value is set [MQTT-3.8.3-5].
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        let retain_handling = bits >> 4 & 0b11;
        if bits & 0b1100_0000 != 0 || retain_handling == 3 {
            return None;
        }
        Some(Self {
            qos: QoS::from_bits(bits & 0b11)?,
            no_local: bits & 0b100 != 0,
            retain_as_published: bits & 0b1000 != 0,
            retain_handling,
        })
    }
}

/// UNSUBSCRIBE (section 3.10).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsubscribe<'a> {
    /// Answered by the UNSUBACK with the same identifier.
    pub packet_id: PacketId,
    /// Properties.
    pub properties: Properties<'a>,
    /// Filters, at least one.
    pub filters: Vec<&'a str>,
}

/// SUBACK or UNSUBACK (sections 3.9, 3.11): one code a filter; a 3.1.1 UNSUBACK has none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Codes<'a> {
    /// The request that is answered.
    pub packet_id: PacketId,
    /// Properties.
    pub properties: Properties<'a>,
    /// In the order of the request's filters.
    pub reasons: Vec<ReasonCode>,
}

/// DISCONNECT (section 3.14); 3.1.1 has neither reason nor properties.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disconnect<'a> {
    /// Why.
    pub reason: ReasonCode,
    /// Properties.
    pub properties: Properties<'a>,
}

/// AUTH (section 3.15).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Auth<'a> {
    /// Success, continue or re-authenticate.
    pub reason: ReasonCode,
    /// Properties.
    pub properties: Properties<'a>,
}
