//! Salvage: writing again what only a file that was set aside still holds.
//!
//! After a damaged file was set aside and the space got what others have, the others' vector tells the rest of the story
//! about each entry of the file: a dot that it covers and that is not live was killed, so it stays dead; one that it does
//! not cover never arrived anywhere. The latter is written again, as an ordinary change under the new id. What other
//! devices wrote comes back with them, so it is left to them unless they are gone. Removals that nobody had heard of are not
//! repeated: in a damaged file, what is removed and what is unreadable look alike.
//!
//! | row | what is written |
//! |---|---|
//! | a counter's | what this device added and nobody knows, added once more: totals under an old id count for nothing |
//! | a bounded counter's | the same, with or without rights: it has happened. Rights that it gave away stay with the old id |
//! | any other | its payload, unless what is there now is newer or the same |

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use rejoin_core::crdt::{BoundedCounterView, GCounterView, PnCounterView};
use rejoin_core::engine::WriteError;
use rejoin_core::identity::{Ed25519, Identity};
use rejoin_core::remains::{Authors, visit_intact};
use rejoin_core::row::{DataError, Entry, Kind, Object, ReadRows, RowKey, WriteRows};
use rejoin_core::store::{Store, Table};
use rejoin_core::{Dot, ReplicaId, SpaceId, codec};
use rejoin_net::store::Remains;

use super::{Node, blocking};
use crate::space::fact;
use crate::{Error, Result, Space};

/// Rows and bytes of one transaction: well below what one may hold.
const ROWS: usize = 1000;
const BYTES: usize = 256 * 1024;

/// What is written again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Salvage {
    /// No other device has this space: nobody has to be heard first.
    pub alone: bool,
    /// Also what other devices wrote and nobody here has. Only for devices that are gone: what comes twice is there twice.
    pub others: bool,
}

/// What came of it: entries of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Written again.
    pub written: u64,
    /// Here already, as they were or with the same content.
    pub here: u64,
    /// Removed or replaced elsewhere since, and so left alone.
    pub removed: u64,
    /// What their rows hold now is newer.
    pub overtaken: u64,
    /// Left to the devices that wrote them.
    pub of_others: u64,
    /// Of counters, from a file that was salvaged before: adding them once more would count them twice.
    pub counted_before: u64,
    /// Rows that cannot be read.
    pub unreadable: u64,
}

/// What a file holds that nobody has.
#[derive(Default)]
struct Found {
    rows: BTreeMap<RowKey, Entry>,
    /// (path, kind, id) -> what the id added in all, and what resets had seen of it.
    counters: BTreeMap<(String, Kind, ReplicaId), Totals>,
    counts: Salvaged,
}

#[derive(Clone, Copy, Default)]
struct Totals {
    up: u64,
    down: u64,
    reset: (u64, u64),
}

impl Node {
    /// Writes again what a file that was set aside holds of this device's own changes and nobody else has. The space of
    /// the file has to be here. Doing it again does no harm.
    ///
    /// # Errors
    /// [`Error::NotYetInSync`] unless somebody else was heard or `what` says that there is nobody.
    pub async fn salvage(&self, file: impl AsRef<Path>, what: Salvage) -> Result<Salvaged> {
        let file: PathBuf = file.as_ref().to_owned();
        let (remains, id, name) = blocking(move || {
            let name = contents(&file).map_err(|error| Error::Io { path: file.clone(), error })?;
            let remains = Remains::open(&file)?;
            let id = remains.get(Table::Meta, b"space").ok().flatten();
            let id = id.and_then(|id| Some(SpaceId(id.try_into().ok()?)));
            // Its name says it too, where it was not given another.
            let id = id
                .or_else(|| named(&file))
                .ok_or_else(|| Error::Damaged("it does not say of which space".into()))?;
            Ok((remains, id, name))
        })
        .await?;
        let unknown = || Error::UnknownSpace {
            asked: id.to_string(),
            here: self.spaces().iter().map(|space| space.name().to_owned()).collect(),
        };
        let space = self.here(&id).ok_or_else(unknown)?;
        let heard = space.status()?.peers.iter().any(|peer| peer.proven_at.is_some());
        if !heard && !what.alone {
            return Err(Error::NotYetInSync);
        }
        let (device, in_space) = (self.0.keys.device().device(), space.clone());
        let found = blocking(move || {
            let authors = Authors::of(&remains, &id, &Ed25519::from_seed([0; 32]));
            let is_own = |replica: &ReplicaId| authors.is_own(replica, &device);
            find(&remains, &in_space, &|replica| what.others || is_own(replica), &is_own)
        })
        .await?;
        write(&space, found, &name).await
    }
}

