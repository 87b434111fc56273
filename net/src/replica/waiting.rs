//! Who waits for what: own changes to be durable here, or to be held by others.

use std::collections::BTreeMap;

use rejoin_core::store::StoreError;
use rejoin_core::{Dot, Token, VersionVector};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::PeerId;

/// A change that was shown and then lost, because its commit failed. Nobody else has seen it.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("the change was lost before it was on disk: {0}")]
pub struct Lost(pub StoreError);

/// Hears whether a change lasts.
pub(super) type Outcome = oneshot::Receiver<Result<(), Lost>>;

/// Everybody who waits.
pub(super) struct Waiting {
    saves: Vec<(Dot, oneshot::Sender<Result<(), Lost>>)>,
    /// Those who wait for a commit, by its number.
    commits: Vec<(u64, oneshot::Sender<Result<(), Lost>>)>,
    receipts: Vec<Receipt>,
    /// Those who wait to see what others have seen.
    readers: Vec<(Token, oneshot::Sender<()>)>,
    /// What each peer said that it holds durably, since the space was opened.
    held: BTreeMap<PeerId, VersionVector>,
    /// What some of them held before that.
    before: VersionVector,
    /// Nothing will happen any more.
    ended: bool,
}

struct Receipt {
    dot: Dot,
    wanted: usize,
    done: oneshot::Sender<()>,
}

impl Waiting {
    pub(super) fn new(before: VersionVector) -> Self {
        let (saves, commits, receipts, readers) = Default::default();
        Self { saves, commits, receipts, readers, held: BTreeMap::new(), before, ended: false }
    }

    pub(super) fn for_save(&mut self, dot: Dot) -> Outcome {
        let (done, wait) = oneshot::channel();
        if !self.ended {
            self.saves.push((dot, done));
        }
        wait
    }

    pub(super) fn for_commit(&mut self, id: u64) -> Outcome {
        let (done, wait) = oneshot::channel();
        if !self.ended {
            self.commits.push((id, done));
        }
        wait
    }

    /// A commit is durable, and all before it.
    pub(super) fn on_commit(&mut self, id: u64) {
        for (wanted, done) in std::mem::take(&mut self.commits) {
            if wanted <= id {
                let _ = done.send(Ok(()));
            } else {
                self.commits.push((wanted, done));
            }
        }
    }

    /// [`Self::settle_receipts`] is owed after it.
    pub(super) fn for_receipts(&mut self, dot: Dot, wanted: usize) -> oneshot::Receiver<()> {
        let (done, wait) = oneshot::channel();
        self.receipts.push(Receipt { dot, wanted, done });
        wait
    }

    /// [`Self::settle_readers`] is owed whenever something arrives.
    pub(super) fn for_token(&mut self, token: Token) -> oneshot::Receiver<()> {
        let (done, wait) = oneshot::channel();
        if !self.ended {
            self.readers.push((token, done));
        }
        wait
    }

    /// Answers those whose token was seen.
    pub(super) fn settle_readers(&mut self, has_seen: impl Fn(&Token) -> bool) {
        for (token, done) in std::mem::take(&mut self.readers) {
            if done.is_closed() {
                continue;
            }
            if has_seen(&token) {
                let _ = done.send(());
            } else {
                self.readers.push((token, done));
            }
        }
    }

    /// Whether anybody waits for word from others.
    pub(super) fn wants_receipts(&self) -> bool {
        !self.receipts.is_empty()
    }

    /// Own changes are durable as far as `is_durable` says.
    pub(super) fn on_saved(&mut self, is_durable: impl Fn(&Dot) -> bool) {
        for (dot, done) in std::mem::take(&mut self.saves) {
            if is_durable(&dot) {
                // Whoever gave up waiting needs no answer.
                let _ = done.send(Ok(()));
            } else if !done.is_closed() {
                self.saves.push((dot, done));
            }
        }
    }

    /// Everything that was not durable yet is lost.
    pub(super) fn on_lost(&mut self, is_durable: impl Fn(&Dot) -> bool, error: &StoreError) {
        self.on_saved(is_durable);
        let saves = std::mem::take(&mut self.saves).into_iter().map(|(_, done)| done);
        let commits = std::mem::take(&mut self.commits).into_iter().map(|(_, done)| done);
        for done in saves.chain(commits) {
            let _ = done.send(Err(Lost(error.clone())));
        }
    }

    /// The engine is gone: whoever still waits, or begins to, hears that it was in vain.
    pub(super) fn end(&mut self, error: &StoreError) {
        self.on_lost(|_| false, error);
        self.receipts.clear();
        self.readers.clear();
        self.ended = true;
    }

    /// A peer said what it holds. [`Self::settle_receipts`] is owed after it.
    pub(super) fn on_held(&mut self, peer: PeerId, held: &VersionVector) {
        self.held.entry(peer).or_default().merge(held);
    }

    /// This peer is remembered no longer: what it held counts for what others hold, not for how many do.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        if let Some(held) = self.held.remove(peer) {
            self.before.merge(&held);
        }
    }

    /// What one peer said.
    pub(super) fn held(&self, peer: &PeerId) -> Option<&VersionVector> {
        self.held.get(peer)
    }

    /// How many peers hold a dot.
    pub(super) fn holders(&self, dot: &Dot) -> usize {
        self.held.values().filter(|held| held.contains(dot)).count()
    }

    /// What at least one other device holds.
    pub(super) fn elsewhere(&self) -> VersionVector {
        let mut all = self.before.clone();
        self.held.values().for_each(|held| all.merge(held));
        all
    }

    /// Answers those whose change is held by enough peers, under the name that it has now.
    pub(super) fn settle_receipts(&mut self, current: impl Fn(Dot) -> Dot) {
        if self.ended {
            self.receipts.clear();
        }
        for receipt in std::mem::take(&mut self.receipts) {
            if receipt.done.is_closed() {
                continue;
            }
            if self.holders(&current(receipt.dot)) >= receipt.wanted {
                let _ = receipt.done.send(());
            } else {
                self.receipts.push(receipt);
            }
        }
    }
}
