//! Every bound in one place, each with its reason. A bound is checked before anything is allocated for it.
//!
//! A peer can make this process hold at most [`SESSION_BUFFER_BYTES`] for one session plus its share of the stage,
//! which lies on disk.

/// Most bytes in the table of forks; what merges lose beyond that is gone. Entries that a delta killed by name, most of them
/// in order, take no more than half of it.
pub const FORKS_BYTES: usize = 16 * 1024 * 1024;
/// Most bytes of own transactions that are kept to be taken back: an undo reads all of them.
pub const UNDO_BYTES: usize = 1024 * 1024;
/// Most chains that are kept of each replica beyond its log, at the ends of its last deltas: four tell most forks from
/// absences, sixteen nearly all (ARCHITECTURE.md has the table).
pub const HEAD_TAGS: usize = 16;
/// Longest row key in bytes (kind, path, element). Keys are held in memory by readers and compared often.
pub const KEY_BYTES: usize = 1024;
/// Bytes of a text by which a secondary index orders it. Three fields and the key of the row make an entry of an index.
pub const ORDER_BYTES: usize = 256;
/// Deepest object path, in components. Paths are for people; 32 levels is more than any app shows.
pub const PATH_DEPTH: usize = 32;
/// Largest payload of one row. Larger things are blobs and do not belong in a row that is replaced whole.
pub const PAYLOAD_BYTES: usize = 256 * 1024;
/// Largest delta in canonical bytes: one transaction must fit in one frame.
pub const DELTA_BYTES: usize = 1024 * 1024;
/// Most puts in one delta.
pub const DELTA_PUTS: usize = 4096;
/// Most runs of killed dots in one delta. A scattered removal needs one run per dot.
pub const DELTA_KILL_RUNS: usize = 65_536;
/// Most dots burnt by one delta: puts, or one for a removal.
pub const DELTA_DOTS: u64 = 65_536;
/// Most dots named in a delta's dependencies; a wider frontier travels as a digest.
pub const DEPS: usize = 16;
/// Largest frame on a sync stream, without its length prefix; inflated too. Nor do the deltas of one come to more when
/// rows are spelled out that it names by what they replace or by what they share with others.
pub const FRAME_BYTES: usize = 2 * 1024 * 1024;
/// What deflate can make of a byte at most (258 bytes of two bits). A frame that claims more is refused before inflating.
pub const DEFLATE_RATIO: usize = 1032;
/// Largest frame published by gossip: gossipsub drops messages over 64 KiB; beyond 16 KiB a copy per neighbour costs
/// more than pulling once.
pub const GOSSIP_BYTES: usize = 16 * 1024;
/// Most bytes that a device says of itself as presence: a name, a colour, a cursor. It is sent several times a second.
pub const PRESENCE_BYTES: usize = 1024;
/// Longest that presence is shown after it was heard, in milliseconds: who wants to be seen longer says it again.
pub const PRESENCE_LONGEST_MS: u32 = 5 * 60 * 1000;
/// Most devices whose presence is kept; those that come later are not shown, nor passed on.
pub const PRESENT: usize = 1024;
/// Most replicas named in one frame.
pub const FRAME_REPLICAS: usize = 4096;
/// Most deltas in one frame.
pub const FRAME_DELTAS: usize = 16_384;
/// Most replicas in a vector that a hello lists whole.
pub const HELLO_REPLICAS: usize = 4;
/// Most entries that a hello lists of a wider vector: the newest of both sides.
pub const HELLO_LISTED: usize = 16;
/// Most puts in one frame that name their row by the dot that they replace: each costs the receiver a look into its store.
pub const FRAME_NAMED: usize = 16_384;
/// Most deltas, and bytes of them, at the end of the log that are looked through for rows named by dots that are dead here.
pub const RECALLED_DELTAS: usize = 256;
/// See [`RECALLED_DELTAS`].
pub const RECALLED_BYTES: usize = 256 * 1024;
/// Most puts in memory of which it is known what they replaced. A put beyond it is sent with its key.
pub const REPLACED_PUTS: usize = 2048;
/// Most entries in one bulk chunk.
pub const CHUNK_ENTRIES: usize = 16_384;
/// Most runs of live dots in one bulk chunk.
pub const CHUNK_RUNS: usize = 65_536;
/// Most parts of trees in one question: each may cost a scan of all the dots of sixteen leaves.
pub const COMPARE_PARTS: usize = 64;
/// Most parts in one answer.
pub const COMPARED_PARTS: usize = 1024;
/// Longest bitmap of a leaf's live dots: any other form of 256 dots is shorter than this.
pub const LEAF_BYTES: usize = 2560;
/// Bytes of unverified or out-of-order deltas held for one session; beyond it deltas are dropped and fetched by sync.
/// It must hold the largest log replay whose signature comes last.
pub const SESSION_BUFFER_BYTES: usize = 16 * 1024 * 1024;
/// Deepest nesting of a [`crate::Value`]. Decoding recurses, so this also bounds the stack.
pub const VALUE_DEPTH: usize = 32;
/// How far, in milliseconds, a remote timestamp may pull the local clock ahead of the wall clock.
pub const CLOCK_AHEAD_MS: u64 = 60_000;
