//! See `onegin_fuzz::goaway`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| onegin_fuzz::goaway::check(input));
