//! What the store must keep through what goes wrong.

mod levels;
mod log;
mod migration;
mod model;
mod power_cut;
mod refusals;
