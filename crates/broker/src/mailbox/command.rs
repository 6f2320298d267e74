//! What the broker wants of a connection, whatever waits for it.

use dockside_mqtt::ReasonCode;

/// What the broker wants of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Command {
    /// Read no more: the broker stops.
    Quiet,
    /// Send what there is and close with [`ReasonCode::ServerShuttingDown`].
    Stop,
    /// Another connection took the session over.
    TakenOver,
    /// An operator wants it to go.
    Kicked,
    /// The client reads too slowly for the QoS 1 and 2 messages it subscribed to.
    SlowConsumer,
    /// What it has published cannot be kept for now.
    Stalled,
    /// What it has sent cannot be kept at all.
    Refused,
}

impl Command {
    /// Whether the connection ends, whatever waits for it.
    pub(crate) fn ends(self) -> bool {
        !matches!(self, Self::Quiet | Self::Stop)
    }

    /// What a 5.0 client is told.
    pub(crate) fn reason(self) -> ReasonCode {
        match self {
            Self::Quiet | Self::Stop => ReasonCode::ServerShuttingDown,
            Self::TakenOver => ReasonCode::SessionTakenOver,
            Self::Kicked => ReasonCode::AdministrativeAction,
            Self::SlowConsumer | Self::Stalled => ReasonCode::QuotaExceeded,
            Self::Refused => ReasonCode::UnspecifiedError,
        }
    }
}
