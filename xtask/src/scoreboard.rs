//! The scoreboard: what a soak ran, how much of it, what it found, and what that says.
//!
//! N independent cases without a failure bound the chance that one of them fails by 3/N, at 95 % confidence; with
//! failures the bound is the upper end for a Poisson count.

use std::fmt;
use std::time::Duration;

/// One kind of case. The order is that of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Schedules,
    Events,
    SimulatedHours,
    Images,
    Flips,
    Executions,
}

impl Row {
    const ALL: [Self; 6] =
        [Self::Schedules, Self::Events, Self::SimulatedHours, Self::Images, Self::Flips, Self::Executions];

    const fn name(self) -> &'static str {
        match self {
            Self::Schedules => "simulated schedules",
            Self::Events => "events in them",
            Self::SimulatedHours => "simulated hours",
            Self::Images => "disks after a power cut, opened and compared",
            Self::Flips => "stores with a flipped bit, opened and read",
            Self::Executions => "fuzz executions",
        }
    }

    /// Whether each is a case of its own, drawn anew; a fuzzer's are not, and an event is a part of one.
    const fn is_independent(self) -> bool {
        matches!(self, Self::Schedules | Self::Images | Self::Flips)
    }
}

/// Sums and findings.
#[derive(Debug)]
pub(crate) struct Board {
    commit: String,
    date: String,
    pub(crate) time: Duration,
    sums: [u64; Row::ALL.len()],
    findings: Vec<(Row, String)>,
}

impl Board {
    pub(crate) fn new(commit: String, date: String) -> Self {
        Self { commit, date, time: Duration::ZERO, sums: [0; Row::ALL.len()], findings: Vec::new() }
    }

    pub(crate) fn add(&mut self, row: Row, count: u64) {
        self.sums[row as usize] += count;
    }

    pub(crate) fn found(&mut self, row: Row, what: &str) {
        println!("found: {what}");
        self.findings.push((row, what.to_owned()));
    }

    pub(crate) const fn findings(&self) -> usize {
        self.findings.len()
    }
}

impl fmt::Display for Board {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "# Scoreboard\n")?;
        writeln!(
            out,
            "What `cargo xtask soak --hours N` ran last, and what it found. Every case was drawn anew.\n"
        )?;
        let hours = self.time.as_secs_f64() / 3600.0;
        writeln!(out, "{}, commit {}, {hours:.2} hours.\n", self.date, self.commit)?;
        writeln!(
            out,
            "| cases | how many | findings | at 95 % confidence, of such cases fail |\n|---|---|---|---|"
        )?;
        for row in Row::ALL {
            let count = self.sums[row as usize];
            let found = self.findings.iter().filter(|(of, _)| *of == row).count();
            let bound = match (row.is_independent(), count) {
                (true, 1..) => format!("fewer than {:.1e}", upper(found) / f64_of(count)),
                _ => String::new(),
            };
            writeln!(out, "| {} | {} | {found} | {bound} |", row.name(), grouped(count))?;
        }
        for (row, what) in &self.findings {
            write!(out, "\n- {}: {what}", row.name())?;
        }
        if !self.findings.is_empty() {
            writeln!(out)?;
        }
        Ok(())
    }
}

/// The upper end, at 95 %, for what a Poisson count of `found` was drawn from.
fn upper(found: usize) -> f64 {
    const EXACT: [f64; 6] = [3.0, 4.75, 6.30, 7.76, 9.16, 10.52];
    // Beyond the table a little more than it is.
    EXACT.get(found).copied().unwrap_or_else(|| {
        let found = f64_of(found as u64);
        found + 2.3 * (found + 1.0).sqrt()
    })
}

/// Exact for all that anybody counts here.
fn f64_of(count: u64) -> f64 {
    u32::try_from(count).map_or_else(|_| f64::from(u32::MAX), f64::from)
}

/// With a space between thousands.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_says_what_ran_and_nothing_else() {
        let mut board = Board::new("abc".into(), "2026-01-02".into());
        board.time = Duration::from_secs(5400);
        board.add(Row::Schedules, 2_000);
        board.add(Row::Schedules, 1_000);
        board.add(Row::Images, 100);
        board.found(Row::Images, "it is wrong");
        let text = board.to_string();
        for line in [
            "2026-01-02, commit abc, 1.50 hours.",
            "| simulated schedules | 3 000 | 0 | fewer than 1.0e-3 |",
            "| disks after a power cut, opened and compared | 100 | 1 | fewer than 4.8e-2 |",
            "| fuzz executions | 0 | 0 |  |",
            "- disks after a power cut, opened and compared: it is wrong",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is not in\n{text}");
        }
        assert_eq!(board.findings(), 1);
    }

    #[test]
    fn bounds_rise_and_thousands_are_grouped() {
        assert!((0..50).all(|found| upper(found) < upper(found + 1)));
        assert_eq!([0, 999, 1_000, 12_345_678].map(grouped), ["0", "999", "1 000", "12 345 678"]);
    }
}
