//! See `onegin_fuzz::fcm_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| onegin_fuzz::fcm_answer::check(input));
