//! Everything that draws new cases, in turn and for as long as one likes; the sums go to docs/scoreboard.md.
//!
//! A turn is a few minutes: simulated schedules, images of disks after power cuts, flipped bits, and one fuzz target. Each
//! draws from seeds that were never used before. What is found is written down and the run goes on: one bug is no reason
//! not to look for the next.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::command::Line;
use crate::fuzz;
use crate::scoreboard::{Board, Row};

const SIMULATE: &str = "cargo run --quiet --profile ci -p rejoin-sim -- run --keep-going --no-shrink";
const STORE: &str = "cargo test --quiet --profile ci -p rejoin-net --test store --";
/// The tests of the store that soak: each filter is one test.
const CRASH: &str = "crash::a_power_cut_anywhere_loses_nothing_that_was_reported";
const FLIP: &str = "damage::a_flipped_bit_is_never_read";
/// Of one turn.
const SCHEDULES: u64 = 5_000;
const IMAGES: u64 = 10_000;
const FLIPS: u64 = 2_000;
const FUZZ_SECONDS: u32 = 30;
const FILE: &str = "docs/scoreboard.md";

/// Runs turns until the time is over, and writes the scoreboard after each.
pub(crate) fn run(top: &Path, hours: f64) -> Result<(), String> {
    let time = Duration::try_from_secs_f64(hours * 3600.0).map_err(|_| format!("{hours} is no time"))?;
    let targets = fuzz::targets(top)?;
    fuzz::build(top)?;
    let begin = Instant::now();
    let mut board = Board::new(commit(top)?, word(top, "date -u +%Y-%m-%d")?);
    for turn in 0_usize.. {
        let target = &targets[turn % targets.len()];
        for step in 0..4 {
            if begin.elapsed() >= time {
                break;
            }
            match step {
                0 => simulate(top, &mut board)?,
                1 => images(top, &mut board)?,
                2 => flips(top, &mut board)?,
                _ => fuzzed(top, &mut board, target)?,
            }
        }
        board.time = begin.elapsed();
        fs::write(top.join(FILE), board.to_string())
            .map_err(|error| format!("cannot write {FILE}: {error}"))?;
        println!("after {:.2} h:\n{board}", board.time.as_secs_f64() / 3600.0);
        if begin.elapsed() >= time {
            break;
        }
    }
    match board.findings() {
        0 => Ok(()),
        found => Err(format!("{found} findings, see {FILE}")),
    }
}

/// A number that no run had before.
fn fresh() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos() % 1_000_000_000_007).unwrap_or_default()
}

fn word(top: &Path, command: &str) -> Result<String, String> {
    let (_, text) = Line::parse(command).capture(top)?;
    Ok(text.trim().to_owned())
}

/// The commit, and whether the tree differs from it.
fn commit(top: &Path) -> Result<String, String> {
    let commit = word(top, "git rev-parse --short HEAD")?;
    let changes = word(top, "git status --porcelain")?;
    let others = changes.lines().filter(|line| !line.ends_with(FILE)).count();
    Ok(if others == 0 { commit } else { format!("{commit} with changes") })
}

fn simulate(top: &Path, board: &mut Board) -> Result<(), String> {
    let (schedules, seed) = (SCHEDULES.to_string(), fresh().to_string());
    let line = Line::parse(SIMULATE).arguments(&["--schedules", &schedules, "--seed", &seed]);
    println!("==> {line}");
    let (went_well, text) = line.capture(top)?;
    let [count, events, hours] =
        sums(&text, [" schedules, ", " events, ", " simulated hours"]).ok_or_else(|| failed(&line, &text))?;
    board.add(Row::Schedules, count);
    board.add(Row::Events, events);
    board.add(Row::SimulatedHours, hours);
    let violations: Vec<&str> = text.lines().filter(|line| line.contains(" first with seed ")).collect();
    for violation in &violations {
        board.found(Row::Schedules, violation.trim());
    }
    if !went_well && violations.is_empty() {
        board.found(Row::Schedules, &format!("`{line}` failed"));
    }
    Ok(())
}

fn images(top: &Path, board: &mut Board) -> Result<(), String> {
    let (line, went_well, text) = store_test(top, "REJOIN_CRASH_IMAGES", IMAGES, CRASH)?;
    let [count] = sums(&text, [" images of "]).ok_or_else(|| failed(&line, &text))?;
    board.add(Row::Images, count);
    if !went_well {
        board.found(Row::Images, &format!("`{line}` failed"));
    }
    Ok(())
}

fn flips(top: &Path, board: &mut Board) -> Result<(), String> {
    let (line, went_well, text) = store_test(top, "REJOIN_BIT_FLIPS", FLIPS, FLIP)?;
    let [count] = sums(&text, [" flips: "]).ok_or_else(|| failed(&line, &text))?;
    board.add(Row::Flips, count);
    if !went_well {
        board.found(Row::Flips, &format!("`{line}` failed"));
    }
    Ok(())
}

fn store_test(top: &Path, variable: &str, amount: u64, test: &str) -> Result<(Line, bool, String), String> {
    let line = format!("{variable}={amount} REJOIN_SEED={} {STORE} {test} --exact --nocapture", fresh());
    let line = Line::parse(&line);
    println!("==> {line}");
    let (went_well, text) = line.capture(top)?;
    Ok((line, went_well, text))
}

fn fuzzed(top: &Path, board: &mut Board, target: &str) -> Result<(), String> {
    println!("==> fuzz {target}, {FUZZ_SECONDS} s");
    let fuzzed = fuzz::one(top, target, FUZZ_SECONDS)?;
    board.add(Row::Executions, fuzzed.executions);
    if let Some(file) = fuzzed.broke {
        board.found(Row::Executions, &format!("`{}`", fuzz::repeat(target, &file)));
    }
    Ok(())
}

fn failed(line: &Line, text: &str) -> String {
    format!("`{line}` did not say what it did:\n{text}")
}

/// The numbers that stand before these marks, all on one line.
fn sums<const N: usize>(text: &str, marks: [&str; N]) -> Option<[u64; N]> {
    let number =
        |line: &str, mark: &str| -> Option<u64> { line.split_once(mark)?.0.rsplit(' ').next()?.parse().ok() };
    text.lines().find_map(|line| {
        let found: Option<Vec<u64>> = marks.iter().map(|mark| number(line, mark)).collect();
        found?.try_into().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_is_printed() {
        let text = "base seed 9\n120 schedules, 24000 events, 7 simulated hours in 1.0 s\n";
        let marks = [" schedules, ", " events, ", " simulated hours"];
        assert_eq!(sums(text, marks), Some([120, 24_000, 7]));
        assert_eq!(sums("50 images of 659 events in 1s: 0 wrong", [" images of "]), Some([50]));
        assert_eq!(sums("running 0 tests", [" images of "]), None);
    }

    #[test]
    fn no_two_runs_draw_alike() {
        assert_ne!(fresh(), fresh());
    }
}
