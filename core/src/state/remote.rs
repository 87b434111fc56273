//! Deltas from elsewhere: verified in runs, applied whole or not at all.
//!
//! A run is a stretch of one replica's chain. Its newest signature vouches for all of it, so nothing of a run is applied
//! beyond a verified signature: the vector never rests on an unsigned link. Deltas of several replicas arrive
//! interleaved, in an order that respects causality; the longest prefix that ends at signatures only is applied, and the
//! rest waits for more.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::boundary::{Event, Now};
use crate::clock::Timestamp;
use crate::id::{Chain, DeviceKey, Dot, Nonce, ReplicaId, Signature, cut};
use crate::identity::signed_head;
use crate::planted::Rule;
use crate::row::merge;
use crate::row::{Delta, Deps, RowKey, Runs};
use crate::state::feed::Origin;
use crate::state::overlay::Held;
use crate::state::{Head, SignedHead, Space, Tags};
use crate::store::{Store, StoreError};

/// A delta from elsewhere, linked to the chain of its author.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) delta: Delta,
    /// Its canonical bytes.
    pub(crate) bytes: Vec<u8>,
    /// The author's chain before and after it.
    pub(crate) previous: Chain,
    pub(crate) chain: Chain,
    /// The author's signature on `chain`, if this is where a signature stands.
    pub(crate) signature: Option<Signature>,
    /// That signature was found to hold.
    pub(crate) vouched: bool,
    /// The author's key and nonce, already checked against its id; or as known here.
    pub(crate) device: DeviceKey,
    pub(crate) nonce: Nonce,
    /// Its puts whose rows were named by what they replace, with that.
    pub(crate) replaces: Vec<(Dot, Dot)>,
}

/// What became of received deltas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// So many were applied (known ones do not count). What is left waits for a signature.
    Done(u64),
    /// A merge is under way, and they wait for it; nothing was applied.
    Later,
    /// Something before the first of them is not known here; nothing was applied.
    Missing,
    /// They continue another history of this replica than the one known here; nothing was applied.
    Fork {
        replica: ReplicaId,
        /// What says so if the author signed it and not only whoever sent it: where that history stands, and how it came
        /// there.
        proof: Option<Box<(SignedHead, Tags)>>,
    },
    /// A signature does not hold; nothing was applied.
    Invalid,
}

/// How a delta relates to a state.
pub(super) enum Fit {
    Known,
    Next,
    Missing,
    Fork,
}

/// What a plan does with a delta.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// It is known.
    Pass,
    /// Rule H5 is left out: count it without applying it.
    Skip,
    Apply,
}

/// Heads as they would be after the deltas looked at so far.
pub(super) type Ahead = BTreeMap<ReplicaId, (u64, Chain)>;

impl<S: Store> Space<S> {
    /// Applies as much of `queue` as signatures vouch for, all of it or nothing. `replay` says that the order is that of
    /// a log.
    pub(crate) fn apply_received(
        &mut self,
        now: Now,
        queue: &mut VecDeque<Received>,
        replay: bool,
    ) -> Result<Applied, StoreError> {
        if queue.iter().any(|received| self.waits_for_merge(&received.delta.replica)) {
            return Ok(Applied::Later);
        }
        // The head of the own id counts what is pending; its chain and tags know of it only once it is sealed.
        let own = self.replica();
        if queue.iter().any(|received| own == Some(received.delta.replica)) {
            self.seal()?;
        }
        match self.plan(queue, Ahead::new(), replay) {
            Ok(plan) => self.carry_out(now, queue, plan),
            Err(refused) => Ok(refused),
        }
    }

    /// What to do with each delta of the vouched prefix of `queue`, in a state whose heads are those here or, where
    /// given, those in `ahead`.
    pub(super) fn plan(
        &self,
        queue: &VecDeque<Received>,
        mut ahead: Ahead,
        replay: bool,
    ) -> Result<Vec<Step>, Applied> {
        let ready = self.vouched_prefix(queue);
        if !self.signatures_hold(queue.range(..ready)) {
            return Err(Applied::Invalid);
        }
        let mut plan = Vec::with_capacity(ready);
        for received in queue.range(..ready) {
            plan.push(match self.fit(received, &ahead, replay) {
                Fit::Known => Step::Pass,
                Fit::Fork => {
                    return Err(self.fork_in(queue.range(..ready), received.delta.replica));
                }
                Fit::Missing if self.planted.keeps(Rule::H5NoSkips) => return Err(Applied::Missing),
                Fit::Missing => Step::Skip,
                Fit::Next => {
                    ahead.insert(received.delta.replica, (received.delta.last_seq(), received.chain));
                    Step::Apply
                }
            });
        }
        Ok(plan)
    }

