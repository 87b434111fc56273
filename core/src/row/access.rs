//! How views read and write rows, wherever the rows lie: in memory, in an engine, in a transaction being written.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::ControlFlow;

use thiserror::Error;

use crate::clock::Timestamp;
use crate::error::KeyError;
use crate::id::{Dot, ReplicaId};
use crate::row::{DeltaError, Entry, Object, Payload, RowKey};
use crate::value::ValueError;

/// A write that cannot be made, or a read that cannot be asked for. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum DataError {
    /// The path or element cannot be a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The value cannot be stored.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A counter would pass the largest total that it can hold.
    #[error("the counter cannot go that far: a replica's own total ends at 2^64 - 1")]
    CounterFull,
    /// A bounded counter has rights enough elsewhere, or nowhere.
    #[error("{}", no_rights(*wanted, *here, *value))]
    NoRights {
        /// How much was to be taken or given.
        wanted: u64,
        /// How much this replica may take or give.
        here: i64,
        /// What the whole counter has, as far as is known here.
        value: i64,
    },
    /// A list has no such item.
    #[error("the list has no such item: somebody may have removed it")]
    NoItem,
    /// A list is shorter.
    #[error("there is no place {index} in the list: it has {length} items")]
    OutOfList {
        /// What was asked for.
        index: usize,
        /// How many items there are.
        length: usize,
    },
    /// A document cannot be changed or read like this.
    #[error("{0}")]
    Document(Box<str>),
    /// The transaction is too large.
    #[error(transparent)]
    Delta(#[from] DeltaError),
}

fn no_rights(wanted: u64, here: i64, value: i64) -> String {
    if value <= here {
        return format!(
            "the counter stands at {value}, all of it on this device: {wanted} is more than there is"
        );
    }
    format!(
        "the counter stands at {value}, and this device may take or give {here} of that, not {wanted}: sync, and ask whoever \
         has the others for a transfer"
    )
}

/// Live entries, by row. Reads that one borrow makes see one state.
pub trait ReadRows {
    /// What can go wrong: nothing but [`DataError`] in memory, the store's errors elsewhere.
    type Error: From<DataError>;

    /// The live entries of a row in dot order; more than one only after concurrent writes.
    fn entries(&self, key: &RowKey) -> Result<Vec<Entry>, Self::Error>;

    /// Visits the live rows of an object from element `from` on, in key order, until the visitor breaks.
    fn scan(&self, object: &Object, from: &[u8], visit: VisitRows<'_>) -> Result<(), Self::Error>;

    /// A number for what is read, if one is kept: while it stays, so does every row. It means something only to whoever gave
    /// it, an engine since it was opened.
    fn state(&self) -> Option<u64> {
        None
    }

    /// Visits the live rows of an object below element `end`, or from its last one, in reverse key order, until the visitor
    /// breaks.
    fn scan_back(&self, object: &Object, end: Option<&[u8]>, visit: VisitRows<'_>)
    -> Result<(), Self::Error>;
}

/// Called with a row and its live entries; breaking ends the scan.
pub type VisitRows<'a> = &'a mut dyn FnMut(&RowKey, &[Entry]) -> ControlFlow<()>;

/// A transaction: rows replaced or removed whole. Reads see its own writes.
pub trait WriteRows: ReadRows {
    /// The replica that writes.
    fn author(&self) -> ReplicaId;

    /// When it writes: no later than its entries will say, and later than all that it can see.
    fn time(&self) -> Timestamp;

    /// The clock on the wall, in milliseconds since 1970, by which reads tell what has expired. The time of a transaction may lie
    /// before it, if it joins others, and after it, if clocks elsewhere are fast.
    fn wall_ms(&self) -> u64 {
        self.time().millis()
    }

    /// A name that nobody else gives: a dot of the author, burnt by this transaction if it writes anything at all. It need
    /// not be that of any entry.
    fn fresh(&mut self) -> Dot;

    /// Replaces the row: kills what is live in it and puts `payload`.
    fn put(&mut self, key: RowKey, payload: Payload) -> Result<(), Self::Error>;

    /// Kills what is live in the row. Nothing happens when nothing is.
    fn remove(&mut self, key: RowKey) -> Result<(), Self::Error>;
}

/// What a transaction writes: the new payload of each row, or none for a row that goes; and how many fresh names it gave.
#[derive(Clone, Debug, Default)]
pub struct Writes {
    /// By row.
    pub rows: BTreeMap<RowKey, Option<Payload>>,
    /// At least so many dots are burnt.
    pub names: u64,
}

impl From<BTreeMap<RowKey, Option<Payload>>> for Writes {
    fn from(rows: BTreeMap<RowKey, Option<Payload>>) -> Self {
        Self { rows, names: 0 }
    }
}

impl<const N: usize> From<[(RowKey, Option<Payload>); N]> for Writes {
    fn from(rows: [(RowKey, Option<Payload>); N]) -> Self {
        BTreeMap::from(rows).into()
    }
}

/// Visits what a scan visits, under rows that are written and not committed: those take the place of what is below, and
/// one that goes is not visited. `later` is how a row compares with those that are visited before it.
pub(crate) fn scan_under<'a, E>(
    scan: impl FnOnce(VisitRows<'_>) -> Result<(), E>,
    written: impl Iterator<Item = (&'a RowKey, Option<Entry>)>,
    later: Ordering,
    visit: VisitRows<'_>,
) -> Result<(), E> {
    fn show(key: &RowKey, entry: Option<Entry>, visit: VisitRows<'_>) -> ControlFlow<()> {
        entry.map_or(ControlFlow::Continue(()), |entry| visit(key, core::slice::from_ref(&entry)))
    }
    let mut written = written.peekable();
    let mut flow = ControlFlow::Continue(());
    scan(&mut |key, entries| {
        while let Some((mine, entry)) = written.next_if(|(mine, _)| (*mine).cmp(key) != later) {
            flow = show(mine, entry, visit);
            if flow.is_break() || mine == key {
                return flow;
            }
        }
        flow = visit(key, entries);
        flow
    })?;
    while flow.is_continue()
        && let Some((mine, entry)) = written.next()
    {
        flow = show(mine, entry, visit);
    }
    Ok(())
}
