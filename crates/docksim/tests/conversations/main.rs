//! Conversations of simulated docks with something that replies as a test says.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod onboard;
mod responder;
mod site;
