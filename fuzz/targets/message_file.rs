//! See `onegin_fuzz::message_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| onegin_fuzz::message_file::check(input));
