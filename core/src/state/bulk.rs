//! The stage, and the pieces of the bulk commit (the clauses (a) to (g) that every one of 400 model runs needed).
//! [`super::merging`] puts them together.
//!
//! A bulk sync fetches what is live at a peer under a vector V. Its entries are staged on disk as they come, invisible,
//! so that an interrupted sync is resumed with any peer. At the end one commit changes entries, removals, vector,
//! frontier and floors together: joining the whole vector with part of the difference is how other engines lost data.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::boundary::Event;
use crate::clock::{Frontier, VersionVector};
use crate::codec;
use crate::id::{Chain, DeviceKey, Dot, Nonce, ReplicaId, Signature};
use crate::limits::CHUNK_RUNS;
use crate::planted::Rule;
use crate::row::merge::{Loss, Snapshot};
use crate::row::{DotSet, Entry, RowKey, Runs};
use crate::state::remote::Step;
use crate::state::{Head, Received, SignedHead, Space, Tags, overlay};
use crate::store::{Store, StoreError, Table};

/// A replica's head as a bulk ships it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BulkHead {
    pub(crate) replica: ReplicaId,
    pub(crate) seq: u64,
    pub(crate) chain: Chain,
    pub(crate) device: DeviceKey,
    pub(crate) nonce: Nonce,
    pub(crate) signature: Signature,
    /// How its history came there.
    pub(crate) tags: Tags,
}

impl BulkHead {
    pub(crate) fn of(replica: ReplicaId, head: &Head) -> Self {
        let Head { seq, chain, device, nonce, signature, .. } = *head;
        Self { replica, seq, chain, device, nonce, signature, tags: head.tags.clone() }
    }

    /// As a head of this store: nothing of it is in the log.
    pub(crate) fn to_head(&self) -> Head {
        let Self { seq, chain, device, nonce, signature, .. } = *self;
        Head { seq, chain, device, nonce, signature, floor: seq, forked: false, tags: self.tags.clone() }
    }

    /// Without what surrounds the signature.
    pub(crate) const fn signed(&self) -> SignedHead {
        let Self { replica, seq, chain, signature, .. } = *self;
        SignedHead { replica, seq, chain, signature }
    }
}

/// Everything that a bulk sync has fetched, ready to be committed.
pub(crate) struct Incoming {
    /// V.
    pub(crate) vv: VersionVector,
    /// What vouches for those of V that are news.
    pub(crate) heads: Vec<BulkHead>,
    /// The peer's frontier at V.
    pub(crate) frontier: Frontier,
    /// What is live there under V and above `compared`.
    pub(crate) live: DotSet,
    /// How far the two states were compared instead, and what of that is live here and dead there.
    pub(crate) compared: VersionVector,
    pub(crate) dead: DotSet,
    /// Whether every chunk held all that was promised, so that nothing live there is missing in the stage.
    pub(crate) complete: bool,
    /// Live entries that are known here and say something else: one dot has two contents.
    pub(crate) contested: Vec<(RowKey, Entry)>,
    /// Replicas that have two histories, as far as this side or the peer says.
    pub(crate) doubtful: BTreeSet<ReplicaId>,
    /// What the peer applied after V.
    pub(crate) tail: VecDeque<Received>,
    /// What was known here when the session began; only a planted fault looks at it.
    #[cfg(feature = "planted")]
    pub(crate) known_at_start: VersionVector,
}

/// An entry of the stage, or of the table of forks.
#[derive(Serialize, Deserialize)]
pub(super) struct Staged {
    pub(super) key: RowKey,
    pub(super) entry: Entry,
}

impl<S: Store> Space<S> {
    /// Stages an entry: it becomes durable with the next commit, and visible with the bulk commit.
    pub(crate) fn stage(&mut self, key: RowKey, entry: Entry) {
        let dot = entry.dot.to_bytes().to_vec();
        self.stage_used = true;
        self.overlay.put(Table::Stage, dot, codec::encode(&Staged { key, entry }));
    }

    /// The staged entry of a dot.
    pub(crate) fn staged_entry(&self, dot: &Dot) -> Result<Option<(RowKey, Entry)>, StoreError> {
        let value = self.overlay.get(Table::Stage, &dot.to_bytes())?;
        value.map(|value| overlay::decode_staged(dot, &value)).transpose()
    }

    /// Whether the same dot is live here with another content.
    pub(crate) fn holds_other(&self, entry: &Entry) -> Result<bool, StoreError> {
        Ok(self.overlay.place(&entry.dot)?.is_some_and(|(hash, _)| hash != entry.hash))
    }

    /// Drops a staged entry of which the peer holds another content, and does not tell of its dot again: two peers that
    /// each confirm what the other does not would end every bulk without a commit.
    pub(crate) fn dispute(&mut self, dot: Dot) {
        self.unstage(&dot);
        if self.disputed.len() >= CHUNK_RUNS {
            self.disputed.clear();
        }
        self.disputed.insert(dot);
    }

