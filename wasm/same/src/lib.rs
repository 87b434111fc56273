//! Schedules of the simulator, run where JavaScript runs: what happens has to be what happens in a native program, to the last
//! byte, for devices of both kinds share their data.

use rejoin_sim::{Plan, Simulation};
use wasm_bindgen::prelude::wasm_bindgen;

/// Everything that happened in a schedule, as one hash; or what was violated.
#[wasm_bindgen]
pub fn trace(seed: u64) -> String {
    let outcome = Simulation::new(Plan::new(seed)).run();
    outcome.failure.map_or_else(|| outcome.trace.to_string(), |failure| failure.to_string())
}
