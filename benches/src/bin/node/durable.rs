//! W12: durable writes. Many tasks write a row each and wait until it is on the disk; rejoin groups what waits into one
//! commit. The bare redb gets the same rows in groups of the same size, with the same two-phase commits.

use std::time::Instant;

use ::redb::{Database, TableDefinition};
use rejoin::Node;
use rejoin_benches::measure::Measures;
use rejoin_benches::program::Task;
use rejoin_benches::rows::rows;

use crate::text;

const DISK: &str = "the disk works";
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

/// `replicas` tasks write in turn.
pub(crate) async fn rejoin(task: &Task) -> Measures {
    let folder = tempfile::tempdir().expect(DISK);
    let node = Node::builder(folder.path().join("node")).offline(true).open().await.expect(DISK);
    let space = node.create("bench").await.expect(DISK);
    let all = rows(task.rows, task.values);
    let start = Instant::now();
    let tasks = all.chunks(task.rows.div_ceil(task.replicas)).map(|part| {
        let (map, part) = (space.map::<String, String>("m"), part.to_vec());
        tokio::spawn(async move {
            for row in &part {
                map.put(row.key.clone(), text(row).to_owned()).await.expect(DISK);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect(DISK);
    }
    let seconds = start.elapsed().as_secs_f64();
    let status = space.status().expect(DISK);
    assert_eq!(status.rows, task.rows as u64, "rows were lost");
    node.close().await.expect(DISK);
    Measures::default()
        .with("writes/s", task.rows as f64 / seconds)
        .with("group", task.rows as f64 / status.stats.deltas_written as f64)
}

/// Groups of `batch` rows.
pub(crate) fn redb(task: &Task) -> Measures {
    let folder = tempfile::tempdir().expect(DISK);
    let database = Database::create(folder.path().join("bare.redb")).expect(DISK);
    let all = rows(task.rows, task.values);
    let start = Instant::now();
    for group in all.chunks(task.batch) {
        let mut transaction = database.begin_write().expect(DISK);
        transaction.set_two_phase_commit(true);
        let mut table = transaction.open_table(ROWS).expect(DISK);
        for row in group {
            table.insert(row.key.as_bytes(), text(row).as_bytes()).expect(DISK);
        }
        drop(table);
        transaction.commit().expect(DISK);
    }
    Measures::default()
        .with("writes/s", task.rows as f64 / start.elapsed().as_secs_f64())
        .with("group", task.batch as f64)
}
