//! The work, each piece once, for whatever replica is given. The numbers are those of the goals.
//!
//! Every function measures, and then proves that the work was done: it panics when a replica does not hold what it must.

mod counter;
mod map;
mod set;
mod sync;
#[cfg(test)]
mod tests;
mod text;

pub use counter::counter;
pub use set::set;
pub use text::write as text;

use crate::measure::Measures;
use crate::peer::MapReplica;
use crate::program::Task;

/// The workloads on maps; `None` for any other.
pub fn map<M: MapReplica>(task: &Task) -> Option<Measures> {
    Some(match task.workload.as_str() {
        "W1" => map::write::<M>(task),
        "W4" => sync::merge::<M>(task),
        "W5" => sync::few_writers::<M>(task),
        "W6" => text::documents::<M>(task),
        "W7" => map::keep::<M>(task),
        "W8" => map::overwrite::<M>(task),
        "W11" => sync::many_writers::<M>(task),
        "old-puts" => sync::old_puts::<M>(task),
        "old-removals" => return sync::old_removals::<M>(task),
        _ => return None,
    })
}
