//! What a mailbox has no room for, or nobody to give to.

use dockside_mqtt::QoS;

use crate::message::Delivery;

/// What became of messages that were not put in.
#[derive(Debug, Default)]
pub(crate) struct Undelivered {
    /// There was no room; for them or, in a session that is kept, for older ones.
    pub(crate) full: u64,
    /// So with QoS 0.
    pub(crate) full_qos0: u64,
    /// QoS 0 for a session without a connection.
    pub(crate) offline: u64,
    /// Shared messages for a session that has no connection now: others may have them.
    pub(crate) shared: Vec<Delivery>,
}

impl Undelivered {
    pub(super) fn no_room(&mut self, qos: QoS) {
        match qos {
            QoS::AtMostOnce => self.full_qos0 += 1,
            _ => self.full += 1,
        }
    }
}
