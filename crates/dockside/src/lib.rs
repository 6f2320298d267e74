//! Dockside: the broker, its plugins and their configuration, wired together.
//!
//! # Layout
//! - [`config`]: everything an operator can decide, and where it comes from.
//! - [`events`]: the plugin that answers docks.
//! - [`topology`]: the plugin that learns which aircraft are with a gateway.
//! - [`import`]: another broker's configuration becomes Dockside's.

pub mod config;
pub mod events;
pub mod import;
pub mod topology;

use std::sync::Arc;

use dockside_broker::{BindError, Broker};
use dockside_interceptor::Interceptor;

use crate::config::Config;
use crate::events::Events;
use crate::topology::Topology;

/// Binds a broker with every plugin that the configuration asks for.
///
/// # Errors
/// As [`Broker::bind`].
pub async fn bind(config: &Config) -> Result<Broker, BindError> {
    // Plugins register their metrics with it when they are made.
    dockside_broker::metrics::recorder();
    Broker::bind(config.broker(), plugins(config)).await
}

/// Every plugin that the configuration asks for.
#[must_use]
pub fn plugins(config: &Config) -> Vec<Arc<dyn Interceptor>> {
    vec![Arc::new(Events::new(config.flight_task.rules())), Arc::new(Topology)]
}
