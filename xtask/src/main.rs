//! The project's own commands, run as `cargo xtask COMMAND` from the top of the repository.
//!
//! | module | what it holds |
//! |---|---|
//! | [`steps`] | the table of everything `cargo xtask test` runs; add a check there |
//! | [`run`] | runs steps in order, times them, stops at the first failure |
//! | [`command`] | a command written as one line, and how it is started |
//! | [`bench`] | rejoin beside its peers, measured |
//! | [`fresh`] | the quick start of README.md as a crate of its own |
//! | [`fuzz`] | the fuzz targets, each for some time |
//! | [`npm`] | the npm package, built, tested and packed |
//! | [`soak`], [`scoreboard`] | everything that draws new cases, for hours; what came of it |
//! | [`setup`] | the parts of the toolchain that the steps need |

mod bench;
mod command;
mod fresh;
mod fuzz;
mod npm;
mod run;
mod scoreboard;
mod setup;
mod soak;
mod steps;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::command::Line;

const HELP: &str = "\
The project's own commands. Run them from the top of the repository.

    cargo xtask test            every check, in order; stops at the first failure
    cargo xtask test --quick    the same with 2 000 simulated schedules and without the planted faults
    cargo xtask steps           print the commands that `test` runs
    cargo xtask sim -- ARGS     the simulator in the ci profile, for example: sim -- run --schedules 1000
    cargo xtask lab             real processes, with the amounts of the README: ten partitions of half a minute, fifty
                                kills, 100 000 rows, twenty bulks cut off (about ten minutes)
    cargo xtask bench           builds the peers and measures rejoin beside them, into docs/benchmarks.md (half an hour);
                                --quick: a tenth of it, --only W5: one workload, --instructions: of the writes, with
                                valgrind, --micro: the small parts alone; these are shown and not kept. A run that was
                                interrupted goes on with --resume FILE
    cargo xtask fresh           builds and runs the quick start of README.md as a crate outside of this workspace
    cargo xtask npm             builds the npm package, runs its tests in Node, and packs it into target/npm
    cargo xtask browser         the same, its tests in a headless Chromium, which is installed where apt-get can, and what
                                bundlers make of it; as root, since one of the tests mounts a small disk
    cargo xtask fuzz [--seconds N] [TARGET]
                                one fuzz target or all, each for N seconds (60); needs nightly and cargo-fuzz
    cargo xtask soak --hours N  new schedules, power cuts, flipped bits and fuzzing in turn for N hours (0.05 is three
                                minutes); goes on after a finding, and writes docs/scoreboard.md
    cargo xtask help            this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => test(steps::Amount::Full),
        ["test", "--quick"] => test(steps::Amount::Quick),
        ["steps"] => print_steps(),
        ["sim", "--", rest @ ..] | ["sim", rest @ ..] => simulate(rest),
        ["lab"] => lab(),
        ["fuzz", rest @ ..] => match fuzz_arguments(rest) {
            Some((seconds, target)) => done(fuzz::run(&top(), target, seconds)),
            None => usage("`fuzz` takes --seconds N and the name of a target"),
        },
        ["soak", "--hours", hours] => match hours.parse() {
            Ok(hours) => done(soak::run(&top(), hours)),
            Err(_) => usage("`soak` takes --hours and a number"),
        },
        ["bench", rest @ ..] => match bench::Bench::parse(rest) {
            Ok(bench) => done(bench.run(&top())),
            Err(problem) => usage(&problem),
        },
        ["fresh"] => done(fresh::run(&top())),
        ["npm"] => done(npm::run(&top())),
        ["browser"] => done(npm::browser(&top())),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        [] => usage("no command given"),
        ["soak", ..] => usage("`soak` takes --hours and a number"),
        ["test", rest @ ..] => usage(&format!("`test` takes only --quick, not `{}`", rest.join(" "))),
        [unknown, ..] => usage(&format!("no command is called `{unknown}`")),
    }
}

/// Seconds for each target, and which one if not all.
fn fuzz_arguments<'a>(words: &[&'a str]) -> Option<(u32, Option<&'a str>)> {
    let (seconds, rest) = match words {
        ["--seconds", seconds, rest @ ..] => (seconds.parse().ok()?, rest),
        rest => (fuzz::SECONDS, rest),
    };
    match rest {
        [] => Some((seconds, None)),
        [target] if !target.starts_with('-') => Some((seconds, Some(target))),
        _ => None,
    }
}

fn done(result: Result<(), String>) -> ExitCode {
    result.map_or_else(|problem| fail(&problem), |()| ExitCode::SUCCESS)
}

fn test(amount: steps::Amount) -> ExitCode {
    let top = top();
    let steps = match setup::install_missing(&top).and_then(|()| steps::list(&top, amount)) {
        Ok(steps) => steps,
        Err(problem) => return fail(&problem),
    };
    match run::all(&top, &steps) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => fail(&problem),
    }
}

fn lab() -> ExitCode {
    let line = Line::parse(steps::LAB);
    match line.start(&top()) {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => fail(&format!("`{line}` failed ({status})")),
        Err(problem) => fail(&problem),
    }
}

fn print_steps() -> ExitCode {
    match steps::list(&top(), steps::Amount::Full) {
        Ok(steps) => {
            for step in steps {
                println!("{:<16} {}", step.name, step.line);
            }
            ExitCode::SUCCESS
        }
        Err(problem) => fail(&problem),
    }
}

/// Passes the simulator's own exit code on, so that scripts can tell a violation from a usage error.
fn simulate(arguments: &[&str]) -> ExitCode {
    match Line::parse(steps::simulator(arguments)).arguments(arguments).start(&top()) {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(problem) => fail(&problem),
    }
}

/// The folder above this package. Read when it runs, not when it is built: the repository may have been moved.
fn top() -> PathBuf {
    match env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from) {
        Some(package) => package.parent().map_or_else(|| PathBuf::from("."), PathBuf::from),
        None => PathBuf::from("."),
    }
}

fn fail(problem: &str) -> ExitCode {
    eprintln!("xtask: {problem}");
    ExitCode::FAILURE
}

/// Exit code 2, as for any other usage error.
fn usage(problem: &str) -> ExitCode {
    eprintln!("xtask: {problem}\n\n{HELP}");
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzz_takes_seconds_and_a_target() {
        assert_eq!(fuzz_arguments(&[]), Some((fuzz::SECONDS, None)));
        assert_eq!(fuzz_arguments(&["frames"]), Some((fuzz::SECONDS, Some("frames"))));
        assert_eq!(fuzz_arguments(&["--seconds", "5"]), Some((5, None)));
        assert_eq!(fuzz_arguments(&["--seconds", "5", "frames"]), Some((5, Some("frames"))));
        assert_eq!(fuzz_arguments(&["--seconds", "x"]), None);
        assert_eq!(fuzz_arguments(&["frames", "deltas"]), None);
        assert_eq!(fuzz_arguments(&["--hours"]), None);
    }
}
