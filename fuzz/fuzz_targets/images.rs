//! libFuzzer around [`rejoin_fuzz::images`].
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| rejoin_fuzz::images(data));
