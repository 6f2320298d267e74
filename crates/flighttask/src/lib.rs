//! DJI Cloud API events of docks, and the reply they wait for.
//!
//! A dock publishes `flighttask_progress` on `thing/product/{sn}/events` and waits for the same
//! `tid`, `bid` and `method` with `data: {"result": 0}` on `thing/product/{sn}/events_reply`
//! (DJI Cloud API, "Device report the flight task progress and status").
//!
//! # Layout
//! - [`topic`]: which topics are events, and where their replies go.
//! - [`envelope`]: what stands around the data of every event.
//! - [`methods`]: which methods there are.
//! - [`mod@answer`]: whether an event is answered, and with what.
//! - [`progress`]: what an event says of its task.
//! - [`tasks`]: how each task stands now.
//! - [`known`]: which events came already.
//! - [`topology`]: which aircraft are with a gateway.
//! - [`names`]: what DJI's numbers mean.
//!
//! Pure: no I/O, no clock, no broker. A responder on an existing cluster can use it unchanged.

pub mod answer;
pub mod envelope;
pub mod known;
pub mod methods;
pub mod names;
pub mod progress;
pub mod tasks;
pub mod topic;
pub mod topology;

pub use answer::{Answer, Rules, answer};
pub use envelope::{Envelope, Invalid};
pub use known::{EventKey, Known};
pub use progress::Progress;
pub use tasks::{TaskState, Tasks};
