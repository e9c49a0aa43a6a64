//! See `onegin_fuzz::template`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| onegin_fuzz::template::check(input));
