//! What a node is made of, and whole nodes as an app embeds them: the store on disk, durable writes against a bare redb, live
//! updates against a bare libp2p stream.
//!
//! What waits for a disk or for another thread is measured by the wall, not in CPU seconds.

mod disk;
mod durable;
mod file;
mod live;
mod stream;

use std::process::ExitCode;

use rejoin_benches::measure::Measures;
use rejoin_benches::program::{self, Task};
use rejoin_benches::rows::{Content, Row};

fn main() -> ExitCode {
    program::main(run)
}

fn run(task: &Task) -> Option<Measures> {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    runtime.block_on(async {
        match task.workload.as_str() {
            "W7-file" => Some(file::keep(task)),
            "bulk" => Some(file::bulk(task)),
            "W12" => Some(durable::rejoin(task).await),
            "W12-redb" => Some(durable::redb(task)),
            "W13" => Some(live::on_disk(task).await),
            "W13-memory" => Some(live::in_memory(task).await),
            "W13-libp2p" => Some(stream::ping_pong(task).await),
            _ => None,
        }
    })
}

/// The text of a row; random bytes are not asked for here.
fn text(row: &Row) -> &str {
    match &row.value {
        Content::Text(text) => text,
        Content::Bytes(_) => unreachable!("asked for hexadecimal values"),
    }
}

/// Half and 99 in a hundred of some times, in milliseconds.
fn percentiles(mut times: Vec<f64>) -> Measures {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize] * 1e3;
    Measures::default().with("p50 ms", at(0.5)).with("p99 ms", at(0.99))
}
