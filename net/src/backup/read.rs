//! Reading: to the last byte first, then again into new stores.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use rejoin_core::SpaceId;
use rejoin_core::identity::Ed25519;
use rejoin_core::image::{About, Contents, ImageError, ImageReader, Part, completed};
use rejoin_core::store::{Change, Commit, StoreError, Table};

use super::{BackupError, Progress, Saved};
use crate::store::{FreshStore, HostChange};

const BUFFER: usize = 256 * 1024;
/// Changes that become durable together while a store is filled. More is fewer syncs and more memory.
const CHANGES: usize = 32 * 1024;
/// The same in bytes.
const BYTES: usize = 8 * 1024 * 1024;

/// Reads a backup to its end and checks all that can be checked without making stores of it; says what it holds.
///
/// # Errors
/// It is no sound backup, or cannot be read.
pub fn verify(path: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Vec<Saved>, BackupError> {
    let mut saved = Vec::new();
    read(path, progress, &mut |about, part| {
        if let Part::Close(contents, _) = part {
            saved.push(Saved { about: about.clone(), contents });
        }
        Ok(())
    })?;
    Ok(saved)
}

/// An empty store for a space of a backup, and what is to be kept beside it there.
pub type Begun = (FreshStore, Vec<HostChange>);

/// Fills new stores with what a backup holds. `begin` gives one for each space that is wanted. The stores that come back
/// are complete, and nobody finds them before they are put in their places. Blocks while the disk works.
///
/// A store that was filled so gives up the id that it wrote under when it is opened (rule H6).
///
/// # Errors
/// Nothing is left of any of the stores.
pub fn load(
    path: &Path,
    begin: &mut dyn FnMut(&About) -> Result<Option<Begun>, BackupError>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<(FreshStore, Saved)>, BackupError> {
    let (mut done, mut filling) = (Vec::new(), None);
    read(path, progress, &mut |about, part| {
        match part {
            Part::Space(about) => {
                filling = begin(&about)?.map(|(store, facts)| Filling::new(about.space, store, facts));
            }
            Part::Changes(changes) => {
                if let Some(filling) = &mut filling {
                    filling.take(changes)?;
                }
            }
            Part::Close(contents, changes) => {
                if let Some(filling) = filling.take() {
                    let store = filling.finish(changes, about, contents, path)?;
                    done.push((store, Saved { about: about.clone(), contents }));
                }
            }
            Part::End { .. } => {}
        }
        Ok(())
    })?;
    Ok(done)
}

fn read(
    path: &Path,
    progress: &mut dyn FnMut(Progress),
    take: &mut dyn FnMut(&About, Part) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let bad = |error| BackupError::Image { path: path.to_owned(), error };
    let file = File::open(path).map_err(|error| bad(ImageError::Source(error.to_string())))?;
    let of = file.metadata().map_or(0, |facts| facts.len());
    let mut file = BufReader::with_capacity(BUFFER, file);
    let mut source = |buffer: &mut [u8]| file.read(buffer).map_err(|error| error.to_string());
    // Anybody's: it only checks signatures.
    let identity = Ed25519::from_seed([0; 32]);
    let mut reader = ImageReader::begin(&mut source, &identity).map_err(bad)?;
    let mut about = None;
    while let Some(part) = reader.next_part().map_err(bad)? {
        if let Part::Space(begun) = &part {
            about = Some(begun.clone());
        }
        let Some(about) = &about else { continue };
        take(about, part)?;
        progress(Progress { space: about.space, done: reader.at(), of });
    }
    Ok(())
}

/// A store that is being filled.
struct Filling {
    space: SpaceId,
    store: FreshStore,
    facts: Vec<HostChange>,
    waiting: Vec<Change>,
    bytes: usize,
}

impl Filling {
    fn new(space: SpaceId, store: FreshStore, facts: Vec<HostChange>) -> Self {
        Self { space, store, facts, waiting: Vec::new(), bytes: 0 }
    }

    fn take(&mut self, changes: Vec<Change>) -> Result<(), BackupError> {
        let size = |(_, key, value): &Change| key.len() + value.as_ref().map_or(0, Vec::len);
        self.bytes += changes.iter().map(size).sum::<usize>();
        self.waiting.extend(changes);
        if self.waiting.len() >= CHANGES || self.bytes >= BYTES { self.save(&[]) } else { Ok(()) }
    }

    fn save(&mut self, facts: &[HostChange]) -> Result<(), BackupError> {
        let space = self.space;
        let failed = |error: StoreError| BackupError::NotLoaded { space, error };
        let mut changes = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        // Neighbours share pages.
        changes.sort_unstable();
        let (store, writer) = self.store.store();
        writer.commit_with(&Commit::new(0, changes), facts).map_err(failed)?;
        store.show().map_err(failed)
    }

    /// The last changes, the tree, and whether all of it is what the backup says.
    fn finish(
        mut self,
        changes: Vec<Change>,
        about: &About,
        contents: Contents,
        path: &Path,
    ) -> Result<FreshStore, BackupError> {
        self.take(changes)?;
        self.save(&[])?;
        let space = self.space;
        let failed = |error: StoreError| BackupError::NotLoaded { space, error };
        let (root, dots, tree) = completed(&*self.store.store().0).map_err(failed)?;
        let rows = self.store.store().0.count(Table::Rows).map_err(failed)?;
        if (root, dots, rows) != (about.root, contents.entries, contents.rows) {
            return Err(BackupError::OtherRoot { path: path.to_owned(), space });
        }
        self.waiting = tree;
        let facts = std::mem::take(&mut self.facts);
        self.save(&facts)?;
        Ok(self.store)
    }
}
