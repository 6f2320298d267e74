//! No bytes make a WebSocket's request or its frames panic, and how they are cut into reads changes nothing.

#![no_main]

#[path = "../properties/websocket.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::holds(input));
