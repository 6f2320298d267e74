//! Dockside: the broker, its plugins and their configuration, wired together.
//!
//! # Layout
//! - [`config`]: everything an operator can decide, and where it comes from.
//! - [`gateways`]: the plugin that answers docks, and learns who is there.
//! - [`commands`]: the plugin that writes down who commands them.
//! - [`import`]: another broker's configuration becomes Dockside's.

pub mod commands;
pub mod config;
pub mod gateways;
pub mod import;

use std::sync::Arc;

use dockside_broker::{BindError, Broker};
use dockside_interceptor::Interceptor;

use crate::commands::Commands;
use crate::config::Config;
use crate::gateways::Gateways;

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
    vec![Arc::new(Gateways::new(config.rules())), Arc::new(Commands)]
}
