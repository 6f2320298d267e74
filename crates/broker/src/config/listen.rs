//! Addresses that clients connect to.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

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

/// One more address where clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// What MQTT is carried in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP, readable by whoever is in between.
    Tcp,
    /// TLS 1.2 or 1.3.
    Tls,
}

impl Transport {
    /// The name in the configuration, and the label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}
