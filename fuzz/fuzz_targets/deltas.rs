//! libFuzzer around [`rejoin_fuzz::deltas`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rejoin_fuzz::deltas(data));
