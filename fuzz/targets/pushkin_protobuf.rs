//! See `onegin_fuzz::pushkin_protobuf`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| onegin_fuzz::pushkin_protobuf::check(input));
