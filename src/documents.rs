//! Documents in memory: those used last, as many as there is room for.
//!
//! Loading one costs milliseconds, and people edit one for minutes. So the last ones stay, each behind a lock of its own.
//! One that has to go is in its rows, and is loaded again when it is asked for.
//!
//! Locks are taken in one order: the replica's, this one's, a document's. Nobody waits for a replica with a document in hand.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rejoin_core::crdt::DocumentView;
use rejoin_core::crdt::document::Loaded;

/// About how many bytes of documents stay in memory, unless the node was told otherwise.
pub(crate) const BYTES: usize = 64 * 1024 * 1024;

/// A document that several handles share.
pub(crate) type Shared = Arc<Mutex<Loaded>>;

struct Held {
    shared: Shared,
    bytes: usize,
    /// When it was used last, in uses of any.
    used: u64,
}

#[derive(Default)]
struct Inner {
    held: HashMap<DocumentView, Held>,
    /// The same by when they were used last: with thousands of small ones nobody has time to look at all.
    order: BTreeMap<u64, DocumentView>,
    bytes: usize,
    uses: u64,
}

/// See the module page.
pub(crate) struct Documents {
    limit: usize,
    inner: Mutex<Inner>,
}

/// A lock that was held by a thread that panicked. What it left of a document is put right by the next look at the rows.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Documents {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, inner: Mutex::default() }
    }

    /// The document of a view, loaded or not.
    pub(crate) fn of(&self, view: &DocumentView) -> Shared {
        let mut inner = lock(&self.inner);
        inner.uses += 1;
        let used = inner.uses;
        inner.order.insert(used, view.clone());
        if let Some(held) = inner.held.get_mut(view) {
            let (shared, before) = (held.shared.clone(), std::mem::replace(&mut held.used, used));
            inner.order.remove(&before);
            return shared;
        }
        let shared = Arc::new(Mutex::new(Loaded::new(view.clone())));
        inner.held.insert(view.clone(), Held { shared: shared.clone(), bytes: 0, used });
        shared
    }

    /// Notes how large a document is now, and lets go of those that were used longest ago while there are too many bytes.
    pub(crate) fn weigh(&self, view: &DocumentView, bytes: usize) {
        let mut inner = lock(&self.inner);
        let Some(held) = inner.held.get_mut(view) else { return };
        let before = std::mem::replace(&mut held.bytes, bytes);
        inner.bytes = inner.bytes + bytes - before;
        while inner.bytes > self.limit && inner.held.len() > 1 {
            let Some((_, oldest)) = inner.order.pop_first() else { break };
            let Some(gone) = inner.held.remove(&oldest) else { break };
            inner.bytes -= gone.bytes;
        }
    }

    /// How many there are, and about how many bytes they take.
    #[cfg(test)]
    fn held(&self) -> (usize, usize) {
        let inner = lock(&self.inner);
        assert_eq!(inner.held.len(), inner.order.len());
        (inner.held.len(), inner.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_used_last_stay_and_a_large_one_stays_alone() {
        let documents = Documents::new(100);
        let view = |name: &str| DocumentView::at(name).unwrap();
        for name in ["a", "b", "c"] {
            documents.of(&view(name));
            documents.weigh(&view(name), 40);
        }
        assert_eq!(documents.held(), (2, 80));
        let b = documents.of(&view("b"));
        documents.of(&view("d"));
        documents.weigh(&view("d"), 50);
        assert_eq!(documents.held(), (2, 90));
        assert!(Arc::ptr_eq(&b, &documents.of(&view("b"))), "c was used longest ago");
        documents.weigh(&view("b"), 1000);
        assert_eq!(documents.held(), (1, 1000));
        documents.weigh(&view("b"), 10);
        documents.weigh(&view("unknown"), 10);
        assert_eq!(documents.held(), (1, 10));
    }
}
