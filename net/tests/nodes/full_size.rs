//! Many rows from one node to another, over the loopback interface, from the log and in bulk. Prints what it took.
//!
//! Full size: `REJOIN_ROWS=100000 cargo test --release -p rejoin-net --features faults --test nodes full_size -- --nocapture`

use std::time::Duration;

use crate::support::{Node, PROCESS, Setup, in_sync};
use rejoin_core::crdt::LwwMapView;
use rejoin_core::engine::WriteError;
use rejoin_net::replica::{Committer, News, Storage};
use rejoin_net::store::{OpenOptions, RedbStore};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

/// Rows in the test run, where an unoptimised build takes its time.
const ROWS: u64 = 4000;
const ROWS_PER_WRITE: u64 = 1000;
const MOST: Duration = Duration::from_secs(300);

fn rows() -> u64 {
    std::env::var("REJOIN_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(ROWS)
}

async fn node(folder: Option<&TempDir>, log_bytes: u64, peer: Option<&Node>) -> Node {
    let mut setup = Setup::new();
    setup.config.log_bytes = log_bytes;
    if let Some(folder) = folder {
        let path = folder.path().join(format!("{}.redb", peer.is_some()));
        let (store, writer) = RedbStore::open(&path, &OpenOptions::default()).expect("opens");
        (setup.storage, setup.committer) = (Storage::Disk(store), Committer::Disk(writer));
    }
    if let Some(peer) = peer {
        setup = setup.peer(peer.address());
    }
    setup.start().await
}

async fn measure(name: &str, folder: Option<&TempDir>, log_bytes: u64) {
    let ada = node(folder, log_bytes, None).await;
    let map = LwwMapView::at("m").expect("a path");
    let begun = Instant::now();
    let mut last = None;
    let rows = rows();
    for first in (0..rows).step_by(usize::try_from(ROWS_PER_WRITE).expect("small")) {
        let written = ada.replica.write(|tx| -> Result<(), WriteError> {
            (first..first + ROWS_PER_WRITE)
                .try_for_each(|row| map.put(tx, format!("{row:016}"), format!("{row:032}")))
        });
        last = written.expect("written").1;
    }
    let shown = begun.elapsed();
    ada.replica.saved(last.expect("it changed")).await.expect("on disk");
    let saved = begun.elapsed();

    let begun = Instant::now();
    let bo = node(folder, log_bytes, Some(&ada)).await;
    let (mut news, mut shown_rows, mut arrived) = (bo.replica.news(), 0, None);
    loop {
        match timeout(MOST, news.recv()).await.expect("in time") {
            Ok(News::Changed { rows: keys, more }) => {
                shown_rows += keys.len() as u64;
                if more || shown_rows >= rows {
                    arrived = arrived.or(Some(begun.elapsed()));
                }
            }
            // Asking for the status computes roots: only when there may be something to see.
            Ok(News::Peers) if in_sync(&bo.status()) == 1 => break,
            Ok(_) => {}
            Err(error) => panic!("the news came too fast: {error}"),
        }
    }
    let proven = begun.elapsed();
    let stats = bo.status().stats;

    let begun = Instant::now();
    let dot = ada.put("one", "more");
    ada.replica.confirmed(dot, 1, MOST).await.expect("confirmed");
    let one = begun.elapsed();
    let begun = Instant::now();
    let report = ada.replica.sync_with(bo.network.local(), MOST).await.expect("in sync");
    println!(
        "{rows} rows {name}: shown {shown:.2?}, saved {saved:.2?}; synced {:.2?}, proven {proven:.2?} ({} deltas, {} bulks); \
         one more confirmed {one:.2?}; a sync of nothing {:.2?}, {} bytes",
        arrived.unwrap_or_default(),
        stats.deltas_from_sync,
        stats.bulk_committed,
        begun.elapsed(),
        report.bytes
    );
    bo.replica.check().expect("sound");
    for node in [ada, bo] {
        node.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_arrive_from_the_log_and_in_bulk() {
    let _alone = PROCESS.write().await;
    let folder = || tempfile::tempdir().expect("a folder");
    let log = 1 << 30;
    measure("in memory, from the log", None, log).await;
    measure("in memory, in bulk", None, 64 * 1024).await;
    measure("on disk, from the log", Some(&folder()), log).await;
    measure("on disk, in bulk", Some(&folder()), 64 * 1024).await;
}
