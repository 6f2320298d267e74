//! A simulated dock.
//!
//! # Layout
//! - [`fly`]: one realistic flight, every reply checked and shown.
//! - [`load`]: many docks and applications at full speed, every reply and delivery checked.
//! - [`flight`]: what a Dock 2 reports in the course of a task.
//! - [`event`]: the messages a dock sends, and the check of the reply.
//! - [`target`]: the broker to connect to, with or without TLS and login.
//! - [`client`]: as much of an MQTT 3.1.1 client as the others need.

pub mod client;
pub mod event;
pub mod flight;
pub mod fly;
pub mod load;
pub mod target;
