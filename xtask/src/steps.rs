//! The table of everything `cargo xtask test` runs. A new check is a new row here, and nothing else.
//!
//! Order: what fails fastest comes first, so that a slip in the formatting does not cost a run of the simulator.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::command::Line;

/// How much to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// Everything, as on the CI machine.
    Full,
    /// Fewer schedules: for the minute before a push.
    Quick,
}

/// One command of the run.
#[derive(Debug)]
pub(crate) struct Step {
    /// What the final table calls it.
    pub(crate) name: String,
    /// What runs.
    pub(crate) line: Line,
}

/// Real processes under faults, at full length.
pub(crate) const LAB: &str = "REJOIN_LAB_PARTITIONS=10 REJOIN_LAB_SECONDS=30 REJOIN_LAB_KILLS=50 REJOIN_LAB_ROWS=100000 \
     REJOIN_LAB_CHANGES=1000 REJOIN_LAB_INTERRUPTIONS=20 \
     cargo test --profile ci -p rejoin-cli --test lab -- --nocapture --test-threads 1";

/// (name, command). `{example}` stands for every file of examples/, `{schedules}` for the simulator's amount and where it
/// starts.
#[rustfmt::skip]
const ALWAYS: &[(&str, &str)] = &[
    ("format",          "cargo fmt --all --check"),
    ("format xtask",    "cargo fmt --manifest-path xtask/Cargo.toml --check"),
    ("format fuzz",     "cargo fmt --manifest-path fuzz/Cargo.toml --check"),
    ("format benches",  "cargo fmt --manifest-path benches/Cargo.toml --check"),
    ("clippy",          "cargo clippy --locked --workspace --all-targets --all-features -- -D warnings"),
    ("clippy xtask",    "cargo clippy --locked --manifest-path xtask/Cargo.toml --target-dir target/xtask --all-targets -- -D warnings"),
    ("test xtask",      "cargo test --locked --manifest-path xtask/Cargo.toml --target-dir target/xtask"),
    ("wasm",            "cargo check -p rejoin-core --target wasm32-unknown-unknown"),
    ("wasm, no network", "cargo check -p rejoin --no-default-features --target wasm32-unknown-unknown"),
    ("no features",     "cargo check -p rejoin-core --no-default-features"),
    ("docs",            "RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps"),
    ("test",            "cargo test --workspace --no-fail-fast --profile ci --features rejoin-core/laws,rejoin-core/document,rejoin-net/faults"),
    ("{example}",       "cargo run --profile ci --example {example}"),
    // A full run takes its base from the commit: new schedules for every commit, the same ones wherever it is checked. A
    // quick run draws one. Both print it, and after a failure the command that repeats it.
    ("simulator",       "cargo run --profile ci -p rejoin-sim -- run --schedules {schedules}"),
];

/// What only a full run does.
#[rustfmt::skip]
const FULL: &[(&str, &str)] = &[
    ("same seed twice", "cargo run --profile ci -p rejoin-sim -- twice --seeds 200"),
    ("fresh crate",     "cargo xtask fresh"),
    ("npm package",     "cargo xtask npm"),
    // The base is fixed: whether each rule dies is a question about the code, not about luck.
    ("planted rules",   "cargo run --profile ci -p rejoin-sim --features planted -- planted --schedules 5000 --seed 11"),
];

/// The steps to run in the repository at `top`, in order.
pub(crate) fn list(top: &Path, amount: Amount) -> Result<Vec<Step>, String> {
    let examples = examples(top)?;
    Ok(expand(&examples, amount, commit_number(top)))
}

/// A number that follows from the commit that is checked out; none outside of a repository.
fn commit_number(top: &Path) -> Option<u64> {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(top).output().ok()?;
    let hash = String::from_utf8(output.stdout).ok()?;
    u64::from_str_radix(hash.get(..12)?, 16).ok()
}

/// The command that `cargo xtask sim` forwards to: planted faults are compiled in only when they are asked for.
pub(crate) fn simulator(arguments: &[&str]) -> &'static str {
    match arguments.first() {
        Some(&"planted") => "cargo run --profile ci -p rejoin-sim --features planted --",
        _ => "cargo run --profile ci -p rejoin-sim --",
    }
}

fn expand(examples: &[String], amount: Amount, commit: Option<u64>) -> Vec<Step> {
    let (rows, schedules) = match (amount, commit) {
        (Amount::Full, Some(commit)) => ([ALWAYS, FULL].concat(), format!("100000 --seed {commit}")),
        (Amount::Full, None) => ([ALWAYS, FULL].concat(), "100000".to_owned()),
        (Amount::Quick, _) => (ALWAYS.to_vec(), "2000".to_owned()),
    };
    let mut steps = Vec::new();
    for (name, command) in rows {
        let command = command.replace("{schedules}", &schedules);
        if name == "{example}" {
            steps.extend(examples.iter().map(|example| Step {
                name: format!("example {example}"),
                line: Line::parse(&command.replace("{example}", example)),
            }));
        } else {
            steps.push(Step { name: name.to_owned(), line: Line::parse(&command) });
        }
    }
    steps
}

/// The names of the root package's examples, sorted: `examples/NAME.rs` and `examples/NAME/main.rs`.
fn examples(top: &Path) -> Result<Vec<String>, String> {
    let folder = top.join("examples");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let cannot = |error| format!("cannot read {}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let is_example = path.extension().is_some_and(|end| end == "rs") || path.join("main.rs").is_file();
        if let (true, Some(name)) = (is_example, path.file_stem().and_then(|name| name.to_str())) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(amount: Amount) -> Vec<String> {
        let examples = ["crdts".to_owned(), "sans_io".to_owned()];
        expand(&examples, amount, Some(7)).iter().map(|step| step.line.to_string()).collect()
    }

    #[test]
    fn every_example_is_run() {
        let lines = shown(Amount::Full);
        assert!(lines.contains(&"cargo run --profile ci --example crdts".to_owned()));
        assert!(lines.contains(&"cargo run --profile ci --example sans_io".to_owned()));
    }

    #[test]
    fn quick_runs_fewer_schedules() {
        let (full, quick) = (shown(Amount::Full), shown(Amount::Quick));
        assert!(full.iter().any(|line| line.ends_with("run --schedules 100000 --seed 7")));
        assert!(quick.iter().any(|line| line.ends_with("run --schedules 2000")));
        assert!(quick.len() < full.len());
    }

    #[test]
    fn no_placeholder_is_left_over() {
        assert!(!shown(Amount::Full).iter().any(|line| line.contains(['{', '}'])));
    }
}
