//! Everything that goes into an engine and everything that comes out of it, on one screen.
//!
//! The contract:
//!
//! * One mutation ([`crate::engine::Engine::handle`] or [`crate::engine::Engine::write`]), then drain [`crate::engine::Engine::poll_output`] to
//!   `None`, carrying each output out in order. Then ask [`crate::engine::Engine::poll_timeout`] when to `Tick`.
//! * Remote input never makes an error here: a peer that misbehaves is disconnected with a [`Reason`].
//! * **Durable before visible.** Nothing in a [`Output::Send`] or [`Output::Publish`] tells anybody about a mutation that
//!   this replica could still lose: it waits for [`Input::Persisted`].
//! * At most one commit is in flight: the next [`Output::Persist`] comes after the one before was reported.

use alloc::vec::Vec;

use crate::id::{Dot, ReplicaId, Root, SpaceId};
use crate::planted::Planted;
use crate::row::RowKey;
use crate::store::{Commit, Merged, StoreError};

/// The two clocks, read by the host just before a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never runs backwards, from any start.
    pub mono_ms: u64,
    /// Milliseconds since 1970, however wrong.
    pub wall_ms: u64,
}

/// One sync stream with one peer, numbered by the host; never used twice by one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// One message from gossip, numbered by the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GossipId(pub u64);

/// Who opened a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// This side opened it and says hello first.
    Initiator,
    /// The other side did.
    Responder,
}

/// What the host tells the engine.
#[derive(Clone, Debug)]
pub enum Input {
    /// A stream is up. Frames on it arrive whole, in order and once, until it is disconnected.
    Connected {
        /// Its number.
        session: SessionId,
        /// Who opened it.
        role: Role,
    },
    /// A frame arrived.
    Received {
        /// On which stream.
        session: SessionId,
        /// Its bytes, at most [`crate::limits::FRAME_BYTES`].
        frame: Vec<u8>,
    },
    /// The stream is gone, for whatever reason.
    Disconnected {
        /// Its number.
        session: SessionId,
    },
    /// A message arrived by gossip: late, twice, out of order or never, as gossip is. Answered by [`Output::Judged`].
    Gossiped {
        /// Its number.
        id: GossipId,
        /// Its bytes.
        frame: Vec<u8>,
    },
    /// The commit in flight is durable **and the store shows it**; or it failed, and nothing of it is there.
    Persisted {
        /// The number of the commit.
        commit: u64,
        /// What writing it gave, if it is durable.
        result: Result<Merged, StoreError>,
    },
    /// The time of [`crate::engine::Engine::poll_timeout`] has come.
    Tick,
}

/// What the engine asks of its host, in this order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Make this durable in one transaction, then report [`Input::Persisted`].
    Persist(Commit),
    /// Send a frame on a stream.
    Send {
        /// Which stream.
        session: SessionId,
        /// The frame, without a length prefix.
        frame: Vec<u8>,
    },
    /// Publish a message by gossip to everybody on the topic of the space.
    Publish {
        /// The message, at most [`crate::limits::GOSSIP_BYTES`].
        frame: Vec<u8>,
    },
    /// What to do with a gossiped message.
    Judged {
        /// Which message.
        id: GossipId,
        /// The verdict.
        verdict: Verdict,
    },
    /// Close a stream. No `Disconnected` is owed for it.
    Disconnect {
        /// Which stream.
        session: SessionId,
        /// Why.
        reason: Reason,
    },
    /// Something that the app or the operator may want to know.
    Event(Event),
}

/// What to do with a gossiped message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Valid and news: forward it.
    Relay,
    /// Not news, or cannot be judged: do not forward it, and blame nobody.
    Ignore,
    /// No honest replica made this: do not forward it, and blame whoever sent it.
    Reject,
}

/// Why a stream is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The bytes are no message.
    Malformed,
    /// A message that no honest peer would send now.
    Misbehaved,
    /// Another version of the protocol, or another space.
    Incompatible,
    /// This side's store failed; nothing can be said about it.
    StoreFailed,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Own transactions up to this dot are durable here.
    Saved {
        /// The last dot.
        dot: Dot,
    },
    /// Own transactions after `after` (all of them, for `None`) were lost because their commit failed; nobody saw them.
    Lost {
        /// The last own dot that is safe.
        after: Option<Dot>,
        /// Why.
        error: StoreError,
    },
    /// Committed transactions changed these rows, here or elsewhere, each listed once.
    Changed {
        /// Their keys, sorted.
        rows: Vec<RowKey>,
        /// There are more than are listed: a large bulk sync ended. Read again what is needed.
        more: bool,
    },
    /// This replica and the peer of a session hold the same data: both named the same root.
    InSync {
        /// The session.
        session: SessionId,
        /// The root.
        root: Root,
    },
    /// Equal vectors and different roots, and comparing all contents did not mend it.
    Diverged {
        /// The session.
        session: SessionId,
    },
    /// Two histories under one replica id: a store was cloned or went back in time and wrote, or somebody lies.
    Fork {
        /// The id. Where its own signatures prove it, the id is retired; two contents of one dot are settled without.
        replica: ReplicaId,
    },
    /// This replica writes under a new id from now on, because the old one may have been used by another copy.
    NewIncarnation {
        /// The retired id.
        old: ReplicaId,
    },
    /// Own transactions that nobody else had heard of got new names, because the old id was written elsewhere:
    /// [`crate::engine::Engine::current`] turns dots after `old` into theirs.
    Renamed {
        /// The last own dot that keeps its name; seq 0 when none does.
        old: Dot,
        /// The id that all later ones have now.
        new: ReplicaId,
    },
    /// A timestamp was too far ahead of this machine's clock to be believed. Its data was taken all the same.
    ClockSuspect {
        /// Who wrote it.
        replica: ReplicaId,
    },
    /// Who is [present](crate::engine::Engine::present), or what one of them says, has changed.
    Presence,
    /// The store cannot be read: nothing more is written or told to anybody until it is opened again.
    StoreFailed {
        /// Why.
        error: StoreError,
    },
}

