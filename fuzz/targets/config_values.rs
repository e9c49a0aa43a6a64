//! See `onegin_fuzz::config_values`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| onegin_fuzz::config_values::check(input));
