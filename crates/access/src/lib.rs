//! Who may connect, publish and subscribe.
//!
//! # Layout
//! - [`hash`]: stored passwords (argon2id as PHC strings, mosquitto's `$7$` and `$6$`).
//! - [`password_file`]: the file they stand in.
//! - [`jwt`]: tokens that are given as passwords.
//! - [`groups`]: groups that a token or a server says a user is in.
//! - [`throttle`]: how long an attempt waits after failed ones.
//! - [`pattern`]: topics and filters of a rule, with `%u`, `%c` and `%s`.
//! - [`config`]: what an operator writes about access.
//! - [`policy`]: all of it compiled, and a client's [`Rights`](policy::Rights) under it.
//! - [`announced`]: the aircraft that gateways have announced.
//!
//! Pure: no I/O and no clock; time is a parameter.

pub mod announced;
pub mod config;
pub mod groups;
pub mod hash;
pub mod jwt;
pub mod password_file;
pub mod pattern;
pub mod policy;
mod preset;
pub mod throttle;
