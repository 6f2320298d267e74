//! Whatever order packets come in, a session loses nothing, doubles nothing and keeps its order.

#![no_main]

#[path = "../properties/session/mod.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::holds(input));
