//! What one session knows of its inflight packets and its peer's limits.
//!
//! [`Incoming`] is the receiver's half (section 4.3, receiver column), [`Outgoing`] the sender's.

mod identifiers;
mod incoming;
mod outgoing;

pub use incoming::{Arrival, Incoming};
pub use outgoing::{Outgoing, Resend};
