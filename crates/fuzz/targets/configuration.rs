//! No text makes reading a configuration panic, and what is taken can be written and read again.

#![no_main]

#[path = "../properties/configuration.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::holds(input));