    /// So many of the staged dots that a bulk needs not bring again, as far as is known.
    pub(crate) fn usable_stage(&self, most: usize) -> Result<Vec<Dot>, StoreError> {
        self.staged(&|dot| !self.heads.contains(dot) && !self.disputed.contains(dot), most)
    }

    /// Drops a staged entry.
    pub(super) fn unstage(&mut self, dot: &Dot) {
        self.overlay.delete(Table::Stage, dot.to_bytes().to_vec());
    }

    /// Looks at the heads of a bulk before anything of it counts: for what is of two histories is merged otherwise. Says
    /// whether own deltas were renamed for it: what was compared and told so far was about what they were.
    pub(super) fn parts_with(&mut self, incoming: &Incoming) -> Result<bool, StoreError> {
        for head in &incoming.heads {
            self.heed(&head.signed(), &head.tags)?;
        }
        Ok(self.is_parting())
    }

    /// How the tail applies on top of the join, if all of it does.
    pub(super) fn plan_tail(&self, incoming: &Incoming) -> Option<Vec<Step>> {
        let ahead = incoming.heads.iter().filter(|head| head.seq > self.heads.seq(&head.replica));
        let ahead = ahead.map(|head| (head.replica, (head.seq, head.chain))).collect();
        let plan = self.plan(&incoming.tail, ahead, true).ok()?;
        (plan.len() == incoming.tail.len()).then_some(plan)
    }

    /// (d) vv := max(vv, V); (e) the log is complete only above what was jumped to.
    pub(super) fn join_head(&mut self, theirs: &BulkHead) -> Result<(), StoreError> {
        if !self.planted.keeps(Rule::DVector) {
            return Ok(());
        }
        let mine = self.heads.get(&theirs.replica).cloned();
        let (floor, forked) = mine.as_ref().map_or((0, false), |mine| (mine.floor, mine.forked));
        // Under one id the longer history names the state, the larger chain among equals: it depends on the set alone.
        if mine.as_ref().is_none_or(|mine| (theirs.seq, theirs.chain) > (mine.seq, mine.chain)) {
            let mut head = theirs.to_head();
            let advanced = mine.is_none_or(|mine| theirs.seq > mine.seq);
            self.retire_if_own(theirs.replica)?;
            if (!advanced || !self.planted.keeps(Rule::EFloors)) && !forked {
                head.floor = floor;
            }
            head.forked = forked;
            self.heads.0.insert(theirs.replica, head);
            self.touch_head(theirs.replica);
        }
        Ok(())
    }

    /// Rule F1 for dots that both sides hold with different contents: the entry with the larger content hash stays, on
    /// both sides; the other one is kept apart. Nothing here is signed, so the id is not retired for it.
    pub(super) fn settle_contested(
        &mut self,
        theirs: &Snapshot,
        contested: Vec<(RowKey, Entry)>,
    ) -> Result<(), StoreError> {
        for (key, entry) in contested {
            let Some((mine_key, mine)) = self.overlay.entry(&entry.dot)? else { continue };
            debug_assert!(theirs.vv.contains(&entry.dot));
            if mine.hash == entry.hash {
                continue;
            }
            if self.heads.get(&entry.dot.replica).is_some_and(|head| !head.forked) {
                self.events.push(Event::Fork { replica: entry.dot.replica });
            }
            let (loser_key, loser) = if mine.hash < entry.hash {
                (mine_key.clone(), mine.clone())
            } else {
                (key.clone(), entry.clone())
            };
            self.overlay.keep_loser(&loser_key, &loser, Loss::Missing, &mut self.forks_bytes)?;
            if mine.hash < entry.hash {
                self.overlay.remove_dot(&entry.dot)?;
                self.overlay.insert_entry(&key, entry)?;
            }
        }
        Ok(())
    }

    /// What rule H1 forbids: entries and removals of one chunk at once, the vector later.
    pub(crate) fn join_early(
        &mut self,
        replica: ReplicaId,
        (first, last): (u64, u64),
        live: &Runs,
        entries: Vec<(RowKey, Entry)>,
    ) -> Result<(), StoreError> {
        for (key, entry) in entries {
            if !self.heads.contains(&entry.dot) {
                self.overlay.insert_entry(&key, entry)?;
            }
        }
        for seq in self.overlay.live_within(&replica, first, last, usize::MAX)? {
            if !live.contains(seq) {
                self.overlay.remove_dot(&Dot::new(replica, seq))?;
            }
        }
        Ok(())
    }

    /// Drops what is staged of dots that are known by now: they came another way, or with a bulk.
    pub(crate) fn tidy_stage(&mut self) -> Result<(), StoreError> {
        if self.stage_used {
            let known = self.staged(&|dot| self.heads.contains(dot), usize::MAX)?;
            known.iter().for_each(|dot| self.unstage(dot));
            self.stage_used = !self.staged(&|_| true, 1)?.is_empty();
            self.disputed.retain(|dot| !self.heads.contains(dot));
        }
        Ok(())
    }
}