/// Names a file by what is in it, wherever it lies.
fn contents(file: &Path) -> std::io::Result<String> {
    let (mut file, mut hasher) = (std::fs::File::open(file)?, blake3::Hasher::new());
    let mut part = vec![0; BYTES];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            length => hasher.update(&part[..length]),
        };
    }
}

fn named(file: &Path) -> Option<SpaceId> {
    let id = file.file_stem()?.to_str()?.split('-').next()?;
    rejoin_core::id::parse_hex(id).map(SpaceId)
}

fn find(
    remains: &Remains,
    space: &Space,
    is_wanted: &dyn Fn(&ReplicaId) -> bool,
    is_own: &dyn Fn(&ReplicaId) -> bool,
) -> Result<Found> {
    let mut found = Found::default();
    let known = space.replica().version_vector()?;
    let mut failed = None;
    let unreadable = visit_intact(remains, &mut |row, entry| {
        let is_counter = matches!(row.kind(), Kind::PN_COUNTER | Kind::G_COUNTER | Kind::BOUNDED_COUNTER);
        if known.contains(&entry.dot) {
            match is_live(space, row, &entry.dot) {
                Ok(true) => found.counts.here += 1,
                Ok(false) => found.counts.removed += 1,
                Err(error) => failed = Some(error),
            }
        } else if !is_wanted(&entry.dot.replica) || is_counter && !is_own(&entry.dot.replica) {
            found.counts.of_others += 1;
        } else if !is_counter || !found.count(row, entry) {
            let kept = found.rows.get(row).is_none_or(|kept| kept.rank() < entry.rank());
            if kept && let Some(before) = found.rows.insert(row.clone(), entry.clone()) {
                // Another content of one row: what wins is written again.
                found.counts.overtaken += u64::from(before.dot != entry.dot);
            }
        }
    });
    found.counts.unreadable = unreadable;
    failed.map_or(Ok(found), Err)
}

fn is_live(space: &Space, row: &RowKey, dot: &Dot) -> Result<bool> {
    let entries = space.replica().read(|rows| rows.entries(row).map_err(Error::from))?;
    Ok(entries.iter().any(|entry| entry.dot == *dot))
}

impl Found {
    /// Takes an entry of a counter, if it is one.
    fn count(&mut self, row: &RowKey, entry: &Entry) -> bool {
        if row.kind() == Kind::BOUNDED_COUNTER && row.element().len() != 16 {
            // A gift that nobody has heard of: under another id its row would say nothing and kill what says more.
            self.counts.here += 1;
            return true;
        }
        let (element, is_reset) = match row.element() {
            element if element.len() == 16 => (element, false),
            [element @ .., 0] if element.len() == 16 => (element, true),
            _ => return false,
        };
        let Ok(id) = <[u8; 16]>::try_from(element) else { return false };
        let id = ReplicaId::from_bytes(id);
        let Some(totals) = totals(row.kind(), entry) else { return false };
        let kept = self.counters.entry((row.path().to_owned(), row.kind(), id)).or_default();
        if is_reset {
            kept.reset = totals;
            // The note itself is a row like any other: who writes it does not matter.
            return false;
        }
        // Totals in another's row count for nothing.
        if entry.dot.replica == id {
            (kept.up, kept.down) = totals;
        }
        true
    }
}

fn totals(kind: Kind, entry: &Entry) -> Option<(u64, u64)> {
    match kind {
        Kind::G_COUNTER => Some((codec::decode(&entry.payload).ok()?, 0)),
        _ => codec::decode(&entry.payload).ok(),
    }
}

