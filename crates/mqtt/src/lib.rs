//! MQTT 3.1, 3.1.1 and 5.0 as values: no socket, no clock, no task.
//!
//! # Layout
//! - [`reason`]: the reason code *is* the error.
//! - [`packet`]: one model of packets for all versions.
//! - [`property`]: MQTT 5.0 properties, one table.
//! - [`codec`]: bytes to packets and back; the only place where the versions differ.
//! - [`topic`]: topic names and topic filters.
//! - [`filter_tree`]: which of many filters a topic matches.
//! - [`session`]: what one session knows of its inflight packets and its peer's limits.
//!
//! **Calling contract: mutate, then drain.** A call changes the state and returns what must be sent
//! or done; nothing here waits, and whoever needs the time passes it in.

pub mod codec;
pub mod filter_tree;
pub mod packet;
pub mod property;
mod read;
pub mod reason;
pub mod session;
pub mod topic;

pub use packet::{Packet, PacketId, QoS, Version};
pub use reason::{ProtocolError, ReasonCode};
