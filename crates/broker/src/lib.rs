//! The Dockside MQTT broker as a library: [`Broker::bind`], then [`Broker::run`].
//!
//! # Layout, in the order data flows
//! - `listener`, `connect`, `connection`: socket to session.
//! - `publish`: permit (`access`), interceptors, lane.
//! - `writer`: everything that has to be ordered or kept; `keep`, what goes to the store with it.
//! - `reading`, `restore`: what comes back from the store, when a client does and at start.
//! - `live_log`: the in-memory log (rumqttd), with `record` as its content and `budget` in front.
//! - `dispatcher`: log to `mailbox`, and so back to `connection`.
//! - `registry`: who owns which client identifier; `sessions`: those without a connection; `will`.
//! - `retained`: retained messages.
//! - `board`: how flight tasks stand.
//! - `refusals`: why somebody could not connect, publish or subscribe.
//! - `files`, `reload`: what the configuration names, and how it becomes new while the broker runs.
//! - `timing`: how long some of the messages take through all this.
//! - `admin`, [`metrics`], `sys`: what operators look at; `pulse`: whether messages still move.

mod access;
mod admin;
mod arrivals;
mod awaited;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod board;
mod broker;
mod budget;
mod clock;
pub mod config;
mod connect;
mod connection;
mod dispatcher;
mod files;
mod keep;
mod listener;
mod live_log;
mod mailbox;
mod message;
pub mod metrics;
mod patience;
mod publish;
mod pulse;
mod reading;
mod record;
mod refusals;
mod registry;
mod reload;
mod restore;
mod retained;
mod sessions;
mod shared;
mod stopping;
mod sys;
mod tail;
mod timing;
mod will;
mod writer;

/// The packets and topics that plugins and embedders meet.
pub use dockside_mqtt as mqtt;

pub use broker::{BindError, Broker};
pub use clock::Clock;
pub use config::Config;
pub use live_log::Dead;
pub use pulse::Pulse;
pub use reload::Reloader;
