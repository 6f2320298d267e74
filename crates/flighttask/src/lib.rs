//! DJI Cloud API events and requests of docks, and the replies they wait for.
//!
//! A dock publishes `flighttask_progress` on `thing/product/{sn}/events` and waits for the same
//! `tid`, `bid` and `method` with `data: {"result": 0}` on `thing/product/{sn}/events_reply`
//! (DJI Cloud API, "Device report the flight task progress and status").
//!
//! # Layout
//! - [`topic`]: which topics are a gateway's, and where the replies go.
//! - [`envelope`]: what stands around the data of every message.
//! - [`methods`]: which methods there are.
//! - [`rules`]: what an operator decides about answers.
//! - [`mod@answer`]: whether a message is answered, and with what.
//! - [`requests`]: what is said in reply to each method.
//! - [`progress`]: what an event says of its task.
//! - [`tasks`]: how each task stands now.
//! - [`known`]: which events came already.
//! - [`names`]: what DJI's numbers mean.
//! - [`topology`]: which devices are with a gateway, and which it is.
//! - [`object`]: what is read from an object and nothing else.
//! - [`telemetry`]: what a device says of its clock and its firmware.
//!
//! Pure: no I/O, no clock, no broker. A responder on an existing cluster can use it unchanged.

pub mod answer;
pub mod envelope;
pub mod known;
pub mod methods;
pub mod names;
pub mod object;
pub mod progress;
pub mod requests;
pub mod rules;
pub mod tasks;
pub mod telemetry;
pub mod topic;
pub mod topology;

pub use answer::{Answer, Decision, answer};
pub use envelope::{Envelope, Invalid};
pub use known::{EventKey, Known};
pub use progress::Progress;
pub use requests::Standing;
pub use rules::{Rule, Rules, Site, WaitFor};
pub use tasks::{TaskState, Tasks};
