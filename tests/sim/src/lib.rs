//! Deterministic simulation of rejoin: real engines, a seeded world, and an oracle that knows none of the engine's rules.
//!
//! One `u64` decides everything: how many replicas there are, what they write, when frames arrive, what breaks. So any
//! run can be had again from its seed, and a failing one shrinks to the steps that matter (FoundationDB and TigerBeetle
//! test this way). Run it with `cargo run -p rejoin-sim --profile ci -- run --schedules 10000`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`simulation`], [`run`] | one schedule; many of them |
//! | [`faults`], [`workload`] | what a schedule is made of |
//! | [`oracle`] | the record of what was issued, and what follows from it |
//! | [`machine`], [`disk`], [`clock`], [`identity`], [`network`], [`queue`], [`draw`] | the simulated world |
//! | [`counters`], [`trace`] | what was met, what happened |
//! | [`shrink`], [`seeds`] | failing schedules, made small and kept |
//! | [`forks`] | a model, without engines, that compares rules about forks |
//!
//! An app can run its own schedules in its own tests through [`Simulation`].

mod actions;
mod check;
pub mod clock;
pub mod counters;
pub mod disk;
pub mod documents;
pub mod draw;
pub mod faults;
pub mod forks;
mod host;
pub mod identity;
pub mod machine;
pub mod network;
pub mod oracle;
#[cfg(feature = "planted")]
pub mod planted;
pub mod queue;
pub mod reader;
pub mod run;
pub mod seeds;
mod settle;
pub mod shrink;
pub mod simulation;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod views;
pub mod workload;
mod world;

pub use oracle::Violation;
pub use simulation::{Failure, Outcome, Plan, Simulation};
