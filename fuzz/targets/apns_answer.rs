//! See `onegin_fuzz::apns_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| onegin_fuzz::apns_answer::check(input));