async fn write(space: &Space, found: Found, name: &str) -> Result<Salvaged> {
    let Found { rows, counters, mut counts } = found;
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let (mut part, mut bytes) = (Vec::new(), 0);
        while part.len() < ROWS
            && bytes < BYTES
            && let Some((row, entry)) = rows.next()
        {
            bytes += row.as_bytes().len() + entry.payload.len();
            part.push((row, entry));
        }
        let mut done = counts;
        let (_, written) = space.replica().write_to_keep(|tx| -> Result<(), WriteError> {
            for (row, entry) in part {
                let live = tx.entries(&row)?;
                if live.iter().any(|live| live.payload == entry.payload) {
                    done.here += 1;
                } else if live.iter().any(|live| live.timestamp() > entry.timestamp()) {
                    done.overtaken += 1;
                } else {
                    tx.put(row, entry.payload)?;
                    done.written += 1;
                }
            }
            Ok(())
        })?;
        if let Some(written) = written {
            written.saved().await?;
        }
        counts = done;
    }
    count(space, &counters, name, &mut counts).await?;
    Ok(counts)
}

/// Adds what nobody knows of. Once for each file: what is added is not told apart from what is there.
async fn count(
    space: &Space,
    counters: &BTreeMap<(String, Kind, ReplicaId), Totals>,
    name: &str,
    counts: &mut Salvaged,
) -> Result<()> {
    let own = counters.iter().filter(|(_, totals)| (totals.up, totals.down) != (0, 0));
    let own: Vec<_> = own.collect();
    let mut before = space.0.facts.get(fact::SALVAGED)?.unwrap_or_default();
    if own.is_empty() {
        return Ok(());
    }
    if String::from_utf8_lossy(&before).lines().any(|line| line == name) {
        counts.counted_before += own.len() as u64;
        return Ok(());
    }
    // Noted first: between the two what is lost can still be seen, and what is counted twice cannot.
    before.extend_from_slice(format!("{name}\n").as_bytes());
    space.0.facts.set(fact::SALVAGED, &before)?;
    for part in own.chunks(ROWS) {
        let mut done = *counts;
        let (_, written) = space.replica().write_to_keep(|tx| -> Result<(), WriteError> {
            for ((path, kind, id), found) in part {
                done.written += u64::from(add(tx, path, *kind, id, found)?);
            }
            Ok(())
        })?;
        if let Some(written) = written {
            written.saved().await?;
        }
        *counts = done;
    }
    Ok(())
}

/// Adds what an old id had added beyond what is known of it here, less what resets had seen. Whether that is anything.
fn add<W: WriteRows<Error = WriteError>>(
    rows: &mut W,
    path: &str,
    kind: Kind,
    id: &ReplicaId,
    found: &Totals,
) -> Result<bool, WriteError> {
    let object = Object::new(kind, path).map_err(DataError::from)?;
    let row = object.row(id.as_bytes()).map_err(DataError::from)?;
    let here = rows.entries(&row)?.into_iter().filter(|entry| entry.dot.replica == *id);
    let here =
        here.filter_map(|entry| totals(kind, &entry)).fold((0, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)));
    let up = found.up.saturating_sub(here.0.max(found.reset.0));
    let down = found.down.saturating_sub(here.1.max(found.reset.1));
    if kind == Kind::G_COUNTER {
        GCounterView::at(path).map_err(DataError::from)?.add(rows, up)?;
        return Ok(up > 0);
    }
    if kind == Kind::BOUNDED_COUNTER {
        BoundedCounterView::at(path).map_err(DataError::from)?.recount(rows, up, down)?;
        return Ok((up, down) != (0, 0));
    }
    let counter = PnCounterView::at(path).map_err(DataError::from)?;
    // In steps that an i64 holds.
    for (mut rest, sign) in [(up, 1), (down, -1)] {
        while rest > 0 {
            let step = i64::try_from(rest).unwrap_or(i64::MAX);
            counter.add(rows, sign * step)?;
            rest -= step.unsigned_abs();
        }
    }
    Ok((up, down) != (0, 0))
}
