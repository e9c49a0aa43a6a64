//! See `onegin_fuzz::ini`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| onegin_fuzz::ini::check(input));
