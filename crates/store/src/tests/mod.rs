//! What the store must keep through what goes wrong.

mod log;
mod migration;
mod model;
mod power_cut;
mod refusals;
mod restore;
