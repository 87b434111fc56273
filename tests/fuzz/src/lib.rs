//! What a fuzzer calls: functions from bytes to nothing that panic when a promise is broken.
//!
//! They are plain functions of a plain package, so that the ordinary tests run them over their seeds and over bytes drawn
//! from a generator, on the pinned toolchain, and a crash becomes a line of `tests.rs`. The workspace `fuzz` wraps each for
//! libFuzzer in five lines; `cargo xtask fuzz` runs those.
//!
//! | target | bytes are | what must hold |
//! |---|---|---|
//! | [`deltas`] | the canonical form of a delta | one meaning, one encoding; applied whole or refused |
//! | [`frames`] | what a peer sends | no panic; the engine stays sound and goes on working |
//! | [`sessions`] | a schedule of two engines with faults | in the end both agree, and nothing durable was lost |
//! | [`tickets`] | the text of a ticket | one meaning, one text |
//! | [`stores`] | damage done to a store | an error or a sound store; no panic |
//! | [`documents`] | a change, or a saved document, that another member wrote | no panic; what is written beside it is kept |
//! | [`images`] | a backup, or damage done to the blocks of one | an error or a sound store; no panic |

mod deltas;
mod documents;
mod draw;
mod frames;
mod host;
mod identity;
mod images;
pub mod seeds;
mod sessions;
mod stores;
#[cfg(test)]
mod tests;
mod tickets;

pub use deltas::deltas;
pub use documents::documents;
pub use frames::frames;
pub use images::images;
pub use sessions::sessions;
pub use stores::stores;
pub use tickets::tickets;

/// A function that a fuzzer calls.
pub type Target = fn(&[u8]);

/// All of them by name.
pub const TARGETS: [(&str, Target); 7] = [
    ("deltas", deltas),
    ("frames", frames),
    ("sessions", sessions),
    ("tickets", tickets),
    ("stores", stores),
    ("images", images),
    ("documents", documents),
];