/// What one session has carried so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Rows put by what the peer sent; removals have none.
    pub rows_in: u64,
    /// Rows put by what was sent to it.
    pub rows_out: u64,
    /// How often this side waited for the peer before it could send its last data, or, when it had none to send, before
    /// the last data arrived.
    pub round_trips: u32,
    /// How often it waited after that, for the proof that both hold the same.
    pub proof_round_trips: u32,
}

/// How committed deltas reach connected peers at once. Correctness never depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// On each live stream.
    Streams,
    /// By gossip.
    Gossip,
    /// On streams while at most this many are open, by gossip beyond.
    Auto(usize),
    /// Not at all: anti-entropy alone.
    Off,
}

/// How an engine behaves. [`Config::new`] has the defaults; each field says how to choose.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The space that this store holds.
    pub space: SpaceId,
    /// Names the place where the store lies (its file's device, inode and creation time). A store that wakes up in
    /// another place than it was written in was copied or restored, and writes under a new id.
    pub lineage: [u8; 16],
    /// Bytes of recent deltas that are kept for exact, cheap replay; 0 keeps none. A peer that was away for longer is
    /// served by bulk. Larger costs disk.
    pub log_bytes: u64,
    /// Bytes of payload in one frame of a replay or a bulk. Larger is fewer frames; smaller loses less when cut off.
    pub chunk_bytes: usize,
    /// Bytes in flight on one stream that the peer has not yet made durable. Larger hides longer round trips.
    pub window_bytes: usize,
    /// Bytes of gossiped deltas that arrived before their past and are kept for it. Beyond it they are dropped and sync
    /// fetches them.
    pub early_bytes: usize,
    /// How committed deltas reach connected peers at once.
    pub push: Push,
    /// Milliseconds between hellos on a live stream whose two ends have changed since they last agreed.
    pub anti_entropy_ms: u64,
    /// Milliseconds after a row has expired until it is removed. Longer leaves more time to clocks that are slow.
    pub sweep_after_ms: u64,
    /// Whether it removes expired rows of others too: for what is always on. Their authors may never come back.
    pub hub: bool,
    /// Most live dots in a leaf of the tree. Part of the format, since roots depend on it: only tests choose another.
    pub leaf_dots: usize,
    /// Which rule is left out; only tests can.
    pub planted: Planted,
}

impl Config {
    /// The defaults, for a laptop or a phone.
    pub fn new(space: SpaceId) -> Self {
        Self {
            space,
            lineage: [0; 16],
            log_bytes: 8 * 1024 * 1024,
            chunk_bytes: 64 * 1024,
            window_bytes: 1024 * 1024,
            early_bytes: 256 * 1024,
            push: Push::Auto(8),
            anti_entropy_ms: 30_000,
            sweep_after_ms: 60 * 60 * 1000,
            hub: false,
            leaf_dots: crate::tree::LEAF_DOTS,
            planted: Planted::default(),
        }
    }
}

/// What an engine has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Own transactions.
    pub writes: u64,
    /// Own deltas; several transactions that wait for one commit form one.
    pub deltas_written: u64,
    /// Deltas applied from streams.
    pub deltas_from_sync: u64,
    /// Deltas applied from gossip.
    pub deltas_from_gossip: u64,
    /// Messages published by gossip.
    pub gossip_out: u64,
    /// Gossiped messages that said nothing new.
    pub gossip_duplicates: u64,
    /// Gossiped runs kept until their past arrives.
    pub early_kept: u64,
    /// Gossiped runs dropped because there was no room.
    pub early_dropped: u64,
    /// Bulk syncs begun as the receiving side.
    pub bulk_started: u64,
    /// Bulk syncs committed.
    pub bulk_committed: u64,
    /// Bulk syncs given up, their stage kept.
    pub bulk_aborted: u64,
    /// Staged entries of an earlier bulk that needed not be sent again.
    pub stage_reused: u64,
    /// Wide vectors of peers that a hello told by a few entries and a sum.
    pub vectors_summed: u64,
    /// Wide vectors that had to be sent whole.
    pub vectors_whole: u64,
    /// Rows of deltas on streams that were named by the dot that they replace, and found here.
    pub rows_named: u64,
    /// Streams on which such a row was not found, and keys were asked for.
    pub keys_asked: u64,
    /// Live dots that turned out to be dead when trees were compared.
    pub compared_dead: u64,
    /// Parts of trees that were asked about.
    pub compared_parts: u64,
    /// Deltas of a log tail that a bulk commit took in.
    pub tail_deltas: u64,
    /// Rows that held more than one live entry after a merge.
    pub concurrent_rows: u64,
    /// Timestamps beyond the clamp.
    pub clock_suspects: u64,
    /// Forks seen.
    pub forks: u64,
    /// Own deltas that nobody knew got a new id.
    pub renames: u64,
    /// New incarnations taken.
    pub incarnations: u64,
    /// Commits that failed.
    pub commits_failed: u64,
}
