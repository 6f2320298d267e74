//! Why a connection ended, and what is said of it: to the client, to an engineer, in metrics.

use dockside_mqtt::{ProtocolError, ReasonCode};

use crate::listener::websocket::Violation;
use crate::mailbox::Command;
use crate::metrics::{Closed, Limit};
use crate::refusals::{Cause, Stage};

/// Why a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ended {
    /// DISCONNECT: the will is forgotten [MQTT-3.14.4-3].
    Client,
    /// DISCONNECT that asks for the will.
    ClientWithWill,
    /// The socket was closed or failed.
    Network,
    /// The client broke the protocol.
    Error(ProtocolError),
    /// It broke that of the WebSocket, which says so itself.
    WebSocket(Violation),
    /// The client was silent for too long.
    KeepAlive,
    /// New rules have no place for its user.
    UserGone,
    /// The token that it logged in with is over.
    Expired,
    /// The broker wants it to end.
    Told(Command),
}

impl From<ProtocolError> for Ended {
    fn from(error: ProtocolError) -> Self {
        Self::Error(error)
    }
}

impl Ended {
    /// What a 5.0 client is told; nothing if it ended the connection itself.
    pub(super) fn reason(self) -> Option<ReasonCode> {
        match self {
            Self::Client | Self::ClientWithWill | Self::Network | Self::WebSocket(_) => None,
            Self::Error(error) => Some(error.reason),
            Self::KeepAlive => Some(ReasonCode::KeepAliveTimeout),
            Self::UserGone | Self::Expired => Some(ReasonCode::NotAuthorized),
            Self::Told(command) => Some(command.reason()),
        }
    }

    /// What a 5.0 client is told besides.
    pub(super) fn detail(self) -> Option<&'static str> {
        match self {
            Self::Error(error) => Some(error.detail),
            Self::Expired => Some("the token has expired"),
            Self::Told(Command::Kicked) => Some("ended by an operator"),
            _ => None,
        }
    }

    /// What an engineer is told; nothing of what is as it should be.
    pub(super) fn cause(self) -> Option<(Stage, Cause)> {
        Some(match self {
            Self::Client | Self::ClientWithWill => return None,
            Self::Told(command) => return told(command),
            Self::Network => (
                Stage::Tcp,
                cause(
                    "connection lost: the client or the network ended it without DISCONNECT",
                    "check the client's power and network, and routers that forget idle connections: a shorter keep alive helps",
                ),
            ),
            Self::Error(error) => {
                let remedy = match error.reason {
                    ReasonCode::PacketTooLarge => "send less, or raise limits.packet_bytes",
                    ReasonCode::QuotaExceeded => {
                        "ask for less, or raise the limit that the reason names"
                    }
                    _ => {
                        "the client breaks the protocol; see the reason, and look for a newer version of it"
                    }
                };
                let limit =
                    matches!(error.reason, ReasonCode::PacketTooLarge | ReasonCode::QuotaExceeded);
                let stage = if limit { Stage::Limit } else { Stage::Session };
                (stage, Cause { reason: error.to_string().into(), remedy })
            }
            Self::WebSocket(violation) => {
                (Stage::WebSocket, cause(violation.detail(), violation.remedy()))
            }
            Self::KeepAlive => (
                Stage::Tcp,
                cause(
                    "silent for one and a half times its keep alive",
                    "check the network in between; the client sent not even a PINGREQ",
                ),
            ),
            Self::UserGone => (
                Stage::Password,
                cause(
                    "its user is not in the password file any more",
                    "if that is not meant, add the user with `dockside passwd FILE USER` and reload",
                ),
            ),
            Self::Expired => (
                Stage::Password,
                cause(
                    "the token that it logged in with has expired",
                    "renew the token and connect again",
                ),
            ),
        })
    }

    /// The limit that it met, if that is why.
    pub(super) fn limit(self) -> Option<Limit> {
        match self {
            Self::Told(Command::SlowConsumer) => Some(Limit::Mailbox),
            Self::Error(error) => match error.reason {
                ReasonCode::PacketTooLarge => Some(Limit::PacketBytes),
                ReasonCode::ReceiveMaximumExceeded => Some(Limit::ReceiveMaximum),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn label(self) -> Closed {
        match self {
            Self::Client | Self::ClientWithWill => Closed::Client,
            Self::Network => Closed::Network,
            Self::Error(e) if e.reason == ReasonCode::PacketTooLarge => Closed::TooLarge,
            Self::Error(_) | Self::WebSocket(_) => Closed::Protocol,
            Self::KeepAlive => Closed::KeepAlive,
            Self::UserGone => Closed::Admin,
            Self::Expired => Closed::Expired,
            Self::Told(Command::TakenOver) => Closed::Takeover,
            Self::Told(Command::Kicked) => Closed::Admin,
            Self::Told(Command::SlowConsumer) => Closed::SlowConsumer,
            Self::Told(Command::Stalled | Command::Refused) => Closed::StoreStalled,
            Self::Told(Command::Quiet | Command::Stop) => Closed::Shutdown,
        }
    }
}

fn cause(reason: &'static str, remedy: &'static str) -> Cause {
    Cause { reason: reason.into(), remedy }
}

/// The cause of an end that the broker wanted.
fn told(command: Command) -> Option<(Stage, Cause)> {
    Some(match command {
        Command::Quiet | Command::Stop => return None,
        Command::TakenOver => (
            Stage::Session,
            cause(
                "another connection took its client identifier over",
                "a reconnect; if it goes on and on, two clients use one client identifier",
            ),
        ),
        Command::Kicked => (
            Stage::Session,
            cause(
                "an operator ended its connection (dockside kick)",
                "it may connect again; dockside audit shows who did it",
            ),
        ),
        Command::Stalled => (
            Stage::Limit,
            cause(
                "what it published could not be kept: the store does not work",
                "free space on the file system of data.dir, or see to its disk; the client sends again when it is back",
            ),
        ),
        Command::Refused => (
            Stage::Limit,
            cause(
                "what it sent cannot be kept, though the store works",
                "see the log, and report what it says",
            ),
        ),
        Command::SlowConsumer => (
            Stage::Limit,
            cause(
                "reads too slowly for the messages it subscribed to",
                "subscribe to less or read faster; the bounds are limits.mailbox_messages and limits.mailbox_bytes",
            ),
        ),
    })
}
