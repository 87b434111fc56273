//! Signatures that cost one hash, and a judge that may believe everything.
//!
//! A fuzzer cannot guess a signature, so beyond every check of one lies code that it would never reach. With a credulous
//! judge it does: what it sends then is what a malicious author could have signed.

use rejoin::core::identity::Identity;
use rejoin::core::{DeviceKey, Signature};

#[derive(Clone, Copy)]
pub(crate) struct Device {
    pub(crate) number: u8,
    pub(crate) credulous: bool,
}

impl Identity for Device {
    fn device(&self) -> DeviceKey {
        DeviceKey([self.number; 32])
    }

    fn sign(&self, message: &[u8; 32]) -> Signature {
        signature(&self.device(), message)
    }

    fn verify(&self, key: &DeviceKey, message: &[u8; 32], claimed: &Signature) -> bool {
        self.credulous || signature(key, message) == *claimed
    }
}

fn signature(key: &DeviceKey, message: &[u8; 32]) -> Signature {
    let half = blake3::keyed_hash(&key.0, message);
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(half.as_bytes());
    bytes[32..].copy_from_slice(&half.as_bytes().map(|byte| !byte));
    Signature(bytes)
}
