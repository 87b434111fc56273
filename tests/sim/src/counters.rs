//! What a run has seen. An oracle that never met a fault proves nothing about it, so a long run in which one of these
//! stays 0 fails.

use std::collections::BTreeMap;
use std::fmt;

use rejoin_core::engine::Stats;

macro_rules! sometimes {
    ($($name:ident => $text:literal,)*) => {
        /// Something that a long run must have met.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "`NAMES` says it")]
        pub enum Sometimes { $($name,)* }

        /// What each of [`Sometimes`] means, in order.
        pub const NAMES: &[&str] = &[$($text,)*];

        const ALL: &[Sometimes] = &[$(Sometimes::$name,)*];
    };
}

sometimes! {
    Write => "transactions",
    RemovalOnly => "transactions that only remove",
    Abandoned => "transactions given up by the app",
    Concurrent => "rows with concurrent entries",
    Session => "streams opened",
    TwoSessions => "two streams between one pair",
    StreamCut => "streams cut",
    Blocked => "links blocked",
    Stalled => "machines stopped for a while",
    BulkStarted => "bulk begun",
    BulkCommitted => "bulk committed",
    BulkAborted => "bulk given up",
    StageReused => "staged entries reused",
    RowsNamed => "rows named by what they replace",
    KeysAsked => "keys asked for instead",
    VectorsSummed => "wide vectors told by a sum",
    VectorsWhole => "wide vectors sent whole",
    ComparedParts => "parts of trees compared",
    ComparedDead => "removals found by comparing",
    TailInBulk => "log tail applied in a bulk",
    EarlyKept => "gossip kept for its past",
    EarlyDropped => "early gossip dropped for want of room",
    DeltasFromSync => "deltas by stream",
    DeltasFromGossip => "deltas by gossip",
    GossipLost => "gossip lost",
    GossipDoubled => "gossip doubled",
    GossipLate => "gossip late and out of order",
    GossipDamaged => "gossip damaged",
    FrameDamaged => "frames damaged",
    CrashBeforeCommit => "crash with a commit not durable",
    CrashBeforeReport => "crash between commit and report",
    CrashInRecovery => "crash right after opening",
    CommitFailed => "commit failed",
    ClockJump => "clock jumped",
    ClockFrozen => "clock frozen",
    ClockSuspect => "timestamp not believed",
    Slept => "slept for long",
    RestoreNoticed => "store restored, noticed",
    RestoreUnnoticed => "store restored, unnoticed",
    StoreLost => "store lost",
    Cloned => "store cloned",
    NewIncarnation => "new incarnation",
    Renamed => "untold deltas renamed",
    DotReused => "dot used twice",
    Fork => "fork seen",
    FeedFolded => "change feed folded",
    ViewUsed => "data types used",
    Swept => "expired rows removed",
    WordWritten => "words written into documents",
    TakenBack => "data types taken back",
    FeedGap => "gap in a change feed",
    ForkKept => "lost to a fork, kept in a table",
}

/// Message kinds that a bulk consists of, by their number on the wire.
const BULK_KINDS: [(u8, &str); 6] = [
    (14, "bulk cut after its offer"),
    (17, "bulk cut after a comparison"),
    (8, "bulk cut after a chunk"),
    (9, "bulk cut after its heads"),
    (10, "bulk cut after its tail"),
    (11, "bulk cut after its end"),
];

/// Counts over any number of schedules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    counts: BTreeMap<Sometimes, u64>,
    bulk_cut: BTreeMap<u8, u64>,
    /// Schedules run.
    pub schedules: u64,
    /// Inputs to engines, local transactions included.
    pub events: u64,
    /// Simulated time in microseconds, sleep not included.
    pub time_us: u64,
}

impl Counters {
    /// It happened.
    pub fn saw(&mut self, what: Sometimes) {
        self.add(what, 1);
    }

    /// It happened so often.
    pub fn add(&mut self, what: Sometimes, times: u64) {
        *self.counts.entry(what).or_default() += times;
    }

    /// A bulk was interrupted after a frame of this kind.
    pub fn cut_bulk(&mut self, kind: u8) {
        *self.bulk_cut.entry(kind).or_default() += 1;
    }

    /// Adds what an engine counted over its life.
    pub fn take(&mut self, stats: &Stats) {
        for (what, times) in [
            (Sometimes::Concurrent, stats.concurrent_rows),
            (Sometimes::BulkStarted, stats.bulk_started),
            (Sometimes::BulkCommitted, stats.bulk_committed),
            (Sometimes::BulkAborted, stats.bulk_aborted),
            (Sometimes::StageReused, stats.stage_reused),
            (Sometimes::RowsNamed, stats.rows_named),
            (Sometimes::KeysAsked, stats.keys_asked),
            (Sometimes::VectorsSummed, stats.vectors_summed),
            (Sometimes::VectorsWhole, stats.vectors_whole),
            (Sometimes::ComparedParts, stats.compared_parts),
            (Sometimes::ComparedDead, stats.compared_dead),
            (Sometimes::TailInBulk, stats.tail_deltas),
            (Sometimes::EarlyKept, stats.early_kept),
            (Sometimes::EarlyDropped, stats.early_dropped),
            (Sometimes::DeltasFromSync, stats.deltas_from_sync),
            (Sometimes::DeltasFromGossip, stats.deltas_from_gossip),
        ] {
            self.add(what, times);
        }
    }

    /// Adds another run's counts.
    pub fn merge(&mut self, other: &Self) {
        for (what, times) in &other.counts {
            self.add(*what, *times);
        }
        for (kind, times) in &other.bulk_cut {
            *self.bulk_cut.entry(*kind).or_default() += times;
        }
        self.schedules += other.schedules;
        self.events += other.events;
        self.time_us += other.time_us;
    }

    /// What never happened.
    pub fn missing(&self) -> Vec<&'static str> {
        let single = ALL.iter().filter(|what| self.count(**what) == 0).map(|what| NAMES[*what as usize]);
        let bulk = BULK_KINDS.iter().filter(|(kind, _)| !self.bulk_cut.contains_key(kind));
        single.chain(bulk.map(|(_, name)| *name)).collect()
    }

    fn count(&self, what: Sometimes) -> u64 {
        self.counts.get(&what).copied().unwrap_or(0)
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for what in ALL {
            writeln!(f, "{:>12}  {}", self.count(*what), NAMES[*what as usize])?;
        }
        for (kind, name) in BULK_KINDS {
            writeln!(f, "{:>12}  {name}", self.bulk_cut.get(&kind).copied().unwrap_or(0))?;
        }
        Ok(())
    }
}
