//! Sync sessions: how two replicas come to hold the same data over one stream.
//!
//! The messages in order, both directions at once (initiator I, responder R):
//!
//! 1. I: `Hello` names its durable state. R: equal, and it answers `Root`: done, one round trip, 160 bytes both ways.
//! 2. Else R answers `Hello` and at once begins to send what I lacks; I does the same when that arrives. Where vectors are
//!    wide they are made out by a sum, and `Rest` or `Vector` follow: see [`vector`].
//!    What the peer has of the own id comes before own deltas: if it was not written here, `Show` asks for its head, and
//!    what was never told gets a new id first ([`own`]).
//! 3. If the sender's log reaches back to the receiver's vector: `Deltas`. Else a bulk: `Offer`, `Accept`, questions about
//!    what the receiver has seen ([`compare`]), chunks of what it has not, heads, tail, end: see [`serve`] and [`take`].
//!    What a frame of deltas does not say, since the receiver knows it: [`pack`], [`deltas`]. How it is written: [`frame`].
//! 4. When a side has sent all and settled all it received, it says `Root`. Equal claims of both: proven in sync.
//! 5. The stream stays open. Committed deltas follow at once; a hello again after a bulk commit, after something was
//!    dropped, and every half minute while the two have changed since they last agreed: that is the anti-entropy.
//!
//! Nothing here knows a data type; nothing here reads memory that is not durable, except to apply what arrives.

mod compare;
pub(crate) mod deltas;
pub(crate) mod frame;
mod hello;
mod live;
mod live_set;
pub(crate) mod message;
mod own;
pub(crate) mod pack;
mod replay;
mod serve;
mod session;
mod take;
mod traffic;
mod vector;

pub(crate) use deltas::unpack_alone;
pub(crate) use hello::greets;
pub(crate) use session::{Context, End, Session};
pub(crate) use take::Take;
