//! A model of what happens to data when two histories are written under one replica id, and of the rules against it.
//!
//! Problem: a machine image is restored or cloned and nobody notices, so two stores write under one replica id, and one
//! dot means two things. Everything rests on "I have seen that dot and do not hold it: it was killed", and that is wrong
//! now. Several rules are possible, each with a price. Which one loses least is not a matter of taste.
//!
//! Idea: a world without bytes and signatures, of plain sets and numbers, in which each rule is a few flags
//! ([`Rule`]) and a schedule takes a tenth of a millisecond. The same hundred thousand schedules run under each rule.
//! Beside the stores the world keeps the truth: which mutations were made, what each killed by its author's own view, and
//! which machines got to know it. At the end everybody meets everybody until nothing changes, and the truth says what
//! should be live ([`Counts`]).
//!
//! What a store may use is what a real one has: heads, chains as far back as its log reaches, live entries. Deltas
//! travel in sessions only; their dependencies are met by the order of the log they come from, so they are not modelled.
//!
//! | module | what it holds |
//! |---|---|
//! | [`rule`] | the candidates |
//! | `truth` | what was really written, and what came of it |
//! | `store` | one store: heads, live entries, log |
//! | `relation` | how two heads relate, as far as two stores can tell |
//! | `rebase` | what an owner does on evidence that its id was written elsewhere |
//! | `merge`, `branches` | replay and bulk, by dot, and by branch |
//! | `world`, [`schedule`] | machines, images, meetings; one random schedule |
//! | [`compare`] | many schedules under each rule, and the table |
//!
//! Run it with `cargo run -p rejoin-sim --profile ci -- forks --schedules 100000`.

mod branches;
pub mod compare;
mod merge;
mod rebase;
mod relation;
pub mod rule;
pub mod schedule;
mod store;
#[cfg(test)]
mod tests;
mod truth;
mod world;

pub use rule::Rule;
pub use truth::Counts;
