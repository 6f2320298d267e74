//! What a connection does when the rules of access are new ones.

use dockside_interceptor::Announcement;
use dockside_mqtt::topic::Filter;

use super::ended::Ended;
use super::{Connection, Turn};
use crate::access::{Denied, Identity};
use crate::refusals::Stage;
use crate::sessions::revoke;

const WITH_ANOTHER: &str = "it counts once that gateway announces without it; an aircraft that flies between two docks is listed for the users of both under access.gateways";

impl<S> Connection<S> {
    /// Looks at itself under new rules: its user must still be there, and a will and subscriptions
    /// that are not allowed any more end. What it publishes is checked anyway.
    pub(super) fn review(&mut self, turn: &mut Turn<'_>) -> Result<(), Ended> {
        let access = &self.shared.access;
        if !access.is_current(&self.client.identity) || self.review_asked {
            self.review_asked = false;
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
            self.end_subscriptions(turn);
        }
        Ok(())
    }

    /// Its gateway says which aircraft are with it. Aircraft that are let go end what was allowed on
    /// their topics, on all connections of the user.
    pub(super) fn announce(&self, topic: &str, announcement: &Announcement) {
        let Announcement { gateway, aircraft } = announcement;
        let identity = &self.client.identity;
        let Some(user) = identity.user() else { return };
        let Some(outcome) = self.shared.access.announce(identity, gateway, aircraft) else {
            return;
        };
        for sn in &outcome.owned {
            let reason =
                format!("announced {sn} as its aircraft, which is another user's by configuration");
            self.note(
                Stage::Acl,
                topic,
                (reason, "only its owner speaks for it; see access.gateways"),
            );
        }
        for (sn, first) in &outcome.waiting {
            let reason = format!("announced aircraft {sn}, which is with gateway {first}");
            self.note(Stage::Acl, topic, (reason, WITH_ANOTHER));
        }
        if outcome.lost {
            self.shared.registry.ask_for_review(user);
            self.shared.sessions.review(&self.shared, Some(user));
        }
    }

    fn end_subscriptions(&mut self, turn: &mut Turn<'_>) {
        let identity = &self.client.identity;
        let subscriptions = &mut self.session.subscriptions;
        let revoked = subscriptions.remove_all(|filter| !may_subscribe(identity, filter));
        if revoked.is_empty() {
            return;
        }
        tracing::info!(
            client_id = ?self.client.id,
            address = %self.client.peer,
            filters = ?revoked,
            "subscriptions ended: not allowed now"
        );
        self.session.narrowed = true;
        // Behind everything this turn has accepted.
        self.hand_over(turn);
        let entry = revoke(&self.shared, self.client.instance, revoked);
        self.shared.append_ordered(&entry);
    }
}

/// Whether a filter, as it stands in a SUBSCRIBE, is allowed.
pub(crate) fn may_subscribe(identity: &Identity, filter: &str) -> bool {
    Filter::parse(filter).is_ok_and(|parsed| identity.subscribe(parsed.levels).is_ok())
}
