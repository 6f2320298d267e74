//! What the measurements share.

pub mod broker;
