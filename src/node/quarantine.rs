//! Spaces whose files are damaged: found out before anything of them is believed, set aside, begun anew.
//!
//! A file that was not closed was cut off, or was left so because it was found damaged. redb compares all its checksums
//! then, and [`checked`] recomputes what the engine keeps above them, so that nothing wrong is served. What is found is an
//! error, or, where a node [may](crate::Builder::quarantine), the beginning of a new store in its place.
//!
//! The old id is not used again: the new store knows none, and the first write draws one.

use std::path::PathBuf;

use rejoin_core::engine::{Moment, OpenError};
use rejoin_core::identity::Ed25519;
use rejoin_core::remains::Authors;
use rejoin_core::store::StoreError;
use rejoin_core::{SpaceId, VersionVector, codec};
use rejoin_net::store::{FreshStore, OpenError as FileError, OpenOptions, Remains};

use super::Node;
use crate::place::Opened;
use crate::space::fact;
use crate::{Error, Quarantined, Result, Space};

/// A store that was not closed is checked. One that is wrong is left as it was found, to be found again.
pub(super) fn checked(opened: Opened, id: SpaceId) -> Result<Opened> {
    if opened.was_closed {
        return Ok(opened);
    }
    // Anybody's: it only checks signatures.
    let identity = Ed25519::from_seed([0; 32]);
    let moment = Moment::of(id, opened.storage.clone()).map_err(|error| error.to_string());
    let checked = moment.and_then(|moment| moment.check(&identity).map(|()| moment.check_derived()));
    match checked {
        Ok(derived) => Ok(Opened { derived_is_sound: derived.is_ok(), ..opened }),
        Err(wrong) => {
            opened.storage.leave_open();
            Err(Error::Damaged(wrong))
        }
    }
}

impl Node {
    /// Files that were set aside because they were damaged. Nothing deletes them.
    pub fn quarantined(&self) -> Vec<PathBuf> {
        self.0.directory.as_ref().map(crate::place::Directory::quarantined).unwrap_or_default()
    }

    /// Whether a space that cannot be opened for this reason is to begin anew.
    pub(super) fn quarantines(&self, error: &Error) -> bool {
        let may = self.0.settings.quarantine.unwrap_or(!self.0.settings.offline);
        // What a later version wrote, what cannot be reached and what somebody else uses is no damage.
        may && matches!(
            error,
            Error::Damaged(_)
                | Error::File(FileError::Damaged { .. } | FileError::NotAStore { .. })
                | Error::Store(StoreError::Damaged(_))
                | Error::Open { error: OpenError::Store(StoreError::Damaged(_)), .. }
        )
    }

    /// Sets the file of a space aside and puts an empty store in its place, with what can still be read of what this
    /// device knows beside the data.
    pub(super) fn begin_anew(&self, id: SpaceId, error: &Error) -> Result<Space> {
        let directory = self.0.directory.as_ref().expect("a file was damaged");
        let path = directory.file(&id);
        let remains = Remains::open(&path).ok();
        let host = |name: &str| remains.as_ref().and_then(|remains| remains.host(name.as_bytes()));
        let unsynced = remains.as_ref().and_then(|remains| unsynced(remains, id, host(fact::ELSEWHERE)));
        let facts = [fact::NAME, fact::GENESIS, fact::PEERS]
            .into_iter()
            .filter_map(|name| Some((name.as_bytes().to_vec(), Some(host(name)?))));
        let mut fresh = FreshStore::begin(&path, &OpenOptions::default())?;
        for (name, value) in facts {
            fresh.store().1.set_host(&name, value.as_deref())?;
        }
        drop(remains);
        let file = directory.set_aside(&id)?;
        fresh.put_in_place()?;
        let why = error.to_string();
        self.open_space(id, &[], Some(Quarantined { file, why, unsynced }))
    }
}

/// How many own changes nobody else was known to have, as far as the store can still tell.
fn unsynced(remains: &Remains, id: SpaceId, elsewhere: Option<Vec<u8>>) -> Option<u64> {
    let authors = Authors::of(remains, &id, &Ed25519::from_seed([0; 32]));
    let own = authors.own?;
    let (_, seq) = authors.known.get(&own)?;
    let elsewhere: VersionVector = elsewhere.and_then(|bytes| codec::decode(&bytes).ok()).unwrap_or_default();
    Some(seq.saturating_sub(elsewhere.seq(&own)))
}
