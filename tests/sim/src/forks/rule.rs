//! The candidates, as combinations of a few independent measures.

/// What a rule does about forks. Without any measure it is F1: by dot the larger content hash stays, kills of both hold,
/// the id is retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name in tables and on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Before an owner sends anything to somebody who holds another history of its id, it renames what it never told.
    pub rebase: bool,
    /// Opening a store tells nothing where it is known at which place histories part.
    pub bold: bool,
    /// An owner writes what it published on its branch again under its new id, leaving the old dots alone.
    pub reput: bool,
    /// What dies at a merge because the other side lacks a dot of an id known to have forked goes to the table of forks.
    pub archive: bool,
    /// An owner keeps the chains of its own deltas since what it told, beyond its log: it never takes its own past, told
    /// by a copy, for another history.
    pub chains: bool,
    /// Every store keeps the chains at the ends of so many last deltas of each replica, beyond its log, and ships them
    /// with heads.
    pub tags: usize,
    /// Branches become replicas of their own where it is known at which place histories part; else the id falls back to
    /// merging by dot. Where it is known, no owner renames.
    pub split: bool,
    /// Only an owner splits, by a record that it signs; others follow it.
    pub signed: bool,
    /// Everybody knows every chain that ever was: what no store can have, as the bound of what splitting could reach.
    pub ideal: bool,
    /// A store never writes under an id from before it was opened.
    pub fresh: bool,
}

const F1: Rule = Rule {
    name: "F1",
    about: "one content per dot, kills of both hold",
    rebase: false,
    bold: false,
    reput: false,
    archive: false,
    chains: false,
    tags: 0,
    split: false,
    signed: false,
    ideal: false,
    fresh: false,
};

const F1R: Rule = Rule { name: "F1R", about: "F1, owners rename what they never told", rebase: true, ..F1 };

const F1R_ARCHIVE: Rule =
    Rule { name: "F1R-archive", about: "F1R, what a forked id loses is kept", archive: true, ..F1R };

const F1C: Rule =
    Rule { name: "F1C", about: "F1R-archive, owners keep their own chains", chains: true, ..F1R_ARCHIVE };

/// The rule that was chosen.
pub const KEPT: Rule = Rule { name: "F1C-16", about: "F1C, 16 chains of each replica", tags: 16, ..F1C };

const F2C: Rule = Rule {
    name: "F2C-16",
    about: "branches are replicas where known, F1C-16 elsewhere",
    split: true,
    ..KEPT
};

impl Rule {
    /// All that are compared.
    pub const ALL: [Self; 18] = [
        F1,
        Self { name: "F1-archive", about: "F1, what a forked id loses is kept", archive: true, ..F1 },
        Self { name: "F1-16", about: "F1-archive, 16 chains of each replica", archive: true, tags: 16, ..F1 },
        F1R,
        Self { name: "F1R-reput", about: "F1R, owners write published branches again", reput: true, ..F1R },
        F1R_ARCHIVE,
        Self { name: "F1R-16", about: "F1R-archive, 16 chains of each replica", tags: 16, ..F1R_ARCHIVE },
        F1C,
        Self { name: "F1C-4", about: "F1C, 4 chains of each replica", tags: 4, ..F1C },
        KEPT,
        Self { name: "F1C-64", about: "F1C, 64 chains of each replica", tags: 64, ..F1C },
        Self { name: "F1C-bold", about: "F1C-16, opening a store tells nothing", bold: true, ..KEPT },
        Self { name: "F2-log", about: "branches are replicas where logs tell the place", split: true, ..F1 },
        Self {
            name: "F2-16",
            about: "F2C-16 without renaming by owners",
            rebase: false,
            chains: false,
            ..F2C
        },
        F2C,
        Self { name: "F2C-signed", about: "F2C-16, only owners split", signed: true, ..F2C },
        Self { name: "F2-ideal", about: "F2, all chains known for ever", split: true, ideal: true, ..F1 },
        Self { name: "fresh", about: "F1C-16, a new id whenever a store is opened", fresh: true, ..KEPT },
    ];

    /// The rule of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name.eq_ignore_ascii_case(name))
    }
}
