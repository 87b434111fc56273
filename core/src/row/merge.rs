//! The one merge rule, for values that stand alone and for an engine over a store alike.
//!
//! *Join: an entry survives if both sides hold it, or if one side holds it and the other has never seen its dot.*
//! A dot that a side has seen (its vector covers it) and does not hold was killed there, so no tombstone is needed, and
//! nothing deleted ever comes back, however long a replica was away.
//!
//! There are two ways in. [`apply`] takes one delta that fits exactly. [`join`] takes a whole foreign state, or the part
//! of it that is new: its vector, its live dots under that vector, and the entries not known here. Who cannot hold that
//! in memory runs its two halves piece by piece: [`insert_new`] for some entries at a time, then [`remove_dead`] over
//! each of the [`spans`].

use alloc::vec::Vec;

use crate::clock::VersionVector;
use crate::id::{Dot, ReplicaId};
use crate::planted::{Planted, Rule};
use crate::row::{Delta, DotSet, Entry, RowKey};

/// What holds entries under a version vector.
pub trait Holder {
    /// Why the holder cannot be read or written.
    type Error;

    /// Whether the vector covers the dot.
    fn seen(&self, dot: &Dot) -> bool;

    /// The first `most` live seqs of `replica` within `first..=last`, ascending. Costs what is live, not the width of the
    /// range.
    fn live_within(
        &self,
        replica: &ReplicaId,
        first: u64,
        last: u64,
        most: usize,
    ) -> Result<Vec<u64>, Self::Error>;

    /// Makes an entry live.
    fn insert(&mut self, key: &RowKey, entry: Entry) -> Result<(), Self::Error>;

    /// Kills a live dot; nothing happens when it is not live.
    fn remove(&mut self, dot: &Dot) -> Result<(), Self::Error>;

    /// Lets a live dot go that was killed elsewhere. Unless its author has two histories: then what was killed there, or
    /// is not held there, may be another content, and a holder that knows may keep this one apart. Nothing happens when it
    /// is not live.
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
    pub live: DotSet,
    /// How far the two sides were compared instead.
    pub compared: VersionVector,
    /// What is live here, not above `compared`, and dead there.
    pub dead: DotSet,
    /// What was already known here when the session began; only the rule left out by a test looks at it.
    #[cfg(feature = "planted")]
    pub known_at_start: VersionVector,
}

/// Applies a delta that is next in sequence and whose dependencies and kills are known. The caller advances the vector.
pub fn apply<H: Holder>(holder: &mut H, delta: &Delta) -> Result<(), H::Error> {
    for (replica, runs) in delta.kills.iter() {
        for (first, last) in runs.iter() {
            // A kill names a dot alone. Of a replica with two histories it may mean another content than the one held.
            if first == last {
                // Most runs are of one dot, and letting it go looks for it anyway.
                holder.lose(&Dot::new(*replica, first), Loss::Named)?;
                continue;
            }
            for seq in holder.live_within(replica, first, last, usize::MAX)? {
                holder.lose(&Dot::new(*replica, seq), Loss::Named)?;
            }
        }
    }
    for (key, entry) in delta.entries() {
        holder.insert(key, entry)?;
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
    insert_new(holder, theirs, entries, planted)?;
    for mut span in spans(theirs) {
        while remove_dead(holder, theirs, &mut span, planted)? {}
    }
    Ok(())
}

/// The first half of a join, for some of the entries: makes live what is live there and was never seen here.
pub fn insert_new<H: Holder>(
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
    Ok(())
}

/// Seqs of one replica among which something may have died.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    replica: ReplicaId,
    first: u64,
    last: u64,
    /// All of them are known to be dead there.
    listed: bool,
}

/// How much of a span is done at a time.
const PAGE: usize = 1024;

/// Where, when a foreign state is joined, something may die.
pub fn spans(theirs: &Snapshot) -> impl Iterator<Item = Span> + '_ {
    let listed = theirs.dead.runs().map(|(replica, first, last)| Span { replica, first, last, listed: true });
    let told = theirs.vv.iter().map(|(replica, last)| {
        let first = theirs.compared.seq(&replica).saturating_add(1);
        Span { replica, first, last, listed: false }
    });
    listed.chain(told)
}

/// The second half of a join, for a piece of one span: kills what the other side has seen and does not hold. Whether
/// there is more to do in the span.
pub fn remove_dead<H: Holder>(
    holder: &mut H,
    theirs: &Snapshot,
    span: &mut Span,
    planted: Planted,
) -> Result<bool, H::Error> {
    if !planted.keeps(Rule::BRemoveDead) {
        return Ok(false);
    }
    let Span { replica, first, last, listed } = *span;
    let held = holder.live_within(&replica, first, last, PAGE)?;
    for dot in held.iter().map(|seq| Dot::new(replica, *seq)) {
        if !listed && theirs.live.contains(&dot) {
            continue;
        }
        if listed || planted.keeps(Rule::BRemoveLearned) || was_known(theirs, &dot) {
            holder.lose(&dot, Loss::Missing)?;
        }
    }
    let Some(done) = held.last().filter(|_| held.len() == PAGE) else { return Ok(false) };
    span.first = done + 1;
    Ok(span.first <= last)
}

#[cfg(feature = "planted")]
fn was_known(theirs: &Snapshot, dot: &Dot) -> bool {
    theirs.known_at_start.contains(dot)
}

#[cfg(not(feature = "planted"))]
const fn was_known(_theirs: &Snapshot, _dot: &Dot) -> bool {
    true
}
