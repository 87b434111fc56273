//! Who waits for what: own changes to be durable here, or to be held by others.

use std::collections::BTreeMap;

use libp2p::PeerId;
use rejoin_core::store::StoreError;
use rejoin_core::{Dot, VersionVector};
use thiserror::Error;
use tokio::sync::oneshot;

/// A change that was shown and then lost, because its commit failed. Nobody else has seen it.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("the change was lost before it was on disk: {0}")]
pub struct Lost(pub StoreError);

/// Everybody who waits.
pub(super) struct Waiting {
    saves: Vec<(Dot, oneshot::Sender<Result<(), Lost>>)>,
    receipts: Vec<Receipt>,
    /// What each peer said that it holds durably, since the space was opened.
    held: BTreeMap<PeerId, VersionVector>,
    /// What some of them held before that.
    before: VersionVector,
}

struct Receipt {
    dot: Dot,
    wanted: usize,
    done: oneshot::Sender<()>,
}

impl Waiting {
    pub(super) fn new(before: VersionVector) -> Self {
        Self { saves: Vec::new(), receipts: Vec::new(), held: BTreeMap::new(), before }
    }

    pub(super) fn for_save(&mut self, dot: Dot) -> oneshot::Receiver<Result<(), Lost>> {
        let (done, wait) = oneshot::channel();
        self.saves.push((dot, done));
        wait
    }

    pub(super) fn for_receipts(&mut self, dot: Dot, wanted: usize) -> oneshot::Receiver<()> {
        let (done, wait) = oneshot::channel();
        self.receipts.push(Receipt { dot, wanted, done });
        self.settle_receipts();
        wait
    }

    /// Own changes are durable as far as `is_durable` says.
    pub(super) fn on_saved(&mut self, is_durable: impl Fn(&Dot) -> bool) {
        for (dot, done) in std::mem::take(&mut self.saves) {
            if is_durable(&dot) {
                // Whoever gave up waiting needs no answer.
                let _ = done.send(Ok(()));
            } else {
                self.saves.push((dot, done));
            }
        }
    }

    /// Everything that was not durable yet is lost.
    pub(super) fn on_lost(&mut self, is_durable: impl Fn(&Dot) -> bool, error: &StoreError) {
        self.on_saved(is_durable);
        for (_, done) in std::mem::take(&mut self.saves) {
            let _ = done.send(Err(Lost(error.clone())));
        }
    }

    /// A peer said what it holds.
    pub(super) fn on_held(&mut self, peer: PeerId, held: &VersionVector) {
        self.held.entry(peer).or_default().merge(held);
        self.settle_receipts();
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

    fn settle_receipts(&mut self) {
        for receipt in std::mem::take(&mut self.receipts) {
            if receipt.done.is_closed() {
                continue;
            }
            if self.holders(&receipt.dot) >= receipt.wanted {
                let _ = receipt.done.send(());
            } else {
                self.receipts.push(receipt);
            }
        }
    }
}
