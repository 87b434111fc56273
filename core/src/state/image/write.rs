//! Writing an image, and not believing the store that it is made of.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::entries::Gathered;
use super::frame::{Blocks, ImageSink, Kind};
use super::{About, Closing, Contents, Fact, LISTED, Opening};
use crate::codec::{self, BoundedBytes, BoundedVec};
use crate::id::ReplicaId;
use crate::row::{Entry, RowKey};
use crate::state::head::STORE_FORMAT;
use crate::state::live_tree::live_from_scratch;
use crate::state::moment::Moment;
use crate::state::overlay::{decode_dot_hash, decode_row};
use crate::state::{Heads, read_heads, read_own};
use crate::store::{Store, StoreError, Table};
use crate::tree::{self, ReplicaNode};

/// Makes an image of one space after the other.
pub struct ImageWriter {
    blocks: Blocks,
    spaces: u64,
}

impl ImageWriter {
    /// Begins an image.
    pub fn begin(sink: &mut ImageSink<'_>) -> Result<Self, StoreError> {
        Ok(Self { blocks: Blocks::begin(sink)?, spaces: 0 })
    }

    /// Adds a space, and what its host keeps beside it. Tells `progress` how many rows are written, from time to time. Holds
    /// one block, and a few words for each replica.
    ///
    /// # Errors
    /// What the sink says; [`StoreError::Damaged`] when the store contradicts itself: rows, index of dots, heads and root
    /// are held against each other, so the image is only finished if it can be loaded.
    pub fn space<S: Store>(
        &mut self,
        of: &Moment<S>,
        made_ms: u64,
        rows: u64,
        facts: &[Fact],
        sink: &mut ImageSink<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(About, Contents), StoreError> {
        let about = self.opening(of, made_ms, rows, facts, sink)?;
        let heads = read_heads(&of.store)?;
        self.records(&of.store, Table::Replicas, Kind::Heads, sink)?;
        self.frontier(&of.store, sink)?;
        self.records(&of.store, Table::Forks, Kind::Forks, sink)?;
        let closing = self.entries(&of.store, &heads, sink, progress)?;
        hold_against(of, &heads, &closing)?;
        self.blocks.block(Kind::Close, &codec::encode(&closing), sink)?;
        self.spaces += 1;
        let replicas = heads.len() as u64;
        Ok((about, Contents { rows: closing.rows, entries: closing.entries, replicas }))
    }

    /// Ends the image.
    pub fn end(mut self, sink: &mut ImageSink<'_>) -> Result<(), StoreError> {
        let end = (self.spaces, self.blocks.whole());
        self.blocks.block(Kind::End, &codec::encode(&end), sink)
    }

    fn opening<S: Store>(
        &mut self,
        of: &Moment<S>,
        made_ms: u64,
        rows: u64,
        facts: &[Fact],
        sink: &mut ImageSink<'_>,
    ) -> Result<About, StoreError> {
        let own = read_own(&of.store)?;
        let bound = |(name, value): &Fact| {
            BoundedBytes::new(name.as_bytes().to_vec()).zip(BoundedBytes::new(value.clone()))
        };
        let bounded = facts.iter().map(bound).collect::<Option<Vec<_>>>().and_then(BoundedVec::new);
        let opening = Opening {
            space: of.space,
            format: STORE_FORMAT,
            made_ms,
            root: of.root,
            rows,
            clock: own.as_ref().map_or(0, |own| own.clock),
            incarnation: own.and_then(|own| own.incarnation),
            facts: bounded.ok_or_else(|| damaged("what is kept beside the space is too large"))?,
        };
        self.blocks.block(Kind::Space, &codec::encode(&opening), sink)?;
        let replica = opening.incarnation.map(|own| own.replica);
        Ok(About { space: of.space, made_ms, root: of.root, rows, replica, facts: facts.to_vec() })
    }

    /// A table whose records are kept as they are.
    fn records<S: Store>(
        &mut self,
        store: &S,
        table: Table,
        kind: Kind,
        sink: &mut ImageSink<'_>,
    ) -> Result<(), StoreError> {
        let mut next: Option<Vec<u8>> = Some(Vec::new());
        while let Some(first) = next.take() {
            let (mut count, mut bytes) = (0_u64, Vec::new());
            store.scan(table, &first, &mut |key, value| {
                if count == LISTED as u64 || bytes.len() > super::RAW_BYTES {
                    next = Some(key.to_vec());
                    return ControlFlow::Break(());
                }
                count += 1;
                match table {
                    // A fixed array has no length.
                    Table::Replicas => bytes.extend_from_slice(key),
                    _ => put_bytes(key, &mut bytes),
                }
                put_bytes(value, &mut bytes);
                ControlFlow::Continue(())
            })?;
            if count > 0 {
                let mut block = codec::encode(&count);
                block.extend_from_slice(&bytes);
                self.blocks.block(kind, &block, sink)?;
            }
        }
        Ok(())
    }

    fn frontier<S: Store>(&mut self, store: &S, sink: &mut ImageSink<'_>) -> Result<(), StoreError> {
        let frontier = read_own(store)?.map(|own| own.frontier).unwrap_or_default();
        frontier
            .chunks(LISTED)
            .try_for_each(|dots| self.blocks.block(Kind::Frontier, &codec::encode(dots), sink))
    }

    fn entries<S: Store>(
        &mut self,
        store: &S,
        heads: &Heads,
        sink: &mut ImageSink<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Closing, StoreError> {
        let index: BTreeMap<ReplicaId, usize> =
            heads.iter().enumerate().map(|(index, (id, _))| (*id, index)).collect();
        let (mut gathered, mut closing) = (Gathered::default(), Closing::default());
        let mut outcome = Ok(());
        store.scan(Table::Rows, &[], &mut |key, value| {
            let row = decode_row(key, value).and_then(|(key, row)| {
                closing.rows += 1;
                row.iter().try_for_each(|entry| {
                    if gathered.is_full() {
                        let full = core::mem::take(&mut gathered);
                        self.blocks.block(Kind::Entries, &full.encode(), sink)?;
                        progress(closing.rows);
                    }
                    gather(&key, entry, heads, &index, &mut gathered)?;
                    closing.add(&entry.hash);
                    Ok(())
                })
            });
            outcome = row;
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        outcome?;
        if !gathered.is_empty() {
            self.blocks.block(Kind::Entries, &gathered.encode(), sink)?;
        }
        progress(closing.rows);
        Ok(closing)
    }
}

fn gather(
    key: &RowKey,
    entry: &Entry,
    heads: &Heads,
    index: &BTreeMap<ReplicaId, usize>,
    gathered: &mut Gathered,
) -> Result<(), StoreError> {
    let author = index.get(&entry.dot.replica).filter(|_| heads.contains(&entry.dot));
    let author = author.ok_or_else(|| damaged("a row is live and the vector does not cover it"))?;
    gathered.add(key.as_bytes(), *author, entry);
    Ok(())
}

/// The index of dots has to name what the rows hold, and the root what the index names.
fn hold_against<S: Store>(of: &Moment<S>, heads: &Heads, rows: &Closing) -> Result<(), StoreError> {
    let mut dots = Closing { rows: rows.rows, ..Closing::default() };
    let mut outcome = Ok(());
    of.store.scan(Table::Dots, &[], &mut |key, value| match decode_dot_hash(key, value) {
        Ok((_, hash)) => {
            dots.add(&hash);
            ControlFlow::Continue(())
        }
        Err(error) => {
            outcome = Err(error);
            ControlFlow::Break(())
        }
    })?;
    outcome?;
    if dots != *rows {
        return Err(damaged("the index of dots is not that of the rows"));
    }
    let mut nodes = Vec::with_capacity(heads.len());
    for (replica, head) in heads.iter() {
        let live = live_from_scratch(&of.store, replica, head.seq, of.leaf_dots)?;
        nodes.push(ReplicaNode { replica: *replica, seq: head.seq, chain: head.chain, live });
    }
    if tree::root(nodes) != of.root {
        return Err(damaged("the root is not that of the rows"));
    }
    Ok(())
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    super::column::put_number(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn damaged(why: &str) -> StoreError {
    StoreError::Damaged(String::from(why))
}
