//! libFuzzer around [`rejoin_fuzz::documents`].
#![no_main]

use libfuzzer_sys::fuzz_target;

// libFuzzer's own hook ends the process at every panic, and a document catches those of Automerge: only one that comes out
// here is a finding.
fuzz_target!(
    init: std::panic::set_hook(Box::new(|panic| eprintln!("{panic}"))),
    |data: &[u8]| rejoin_fuzz::documents(data)
);
