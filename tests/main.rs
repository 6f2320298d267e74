//! Conversations with a broker on a real port, one file a chapter.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
mod admin;
mod answers;
mod broker;
mod client_certificates;
mod clock;
mod commands;
mod connect;
mod deploy;
mod docks;
mod events;
mod expiry;
mod flight_tasks;
mod foreign;
mod fuzzed;
mod held_back;
mod held_order;
mod hostile;
mod kept;
mod kept_failures;
mod kept_messages;
mod kept_sessions;
mod limits;
mod load;
mod logins;
mod openapi;
mod packets;
mod peer;
mod proxy_protocol;
mod publish;
mod reload;
mod restarts;
mod retained;
mod sessions;
mod shared;
mod site;
mod statements;
mod stop;
mod subscribe;
mod survives;
mod tls;
mod tokens;
mod websocket;
mod wills;
