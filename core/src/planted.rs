//! Rules left out on purpose, so that the tests can prove that they would notice.
//!
//! Each wrong variant is a rule that a real system broke, or one clause of the bulk commit. They are chosen at run time
//! and exist only with the feature `planted`, which is never on by default: without it [`Planted::keeps`] is a constant
//! `true` and the wrong branches are not compiled in.

/// One rule that can be left out. The names are those of the invariants page in ARCHITECTURE.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Rule {
    /// H1: bulk entries, removals and vector change in one commit at the end.
    H1OneCommit,
    /// H2: the vector is taken before the entries that it covers, and the tail of the log is shipped.
    H2VectorFirst,
    /// H3: a delta is applied only if it is next in sequence and its dependencies are met.
    H3NoGaps,
    /// H4: a removal burns a dot.
    H4RemovalBurns,
    /// H5: the vector never passes over something that was not applied.
    H5NoSkips,
    /// H6: a store that went back in time gets a new incarnation before it writes.
    H6NewIncarnation,
    /// F1C-16: own deltas wait until the peer has said what it has of the own id.
    OwnEntryFirst,
    /// F1C-16: what was never told gets a new id before anything is sent.
    RenameUntold,
    /// (a) a staged dot is inserted only if it is live in the snapshot.
    AInsertIfLive,
    /// (a) a staged dot is inserted only with the content that the snapshot has.
    AInsertIfSame,
    /// (a) a staged dot is inserted only if it is not known by now.
    AInsertIfUnknown,
    /// (b) own live dots under the snapshot's vector that are not live in it die.
    BRemoveDead,
    /// (b) that includes dots learned during the session.
    BRemoveLearned,
    /// (c) the frontiers are joined.
    CFrontier,
    /// (d) the vectors are joined.
    DVector,
    /// (e) the log is no longer complete for the replicas that advanced.
    EFloors,
    /// (f) staged dots that the vector now covers are dropped.
    FDropStaged,
    /// (g) the tail of the peer's log is applied in the same commit.
    GTail,
    /// The change feed notes what a bulk changes.
    FeedOfBulk,
    /// A place in the feed is one of a history, not a number.
    FeedTag,
    /// Indexes are in step with what a bulk changes.
    IndexOfBulk,
}

impl Rule {
    /// Every rule, in the order of the table that the tests print.
    pub const ALL: [Self; 21] = [
        Self::H1OneCommit,
        Self::H2VectorFirst,
        Self::H3NoGaps,
        Self::H4RemovalBurns,
        Self::H5NoSkips,
        Self::H6NewIncarnation,
        Self::OwnEntryFirst,
        Self::RenameUntold,
        Self::AInsertIfLive,
        Self::AInsertIfSame,
        Self::AInsertIfUnknown,
        Self::BRemoveDead,
        Self::BRemoveLearned,
        Self::CFrontier,
        Self::DVector,
        Self::EFloors,
        Self::FDropStaged,
        Self::GTail,
        Self::FeedOfBulk,
        Self::FeedTag,
        Self::IndexOfBulk,
    ];
}

/// Which rule is left out, if any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    #[cfg(feature = "planted")]
    rule: Option<Rule>,
}

impl Planted {
    /// Leaves `rule` out.
    #[cfg(feature = "planted")]
    pub const fn without(rule: Rule) -> Self {
        Self { rule: Some(rule) }
    }

    /// Whether `rule` is in force. Always, unless a test planted its absence.
    #[cfg(feature = "planted")]
    pub fn keeps(self, rule: Rule) -> bool {
        self.rule != Some(rule)
    }

    /// Whether `rule` is in force. Always, unless a test planted its absence.
    #[cfg(not(feature = "planted"))]
    pub const fn keeps(self, _rule: Rule) -> bool {
        true
    }
}
