//! The sync protocol `/rejoin/sync/1`: messages on one stream between two replicas of one space.
//!
//! Messages are postcard, each at most [`crate::limits::FRAME_BYTES`]; [`super::frame`] deflates them, and the transport
//! prefixes their length. Binary, because a hello is to fit in a packet and a delta of two short strings is not to double
//! in size. Bytes that are not the canonical encoding of a message close the stream.
//!
//! | n | message | meaning | data frame |
//! |---|---|---|---|
//! | 0 | Hello | this is my durable state; tell me what I lack | |
//! | 1 | Root | my state now, short: the proof after a catch-up, and the answer to an equal hello | |
//! | 2 | Vector | the vector of a hello that was too wide for it | |
//! | 3 | Deltas | a stretch of the log | yes |
//! | 4 | Ack | data frames received, and settled on disk | |
//! | 5 | YouWere | your replica once got further than you say; here is your signature | |
//! | 6 | BulkOffer | the log does not reach back to you, and my vector is too wide for an offer: ask for a bulk | |
//! | 7 | BulkAsk | send what is live, whatever I have seen; these dots are staged here already | |
//! | 8 | BulkChunk | live dots of a range of one replica, with the entries that you lack | yes |
//! | 9 | BulkHeads | the vector that the chunks belong to, with what vouches for it | yes |
//! | 10 | BulkTail | what was applied since that vector | yes |
//! | 11 | BulkEnd | that was all, in so many frames: commit | yes |
//! | 12 | BulkAbort | whoever asked has given up | |
//! | 13 | BulkVoid | whoever served cannot finish; ask again | |
//! | 14 | Offer | the same as BulkOffer, with the vector, and for each replica the hash of what is live where the peer has been | |
//! | 15 | Accept | instead of BulkAsk: send what is live above that; the rest is compared | |
//! | 16 | Compare | hashes of parts of a tree, or none: everything was compared | |
//! | 17 | Compared | what differs there: hashes of smaller parts, or the live dots | |
//! | 18 | Rest | the sum in your hello is mine: of your vector only these entries differ, or may | |
//! | 19 | Keys | a row that you named by what it replaces is not known here: give keys from now on | |
//! | 20 | Show | what you say of my replica I did not write: show the head that you have | |
//!
//! A peer that speaks another version is told so and left alone: where the version stands in a hello never changes.
//!
//! Messages of a bulk carry its round, counted by whoever asks: what is still on its way of one that was given up is
//! not taken for the next.
//!
//! Hashes of state (root, vector, control root) travel as 8 bytes keyed by a nonce, replica ids in hellos as 8-byte tags
//! keyed the same way: nobody can prepare collisions.

mod bulk;

use serde::{Deserialize, Serialize};

pub(crate) use bulk::{
    Accept, BulkAsk, BulkChunk, BulkEnd, BulkHeads, Compare, Compared, Leaf, LiveSet, Offer, Offered, Part,
    Place,
};

use crate::codec::{self, BoundedBytes, BoundedVec};
use crate::id::{Chain, DeviceKey, Nonce, ReplicaId, Root, Signature, SpaceId, VectorDigest};
use crate::id::{cut, domain, hash};
use crate::limits::{FRAME_REPLICAS, GOSSIP_BYTES, HELLO_LISTED, HELLO_REPLICAS, PRESENCE_BYTES};
use crate::state::{Head, SignedHead, Tags};
use crate::sync::frame::{Table, WireDelta};

/// The version of the protocol, said in each hello.
pub(crate) const PROTOCOL: u8 = 3;

/// Eight bytes of a keyed hash.
pub(crate) type Tag = [u8; 8];

/// What hashes on a stream are keyed with: the nonce of the initiator's first hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key(pub(crate) [u8; 8]);

impl Key {
    fn tag(self, what: u8, bytes: &[u8]) -> Tag {
        cut(&hash(domain::SESSION, &[&self.0, &[what], bytes]))
    }

