//! The `dockside` command as a process: its command line, its configuration, its signals, its
//! metrics, and other people's programs as clients.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod broker;
mod command;
mod config;
mod descriptors;
mod import;
mod kept;
mod log;
mod metrics;
mod operate;
mod service_manager;
mod site;
mod traffic;
mod users;
