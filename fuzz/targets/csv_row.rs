//! See `onegin_fuzz::csv_row`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| onegin_fuzz::csv_row::check(input));
