//! CPU seconds, live heap, and figures with names.
//!
//! Time is that of the process, not of the wall: the machine may have other work. Heap is counted by the allocator, so it
//! is exact and leaves out what the allocator itself wastes; counting costs every engine a few nanoseconds an allocation.

use std::alloc::System;

use cpu_time::ProcessTime;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes of heap that are in use now.
pub fn heap() -> f64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as f64 - stats.bytes_deallocated as f64
}

/// Runs something and says how many CPU seconds the process spent meanwhile, in all its threads.
pub fn cpu<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = ProcessTime::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

/// Figures with names; the report knows what they mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures(pub Vec<(String, f64)>);

impl Measures {
    /// Adds a figure.
    pub fn add(&mut self, name: &str, value: f64) {
        self.0.push((name.to_owned(), value));
    }

    /// With one more figure.
    #[must_use]
    pub fn with(mut self, name: &str, value: f64) -> Self {
        self.add(name, value);
        self
    }

    /// One line a figure, as a measuring program prints them.
    pub fn lines(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name} {value}\n")).collect()
    }

    /// Reads what [`Measures::lines`] wrote. Lines that are no figures are left out.
    pub fn parse(text: &str) -> Self {
        let figure = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self(text.lines().filter_map(figure).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_survive_printing() {
        let figures = Measures::default().with("rows/s", 12.5).with("heap", 1e9);
        assert_eq!(Measures::parse(&figures.lines()), figures);
        assert_eq!(Measures::parse("no figure\n\n"), Measures::default());
    }

    #[test]
    fn what_is_kept_counts_as_heap_and_what_is_dropped_does_not() {
        let before = heap();
        let kept = vec![1_u8; 1 << 20];
        assert!(heap() - before >= f64::from(1 << 20));
        drop(kept);
        assert!(heap() - before < f64::from(1 << 20));
    }
}
