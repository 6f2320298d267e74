//! No bytes make the codec panic, and what it reads it can write and read again.
//!
//! `cargo install cargo-fuzz`, then in `crates/mqtt`, on the stable toolchain:
//! `cargo fuzz run decode --sanitizer none -- -dict=fuzz/decode.dict -max_total_time=60`

#![no_main]

mod property;

libfuzzer_sys::fuzz_target!(|input: &[u8]| property::holds(input));
