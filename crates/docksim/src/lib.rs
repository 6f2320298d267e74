//! A simulated dock.
//!
//! # Layout
//! - [`fly`]: one realistic flight, every reply checked and shown.
//! - [`load`]: many docks and applications at full speed, every reply and delivery checked.
//! - [`site`]: a whole site from a seed, every reply checked, and how its tasks should stand.
//! - [`onboard`]: a dock's first contact, the shape of every reply checked.
//! - [`flight`]: what a Dock 2 reports in the course of a task.
//! - [`event`]: the messages a dock sends, and the check of the reply.
//! - [`target`]: the broker to connect to, with or without TLS and login.
//! - [`client`]: as much of an MQTT 3.1.1 client as the others need.
//! - [`random`]: random numbers that a seed repeats.

pub mod client;
pub mod event;
pub mod flight;
pub mod fly;
pub mod load;
pub mod onboard;
pub mod random;
pub mod site;
pub mod target;
