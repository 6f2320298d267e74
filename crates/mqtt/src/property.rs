//! Properties of MQTT 5.0 (section 2.2.2): one table says which identifier has which type and
//! stands in which packet.

use crate::read::Reader;
use crate::reason::ProtocolError;

/// A packet, or part of one, that carries properties.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Place {
    /// CONNECT.
    Connect = 1,
    /// The will within a CONNECT.
    Will = 1 << 1,
    /// CONNACK.
    Connack = 1 << 2,
    /// PUBLISH.
    Publish = 1 << 3,
    /// PUBACK, PUBREC, PUBREL, PUBCOMP.
    Ack = 1 << 4,
    /// SUBSCRIBE.
    Subscribe = 1 << 5,
    /// SUBACK and UNSUBACK.
    Codes = 1 << 6,
    /// UNSUBSCRIBE.
    Unsubscribe = 1 << 7,
    /// DISCONNECT.
    Disconnect = 1 << 8,
    /// AUTH.
    Auth = 1 << 9,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One byte, 0 or 1.
    Flag,
    Two,
    /// Two bytes, not 0.
    TwoNonZero,
    Four,
    /// Four bytes, not 0.
    FourNonZero,
    /// Variable byte integer, not 0.
    VarInt,
    Text,
    Binary,
    Pair,
}

macro_rules! properties {
    ($($name:ident = $id:literal, $kind:ident, [$($place:ident)*];)*) => {
        /// A property identifier (MQTT 5.0 table 2-4).
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "the specification's own names, table 2-4")]
        pub enum PropertyId { $($name = $id,)* }

        /// Identifier, type and places of an identifier on the wire.
        fn lookup(id: u32) -> Option<(PropertyId, Kind, u16)> {
            match id {
                $($id => Some((PropertyId::$name, Kind::$kind, 0 $(| Place::$place as u16)*)),)*
                _ => None,
            }
        }
    };
}

properties! {
    PayloadFormatIndicator = 0x01, Flag, [Publish Will];
    MessageExpiryInterval = 0x02, Four, [Publish Will];
    ContentType = 0x03, Text, [Publish Will];
    ResponseTopic = 0x08, Text, [Publish Will];
    CorrelationData = 0x09, Binary, [Publish Will];
    SubscriptionIdentifier = 0x0B, VarInt, [Publish Subscribe];
    SessionExpiryInterval = 0x11, Four, [Connect Connack Disconnect];
    AssignedClientIdentifier = 0x12, Text, [Connack];
    ServerKeepAlive = 0x13, Two, [Connack];
    AuthenticationMethod = 0x15, Text, [Connect Connack Auth];
    AuthenticationData = 0x16, Binary, [Connect Connack Auth];
    RequestProblemInformation = 0x17, Flag, [Connect];
    WillDelayInterval = 0x18, Four, [Will];
    RequestResponseInformation = 0x19, Flag, [Connect];
    ResponseInformation = 0x1A, Text, [Connack];
    ServerReference = 0x1C, Text, [Connack Disconnect];
    ReasonString = 0x1F, Text, [Connack Ack Codes Disconnect Auth];
    ReceiveMaximum = 0x21, TwoNonZero, [Connect Connack];
    TopicAliasMaximum = 0x22, Two, [Connect Connack];
    TopicAlias = 0x23, TwoNonZero, [Publish];
    MaximumQos = 0x24, Flag, [Connack];
    RetainAvailable = 0x25, Flag, [Connack];
    UserProperty = 0x26, Pair, [Connect Will Connack Publish Ack Subscribe Codes Unsubscribe Disconnect Auth];
    MaximumPacketSize = 0x27, FourNonZero, [Connect Connack];
    WildcardSubscriptionAvailable = 0x28, Flag, [Connack];
    SubscriptionIdentifiersAvailable = 0x29, Flag, [Connack];
    SharedSubscriptionAvailable = 0x2A, Flag, [Connack];
}

/// The value of a property.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// One byte, two bytes, four bytes or a variable byte integer.
    Number(u32),
    /// UTF-8 string.
    Text(&'a str),
    /// Binary data.
    Binary(&'a [u8]),
    /// UTF-8 string pair.
    Pair(&'a str, &'a str),
}

/// A block of properties, checked when it was read: order and bytes are as they came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Properties<'a> {
    raw: &'a [u8],
}

impl<'a> Properties<'a> {
    /// No properties.
    pub const EMPTY: Properties<'static> = Properties { raw: &[] };

    /// Reads the length, which is there even if it is 0 [MQTT-2.2.2-1], and the block, and checks
    /// every property against the table.
    pub(crate) fn read(reader: &mut Reader<'a>, place: Place) -> Result<Self, ProtocolError> {
        let length = reader.varint()?;
        let raw = reader.bytes(length as usize)?;
        Self::check(raw, place)?;
        Ok(Self { raw })
    }

