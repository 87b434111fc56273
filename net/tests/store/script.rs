//! Commits to try things with, and what a store should hold after each.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use rejoin_core::VersionVector;
use rejoin_core::store::{Commit, MemoryStore, Merge, Merged, Store, StoreError, Table, WriteStore};

/// Numbers from a seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| u8::try_from(self.below(256)).unwrap()).collect()
    }
}

/// How often to try something: as often as the tests do, or as a soak run asks for in the environment.
pub(crate) fn amount(variable: &str, of_tests: usize) -> usize {
    std::env::var(variable).ok().and_then(|asked| asked.parse().ok()).unwrap_or(of_tests)
}

/// Commits over few keys, mostly small, now and then of many pages.
pub(crate) fn commits(count: usize, seed: u64) -> Vec<Commit> {
    let mut random = Random(seed);
    let mut commits = Vec::new();
    for id in 0..count as u64 {
        let mut changes = BTreeMap::new();
        let many = random.below(8) == 0;
        for _ in 0..if many { 40 } else { 1 + random.below(6) } {
            let table = Table::ALL[random.below(Table::ALL.len())];
            let length = 1 + random.below(3);
            let key: Vec<u8> = random.bytes(length).into_iter().map(|byte| byte % 6).collect();
            let length = if random.below(12) == 0 { 6_000 } else { random.below(300) };
            let value = (random.below(4) > 0).then(|| random.bytes(length));
            changes.insert((table, key), value);
        }
        let changes = changes.into_iter().map(|((table, key), value)| (table, key, value)).collect();
        let mut commit = Commit::new(id, changes);
        commit.merge = (random.below(4) == 0).then(|| Arc::new(Unstage) as Arc<dyn Merge>);
        commits.push(commit);
    }
    commits
}

/// Does in a transaction what the end of a bulk sync does, in small: what is staged becomes rows, from the last on.
#[derive(Debug)]
struct Unstage;

impl Merge for Unstage {
    fn run(&self, transaction: &mut dyn WriteStore) -> Result<Merged, StoreError> {
        let mut merged = Merged::default();
        loop {
            let mut last = None;
            transaction.scan_back(Table::Stage, &[9], &mut |key, value| {
                last = Some((key.to_vec(), value.to_vec()));
                ControlFlow::Break(())
            })?;
            let Some((key, mut value)) = last else { return Ok(merged) };
            // What was put before is there to be read.
            value.extend(transaction.get(Table::Rows, &key)?.into_iter().flatten().take(100));
            transaction.put(Table::Rows, &key, &value)?;
            transaction.delete(Table::Stage, &key)?;
            merged.concurrent_rows += 1;
        }
    }

    fn vector(&self) -> VersionVector {
        VersionVector::new()
    }
}

/// What a store holds after none, one, two, ... of the commits.
pub(crate) fn models(commits: &[Commit]) -> Vec<MemoryStore> {
    let mut models = vec![MemoryStore::new()];
    for commit in commits {
        let mut model = models[models.len() - 1].clone();
        model.apply(commit).unwrap();
        models.push(model);
    }
    models
}

/// Everything in a store.
pub(crate) fn contents(store: &impl Store) -> Result<MemoryStore, StoreError> {
    let mut commit = Commit::new(0, Vec::new());
    for table in Table::ALL {
        store.scan(table, &[], &mut |key, value| {
            commit.changes.push(table, key, Some(value));
            ControlFlow::Continue(())
        })?;
    }
    let mut contents = MemoryStore::new();
    contents.apply(&commit).unwrap();
    Ok(contents)
}
