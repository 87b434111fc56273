//! The same work for rejoin and for its peers, measured the same way.
//!
//! The problem: a number means little alone, and less when it was measured on another machine, on another day, on work that
//! was made to fit. The idea: every engine is a small program of its own (`src/bin/`), so that a process holds nothing but
//! what it measures. All of them do the work that [`workload`] describes once, behind the traits of [`peer`], and prove
//! that they did it; one that ends in another state aborts. `bench-report` runs them in turn and compares within the run.
//!
//! | module | what it holds |
//! |---|---|
//! | [`rows`] | the data: the same pseudo-random rows for everybody |
//! | [`trace`] | the edits by which a paper was written |
//! | [`peer`] | what an engine must be able to do to take part |
//! | [`workload`] | the work, and the proof that it was done |
//! | [`measure`] | CPU seconds, live heap, and figures with names |
//! | [`program`] | the command line of a measuring program, and what it prints |
//! | `host` | what drives engines of rejoin by hand: commits at once, frames from one to the other |

#[cfg(feature = "rejoin")]
pub mod host;
pub mod measure;
pub mod peer;
pub mod program;
pub mod rows;
pub mod trace;
pub mod workload;
