//! What a connection does when the rules of access are new ones.

use super::ending::Ended;
use super::{Connection, Turn};
use crate::access::Denied;
use crate::record::Entry;

impl<S> Connection<S> {
    /// Looks at itself under new rules: its user must still be there, and a will and subscriptions
    /// that are not allowed any more end. What it publishes is checked anyway.
    pub(super) fn review(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let access = &self.shared.access;
        if !access.is_current(&self.client.identity) {
            let renewed = access.renew(&self.client.identity, &self.client.id);
            match renewed {
                Ok(identity) => self.client.identity = identity,
                Err(Denied) => {
                    self.guard.forget_will(|_| true);
                    return Err(Ended::UserGone);
                }
            }
            let identity = &self.client.identity;
            self.guard.forget_will(|topic| identity.publish(topic).is_err());
            self.reviewing = true;
        }
        if self.reviewing {
            self.end_subscriptions(turn);
        }
        Ok(())
    }

    /// Ends what is not allowed, as far as the writer's budget goes; the rest has its turn when some
    /// of it has come back.
    fn end_subscriptions(&mut self, turn: &mut Turn<'_>) {
        let identity = &self.client.identity;
        while let Some(filter) = self.subscriptions.first(|f| identity.subscribe(f).is_err()) {
            let (instance, size) = (self.client.instance, filter.len() + 32);
            if !turn.batch.charge_ordered(&self.shared, instance, size, turn.waker) {
                return;
            }
            turn.batch.order(&Entry::Unsubscribe(instance, &filter));
            self.subscriptions.remove(&filter);
            tracing::info!(client_id = ?self.client.id, %filter, "subscription ended by new rules");
        }
        self.reviewing = false;
    }
}
