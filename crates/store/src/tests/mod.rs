//! What the store must keep through what goes wrong.

mod flight_tasks;
mod levels;
mod log;
mod migration;
pub(crate) mod model;
mod mover;
mod power_cut;
mod refusals;
mod restore;
mod sessions;
