//! Reading an image: as changes for an empty store, a block at a time, each checked before it is given out.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::entries::{self, Told};
use super::frame::{ImageSource, Kind, Source};
use super::{About, Closing, Contents, ForkKey, ImageError, NOWHERE, Opening, Records};
use crate::clock::Frontier;
use crate::codec::{self, BoundedVec};
use crate::id::{Dot, ReplicaId, Root, SpaceId};
use crate::identity::Identity;
use crate::row::{Entry, Payload, RowKey};
use crate::state::head::{LogBounds, Own, STORE_FORMAT, meta_key};
use crate::state::live_tree::LiveTree;
use crate::state::overlay::dot_value;
use crate::state::{Head, Heads, read_heads};
use crate::store::{Change, Store, StoreError, Table};
use crate::tree::{self, ReplicaNode};

/// A part of an image.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// A space begins.
    Space(About),
    /// Changes for its store, which was empty; each key occurs once in all of them.
    Changes(Vec<Change>),
    /// The space is complete, with its last changes. Its store is, once [`completed`] has named the root of [`About`] for it
    /// and what that says was applied too.
    Close(Contents, Vec<Change>),
    /// The image is complete, and every byte of it is what was written.
    End {
        /// How many spaces it held.
        spaces: u64,
    },
}

/// Reads an image. Holds a block, a row, and a few words for each replica.
pub struct ImageReader<'a> {
    source: Source<'a>,
    identity: &'a dyn Identity,
    space: Option<Reading>,
    spaces: BTreeSet<SpaceId>,
    ended: bool,
}

/// A space that is being read.
struct Reading {
    opening: Opening,
    heads: Heads,
    ids: Vec<ReplicaId>,
    frontier: BTreeSet<Dot>,
    last_fork: Vec<u8>,
    /// The kinds of blocks that may still come.
    stage: Kind,
    closing: Closing,
    row: Option<(RowKey, Vec<Entry>)>,
}

impl<'a> ImageReader<'a> {
    /// Begins to read. `identity` checks signatures, whosever it is.
    ///
    /// # Errors
    /// It is no image, or one of a later version.
    pub fn begin(source: &'a mut ImageSource<'a>, identity: &'a dyn Identity) -> Result<Self, ImageError> {
        let source = Source::begin(source)?;
        Ok(Self { source, identity, space: None, spaces: BTreeSet::new(), ended: false })
    }

    /// How many bytes were read.
    pub const fn at(&self) -> u64 {
        self.source.at()
    }

