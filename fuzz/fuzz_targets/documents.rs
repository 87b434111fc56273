//! libFuzzer around [`rejoin_fuzz::documents`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rejoin_fuzz::documents(data));
