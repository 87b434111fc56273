//! Errors, sorted by who can act on them. Remote input never returns one: a peer that misbehaves is disconnected with
//! a reason, and our own bugs panic.

use thiserror::Error;

/// Bytes that are not what they should be. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CodecError {
    /// The bytes do not decode: cut off, too long, or over a bound of [`crate::limits`].
    #[error("the bytes do not decode: they are cut off, damaged or over a limit")]
    Malformed,
    /// The bytes decode, but they are not the one canonical encoding of what they mean.
    #[error("the bytes are not the canonical encoding of their content")]
    NotCanonical,
}

/// A row key that cannot be made. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The path is empty, or has an empty component or a NUL byte.
    #[error(
        "a path is one or more non-empty names separated by '/', without NUL; write for example 'tasks/today'"
    )]
    Path,
    /// The path has too many components.
    #[error("a path has at most {} components", crate::limits::PATH_DEPTH)]
    TooDeep,
    /// The whole key is too long.
    #[error(
        "a key (path and element together) has at most {} bytes; keep long data in the value",
        crate::limits::KEY_BYTES
    )]
    TooLong,
}
