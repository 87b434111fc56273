#![doc = include_str!("../README.md")]

pub use rejoin_core as core;
