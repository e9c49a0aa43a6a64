//! See `onegin_fuzz::credentials`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| onegin_fuzz::credentials::check(input));
