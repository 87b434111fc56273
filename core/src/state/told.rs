//! How much of the own history others may know, and what an owner does when its id was written elsewhere.
//!
//! Problem: a machine image is restored or cloned and nobody notices, so two stores write under one id. An owner comes from
//! offline with deltas that nobody else holds, and meets somebody who holds another history of its id. Once its deltas
//! leave under the old id, each of their dots means two things, and no merge by dot can keep both.
//!
//! Idea: nobody else holds them, so their names are still free. The peer's entry for the own id comes first; a head that the
//! own key signed and that is none of the own history is evidence. On evidence everything that was never told gets a new
//! id ([`super::rename`]), and only then anything is sent. For what was told the rule of merging must do.
//!
//! So that nothing that others hold gets a second name, *told* errs upwards: what leaves counts, arrived or not, and
//! opening a store counts all of it, for whoever took its image may have gone on to tell it. So it lives in memory: one
//! head, and 40 bytes for each own delta above it. It is evidence itself: whoever knows more of the own id than was ever
//! told has it from somebody else.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::id::{Chain, Dot, ReplicaId, cut};
use crate::identity::signed_head;
use crate::planted::Rule;
use crate::row::{Entry, RowKey};
use crate::state::tags::{ChainTag, Tags};
use crate::state::{Head, SignedHead, Space};
use crate::store::{Store, StoreError};

/// See the module page.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// The own head up to which everything may be known to others; none when nothing of the id ever left.
    head: Option<Head>,
    /// Ends of the own deltas above it.
    since: Vec<(u64, Chain)>,
    /// Own entries in rows that name the own id, that own writes above it replaced.
    pub(super) replaced: Replaced,
}

/// By row: what was replaced, oldest first.
pub(super) type Replaced = BTreeMap<RowKey, Vec<Step>>;

/// An own entry that an own write replaced.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) entry: Entry,
    /// The dot of that write.
    pub(super) by: u64,
    /// Nothing took its place.
    pub(super) cleared: bool,
}

/// A head of the own id that was not written here, signed, with the tags before it; and whether deltas have shown that
/// it is of another history.
pub(super) type Heard = (SignedHead, Tags, bool);

/// Most of those that wait for a merge: who has more to say says it again.
const HEARD: usize = 8;

impl Told {
    /// Of a store that was just opened.
    pub(super) fn opened(head: Option<&Head>) -> Self {
        Self { head: head.cloned(), ..Self::default() }
    }

    /// Of an id under which all of these deltas are new.
    pub(super) const fn nothing(since: Vec<(u64, Chain)>) -> Self {
        Self { head: None, since, replaced: Replaced::new() }
    }

    /// An own entry of a row that names the own id is replaced.
    pub(super) fn replace(&mut self, key: &RowKey, step: Step) {
        self.replaced.entry(key.clone()).or_default().push(step);
    }

    fn keep_steps(&mut self, keep: impl Fn(&Step) -> bool) {
        self.replaced.retain(|_, steps| {
            steps.retain(&keep);
            !steps.is_empty()
        });
    }

    /// What is told, as a head.
    pub(super) fn cut(&self) -> Option<Head> {
        self.head.clone()
    }

    pub(super) fn seq(&self) -> u64 {
        self.head.as_ref().map_or(0, |head| head.seq)
    }

    /// An own delta was sealed.
    pub(super) fn wrote(&mut self, seq: u64, chain: Chain) {
        self.since.push((seq, chain));
    }

    /// Own deltas above `seq` were lost.
    pub(super) fn lost(&mut self, seq: u64) {
        self.since.retain(|(end, _)| *end <= seq);
        self.keep_steps(|step| step.by <= seq);
    }

    /// All ends of own deltas that are known here without the log.
    fn ends(&self) -> impl Iterator<Item = (u64, ChainTag)> + '_ {
        let head = self.head.as_ref().map(|head| (head.seq, head.tag()));
        let before = self.head.iter().flat_map(|head| head.tags.ends());
        before.chain(head).chain(self.since.iter().map(|(seq, chain)| (*seq, cut(&chain.0))))
    }

    /// The end of the own delta that holds `seq`, above what is told.
    fn end_of(&self, seq: u64) -> Option<(u64, Chain)> {
        self.since.get(self.since.partition_point(|(end, _)| *end < seq)).copied()
    }
}

impl<S: Store> Space<S> {
    /// Own dots up to `seq` leave now, or are known to somebody: all of their deltas count as told.
    pub(crate) fn tell(&mut self, seq: u64) {
        if seq <= self.told.seq() {
            return;
        }
        let Some(head) = self.told.end_of(seq).and_then(|(seq, chain)| self.own_head(seq, chain)) else {
            return;
        };
        self.told.since.retain(|(end, _)| *end > head.seq);
        self.told.keep_steps(|step| step.by > head.seq);
        self.told.head = Some(head);
    }

    /// All that is durable of the own id is known to somebody.
    pub(crate) fn tell_durable(&mut self) {
        if let Some(own) = self.replica() {
            self.tell(self.durable.heads.seq(&own));
        }
    }

