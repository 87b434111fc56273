//! The state of one space on one device: memory over a store.
//!
//! *Memory* is what local reads and writes see: every transaction at once, and every remote delta as it is applied.
//! *Durable* is what sessions see: exactly the persisted commits. Between the two lies the [`overlay`], and at most one
//! commit in flight. Vector, frontier, clock and log bounds exist twice for the same reason.

mod bulk;
mod carried;
mod commit;
mod expiring;
pub mod feed;
mod forks;
mod head;
pub mod image;
pub mod index;
mod layer;
mod live_tree;
mod local;
mod log;
mod merging;
mod moment;
mod overlay;
mod past;
pub mod remains;
mod remote;
mod rename;
mod replaced;
mod tags;
mod told;
mod undo;
mod verify;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use thiserror::Error;

use crate::boundary::{Config, Event, Stats};
use crate::clock::{Frontier, HybridClock, Timestamp};
use crate::codec;
use crate::id::{Dot, Nonce, ReplicaId, SpaceId, cut, domain, hash};
use crate::identity::{Identity, signed_head};
use crate::planted::{Planted, Rule};
use crate::row::Carry;
use crate::store::{Store, StoreError, Table};

pub(crate) use bulk::{BulkHead, Incoming};
pub(crate) use commit::Durable;
pub(crate) use expiring::Due;
pub(crate) use head::{Head, Heads, SignedHead};
pub(crate) use live_tree::{Live, LiveNode, Range, scan_live};
pub use local::{ReadError, Reader, Snapshot, Transaction, WriteError};
pub(crate) use log::LogRecord;
pub use moment::Moment;
pub(crate) use overlay::{Overlay, decode_dot, decode_dot_hash};
pub(crate) use remote::{Applied, Received};
pub(crate) use replaced::Replaced;
pub(crate) use tags::Tags;

use commit::InFlight;
use feed::{Feed, Retention};
use head::{ChangedHeads, FIRST_WITH_TREE, Incarnation, LogBounds, Own, STORE_FORMAT, meta_key};
use live_tree::LiveTree;
use local::Pending;
use merging::Merging;
use rename::{Moved, Parting};
use told::{Heard, Told};
use undo::Undo;
pub(crate) use undo::Way;

