//! Who may connect, publish and subscribe.
//!
//! Everybody may, so far: the broker listens on loopback only unless the operator says otherwise.
//! What is here is the shape of the answer: a publish cannot be routed without a [`Permit`].

use std::sync::Arc;

use dockside_mqtt::ReasonCode;
use dockside_mqtt::packet::Connect;

/// Who a connection is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    /// The user name it gave, for the log.
    pub(crate) user: Option<Arc<str>>,
}

/// The right to publish on one topic, once.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    topic: &'a str,
}

impl<'a> Permit<'a> {
    pub(crate) fn topic(&self) -> &'a str {
        self.topic
    }
}

/// The rules.
#[derive(Debug, Default)]
pub(crate) struct Access;

impl Access {
    /// Lets a client in.
    pub(crate) fn connect(&self, connect: &Connect<'_>) -> Result<Identity, ReasonCode> {
        Ok(Identity { user: connect.username.map(Arc::from) })
    }

    /// Only the broker speaks under `$SYS`.
    pub(crate) fn publish<'a>(
        &self,
        _identity: &Identity,
        topic: &'a str,
    ) -> Result<Permit<'a>, ReasonCode> {
        if topic.strip_prefix("$SYS").is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return Err(ReasonCode::NotAuthorized);
        }
        Ok(Permit { topic })
    }
}
