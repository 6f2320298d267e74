//! Reason codes (MQTT 5.0 section 2.4) and the error that carries one.

use std::fmt;

/// A packet that carries reason codes; which end of a connection sends it is not told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Carrier {
    Connack = 1,
    /// PUBACK and PUBREC.
    Ack = 1 << 1,
    /// PUBREL and PUBCOMP.
    Release = 1 << 2,
    Suback = 1 << 3,
    Unsuback = 1 << 4,
    Disconnect = 1 << 5,
    Auth = 1 << 6,
}

macro_rules! reason_codes {
    ($($name:ident = $value:literal, $text:literal, [$($carrier:ident)*];)*) => {
        /// An MQTT 5.0 reason code. One table: name, value on the wire, a sentence for people, the
        /// packets that carry it.
        ///
        /// `Success` is also "normal disconnection" and "granted QoS 0"; the packet tells which.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u8)]
        pub enum ReasonCode { $(#[doc = $text] $name = $value,)* }

        impl ReasonCode {
            /// The code with this value on the wire, if MQTT 5.0 defines it.
            #[must_use]
            pub fn from_wire(value: u8) -> Option<Self> {
                match value { $($value => Some(Self::$name),)* _ => None }
            }

            /// What the code means, in the specification's words.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The packets of table 2-6 that carry it, bits of [`Carrier`].
            fn carriers(self) -> u8 {
                match self { $(Self::$name => 0 $(| Carrier::$carrier as u8)*,)* }
            }
        }
    };
}

reason_codes! {
    Success = 0x00, "success", [Connack Ack Release Suback Unsuback Disconnect Auth];
    GrantedQos1 = 0x01, "granted QoS 1", [Suback];
    GrantedQos2 = 0x02, "granted QoS 2", [Suback];
    DisconnectWithWill = 0x04, "disconnect with will message", [Disconnect];
    NoMatchingSubscribers = 0x10, "no matching subscribers", [Ack];
    NoSubscriptionExisted = 0x11, "no subscription existed", [Unsuback];
    ContinueAuthentication = 0x18, "continue authentication", [Auth];
    ReAuthenticate = 0x19, "re-authenticate", [Auth];
    UnspecifiedError = 0x80, "unspecified error", [Connack Ack Suback Unsuback Disconnect];
    MalformedPacket = 0x81, "malformed packet", [Connack Disconnect];
    ProtocolError = 0x82, "protocol error", [Connack Disconnect];
    ImplementationSpecificError = 0x83, "implementation specific error", [Connack Ack Suback Unsuback Disconnect];
    UnsupportedProtocolVersion = 0x84, "unsupported protocol version", [Connack];
    ClientIdentifierNotValid = 0x85, "client identifier not valid", [Connack];
    BadUserNameOrPassword = 0x86, "bad user name or password", [Connack];
    NotAuthorized = 0x87, "not authorized", [Connack Ack Suback Unsuback Disconnect];
    ServerUnavailable = 0x88, "server unavailable", [Connack];
    ServerBusy = 0x89, "server busy", [Connack Disconnect];
    Banned = 0x8A, "banned", [Connack];
    ServerShuttingDown = 0x8B, "server shutting down", [Disconnect];
    BadAuthenticationMethod = 0x8C, "bad authentication method", [Connack Disconnect];
    KeepAliveTimeout = 0x8D, "keep alive timeout", [Disconnect];
    SessionTakenOver = 0x8E, "session taken over", [Disconnect];
    TopicFilterInvalid = 0x8F, "topic filter invalid", [Suback Unsuback Disconnect];
    TopicNameInvalid = 0x90, "topic name invalid", [Connack Ack Disconnect];
    PacketIdentifierInUse = 0x91, "packet identifier in use", [Ack Suback Unsuback];
    PacketIdentifierNotFound = 0x92, "packet identifier not found", [Release];
    ReceiveMaximumExceeded = 0x93, "receive maximum exceeded", [Disconnect];
    TopicAliasInvalid = 0x94, "topic alias invalid", [Disconnect];
    PacketTooLarge = 0x95, "packet too large", [Connack Disconnect];
    MessageRateTooHigh = 0x96, "message rate too high", [Disconnect];
    QuotaExceeded = 0x97, "quota exceeded", [Connack Ack Suback Disconnect];
    AdministrativeAction = 0x98, "administrative action", [Disconnect];
    PayloadFormatInvalid = 0x99, "payload format invalid", [Connack Ack Disconnect];
    RetainNotSupported = 0x9A, "retain not supported", [Connack Disconnect];
    QosNotSupported = 0x9B, "QoS not supported", [Connack Disconnect];
    UseAnotherServer = 0x9C, "use another server", [Connack Disconnect];
    ServerMoved = 0x9D, "server moved", [Connack Disconnect];
    SharedSubscriptionsNotSupported = 0x9E, "shared subscriptions not supported", [Suback Disconnect];
    ConnectionRateExceeded = 0x9F, "connection rate exceeded", [Connack Disconnect];
    MaximumConnectTime = 0xA0, "maximum connect time", [Disconnect];
    SubscriptionIdentifiersNotSupported = 0xA1, "subscription identifiers not supported", [Suback Disconnect];
    WildcardSubscriptionsNotSupported = 0xA2, "wildcard subscriptions not supported", [Suback Disconnect];
}

impl ReasonCode {
    /// The code that a packet carries. One that is defined for other packets only is well-formed,
    /// and still not allowed.
    pub(crate) fn carried(value: u8, by: Carrier) -> Result<Self, ProtocolError> {
        let code = Self::from_wire(value).ok_or(ProtocolError::malformed("unknown reason code"))?;
        if code.carriers() & by as u8 == 0 {
            return Err(ProtocolError::protocol("reason code of another packet"));
        }
        Ok(code)
    }

    /// The value on the wire.
    #[must_use]
    pub fn wire(self) -> u8 {
        self as u8
    }

    /// 0x80 and above say that something failed.
    #[must_use]
    pub fn is_error(self) -> bool {
        self.wire() >= 0x80
    }

    /// The CONNACK return code of MQTT 3.1.1 (section 3.2.2.3) nearest to this code.
    #[must_use]
    pub fn connack_311(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::UnsupportedProtocolVersion => 1,
            Self::ClientIdentifierNotValid => 2,
            Self::BadUserNameOrPassword => 4,
            Self::NotAuthorized | Self::Banned => 5,
            _ => 3,
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.text(), self.wire())
    }
}

/// The peer broke the protocol: the code its DISCONNECT or CONNACK carries, and what exactly was
/// wrong, for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProtocolError {
    /// What the peer is told.
    pub reason: ReasonCode,
    /// What the log says besides.
    pub detail: &'static str,
}

impl ProtocolError {
    /// An error with its code and its detail.
    #[must_use]
    pub const fn new(reason: ReasonCode, detail: &'static str) -> Self {
        Self { reason, detail }
    }

    /// `Malformed Packet`: the bytes cannot be a packet.
    #[must_use]
    pub const fn malformed(detail: &'static str) -> Self {
        Self::new(ReasonCode::MalformedPacket, detail)
    }

    /// `Protocol Error`: a well-formed packet that may not be sent here.
    #[must_use]
    pub const fn protocol(detail: &'static str) -> Self {
        Self::new(ReasonCode::ProtocolError, detail)
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

impl std::error::Error for ProtocolError {}