/// A store that cannot be opened. Nothing in it was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// Written by a later version of rejoin.
    #[error("the store has format {found}, this version reads up to {known}: update rejoin to open it")]
    Newer {
        /// Its format.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
    /// The store holds another space.
    #[error("the store holds another space ({found}): check the path")]
    OtherSpace {
        /// The space that it holds.
        found: SpaceId,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Random bytes from the seed that the host gave, as BLAKE3(seed, counter): deterministic for the simulator.
pub(crate) struct Entropy {
    seed: [u8; 32],
    drawn: u64,
}

impl Entropy {
    pub(crate) fn draw<const N: usize>(&mut self) -> [u8; N] {
        self.drawn += 1;
        cut(&hash(domain::ENTROPY, &[&self.seed, &self.drawn.to_le_bytes()]))
    }

    /// A number below `bound`, evenly enough for jitter.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        u64::from_le_bytes(self.draw()) % bound.max(1)
    }
}

/// One space: see the module page.
pub(crate) struct Space<S> {
    pub(crate) id: SpaceId,
    pub(crate) identity: Box<dyn Identity>,
    pub(crate) planted: Planted,
    pub(crate) entropy: Entropy,
    pub(crate) stats: Stats,
    /// Events that wait to be told.
    pub(crate) events: Vec<Event>,
    pub(crate) overlay: Overlay<S>,
    pub(crate) heads: Heads,
    pub(crate) frontier: Frontier,
    pub(crate) durable: Durable,
    clock: HybridClock,
    incarnation: Option<Incarnation>,
    lineage: [u8; 16],
    log: LogBounds,
    log_limit: u64,
    /// Own transactions that wait for a commit, as one delta.
    pending: Option<Pending>,
    told: Told,
    parting: Option<Parting>,
    /// Renames since the store was opened.
    moved: Vec<Moved>,
    /// What was heard of the own id while a merge was on its way, and may rename something once that has arrived.
    heard: Vec<Heard>,
    /// Something was renamed and sessions have not begun anew yet.
    renamed: bool,
    changed_heads: ChangedHeads,
    /// The store does not say yet what it is: every commit does, until one is durable.
    unformatted: bool,
    /// The own state must be written although no head changed.
    own_changed: bool,
    pub(crate) replaced: Replaced,
    /// Where the log stood when this side was last in sync with anybody.
    pub(crate) agreed_log: Option<u64>,
    /// The stage may hold something.
    stage_used: bool,
    /// Staged dots that a peer held another content of. They are not told as staged: each peer sends its own.
    disputed: BTreeSet<Dot>,
    in_flight: Option<InFlight>,
    /// A bulk sync that leaves with the next commit.
    merge: Option<Merging>,
    /// Deltas applied while such a commit is in flight.
    meanwhile: Vec<Received>,
    /// One of them did not fit afterwards.
    pub(crate) dropped_meanwhile: bool,
    /// How many bytes the table of forks has, once that was asked for.
    forks_bytes: Option<usize>,
    /// Replicas that a bulk being committed says have two histories.
    doubtful: BTreeSet<ReplicaId>,
    /// What data types whose rows name replicas do when the own id changes.
    carry: &'static dyn Carry,
    /// The time that the host's last call brought.
    pub(crate) wall_ms: u64,
    /// The durable state of the change feed, and what it shall be from the next commit on.
    feed: Option<Feed>,
    feed_wish: Option<Retention>,
    /// What is noted belongs to the commit that begins here: within a merge.
    feed_commit: Option<u64>,
    /// That commit has more than the feed may hold.
    feed_full: bool,
    /// Own transactions that can be taken back.
    undo: Undo,
}

impl<S: Store> Space<S> {
    /// Opens a store, empty or not.
    pub(crate) fn open(
        config: &Config,
        identity: Box<dyn Identity>,
        store: S,
        seed: [u8; 32],
        carry: &'static dyn Carry,
    ) -> Result<Self, OpenError> {
        let format = check_format(config, &store)?;
        let (mut space, own) = Self::read(config, identity, store, seed, carry, format)?;
        space.told = Told::opened(space.replica().and_then(|own| space.heads.get(&own)));
        let device = space.identity.device();
        // A damaged record: nobody vouches for an id that is not made of this device's key.
        let is_own = |own: &Incarnation| ReplicaId::derive(&device, &space.id, &own.nonce) == own.replica;
        if space.incarnation.as_ref().is_some_and(|own| !is_own(own)) {
            space.retire()?;
        }
        // Another place than the one it was written in: a copy, or a restored backup. Its old id may live on elsewhere.
        if own.is_some_and(|own| own.lineage != config.lineage)
            && config.planted.keeps(Rule::H6NewIncarnation)
        {
            space.retire()?;
        }
        Ok(space)
    }

    /// Reads what a store of a known format says, and believes it.
    fn read(
        config: &Config,
        identity: Box<dyn Identity>,
        store: S,
        seed: [u8; 32],
        carry: &'static dyn Carry,
        format: Option<u32>,
    ) -> Result<(Self, Option<Own>), StoreError> {
        let own = read_own(&store)?;
        let heads = read_heads(&store)?;
        let frontier = Frontier::from_dots(own.as_ref().map(|own| own.frontier.clone()).unwrap_or_default());
        let log = own.as_ref().map_or_else(LogBounds::default, |own| own.log);
        let tree = match format {
            Some(FIRST_WITH_TREE..) => LiveTree::open(&store, config.leaf_dots)?,
            _ => LiveTree::over_all_dots(&store, config.leaf_dots)?,
        };
        let undo = Undo::read(&store)?;
        let mut space = Self {
            id: config.space,
            identity,
            planted: config.planted,
            entropy: Entropy { seed, drawn: 0 },
            stats: Stats::default(),
            events: Vec::new(),
            overlay: Overlay::new(store),
            durable: Durable::new(heads.clone(), frontier.clone(), log, tree),
            heads,
            frontier,
            clock: HybridClock::new(own.as_ref().map_or(Timestamp::default(), Own::clock)),
            incarnation: own.as_ref().and_then(|own| own.incarnation),
            lineage: config.lineage,
            log,
            log_limit: config.log_bytes,
            pending: None,
            told: Told::default(),
            parting: None,
            moved: Vec::new(),
            heard: Vec::new(),
            renamed: false,
            changed_heads: ChangedHeads::new(),
            unformatted: format != Some(STORE_FORMAT),
            own_changed: format != Some(STORE_FORMAT),
            replaced: Replaced::default(),
            agreed_log: None,
            stage_used: true,
            disputed: BTreeSet::new(),
            in_flight: None,
            merge: None,
            meanwhile: Vec::new(),
            dropped_meanwhile: false,
            forks_bytes: None,
            doubtful: BTreeSet::new(),
            carry,
            wall_ms: 0,
            feed: None,
            feed_wish: None,
            feed_commit: None,
            feed_full: false,
            undo,
        };
        space.adopt_feed()?;
        space.overlay.read_indexes()?;
        space.stage_used = !space.staged(&|_| true, 1)?.is_empty();
        Ok((space, own))
    }

    /// Reads what the store says of its feed.
    fn adopt_feed(&mut self) -> Result<(), StoreError> {
        self.feed = feed::read(self.overlay.store())?;
        self.overlay.notes_origins = self.feed_wish.or_else(|| self.feed_retention()).is_some();
        Ok(())
    }

    /// The id that this store writes under, if it has one.
    pub(crate) fn replica(&self) -> Option<ReplicaId> {
        self.incarnation.map(|own| own.replica)
    }

    /// Gives up the own id; the next write mints another. Its dots are pulled like a stranger's.
    pub(crate) fn retire(&mut self) -> Result<(), StoreError> {
        if let Some(own) = self.incarnation.take() {
            self.seal_under(own)?;
            self.told = Told::default();
            // Whoever goes on under that id may take them back as well.
            self.forget_acts();
            self.own_changed = true;
            self.stats.incarnations += 1;
            self.events.push(Event::NewIncarnation { old: own.replica });
        }
        Ok(())
    }

    /// News under the own id: another copy of this store writes, or this one went back in time.
    fn retire_if_own(&mut self, replica: ReplicaId) -> Result<(), StoreError> {
        let own = self.replica() == Some(replica) && self.planted.keeps(Rule::H6NewIncarnation);
        if own { self.retire() } else { Ok(()) }
    }

    /// Whether the author of a replica has signed a head of it. What is not known here has no author yet.
    pub(crate) fn is_signed(&self, head: &SignedHead) -> bool {
        let SignedHead { replica, seq, chain, signature } = head;
        let message = signed_head(&self.id, replica, *seq, chain);
        let own = || (self.replica() == Some(*replica)).then(|| self.identity.device());
        let device = self.heads.get(replica).map(|head| head.device).or_else(own);
        device.is_some_and(|device| self.identity.verify(&device, &message, signature))
    }

    /// Whether a head of a replica, whose history had `tags` before it, and the one known here cannot be of one history,
    /// as far as memory, log and tags can tell.
    pub(crate) fn contradicts(&mut self, theirs: &SignedHead, tags: &Tags) -> Result<bool, StoreError> {
        // Sealing may push own deltas out of the log, so it comes first.
        self.seal()?;
        let Some(mine) = self.heads.get(&theirs.replica) else { return Ok(false) };
        if theirs.seq > mine.seq {
            return Ok(tags.pass(mine.seq, &mine.tag()) == Some(false));
        }
        if mine.floor <= theirs.seq {
            // Above its floor the log knows every head that this replica ever had.
            return Ok(self.chain_at(Dot::new(theirs.replica, theirs.seq))? != Some(theirs.chain));
        }
        Ok(mine.passes(theirs.seq, &theirs.tag()) == Some(false))
    }

    /// Two histories under one id: exchange it by bulk only from now on, and never write under it again. Only for what
    /// both were signed with the author's key: the word of a peer is not enough to take an id from its owner.
    pub(crate) fn mark_forked(&mut self, replica: ReplicaId) -> Result<(), StoreError> {
        if self.replica() == Some(replica) {
            self.retire()?;
        }
        if self.remember_fork(replica) {
            self.stats.forks += 1;
            self.events.push(Event::Fork { replica });
        }
        Ok(())
    }

    /// Notes that there are two histories; `false` when that is known, or the replica is not.
    fn remember_fork(&mut self, replica: ReplicaId) -> bool {
        let head = self.heads.0.get_mut(&replica).filter(|head| !head.forked);
        let Some(head) = head else { return false };
        head.forked = true;
        head.floor = head.seq;
        self.changed_heads.insert(replica);
        true
    }

    /// Marks a head as changed, to be written with the next commit.
    fn touch_head(&mut self, replica: ReplicaId) {
        self.changed_heads.insert(replica);
    }

    fn mint(&mut self) -> Incarnation {
        let nonce = Nonce(self.entropy.draw());
        Incarnation { replica: ReplicaId::derive(&self.identity.device(), &self.id, &nonce), nonce }
    }

    /// Dots in the stage, in memory: the first so many that are `wanted`.
    pub(crate) fn staged(&self, wanted: &dyn Fn(&Dot) -> bool, most: usize) -> Result<Vec<Dot>, StoreError> {
        let mut dots = Vec::new();
        self.overlay.scan(Table::Stage, &[], &mut |key, _| {
            dots.extend(Dot::from_bytes(key).filter(wanted));
            if dots.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(dots)
    }
}

/// Checks format and space; says which format it is, if the store is not empty.
fn check_format<S: Store>(config: &Config, store: &S) -> Result<Option<u32>, OpenError> {
    let Some(format) = store.get(Table::Meta, meta_key::FORMAT)? else { return Ok(None) };
    let found: u32 = codec::decode(&format).map_err(overlay::damaged)?;
    if found > STORE_FORMAT {
        return Err(OpenError::Newer { found, known: STORE_FORMAT });
    }
    let space = store.get(Table::Meta, meta_key::SPACE)?.unwrap_or_default();
    let space: [u8; 32] =
        space.try_into().map_err(|_| overlay::damaged(crate::error::CodecError::Malformed))?;
    if SpaceId(space) != config.space {
        return Err(OpenError::OtherSpace { found: SpaceId(space) });
    }
    Ok(Some(found))
}

fn read_own<S: Store>(store: &S) -> Result<Option<Own>, StoreError> {
    let own = store.get(Table::Meta, meta_key::OWN)?;
    own.map(|bytes| codec::decode(&bytes).map_err(overlay::damaged)).transpose()
}

fn read_heads<S: Store>(store: &S) -> Result<Heads, StoreError> {
    let mut heads = Heads::default();
    let mut failed = None;
    store.scan(Table::Replicas, &[], &mut |key, value| {
        let replica = <[u8; 16]>::try_from(key).ok().map(ReplicaId::from_bytes);
        let head = replica.and_then(|replica| Some((replica, Head::decode(&replica, value).ok()?)));
        let Some((replica, head)) = head else {
            failed = Some(overlay::damaged(crate::error::CodecError::Malformed));
            return ControlFlow::Break(());
        };
        heads.0.insert(replica, head);
        ControlFlow::Continue(())
    })?;
    failed.map_or(Ok(heads), Err)
}
