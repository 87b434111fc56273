//! Who writes: device keys, and signatures over the heads of hash chains.
//!
//! Each replica's deltas form a hash chain, and a signature on the newest link vouches for the whole run: one signature
//! for a batch, whatever its length. Validity decides what is merged, so it must be the same everywhere: one verifier,
//! ZIP-215 (ed25519-zebra), natively and in browsers, single and in batches. Other verifiers disagree on crafted
//! signatures, and replicas that disagree on validity diverge.

use alloc::vec::Vec;

use ed25519_zebra::{SigningKey, VerificationKey};
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::CodecError;
use crate::id::{Chain, DeviceKey, ReplicaId, Signature, SpaceId, domain, hash};

/// Signs for one device and checks everybody's signatures. The simulator has a cheaper one.
pub trait Identity: Send {
    /// The public key of this device.
    fn device(&self) -> DeviceKey;

    /// Signs the hash of a message.
    fn sign(&self, message: &[u8; 32]) -> Signature;

    /// Whether `signature` is `key`'s on the hash of a message.
    fn verify(&self, key: &DeviceKey, message: &[u8; 32], signature: &Signature) -> bool;
}

/// A device key pair.
#[derive(Clone)]
pub struct Ed25519(SigningKey);

impl Ed25519 {
    /// The key pair with this secret seed: 32 bytes from the system's random source, kept where only the owner reads.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from(seed))
    }
}

impl core::fmt::Debug for Ed25519 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Ed25519({:?})", self.device())
    }
}

impl Identity for Ed25519 {
    fn device(&self) -> DeviceKey {
        DeviceKey(VerificationKey::from(&self.0).into())
    }

    fn sign(&self, message: &[u8; 32]) -> Signature {
        Signature(self.0.sign(message).into())
    }

    fn verify(&self, key: &DeviceKey, message: &[u8; 32], signature: &Signature) -> bool {
        VerificationKey::try_from(key.0)
            .is_ok_and(|key| key.verify(&ed25519_zebra::Signature::from(signature.0), message).is_ok())
    }
}

/// What a device signs for one of its replicas: its chain ends, or once ended, in `chain` at `seq`.
pub(crate) fn signed_head(space: &SpaceId, replica: &ReplicaId, seq: u64, chain: &Chain) -> [u8; 32] {
    hash(domain::SIGNED_HEAD, &[&space.0, replica.as_bytes(), &seq.to_le_bytes(), &chain.0])
}

/// How a space began. Its hash is the name of the space, so whoever knows the name can check this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    version: u8,
    nonce: [u8; 32],
    owner: DeviceKey,
    /// 0: open. Whoever knows the name reads and writes; who wrote what is signed all the same.
    policy: u8,
}

impl Genesis {
    /// A new open space. `nonce` has to be fresh random bytes.
    pub const fn open(owner: DeviceKey, nonce: [u8; 32]) -> Self {
        Self { version: 1, nonce, owner, policy: 0 }
    }

    /// The name of the space.
    pub fn space(&self) -> SpaceId {
        SpaceId(hash(domain::GENESIS, &[&self.encode()]))
    }

    /// Its canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads canonical bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_is_named_by_how_it_began() {
        let genesis = Genesis::open(DeviceKey([1; 32]), [2; 32]);
        assert_eq!(Genesis::decode(&genesis.encode()), Ok(genesis.clone()));
        assert_ne!(genesis.space(), Genesis::open(DeviceKey([1; 32]), [3; 32]).space());
        assert_ne!(genesis.space(), Genesis::open(DeviceKey([3; 32]), [2; 32]).space());
    }

    #[test]
    fn a_signature_covers_every_bit_of_the_head() {
        let device = Ed25519::from_seed([3; 32]);
        let (space, replica) = (SpaceId([1; 32]), ReplicaId::from_u128(2));
        let head = signed_head(&space, &replica, 9, &Chain([4; 32]));
        let signature = device.sign(&head);
        assert!(device.verify(&device.device(), &head, &signature));
        for other in [
            signed_head(&SpaceId([0; 32]), &replica, 9, &Chain([4; 32])),
            signed_head(&space, &ReplicaId::from_u128(3), 9, &Chain([4; 32])),
            signed_head(&space, &replica, 8, &Chain([4; 32])),
            signed_head(&space, &replica, 9, &Chain([5; 32])),
        ] {
            assert!(!device.verify(&device.device(), &other, &signature));
        }
        for bit in 0..512 {
            let mut flipped = signature;
            flipped.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!device.verify(&device.device(), &head, &flipped), "bit {bit}");
        }
        assert!(!device.verify(&DeviceKey([0xff; 32]), &head, &signature), "not a point");
    }
}
