//! libFuzzer around [`rejoin_fuzz::tickets`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rejoin_fuzz::tickets(data));