    pub(super) fn carry_out(
        &mut self,
        now: Now,
        queue: &mut VecDeque<Received>,
        plan: Vec<Step>,
    ) -> Result<Applied, StoreError> {
        let mut count = 0;
        for (step, received) in plan.into_iter().map_while(|step| Some((step, queue.pop_front()?))) {
            match step {
                Step::Pass => {}
                Step::Skip => self.skip(&received),
                Step::Apply => {
                    self.apply_one(now, received)?;
                    count += 1;
                }
            }
        }
        Ok(Applied::Done(count))
    }

    /// The length of the longest prefix in which the last delta of every replica carries a signature, or came another
    /// way meanwhile.
    fn vouched_prefix(&self, queue: &VecDeque<Received>) -> usize {
        let mut unsigned: Vec<ReplicaId> = Vec::new();
        let mut ready = 0;
        for (index, received) in queue.iter().enumerate() {
            let replica = received.delta.replica;
            unsigned.retain(|other| *other != replica);
            if received.signature.is_none() && received.delta.last_seq() > self.heads.seq(&replica) {
                unsigned.push(replica);
            }
            if unsigned.is_empty() {
                ready = index + 1;
            }
        }
        ready
    }

    /// Whether the last signature of each replica in a prefix holds; it vouches for all before it.
    fn signatures_hold<'a>(&self, prefix: impl DoubleEndedIterator<Item = &'a Received>) -> bool {
        let mut checked: Vec<ReplicaId> = Vec::new();
        prefix.rev().all(|received| {
            let replica = received.delta.replica;
            if checked.contains(&replica) {
                return true;
            }
            checked.push(replica);
            // Nothing beyond what is known here needs vouching for.
            received.delta.last_seq() <= self.heads.seq(&replica) || self.signs(received)
        })
    }

    /// What a run says about its author's other history.
    fn fork_in<'a>(&self, run: impl Iterator<Item = &'a Received>, replica: ReplicaId) -> Applied {
        let run: Vec<&Received> = run.filter(|received| received.delta.replica == replica).collect();
        let start = run.first().map(|first| (first.delta.first_seq - 1, cut(&first.previous.0)));
        let ends = run.iter().rev().skip(1).rev().map(|one| (one.delta.last_seq(), cut(&one.chain.0)));
        let tags = Tags::of(start.into_iter().filter(|(seq, _)| *seq > 0).chain(ends).collect());
        let last = run.last().filter(|last| self.signs(last));
        let proof = last.and_then(|last| {
            let (seq, chain, signature) = (last.delta.last_seq(), last.chain, last.signature?);
            Some(Box::new((SignedHead { replica, seq, chain, signature }, tags)))
        });
        Applied::Fork { replica, proof }
    }

    /// Whether its author has signed a delta, and with it all before it.
    fn signs(&self, received: &Received) -> bool {
        let Received { delta, chain, signature, vouched, device, .. } = received;
        let head = || signed_head(&self.id, &delta.replica, delta.last_seq(), chain);
        *vouched || signature.is_some_and(|signature| self.identity.verify(device, &head(), &signature))
    }

    /// The same for one that has to be judged at once. It is not asked again, however often it has to wait.
    pub(crate) fn vouch(&self, received: &mut Received) -> bool {
        received.vouched = self.signs(received);
        received.vouched
    }

    pub(super) fn fit(&self, received: &Received, ahead: &Ahead, replay: bool) -> Fit {
        let delta = &received.delta;
        let known =
            |replica: &ReplicaId| ahead.get(replica).map_or_else(|| self.heads.seq(replica), |at| at.0);
        let seq = known(&delta.replica);
        if delta.last_seq() <= seq {
            let here = ahead.get(&delta.replica).map(|at| at.1);
            let same = match (here, self.heads.get(&delta.replica)) {
                (Some(chain), _) => delta.last_seq() < seq || chain == received.chain,
                (None, Some(head)) => head.passes(delta.last_seq(), &cut(&received.chain.0)) != Some(false),
                (None, None) => false,
            };
            return if same { Fit::Known } else { Fit::Fork };
        }
        if !self.planted.keeps(Rule::H3NoGaps) {
            return Fit::Next;
        }
        if delta.first_seq != seq + 1 {
            // Part of it is known and part is not: no honest history of this replica has such a delta.
            return if delta.first_seq <= seq { Fit::Fork } else { Fit::Missing };
        }
        let chain = ahead.get(&delta.replica).map(|at| at.1);
        let chain = chain.or_else(|| self.heads.get(&delta.replica).map(|head| head.chain));
        if chain.is_some_and(|chain| chain != received.previous) {
            return Fit::Fork;
        }
        let deps = delta.deps.dots().iter().all(|dot| dot.seq <= known(&dot.replica));
        let digest = !delta.deps.dots().is_empty() || self.heads.meets(&delta.deps, replay);
        let kills = delta.kills.iter().all(|(replica, runs)| runs.last().unwrap_or(0) <= known(replica));
        if deps && digest && kills && !self.names_untold(delta) { Fit::Next } else { Fit::Missing }
    }

    /// Whether a delta of somebody else names own dots that were never told: another copy of this store wrote them, or
    /// told them. What that is has to be found out first, for it may kill what was never told.
    fn names_untold(&self, delta: &Delta) -> bool {
        let dots = delta.deps.dots().iter().any(|dot| self.is_untold(&dot.replica, dot.seq));
        let killed = |(replica, runs): (&ReplicaId, &Runs)| self.is_untold(replica, runs.last().unwrap_or(0));
        let equal = matches!(&delta.deps, Deps::Digest(digest) if *digest == self.heads.digest());
        self.replica() != Some(delta.replica)
            && self.planted.keeps(Rule::H6NewIncarnation)
            && (dots || delta.kills.iter().any(killed) || (equal && self.has_untold()))
    }

    fn apply_one(&mut self, now: Now, received: Received) -> Result<(), StoreError> {
        // Own pending transactions did not see this.
        self.seal()?;
        let replica = received.delta.replica;
        self.retire_if_own(replica)?;
        self.observe(now, replica, received.delta.timestamp());
        self.note_meanwhile(|| received.clone());
        self.apply_linked(received)
    }

    /// Moves the clock past a timestamp from elsewhere, as far as it is to be believed.
    pub(super) fn observe(&mut self, now: Now, replica: ReplicaId, timestamp: Timestamp) {
        if self.clock.observe(timestamp, now.wall_ms) {
            self.stats.clock_suspects += 1;
            self.events.push(Event::ClockSuspect { replica });
        }
    }

    /// Applies a delta that fits.
    pub(super) fn apply_linked(&mut self, received: Received) -> Result<(), StoreError> {
        let Received { delta, bytes, previous, chain, signature, device, nonce, replaces, .. } = received;
        let replica = delta.replica;
        replaces.into_iter().for_each(|(put, killed)| self.replaced.note(put, Some(killed)));
        self.overlay.acting = Some(Origin { author: replica, local: false });
        self.with_rows(|held| merge::apply(held, &delta))?;
        self.overlay.acting = None;
        let covers_all = matches!(&delta.deps, crate::row::Deps::Digest(d) if *d == self.heads.digest());
        self.frontier.advance(delta.last(), delta.first_seq - 1, delta.deps.dots(), covers_all);
        let space = self.id;
        let start = || Head::start(&space, &replica, device, nonce);
        let head = self.heads.0.entry(replica).or_insert_with(start);
        head.advance(delta.last_seq(), chain, delta.first_seq - 1);
        if let Some(signature) = signature {
            head.signature = signature;
        }
        if head.forked {
            head.floor = head.seq;
        }
        self.touch_head(replica);
        self.append_log(bytes, previous, signature)
    }

    /// What rule H5 forbids: counts a delta as received without applying it.
    fn skip(&mut self, received: &Received) {
        if let Some(head) = self.heads.0.get_mut(&received.delta.replica) {
            head.seq = head.seq.max(received.delta.last_seq());
            head.chain = received.chain;
            head.signature = received.signature.unwrap_or(head.signature);
            self.touch_head(received.delta.replica);
        }
    }

    /// Runs the merge rule over memory, keeping note of the rows that it changed.
    pub(super) fn with_rows<T>(
        &mut self,
        rule: impl FnOnce(&mut Held<'_, S>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut touched: Vec<RowKey> = Vec::new();
        let (heads, said) = (&self.heads, &self.doubtful);
        let result = rule(&mut Held {
            overlay: &mut self.overlay,
            seen: &|dot| heads.contains(dot),
            touched: &mut touched,
            doubtful: &|id| said.contains(id) || heads.get(id).is_some_and(|head| head.forked),
            forks_bytes: &mut self.forks_bytes,
        })?;
        self.stats.concurrent_rows +=
            touched.iter().filter(|key| self.overlay.is_concurrent(key)).count() as u64;
        Ok(result)
    }
}
