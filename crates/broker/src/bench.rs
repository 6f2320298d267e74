//! Doors to the inside for the micro-benchmarks of `crates/bench` and nobody else: they change as the inside does.

pub use crate::dispatcher::bench::Dispatching;
pub use crate::retained::bench::Searching;
pub use crate::writer::bench::Keeping;
