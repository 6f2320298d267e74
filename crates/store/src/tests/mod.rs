//! What the store must keep through what goes wrong.

mod migration;
mod model;
