//! The one merge rule, for values that stand alone and for an engine over a store alike.
//!
//! *Join: an entry survives if both sides hold it, or if one side holds it and the other has never seen its dot.*
//! A dot that a side has seen (its vector covers it) and does not hold was killed there, so no tombstone is needed, and
//! nothing deleted ever comes back, however long a replica was away.
//!
//! There are two ways in. [`apply`] takes one delta that fits exactly. [`join`] takes a whole foreign state, or the part
//! of it that is new: its vector, its live dots under that vector, and the entries not known here.

use alloc::vec::Vec;

use crate::clock::VersionVector;
use crate::id::{Dot, ReplicaId};
use crate::planted::{Planted, Rule};
use crate::row::{Delta, DotRuns, Entry, RowKey};

/// What holds entries under a version vector.
pub trait Holder {
    /// Why the holder cannot be read or written.
    type Error;

    /// Whether the vector covers the dot.
    fn seen(&self, dot: &Dot) -> bool;

    /// The live seqs of `replica` within `first..=last`, ascending. Costs what is live, not the width of the range.
    fn live_within(&self, replica: &ReplicaId, first: u64, last: u64) -> Result<Vec<u64>, Self::Error>;

    /// Makes an entry live.
    fn insert(&mut self, key: &RowKey, entry: Entry) -> Result<(), Self::Error>;

    /// Kills a live dot; nothing happens when it is not live.
    fn remove(&mut self, dot: &Dot) -> Result<(), Self::Error>;

    /// Lets a live dot go that was killed elsewhere. Unless its author has two histories: then what was killed there, or
    /// is not held there, may be another content, and a holder that knows may keep this one apart.
    fn lose(&mut self, dot: &Dot, _how: Loss) -> Result<(), Self::Error> {
        self.remove(dot)
    }
}

/// How an entry dies that was killed elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// A delta names its dot.
    Named,
    /// The other side has seen its dot and does not hold it.
    Missing,
}

/// A foreign state, as far as merging needs it.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// What that side has seen.
    pub vv: VersionVector,
    /// What is live there, under `vv` and above `compared`.
    pub live: DotRuns,
    /// How far the two sides were compared instead.
    pub compared: VersionVector,
    /// What is live here, not above `compared`, and dead there.
    pub dead: DotRuns,
    /// What was already known here when the session began; only the rule left out by a test looks at it.
    #[cfg(feature = "planted")]
    pub known_at_start: VersionVector,
}

/// Applies a delta that is next in sequence and whose dependencies and kills are known. The caller advances the vector.
pub fn apply<H: Holder>(holder: &mut H, delta: &Delta) -> Result<(), H::Error> {
    // A kill names a dot alone. Of a replica with two histories it may mean another content than the one held.
    each(holder, &delta.kills, |holder, dot| holder.lose(dot, Loss::Named))?;
    for (key, entry) in delta.entries() {
        holder.insert(key, entry)?;
    }
    Ok(())
}

/// Does something to every dot of `dots` that is live.
fn each<H: Holder>(
    holder: &mut H,
    dots: &DotRuns,
    act: impl Fn(&mut H, &Dot) -> Result<(), H::Error>,
) -> Result<(), H::Error> {
    for (replica, runs) in dots.iter() {
        for (first, last) in runs.iter() {
            for seq in holder.live_within(replica, first, last)? {
                act(holder, &Dot::new(*replica, seq))?;
            }
        }
    }
    Ok(())
}

/// Joins a foreign state. `entries` holds at least its live entries that are not known here. The caller advances the
/// vector to the maximum of both, in the same commit.
pub fn join<H: Holder>(
    holder: &mut H,
    theirs: &Snapshot,
    entries: impl IntoIterator<Item = (RowKey, Entry)>,
    planted: Planted,
) -> Result<(), H::Error> {
    for (key, entry) in entries {
        // Not live there: killed there, or not part of what `vv` covers. Known here: held already, or killed here.
        let live = theirs.live.contains(&entry.dot) || !planted.keeps(Rule::AInsertIfLive);
        let unknown = !holder.seen(&entry.dot) || !planted.keeps(Rule::AInsertIfUnknown);
        if live && unknown {
            holder.insert(&key, entry)?;
        }
    }
    if !planted.keeps(Rule::BRemoveDead) {
        return Ok(());
    }
    each(holder, &theirs.dead, |holder, dot| holder.lose(dot, Loss::Missing))?;
    for (replica, seq) in theirs.vv.iter() {
        let live = theirs.live.runs(&replica);
        for held in holder.live_within(&replica, theirs.compared.seq(&replica) + 1, seq)? {
            let dot = Dot::new(replica, held);
            // The other side has seen this dot and does not hold it: it was killed there.
            let dead = !live.is_some_and(|live| live.contains(held));
            if dead && (planted.keeps(Rule::BRemoveLearned) || was_known(theirs, &dot)) {
                holder.lose(&dot, Loss::Missing)?;
            }
        }
    }
    Ok(())
}

#[cfg(feature = "planted")]
fn was_known(theirs: &Snapshot, dot: &Dot) -> bool {
    theirs.known_at_start.contains(dot)
}

#[cfg(not(feature = "planted"))]
const fn was_known(_theirs: &Snapshot, _dot: &Dot) -> bool {
    true
}
