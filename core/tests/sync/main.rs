//! Real engines over stores in memory, brought together by hand: every pair of small states, every interruption, and the
//! bugs that other engines shipped.

mod bounded;
mod forks;
mod histories;
mod hosts;
mod lost;
mod stuck;
mod subsets;
