//! How a connection and its session stand, for whoever asks.

use super::Connection;
use crate::mailbox::Measured;

impl<S> Connection<S> {
    /// Tells whoever has asked.
    pub(super) fn measure(&self) {
        let Some((asked, (messages, bytes))) = self.mailbox.asked() else { return };
        let taken = self.replies.iter().chain(&self.backlog);
        let taken_bytes: usize = taken.map(|delivery| delivery.message.size()).sum();
        let measured = Measured {
            instance: self.client.instance,
            user: self.client.identity.user().cloned(),
            peer: self.client.peer,
            version: self.client.version,
            transport: self.client.transport,
            began_ms: self.began_ms,
            is_kept: self.session.kept.is_some(),
            subscriptions: self.session.subscriptions.len(),
            queued: (messages + self.replies.len() + self.backlog.len(), bytes + taken_bytes),
            inflight: [self.session.incoming.outstanding(), self.session.outgoing.len() as u32],
        };
        // Whoever has asked may have gone.
        let _ = asked.send(measured);
    }
}
