//! See `onegin_fuzz::journal_request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| onegin_fuzz::journal_request::check(input));
