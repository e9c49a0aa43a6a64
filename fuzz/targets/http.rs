//! See `onegin_fuzz::http`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| onegin_fuzz::http::check(input));
