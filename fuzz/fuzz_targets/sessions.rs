//! libFuzzer around [`rejoin_fuzz::sessions`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rejoin_fuzz::sessions(data));
