//! Backups of spaces, and what comes back from them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rejoin_core::SpaceId;
use rejoin_core::image::{About, Fact};
use rejoin_net::backup::{self, Progress, Saved, Subject};
use rejoin_net::store::{FreshStore, OpenOptions};

use super::{Node, blocking, check_form};
use crate::space::fact;
use crate::{Error, Result, Space};

/// What of a backup is restored, and how it is called here.
#[derive(Clone, Debug, Default)]
pub struct Restore {
    /// The one space that is wanted: its name in the backup, or at least eight characters of its id. All without it.
    pub only: Option<String>,
    /// What that one is to be called.
    pub name: Option<String>,
}

impl Node {
    /// Saves spaces in one file, while everything goes on; says what of each. Each is saved as it was on this disk when its
    /// turn came, with the root that names that state. An older backup of that name is replaced when the new one is
    /// complete; anything else of that name is left alone.
    ///
    /// The file holds all data of these spaces, readable for whoever has it. It does not hold the secret of this device.
    pub async fn backup(
        &self,
        spaces: &[Space],
        path: impl AsRef<Path>,
        progress: impl FnMut(Progress) + Send + 'static,
    ) -> Result<Vec<Saved>> {
        backup(spaces, path.as_ref(), progress).await
    }

    /// Brings spaces back from a backup, into files of their own. A space that is here already is not touched: that is an
    /// error. The whole backup is checked before anything is made.
    ///
    /// What comes back writes under a new id, since the old one may live on elsewhere, and syncs like any replica: nothing
    /// that others have is lost, and nothing that they removed comes back.
    pub async fn restore(
        &self,
        path: impl AsRef<Path>,
        what: Restore,
        progress: impl FnMut(Progress) + Send + 'static,
    ) -> Result<Vec<(Space, Saved)>> {
        let path = path.as_ref().to_owned();
        let saved = verify_backup(&path, |_| {}).await?;
        let places = self.places(&saved, &what)?;
        let made = blocking(move || load(&path, &places, progress)).await?;
        let (stores, saved): (Vec<_>, Vec<_>) = made.into_iter().unzip();
        for store in stores {
            store.put_in_place()?;
        }
        saved.into_iter().map(|saved| Ok((self.open_file(saved.about.space)?, saved))).collect()
    }

    /// Where each space that is wanted is to lie, and what it is to be called.
    fn places(&self, saved: &[Saved], what: &Restore) -> Result<BTreeMap<SpaceId, (PathBuf, String)>> {
        let directory = self.0.directory.as_ref().ok_or(Error::InMemory)?;
        let mut wanted: Vec<&About> = saved.iter().map(|saved| &saved.about).collect();
        if let Some(asked) = &what.only {
            let is_asked = |about: &&About| {
                name(about) == *asked || asked.len() >= 8 && about.space.to_string().starts_with(asked)
            };
            let there = wanted.iter().map(|about| name(about)).collect();
            wanted.retain(is_asked);
            if wanted.is_empty() {
                return Err(Error::NotInBackup { asked: asked.clone(), there });
            }
        }
        if let Some(name) = &what.name {
            check_form(name)?;
            self.check_name(name)?;
        }
        let mut places = BTreeMap::new();
        let mut names = Vec::new();
        for about in wanted {
            let path = directory.file(&about.space);
            if path.exists() || self.here(&about.space).is_some() {
                return Err(Error::SpaceHere { space: about.space, path });
            }
            let wanted = what.name.clone().unwrap_or_else(|| name(about));
            let name = self.free_name(&about.space, &wanted, &names);
            names.push(name.clone());
            places.insert(about.space, (path, name));
        }
        Ok(places)
    }
}

/// Reads a backup to its end, checks it, and says what it holds. Needs no node.
pub async fn verify_backup(
    path: impl AsRef<Path>,
    mut progress: impl FnMut(Progress) + Send + 'static,
) -> Result<Vec<Saved>> {
    let path = path.as_ref().to_owned();
    blocking(move || Ok(backup::verify(&path, &mut progress)?)).await
}

pub(crate) async fn backup(
    spaces: &[Space],
    path: &Path,
    mut progress: impl FnMut(Progress) + Send + 'static,
) -> Result<Vec<Saved>> {
    let subject = |space: &Space| {
        let kept = [fact::NAME, fact::GENESIS, fact::PEERS];
        let value = |name: &'static str| Ok(space.0.facts.get(name)?.map(|value| (name.to_owned(), value)));
        let facts = kept.into_iter().filter_map(|name| value(name).transpose());
        Ok(Subject { replica: space.replica().clone(), facts: facts.collect::<Result<Vec<Fact>>>()? })
    };
    let subjects = spaces.iter().map(subject).collect::<Result<Vec<_>>>()?;
    let path = path.to_owned();
    blocking(move || Ok(backup::write(&path, &subjects, &mut progress)?)).await
}

fn load(
    path: &Path,
    places: &BTreeMap<SpaceId, (PathBuf, String)>,
    mut progress: impl FnMut(Progress),
) -> Result<Vec<(FreshStore, Saved)>> {
    let mut begin = |about: &About| {
        let Some((place, name)) = places.get(&about.space) else { return Ok(None) };
        let store = FreshStore::begin(place, &OpenOptions::default())?;
        let others = about.facts.iter().filter(|(kept, _)| kept != fact::NAME);
        let mut facts: Vec<_> =
            others.map(|(kept, value)| (kept.clone().into_bytes(), Some(value.clone()))).collect();
        facts.push((fact::NAME.into(), Some(name.clone().into_bytes())));
        Ok(Some((store, facts)))
    };
    Ok(backup::load(path, &mut begin, &mut progress)?)
}

/// What a space of a backup was called where it was saved.
pub fn name_in(saved: &Saved) -> String {
    name(&saved.about)
}

fn name(about: &About) -> String {
    let name = about.facts.iter().find(|(kept, _)| kept == fact::NAME);
    let name = name.and_then(|(_, name)| String::from_utf8(name.clone()).ok());
    name.unwrap_or_else(|| about.space.to_string()[..8].to_owned())
}
