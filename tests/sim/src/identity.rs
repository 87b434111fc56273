//! Signatures that cost one hash: secure against the simulated network, which does not know how they are made.

use rejoin_core::identity::Identity;
use rejoin_core::{DeviceKey, Signature};

/// A device whose signatures are hashes keyed by a secret that follows from its public key.
///
/// A wrong message, a wrong key or a flipped bit does not verify; that is all that the engine relies on here. Real
/// signatures are tested where they are implemented.
#[derive(Clone, Copy, Debug)]
pub struct SimIdentity(DeviceKey);

impl SimIdentity {
    /// The device number `device` of schedule `seed`.
    pub fn new(seed: u64, device: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"rejoin-sim device");
        hasher.update(&seed.to_le_bytes());
        hasher.update(&device.to_le_bytes());
        Self(DeviceKey(*hasher.finalize().as_bytes()))
    }
}

impl Identity for SimIdentity {
    fn device(&self) -> DeviceKey {
        self.0
    }

    fn sign(&self, message: &[u8; 32]) -> Signature {
        signature(&self.0, message)
    }

    fn verify(&self, key: &DeviceKey, message: &[u8; 32], claimed: &Signature) -> bool {
        signature(key, message) == *claimed
    }
}

fn signature(key: &DeviceKey, message: &[u8; 32]) -> Signature {
    let half = blake3::keyed_hash(&key.0, message);
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(half.as_bytes());
    // The second half follows from the first, so that every one of the 512 bits counts.
    bytes[32..].copy_from_slice(&half.as_bytes().map(|byte| !byte));
    Signature(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_signed_message_verifies() {
        let (a, b) = (SimIdentity::new(1, 1), SimIdentity::new(1, 2));
        let signed = a.sign(&[7; 32]);
        assert!(b.verify(&a.device(), &[7; 32], &signed));
        assert!(!b.verify(&a.device(), &[8; 32], &signed));
        assert!(!b.verify(&b.device(), &[7; 32], &signed));
        for bit in 0..512 {
            let mut flipped = signed;
            flipped.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!b.verify(&a.device(), &[7; 32], &flipped), "bit {bit}");
        }
    }
}
