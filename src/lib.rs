//! The library that people embed. What follows is the project's front page; all its code runs as tests.
//!
#![doc = include_str!("../README.md")]

pub use rejoin_core as core;