    pub(crate) fn space(self, space: &SpaceId) -> Tag {
        self.tag(0, &space.0)
    }

    pub(crate) fn replica(self, replica: &ReplicaId) -> Tag {
        self.tag(1, replica.as_bytes())
    }

    /// One entry's share in a sum over a vector.
    pub(crate) fn share(self, replica: &ReplicaId, head: &Head) -> u64 {
        let parts =
            [replica.as_bytes().as_slice(), &head.seq.to_le_bytes(), &head.chain.0, &[head.forked.into()]]
                .concat();
        u64::from_le_bytes(self.tag(5, &parts))
    }

    pub(crate) fn node(self, hash: &[u8; 32]) -> Tag {
        self.tag(4, hash)
    }

    pub(crate) fn claim(self, digest: &VectorDigest, root: &Root) -> Claim {
        Claim { root: self.tag(2, &root.0), vector: self.tag(3, &digest.0) }
    }
}

/// The sum, modulo 2^64, over keyed hashes of entries of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sum(#[serde(with = "postcard::fixint::le")] pub(crate) u64);

/// A durable state, named by 16 keyed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    pub(crate) root: Tag,
    pub(crate) vector: Tag,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    Hello(Hello),
    Root(Claim),
    Vector(Vector),
    Deltas(Deltas),
    Ack(Ack),
    YouWere(YouWere),
    BulkOffer,
    BulkAsk(BulkAsk),
    BulkChunk(BulkChunk),
    BulkHeads(BulkHeads),
    BulkTail(u32, Deltas),
    BulkEnd(BulkEnd),
    BulkAbort(u32),
    BulkVoid(u32),
    Offer(Offer),
    Accept(Accept),
    Compare(Compare),
    Compared(Compared),
    Rest(Rest),
    Keys,
    Show(ReplicaId),
}

impl Message {
    /// Whether a message of this kind may come deflated.
    pub(crate) const fn may_deflate(kind: u8) -> bool {
        matches!(kind, 3 | 8 | 10 | 15 | 17)
    }

