//! Dockside: the broker, its plugins and their configuration, wired together.
//!
//! # Layout
//! - [`config`]: everything an operator can decide, and where it comes from.
//! - [`events`]: the plugin that answers docks.

pub mod config;
pub mod events;

use std::sync::Arc;

use dockside_broker::{BindError, Broker};

use crate::config::Config;
use crate::events::Events;

/// Binds a broker with every plugin that the configuration asks for.
///
/// # Errors
/// As [`Broker::bind`].
pub async fn bind(config: &Config) -> Result<Broker, BindError> {
    // Plugins register their metrics with it when they are made.
    dockside_broker::metrics::recorder();
    let events = Arc::new(Events::new(config.flight_task.rules()));
    Broker::bind(config.broker(), vec![events]).await
}
