//! The secret of a device, and the two key pairs that follow from it.
//!
//! One file with 32 random bytes, readable by its owner only. From it follow the *device key*, which vouches for what is
//! written here, and the *transport key*, whose hash is the peer id. The transport key also depends on where the file
//! lies (its lineage): a copied data directory answers under another peer id, so that it and its original can meet.

#[cfg(not(target_family = "wasm"))]
use std::fs;
use std::io;
#[cfg(not(target_family = "wasm"))]
use std::io::Write;
#[cfg(not(target_family = "wasm"))]
use std::path::Path;
use std::path::PathBuf;

#[cfg(feature = "libp2p")]
use libp2p::identity::Keypair;
use rejoin_core::identity::{Ed25519, Identity};
use thiserror::Error;

use crate::PeerId;

const DEVICE: &str = "rejoin 2026 device key";
const TRANSPORT: &str = "rejoin 2026 transport key";

/// A secret that cannot be had. Nothing was changed.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("cannot read or make the device key {path}: {error}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is there and holds something else.
    #[error("{path} is no device key: it has to hold 32 bytes, and holds {found}; restore it from a backup", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// How many bytes it holds.
        found: usize,
    },
    /// The system has no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// The secret of a device.
#[derive(Clone)]
pub struct Keys {
    seed: [u8; 32],
    place: [u8; 16],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys(secret)")
    }
}

impl Keys {
    /// A new secret that lies nowhere.
    pub fn random() -> Result<Self, KeyError> {
        Ok(Self { seed: random()?, place: [0; 16] })
    }

    /// A secret that the caller keeps: 32 random bytes, and what tells this place from those that it may be copied to.
    pub const fn of(seed: [u8; 32], place: [u8; 16]) -> Self {
        Self { seed, place }
    }

    /// The secret in a file, made when there is none.
    #[cfg(not(target_family = "wasm"))]
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let io = |error| KeyError::Io { path: path.to_owned(), error };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let seed = random::<32>()?;
                create(path, &seed).map_err(io)?;
                seed.to_vec()
            }
            Err(error) => return Err(io(error)),
        };
        let found = bytes.len();
        let seed = bytes.try_into().map_err(|_| KeyError::Malformed { path: path.to_owned(), found })?;
        Ok(Self { seed, place: crate::store::lineage(path).map_err(io)? })
    }

    /// What vouches for the writes of this device.
    pub fn device(&self) -> Ed25519 {
        Ed25519::from_seed(blake3::derive_key(DEVICE, &self.seed))
    }

    /// What its connections are secured with.
    #[cfg(feature = "libp2p")]
    pub fn transport(&self) -> Keypair {
        Keypair::ed25519_from_bytes(self.transport_secret()).expect("any 32 bytes are a secret key")
    }

    /// The id under which others meet it: that of the transport key, as libp2p has it.
    pub fn peer(&self) -> PeerId {
        let public = Ed25519::from_seed(self.transport_secret()).device().0;
        // The identity multihash of a protobuf: type Ed25519, 32 bytes.
        let bytes = [&[0x00, 0x24, 0x08, 0x01, 0x12, 0x20][..], &public].concat();
        PeerId::from_bytes(&bytes).expect("a key is short enough to be its own hash")
    }

    fn transport_secret(&self) -> [u8; 32] {
        blake3::derive_key(TRANSPORT, &[&self.seed[..], &self.place].concat())
    }
}

/// Random bytes from the system.
pub fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Writes the file beside its place first: a power cut leaves all of it, or none. What an earlier attempt left beside it
/// goes away, because a file that exists keeps its mode, and others might read the secret.
#[cfg(not(target_family = "wasm"))]
fn create(path: &Path, seed: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(seed)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    // The name is part of what must last: a device that comes back with another secret is another device.
    #[cfg(unix)]
    path.parent().map_or(Ok(()), |folder| {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        fs::File::open(folder)?.sync_all()
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_stays_and_a_copy_of_it_is_another_peer() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, copy) = (folder.path().join("device.key"), folder.path().join("copy.key"));
        // Anybody may read what an earlier attempt left; not the new secret.
        fs::write(path.with_extension("new"), b"left over").expect("written");
        let first = Keys::open(&path).expect("made");
        let again = Keys::open(&path).expect("read");
        assert_eq!(first.device().device(), again.device().device());
        assert_eq!(first.transport().public(), again.transport().public());
        assert_eq!(first.transport().public().to_peer_id(), first.peer());
        fs::copy(&path, &copy).expect("copied");
        let copied = Keys::open(&copy).expect("read");
        assert_eq!(first.device().device(), copied.device().device());
        assert_ne!(first.transport().public(), copied.transport().public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("device.key");
        fs::write(&path, b"short").expect("written");
        assert!(matches!(Keys::open(&path), Err(KeyError::Malformed { found: 5, .. })));
        assert_eq!(fs::read(&path).expect("kept"), b"short");
    }
}
