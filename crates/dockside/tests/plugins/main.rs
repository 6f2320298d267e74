//! The plugins in a host that is no broker: what they answer, record and count of each message.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod hard_data;
mod hard_envelopes;
mod hard_order;
mod host;
mod listed;
mod other_host;