    /// The own head at the end of an own delta.
    pub(super) fn own_head(&self, seq: u64, chain: Chain) -> Option<Head> {
        let own = self.replica()?;
        if let Some(told) = self.told.head.as_ref().filter(|told| told.seq == seq) {
            return Some(told.clone());
        }
        if let Some(durable) =
            self.durable.heads.get(&own).filter(|head| (head.seq, head.chain) == (seq, chain))
        {
            return Some(durable.clone());
        }
        let mut head = self.heads.get(&own)?.clone();
        (head.seq, head.chain, head.floor) = (seq, chain, head.floor.min(seq));
        head.signature = self.identity.sign(&signed_head(&self.id, &own, seq, &chain));
        head.tags = Tags::of(self.told.ends().filter(|(end, _)| *end < seq).collect());
        Some(head)
    }

    /// Whether somebody knows own dots that were never told.
    pub(super) fn is_untold(&self, replica: &ReplicaId, seq: u64) -> bool {
        self.replica() == Some(*replica) && seq > self.told.seq()
    }

    /// Whether anything of the own id was never told.
    pub(super) fn has_untold(&self) -> bool {
        self.replica().is_some_and(|own| self.heads.seq(&own) > self.told.seq())
    }

    /// Whether the own history passes through a place, as far as can be told. Where it passes, it counts as told.
    pub(crate) fn own_passes(&mut self, seq: u64, tag: &ChainTag) -> Result<Option<bool>, StoreError> {
        self.seal()?;
        let Some(own) = self.replica() else { return Ok(None) };
        if seq >= self.told.seq() {
            // Every own delta since then is known: whatever else is there was written elsewhere.
            return Ok(Some(self.told.ends().any(|end| end == (seq, *tag))));
        }
        let told = self.told.head.as_ref();
        if let Some(passes) = told.and_then(|told| told.passes(seq, tag)) {
            return Ok(Some(passes));
        }
        if self.heads.get(&own).is_none_or(|head| seq < head.floor) {
            return Ok(None);
        }
        let chain = self.chain_at(Dot::new(own, seq))?;
        Ok(Some(chain.is_some_and(|chain| cut::<8>(&chain.0) == *tag)))
    }

    /// Looks at a head that its author signed, whose history had `tags` before it. Says whether own deltas got a new id, or
    /// will once a merge has arrived: what was said of the own id before that may hold no more.
    pub(crate) fn heed(&mut self, theirs: &SignedHead, tags: &Tags) -> Result<bool, StoreError> {
        let before = self.stats.renames;
        let own = self.replica() == Some(theirs.replica);
        if own && !self.planted.keeps(Rule::H6NewIncarnation) {
            return Ok(false);
        }
        if own && self.is_merging() && self.own_passes(theirs.seq, &theirs.tag())? == Some(false) {
            // What is in memory is not what the merge makes of it: that has to arrive first, and nothing is told before.
            if self.heard.len() < HEARD {
                self.heard.push((*theirs, tags.clone(), false));
            }
            return Ok(true);
        }
        if own {
            self.heed_own(theirs, tags)?;
        }
        if self.contradicts(theirs, tags)? {
            self.mark_forked(theirs.replica)?;
        }
        Ok(self.stats.renames > before)
    }

    /// The same for a head to which deltas of another history led: even where tags do not say so there are two.
    pub(crate) fn heed_fork(&mut self, theirs: &SignedHead, tags: &Tags) -> Result<(), StoreError> {
        let kept = self.heard.len();
        if !self.heed(theirs, tags)? {
            return self.mark_forked(theirs.replica);
        }
        if let Some(last) = self.heard.get_mut(kept) {
            last.2 = true;
        }
        Ok(())
    }

    /// Looks at what was heard while a merge was on its way.
    pub(super) fn heed_kept(&mut self) -> Result<(), StoreError> {
        if self.is_merging() {
            return Ok(());
        }
        for (theirs, tags, is_fork) in core::mem::take(&mut self.heard) {
            // Nothing was told meanwhile, not even a hello that says what was dropped.
            self.dropped_meanwhile = true;
            if is_fork {
                self.heed_fork(&theirs, &tags)?;
            } else {
                self.heed(&theirs, &tags)?;
            }
        }
        Ok(())
    }

    fn heed_own(&mut self, theirs: &SignedHead, tags: &Tags) -> Result<(), StoreError> {
        match self.own_passes(theirs.seq, &theirs.tag())? {
            Some(true) => {
                self.tell(theirs.seq);
                return Ok(());
            }
            Some(false) => {}
            None => return Ok(()),
        }
        let mine = self.heads.get(&theirs.replica).map(|head| (head.seq, head.tag()));
        // All that was written here is part of what was written there: nothing of it needs another name.
        if mine.is_none_or(|mine| tags.ends().any(|end| end == mine)) {
            return self.retire();
        }
        let mut parted = 0;
        for (seq, tag) in tags.ends().rev() {
            if self.own_passes(seq, &tag)? == Some(true) {
                parted = seq;
                break;
            }
        }
        // What lies before the place where they part is theirs too: the copy told it, if this side did not.
        self.tell(parted);
        self.rename_untold()
    }
}
