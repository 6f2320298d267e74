//! The server's side of a WebSocket (RFC 6455) as values: no socket, no clock, no task. Only what MQTT needs of it (MQTT
//! 5.0 section 6): binary messages, no extensions.
//!
//! # Layout
//! - [`request`]: the request that opens a WebSocket, and its answer.
//! - [`frames`]: what comes from a client, and what goes to it.

pub mod frames;
pub mod request;