    /// How much of its beginning is hashes, signatures and the like, which do not compress; `None` if it is all like that.
    pub(crate) fn open_bytes(&self) -> Option<usize> {
        let of = |deltas: &Deltas| codec::encode(&(&deltas.names, &deltas.runs)).len();
        match self {
            Self::Deltas(deltas) => Some(1 + of(deltas)),
            Self::BulkChunk(chunk) => Some(1 + codec::encode(&(chunk.round, chunk.replica)).len()),
            Self::BulkTail(_, tail) => Some(1 + of(tail)),
            Self::Accept(_) => Some(1),
            Self::Compared(compared) => Some(1 + codec::encode(&(compared.round, &compared.children)).len()),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) version: u8,
    pub(crate) key: Key,
    pub(crate) space: Tag,
    pub(crate) claim: Claim,
    /// Root of the control log; zero while a space has none.
    pub(crate) control: Tag,
    /// It answers a hello: no answer is owed.
    pub(crate) reply: bool,
    /// The sender dropped something on this stream: what it was thought to have, it may not have.
    pub(crate) dropped: bool,
    /// Which of the entries is the sender's own replica.
    pub(crate) me: Option<u8>,
    pub(crate) vector: HelloVector,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HelloVector {
    /// All of it.
    Whole(BoundedVec<VectorEntry, HELLO_REPLICAS>),
    /// The entries that are likely to be news, those that the hello answered names, and the sum over all others. It
    /// only saves bytes: whether it was right is for the roots to prove.
    Newest(BoundedVec<VectorEntry, HELLO_LISTED>, Sum),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VectorEntry {
    pub(crate) replica: Tag,
    /// Twice the seq, plus one if the replica is known to have forked.
    seq_forked: u64,
    /// The head of the chain, cut.
    pub(crate) chain: Tag,
}

impl VectorEntry {
    pub(crate) fn new(replica: Tag, seq: u64, forked: bool, chain: &Chain) -> Self {
        Self { replica, seq_forked: seq << 1 | u64::from(forked), chain: cut(&chain.0) }
    }

    pub(crate) const fn seq(&self) -> u64 {
        self.seq_forked >> 1
    }

    pub(crate) const fn forked(&self) -> bool {
        self.seq_forked & 1 == 1
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Vector {
    pub(crate) entries: BoundedVec<VectorEntry, FRAME_REPLICAS>,
    /// Nothing follows.
    pub(crate) last: bool,
}

/// Counts of data frames on this stream, from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ack {
    /// Taken in: room for more.
    pub(crate) received: u64,
    /// Durable here, or dropped and said so.
    pub(crate) durable: u64,
}

/// What is known here of a replica. The signature is evidence; where the histories part the tags say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct YouWere {
    pub(crate) head: SignedHead,
    pub(crate) tags: Tags,
}

impl YouWere {
    pub(crate) fn of(replica: &ReplicaId, head: &Head) -> Self {
        Self { head: SignedHead::of(replica, head), tags: head.tags.clone() }
    }
}

/// Deltas in an order that respects causality. Each turns back into its canonical bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deltas {
    /// Every replica named in the frame, once.
    pub(crate) names: BoundedVec<Name, FRAME_REPLICAS>,
    pub(crate) runs: BoundedVec<Run, FRAME_REPLICAS>,
    pub(crate) deltas: Table<WireDelta>,
}

/// A replica in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Name {
    /// It is known at the receiver.
    Known(Tag),
    /// It is not: its id is made of these.
    New(Intro),
    /// It may be known there.
    Whole(ReplicaId),
}

/// One author's deltas of a frame: a stretch of its chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Index of the author.
    pub(crate) name: u32,
    pub(crate) first_seq: u64,
    /// The chain before its first delta.
    pub(crate) previous: Previous,
    /// The signature on the chain after its last delta here, if the sender has one.
    pub(crate) signature: Option<Signature>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Previous {
    /// Enough to notice a fork.
    Short(Tag),
    /// Enough to prove one. Such a run names no row by what it replaces.
    Whole(Chain),
    /// The run begins with the author's first delta: the chain's start follows from its id.
    Start,
}

impl Previous {
    pub(crate) fn matches(&self, chain: &Chain) -> bool {
        match self {
            Self::Short(tag) => *tag == cut::<8>(&chain.0),
            Self::Whole(whole) => whole == chain,
            Self::Start => true,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intro {
    pub(crate) device: DeviceKey,
    pub(crate) nonce: Nonce,
}

/// Of the peer's vector these may differ here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rest {
    /// About the peer's how manieth hello on this stream.
    pub(crate) about: u32,
    pub(crate) entries: BoundedVec<VectorEntry, HELLO_LISTED>,
    /// The others are the same here; or none of them is known.
    pub(crate) same: bool,
}

/// What travels by gossip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Gossip {
    /// A delta, with its author's whole chain before it and signature after it: anybody can check and pass it on.
    Delta(Gossiped),
    /// A delta too large for gossip exists: fetch it.
    Announce(Announcement),
    /// What a device says of itself to whoever is here.
    Presence(Beat),
}

/// What a device says of itself: see `engine::presence`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Beat {
    pub(crate) device: DeviceKey,
    /// Rises with each that a device says.
    pub(crate) number: u64,
    /// How long it may be shown after it was heard, in milliseconds.
    pub(crate) lives_ms: u32,
    /// None when the device goes.
    pub(crate) value: Option<BoundedBytes<PRESENCE_BYTES>>,
    pub(crate) signature: Signature,
}

/// The head of a replica, with what vouches for it: nobody can claim a delta that its author did not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announcement {
    pub(crate) head: SignedHead,
    pub(crate) intro: Intro,
}

/// A delta that travels by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gossiped {
    pub(crate) intro: Intro,
    pub(crate) previous: Chain,
    pub(crate) signature: Signature,
    /// Its canonical bytes.
    pub(crate) delta: BoundedBytes<GOSSIP_BYTES>,
}
