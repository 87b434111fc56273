//! Nodes whose spaces a host keeps, record by record: what a page does with the database of its browser.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::future::BoxFuture;
use rejoin::core::SpaceId;
use rejoin::core::store::StoreError;
use rejoin::net::keys::Keys;
use rejoin::net::replica::journal::Journal;
use rejoin::{Error, Grant, Kept, Node, Shelf};
use tempfile::TempDir;

use crate::{equal, folder};

#[derive(Default)]
struct Held {
    spaces: BTreeMap<SpaceId, Kept>,
    /// What appending says instead, if anything.
    fails: Option<StoreError>,
}

/// A host that keeps everything in memory, late.
#[derive(Clone, Default)]
struct Host(Arc<Mutex<Held>>);

impl Host {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().expect("nobody panicked")
    }

    fn fail(&self, error: Option<StoreError>) {
        self.held().fails = error;
    }

    /// Opens the node on what was kept, as after a crash.
    async fn open(&self) -> Node {
        let kept = self.held().spaces.clone();
        let builder = Node::memory_builder().keys(Keys::of([7; 32], [0; 16])).shelf(
            Arc::new(self.clone()),
            [1; 16],
            kept,
        );
        builder.open().await.expect("opens")
    }
}

struct Pages(Host, SpaceId);

impl Journal for Pages {
    fn append(&self, record: Vec<u8>) -> BoxFuture<'static, Result<(), StoreError>> {
        let (host, space) = (self.0.clone(), self.1);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut held = host.held();
            if let Some(error) = &held.fails {
                return Err(error.clone());
            }
            held.spaces.entry(space).or_default().records.push(record);
            Ok(())
        })
    }
}

impl Shelf for Host {
    fn journal(&self, space: &SpaceId) -> Arc<dyn Journal> {
        Arc::new(Pages(self.clone(), *space))
    }

    fn keep(&self, space: &SpaceId, name: &str, value: Option<&[u8]>) {
        let mut held = self.held();
        let facts = &mut held.spaces.entry(*space).or_default().facts;
        match value {
            Some(value) => drop(facts.insert(name.to_owned(), value.to_vec())),
            None => drop(facts.remove(name)),
        }
    }

    fn forget(&self, space: &SpaceId) {
        self.held().spaces.remove(space);
    }
}

/// What is kept comes back without having been closed, also what came in bulk; an image is as good as all records.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_keeps_comes_back() {
    let (home, host): (TempDir, Host) = (folder(), Host::default());
    // Without a log it tells all it has in bulk, which is joined by a merge.
    let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
    let other = Node::builder(home.path().join("node")).mdns(false).listen([listen]).log_bytes(0);
    let other = other.open().await.expect("opens");
    let space = other.create("board").await.expect("created");
    let map = space.map::<u32, String>("m");
    for part in 0..20 {
        let batch = space.batch(|batch| {
            (part * 100..part * 100 + 100).for_each(|n| batch.put(&map, n, format!("{n:0200}")));
            Ok(())
        });
        batch.await.expect("on disk");
    }
    let ticket = space.ticket(Grant::Write).await.expect("a ticket");
    let first = host.open().await;
    let copy = first.join_as(&ticket, "ours").await.expect("joined");
    copy.counter("n").add(1).await.expect("kept");
    equal(&space, &copy).await;
    assert!(copy.status().expect("read").stats.bulk_committed > 0);
    copy.counter("n").add(1).await.expect("kept");
    let (root, author) = (copy.root().expect("read"), copy.author().expect("read"));
    let image = copy.image().expect("in memory");
    // Nobody says goodbye.
    drop((first, copy));
    for with_image in [false, true] {
        if with_image {
            host.held().spaces.get_mut(&space.id()).expect("kept").records.clone_from(&image);
        }
        let node = host.open().await;
        let back = node.space("ours").expect("it is there");
        assert_eq!((back.root().expect("read"), back.author().expect("read")), (root, author));
        assert_eq!(back.map::<u32, String>("m").len().expect("read"), 2000);
        assert_eq!(back.counter("n").get().expect("read"), 2);
        back.verify().await.expect("sound");
    }
    let node = host.open().await;
    let back = node.space("ours").expect("it is there");
    back.counter("n").add(3).await.expect("kept");
    equal(&space, &back).await;
    assert_eq!(space.counter("n").get().expect("read"), 5);
    node.forget(&back, true).await.expect("forgotten");
    assert!(host.held().spaces.is_empty());
    node.close().await.expect("closes");
    other.close().await.expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_keep_more_loses_no_more_than_it_says() {
    let host = Host::default();
    let node = host.open().await;
    let space = node.create("board").await.expect("created");
    let counter = space.counter("n");
    counter.add(1).await.expect("kept");
    host.fail(Some(StoreError::Full("the quota of this page".into())));
    let lost = counter.add(10).await;
    assert!(
        matches!(&lost, Err(Error::Lost(lost)) if lost.0 == StoreError::Full("the quota of this page".into())),
        "{lost:?}"
    );
    assert_eq!(counter.get().expect("reads go on"), 1);
    host.fail(None);
    counter.add(100).await.expect("there is room again");
    space.saved().await.expect("nothing waits");
    drop((node, space, counter));
    assert_eq!(host.open().await.space("board").expect("kept").counter("n").get().expect("read"), 101);
    // A record that is not what was written is noticed, and the space is not used.
    let id = *host.held().spaces.keys().next().expect("one");
    host.held().spaces.get_mut(&id).expect("kept").records[0][20] ^= 1;
    let node = host.open().await;
    let unusable = node.unusable();
    assert!(matches!(&*unusable[0].1, Error::Store(StoreError::Damaged(_))), "{unusable:?}");
}
