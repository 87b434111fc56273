//! rejoin: the real engine, with its signatures, its hashes and its bounded log, over a store in memory.
//!
//! | module | what it holds |
//! |---|---|
//! | [`replica`] | map, set and counter on an engine |
//! | [`objects`] | many maps in one space |
//! | [`documents`] | a text, and many documents in one space |
//! | [`alone`] | the same types without an engine: values that are merged by hand |

mod alone;
mod documents;
mod objects;
mod replica;

use std::process::ExitCode;

use rejoin_benches::host;
use rejoin_benches::measure::Measures;
use rejoin_benches::program::{self, Task};
use rejoin_benches::workload;

use crate::alone::{CounterAlone, MapAlone, SetAlone};
use crate::replica::{CounterReplica, MapReplica, SetReplica};

fn main() -> ExitCode {
    program::main(run)
}

/// Workloads that end in `-alone` are those of the values that need no engine.
fn run(task: &Task) -> Option<Measures> {
    host::keep_log(task.log);
    match task.workload.as_str() {
        "objects" => Some(objects::sync(task)),
        "W6" => Some(documents::many(task)),
        "W9" => Some(workload::text::<documents::Text>(task)),
        "W2" => Some(workload::set::<SetReplica>(task)),
        "W3" => Some(workload::counter::<CounterReplica>(task)),
        "W2-alone" => Some(workload::set::<SetAlone>(task)),
        "W3-alone" => Some(workload::counter::<CounterAlone>(task)),
        alone if alone.ends_with("-alone") => {
            let workload = alone.trim_end_matches("-alone").to_owned();
            workload::map::<MapAlone>(&Task { workload, ..task.clone() })
        }
        _ => workload::map::<MapReplica>(task),
    }
}