    /// The next part; `None` after the end.
    ///
    /// # Errors
    /// The image is damaged, or cannot be read. What was given out before is then worth nothing.
    pub fn next_part(&mut self) -> Result<Option<Part>, ImageError> {
        while !self.ended {
            let (kind, bytes, before) = self.source.block()?;
            if let Some(part) = self.take(kind, &bytes, before)? {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }

    fn take(&mut self, kind: Kind, bytes: &[u8], before: [u8; 32]) -> Result<Option<Part>, ImageError> {
        match (kind, &mut self.space) {
            (Kind::Space, None) => return self.open(bytes).map(Some),
            (Kind::End, None) => {
                let (spaces, whole): (u64, [u8; 32]) = self.decode(bytes)?;
                self.source.end()?;
                if (spaces, whole) != (self.spaces.len() as u64, before) {
                    return Err(self.source.damaged("its parts are not those that were written"));
                }
                self.ended = true;
                return Ok(Some(Part::End { spaces }));
            }
            (Kind::Space | Kind::End, Some(_)) | (_, None) => {}
            (Kind::Close, Some(space)) => {
                let (contents, changes) = space.close(bytes).map_err(|why| self.source.damaged(why))?;
                self.space = None;
                return Ok(Some(Part::Close(contents, changes)));
            }
            (kind, Some(space)) if kind as u8 >= space.stage as u8 => {
                space.stage = kind;
                let changes = match kind {
                    Kind::Heads => space.heads(bytes, self.identity),
                    Kind::Frontier => space.frontier(bytes),
                    Kind::Forks => space.forks(bytes),
                    _ => space.entries(bytes),
                };
                let changes = changes.map_err(|why| self.source.damaged(why))?;
                return Ok((!changes.is_empty()).then_some(Part::Changes(changes)));
            }
            (_, Some(_)) => {}
        }
        Err(self.source.damaged("its parts are out of order"))
    }

    fn open(&mut self, bytes: &[u8]) -> Result<Part, ImageError> {
        let opening: Opening = self.decode(bytes)?;
        if opening.format > STORE_FORMAT {
            return Err(self.source.damaged("its records are of a later version: update rejoin"));
        }
        let fact = |(name, value): &(codec::BoundedBytes<64>, _)| {
            let name = String::from_utf8(name.to_vec()).ok()?;
            let value: &codec::BoundedBytes<{ super::FACT_BYTES }> = value;
            Some((name, value.to_vec()))
        };
        let facts = opening.facts.iter().map(fact).collect::<Option<Vec<_>>>();
        let about = About {
            space: opening.space,
            made_ms: opening.made_ms,
            root: opening.root,
            rows: opening.rows,
            replica: opening.incarnation.map(|own| own.replica),
            facts: facts.ok_or_else(|| self.source.damaged("a name is no text"))?,
        };
        if !self.spaces.insert(opening.space) {
            return Err(self.source.damaged("it holds a space twice"));
        }
        self.space = Some(Reading::new(opening));
        Ok(Part::Space(about))
    }

    fn decode<T: serde::de::DeserializeOwned + serde::Serialize>(
        &self,
        bytes: &[u8],
    ) -> Result<T, ImageError> {
        codec::decode(bytes).map_err(|_| self.source.damaged(UNREADABLE))
    }
}

const UNREADABLE: &str = "a part does not read back";

type Outcome<T = Vec<Change>> = Result<T, &'static str>;

impl Reading {
    fn new(opening: Opening) -> Self {
        Self {
            opening,
            heads: Heads::default(),
            ids: Vec::new(),
            frontier: BTreeSet::new(),
            last_fork: Vec::new(),
            stage: Kind::Heads,
            closing: Closing::default(),
            row: None,
        }
    }

    fn heads(&mut self, bytes: &[u8], identity: &dyn Identity) -> Outcome {
        let records: Records<[u8; 16]> = codec::decode(bytes).map_err(|_| UNREADABLE)?;
        let mut changes = Vec::with_capacity(records.len());
        for (id, head) in records.iter() {
            let id = ReplicaId::from_bytes(*id);
            if self.ids.last().is_some_and(|last| *last >= id) {
                return Err("its replicas are out of order");
            }
            let mut head = Head::decode(&id, head).map_err(|_| UNREADABLE)?;
            if !head.is_vouched_for(&self.opening.space, &id, identity) {
                return Err("the head of a replica is not signed");
            }
            // There is no log.
            head.floor = head.seq;
            changes.push((Table::Replicas, id.as_bytes().to_vec(), Some(head.encode(&id))));
            self.ids.push(id);
            self.heads.0.insert(id, head);
        }
        Ok(changes)
    }

    fn frontier(&mut self, bytes: &[u8]) -> Outcome {
        let dots: BoundedVec<Dot, { super::LISTED }> = codec::decode(bytes).map_err(|_| UNREADABLE)?;
        for dot in dots.iter() {
            if !self.heads.contains(dot) || !self.frontier.insert(*dot) {
                return Err("its frontier is not in its vector");
            }
        }
        Ok(Vec::new())
    }

    fn forks(&mut self, bytes: &[u8]) -> Outcome {
        let records: Records<ForkKey> = codec::decode(bytes).map_err(|_| UNREADABLE)?;
        let mut changes = Vec::with_capacity(records.len());
        for (key, value) in records.iter() {
            let named = key.split_at_checked(24).and_then(|(dot, hash)| Dot::from_bytes(dot).zip(Some(hash)));
            let (row, entry): (RowKey, Entry) = codec::decode(value).map_err(|_| UNREADABLE)?;
            if named != Some((entry.dot, &entry.hash.0)) || !entry.is_intact(&row) || **key <= *self.last_fork
            {
                return Err("an entry of its table of forks is not what its name says");
            }
            self.last_fork = key.to_vec();
            changes.push((Table::Forks, key.to_vec(), Some(value.to_vec())));
        }
        Ok(changes)
    }

    fn entries(&mut self, bytes: &[u8]) -> Outcome {
        let told = entries::decode(bytes, self.ids.len()).ok_or(UNREADABLE)?;
        let mut changes = Vec::with_capacity(2 * told.len());
        for Told { key, author, seq, timestamp, payload } in told {
            let key = RowKey::from_bytes(&key).map_err(|_| UNREADABLE)?;
            let dot = Dot::new(self.ids[author], seq);
            if !self.heads.contains(&dot) {
                return Err("a row is live and its vector does not cover it");
            }
            let payload = Payload::new(payload).ok_or(UNREADABLE)?;
            let entry = Entry::new(&key, dot, timestamp, payload);
            self.closing.add(&entry.hash);
            changes.push((Table::Dots, dot.to_bytes().to_vec(), Some(dot_value(&entry, &key))));
            match &mut self.row {
                Some((last, row)) if *last == key => {
                    if row.last().is_some_and(|last| last.dot >= dot) {
                        return Err("its rows are out of order");
                    }
                    row.push(entry);
                }
                Some((last, _)) if *last > key => return Err("its rows are out of order"),
                _ => {
                    self.closing.rows += 1;
                    changes.extend(row_change(self.row.replace((key, alloc::vec![entry]))));
                }
            }
        }
        Ok(changes)
    }

    fn close(&mut self, bytes: &[u8]) -> Outcome<(Contents, Vec<Change>)> {
        let told: Closing = codec::decode(bytes).map_err(|_| UNREADABLE)?;
        if told != self.closing {
            return Err("it does not hold what it says");
        }
        let replicas = self.ids.len() as u64;
        let mut changes = self.own();
        changes.extend(row_change(self.row.take()));
        Ok((Contents { rows: told.rows, entries: told.entries, replicas }, changes))
    }

    /// What the store says of itself.
    fn own(&self) -> Vec<Change> {
        let own = Own {
            lineage: NOWHERE,
            incarnation: self.opening.incarnation,
            clock: self.opening.clock,
            frontier: Frontier::from_dots(self.frontier.iter().copied()).dots().collect(),
            log: LogBounds::default(),
        };
        [
            (meta_key::FORMAT, codec::encode(&STORE_FORMAT)),
            (meta_key::SPACE, self.opening.space.0.to_vec()),
            (meta_key::OWN, codec::encode(&own)),
        ]
        .map(|(key, value)| (Table::Meta, key.to_vec(), Some(value)))
        .into()
    }
}

fn row_change(row: Option<(RowKey, Vec<Entry>)>) -> Option<Change> {
    row.map(|(key, row)| (Table::Rows, key.as_bytes().to_vec(), Some(Entry::encode_row(&row))))
}

/// What a store lacks into which all changes of an image went: the nodes of its tree. Says the root that it has, and how
/// many live dots.
///
/// # Errors
/// The store cannot be read.
pub fn completed<S: Store>(store: &S) -> Result<(Root, u64, Vec<Change>), StoreError> {
    let heads = read_heads(store)?;
    let mut tree = LiveTree::open(store, tree::LEAF_DOTS)?;
    let (mut nodes, mut dots) = (Vec::with_capacity(heads.len()), 0);
    for (replica, head) in heads.iter() {
        let live = tree.live_root(store, replica, head.seq)?;
        let top = crate::state::live_tree::Range::top(*replica, head.seq);
        dots += tree.node(store, &top)?.map_or(0, |node| node.count);
        nodes.push(ReplicaNode { replica: *replica, seq: head.seq, chain: head.chain, live });
    }
    let changes = tree.changes(core::iter::empty());
    let changes = changes.rows().map(|(key, value)| (Table::Tree, key, value)).collect();
    Ok((tree::root(nodes), dots, changes))
}