    fn check(raw: &[u8], place: Place) -> Result<(), ProtocolError> {
        let mut seen = 0u64;
        let mut reader = Reader::new(raw);
        while !reader.is_empty() {
            let (id, _, places) = one(&mut reader)?;
            if places & place as u16 == 0 {
                return Err(ProtocolError::malformed("property not allowed in this packet"));
            }
            let repeats = id == PropertyId::UserProperty
                || (id == PropertyId::SubscriptionIdentifier && place == Place::Publish);
            let bit = 1u64 << id as u8;
            if !repeats && seen & bit != 0 {
                return Err(ProtocolError::protocol("property given twice"));
            }
            seen |= bit;
        }
        Ok(())
    }

    /// The block as it stands on the wire, without its length.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Every property in order, with its own bytes.
    pub fn iter(&self) -> impl Iterator<Item = Property<'a>> + use<'a> {
        let mut reader = Reader::new(self.raw);
        std::iter::from_fn(move || {
            let whole = reader;
            let (id, value, _) = one(&mut reader).ok()?;
            let raw = { whole }.bytes(whole.len() - reader.len()).ok()?;
            Some(Property { id, value, raw })
        })
    }

    /// The number of the first property with this identifier.
    #[must_use]
    pub fn number(&self, id: PropertyId) -> Option<u32> {
        self.iter().find(|p| p.id == id).and_then(|p| match p.value {
            Value::Number(n) => Some(n),
            _ => None,
        })
    }

    /// The string of the first property with this identifier.
    #[must_use]
    pub fn text(&self, id: PropertyId) -> Option<&'a str> {
        self.iter().find(|p| p.id == id).and_then(|p| match p.value {
            Value::Text(s) => Some(s),
            _ => None,
        })
    }
}

/// One property of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Property<'a> {
    /// Which.
    pub id: PropertyId,
    /// Its value.
    pub value: Value<'a>,
    /// Identifier and value as they stand on the wire.
    pub raw: &'a [u8],
}

fn one<'a>(reader: &mut Reader<'a>) -> Result<(PropertyId, Value<'a>, u16), ProtocolError> {
    let (id, kind, places) =
        lookup(reader.varint()?).ok_or(ProtocolError::malformed("unknown property"))?;
    let nonzero = |n: u32| {
        if n == 0 { Err(ProtocolError::protocol("property may not be 0")) } else { Ok(n) }
    };
    let value = match kind {
        Kind::Flag => match reader.u8()? {
            n @ 0..=1 => Value::Number(n.into()),
            _ => return Err(ProtocolError::protocol("property may only be 0 or 1")),
        },
        Kind::Two => Value::Number(reader.u16()?.into()),
        // A topic alias, for one [MQTT-3.3.2-8].
        Kind::TwoNonZero => Value::Number(nonzero(reader.u16()?.into())?),
        Kind::Four => Value::Number(reader.u32()?),
        Kind::FourNonZero => Value::Number(nonzero(reader.u32()?)?),
        Kind::VarInt => Value::Number(nonzero(reader.varint()?)?),
        // [MQTT-3.3.2-13] [MQTT-3.3.2-19]
        Kind::Text => Value::Text(reader.string()?),
        Kind::Binary => Value::Binary(reader.binary()?),
        // [MQTT-1.5.7-1]
        Kind::Pair => Value::Pair(reader.string()?, reader.string()?),
    };
    Ok((id, value, places))
}

/// Builds a block of properties, in the order of the calls.
#[derive(Clone, Default, Debug)]
pub struct PropertyList {
    raw: Vec<u8>,
}

impl PropertyList {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a numeric property in the width its identifier has.
    pub fn number(&mut self, id: PropertyId, value: u32) -> &mut Self {
        self.raw.push(id as u8);
        match lookup(id as u32).map(|(_, kind, _)| kind) {
            Some(Kind::Flag) => self.raw.push(value.min(255) as u8),
            Some(Kind::Two | Kind::TwoNonZero) => {
                let value = u16::try_from(value).unwrap_or(u16::MAX);
                self.raw.extend_from_slice(&value.to_be_bytes());
            }
            Some(Kind::VarInt) => crate::codec::write_varint(&mut self.raw, value),
            _ => self.raw.extend_from_slice(&value.to_be_bytes()),
        }
        self
    }

    /// Appends a string property; longer than 65,535 bytes it is left out.
    pub fn text(&mut self, id: PropertyId, value: &str) -> &mut Self {
        if let Ok(length) = u16::try_from(value.len()) {
            self.raw.push(id as u8);
            self.raw.extend_from_slice(&length.to_be_bytes());
            self.raw.extend_from_slice(value.as_bytes());
        }
        self
    }

    /// The block, to put into a packet.
    #[must_use]
    pub fn as_properties(&self) -> Properties<'_> {
        Properties { raw: &self.raw }
    }
}

/// A block that was checked when it was first read and has been kept as bytes since.
///
/// The caller vouches that `raw` came from [`Properties::raw`] or [`Property::raw`]; bytes that did
/// not are skipped by [`Properties::iter`] from the first one that cannot be read.
#[must_use]
pub fn kept(raw: &[u8]) -> Properties<'_> {
    Properties { raw }
}
