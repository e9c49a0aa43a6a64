//! See `onegin_fuzz::rotated_name`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| onegin_fuzz::rotated_name::check(input));
