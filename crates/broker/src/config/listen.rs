//! Addresses that clients connect to.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// An address, or `off`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Listen {
    /// No listener.
    #[default]
    Off,
    /// This address.
    At(SocketAddr),
}

impl Listen {
    /// The address, if there is a listener.
    #[must_use]
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::At(address)
    }
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            address => {
                let address = address.parse().map_err(|_| "must be ADDRESS:PORT or off")?;
                Ok(Self::At(address))
            }
        }
    }
}

impl TryFrom<String> for Listen {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.to_string()
    }
}

/// A text in the configuration, and so in its schema.
impl JsonSchema for Listen {
    fn schema_name() -> Cow<'static, str> {
        "Listen".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// One more address where clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Address; port 0 takes any free port.
    pub listen: SocketAddr,
    /// What MQTT is carried in.
    pub transport: Transport,
    /// PEM file of the certificate and its chain, the listener's own first; TLS only.
    #[serde(default)]
    pub certificate: PathBuf,
    /// PEM file of the certificate's private key; TLS only.
    #[serde(default)]
    pub key: PathBuf,
    /// Whether clients show a certificate of their own; TLS only.
    #[serde(default)]
    pub client_certificates: ClientCertificates,
    /// PEM file of the authorities that sign clients' certificates.
    #[serde(default)]
    pub client_ca: PathBuf,
    /// PEM file of lists of certificates that are revoked; empty: none.
    #[serde(default)]
    pub client_crl: PathBuf,
    /// What of a client's certificate is its user name.
    #[serde(default)]
    pub client_identity: ClientIdentity,
    /// Whether every connection begins with a PROXY protocol header, version 1 or 2, and comes from a proxy.
    #[serde(default)]
    pub proxy_protocol: bool,
}

impl Listener {
    /// One without files.
    #[must_use]
    pub fn new(listen: SocketAddr, transport: Transport) -> Self {
        Self {
            listen,
            transport,
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            client_certificates: ClientCertificates::default(),
            client_ca: PathBuf::new(),
            client_crl: PathBuf::new(),
            client_identity: ClientIdentity::default(),
            proxy_protocol: false,
        }
    }

    /// Whether it asks clients for a certificate.
    #[must_use]
    pub fn asks_for_certificates(&self) -> bool {
        self.client_certificates != ClientCertificates::Off
    }
}

/// Whether clients show a certificate of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// Nobody is asked.
    #[default]
    Off,
    /// Who has one need not log in otherwise.
    Optional,
    /// Without one nobody comes in.
    Required,
}

/// What of a client's certificate is its user name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientIdentity {
    /// The common name of its subject.
    #[default]
    Cn,
    /// Its first subject alternative name that is a DNS name.
    San,
}

/// What MQTT is carried in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP, readable by whoever is in between.
    Tcp,
    /// TLS 1.2 or 1.3.
    Tls,
    /// WebSocket, readable by whoever is in between.
    Ws,
    /// WebSocket in TLS.
    Wss,
}

impl Transport {
    /// The name in the configuration, and the label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// Whether it encrypts.
    #[must_use]
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// Whether MQTT is in the binary frames of a WebSocket.
    #[must_use]
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}
