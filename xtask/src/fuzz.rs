//! Runs the fuzz targets of the workspace `fuzz`, which needs a nightly compiler and cargo-fuzz.

use std::fs;
use std::path::Path;

use crate::command::Line;

/// Seconds for each target, unless asked otherwise.
pub(crate) const SECONDS: u32 = 60;
/// The functions under the targets are plain Rust without `unsafe`: an address sanitizer would find nothing and cost half.
const BUILD: &str = "cargo +nightly fuzz build --sanitizer none";
const RUN: &str = "cargo +nightly fuzz run --sanitizer none";
const SEEDS: &str = "cargo run --quiet --profile ci -p rejoin-fuzz -- seeds fuzz/corpus";
/// How libFuzzer says how much it did, and where it put an input that broke something.
const EXECUTIONS: &str = "stat::number_of_executed_units:";
const KEPT: &str = "Test unit written to ";

/// What a run of one target did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fuzzed {
    pub(crate) executions: u64,
    /// The file with the input that broke it.
    pub(crate) broke: Option<String>,
}

/// Runs one target or all, each for so long. All are run, whatever is found.
pub(crate) fn run(top: &Path, only: Option<&str>, seconds: u32) -> Result<(), String> {
    let targets: Vec<String> =
        targets(top)?.into_iter().filter(|target| only.is_none_or(|only| only == target)).collect();
    if targets.is_empty() {
        return Err(format!("no target is called `{}`", only.unwrap_or_default()));
    }
    build(top)?;
    let mut broken = Vec::new();
    for target in targets {
        println!("==> {target}, {seconds} s");
        let fuzzed = one(top, &target, seconds)?;
        println!("<== {target}: {} executions", fuzzed.executions);
        if let Some(file) = fuzzed.broke {
            println!("    breaks on {file}. To repeat it:\n    {}", repeat(&target, &file));
            broken.push(target);
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(format!("broken: {}", broken.join(", "))) }
}

/// How to run an input again without a fuzzer.
pub(crate) fn repeat(target: &str, file: &str) -> String {
    format!("cargo run --profile ci -p rejoin-fuzz -- run {target} {file}")
}

/// The names of the targets, sorted.
pub(crate) fn targets(top: &Path) -> Result<Vec<String>, String> {
    let folder = top.join("fuzz/fuzz_targets");
    let cannot = |error| format!("cannot read {}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        names.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Builds all targets and makes their seeds.
pub(crate) fn build(top: &Path) -> Result<(), String> {
    for command in [SEEDS, BUILD] {
        let line = Line::parse(command);
        println!("==> {line}");
        if !line.start(top)?.success() {
            let hint = "it needs `rustup toolchain install nightly` and `cargo install cargo-fuzz`";
            return Err(format!("`{line}` failed; {hint}"));
        }
    }
    Ok(())
}

/// Runs one target, built before, for so long or until it breaks.
pub(crate) fn one(top: &Path, target: &str, seconds: u32) -> Result<Fuzzed, String> {
    let limits = [
        target.to_owned(),
        "--".to_owned(),
        format!("-max_total_time={seconds}"),
        "-max_len=8192".to_owned(),
        // An input that takes longer, or more memory, is a finding too.
        "-timeout=10".to_owned(),
        "-rss_limit_mb=2048".to_owned(),
        "-print_final_stats=1".to_owned(),
    ];
    let line = Line::parse(RUN).arguments(&limits.each_ref().map(String::as_str));
    let (went_well, text) = line.capture(top)?;
    read(&text, went_well).ok_or_else(|| format!("`{line}` failed:\n{text}"))
}

/// Reads what libFuzzer printed; `None` when it did not run.
fn read(text: &str, went_well: bool) -> Option<Fuzzed> {
    let after = |mark: &str| text.lines().find_map(|line| line.split_once(mark)).map(|(_, rest)| rest.trim());
    let executions = after(EXECUTIONS).and_then(|number| number.parse().ok());
    let broke = after(KEPT).map(str::to_owned);
    match (executions, went_well || broke.is_some()) {
        (Some(executions), true) => Some(Fuzzed { executions, broke }),
        // Where it breaks badly it does not come to its figures.
        (None, true) if broke.is_some() => Some(Fuzzed { executions: 0, broke }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_fuzzer_prints_is_read() {
        let stats = "#7\tDONE\nstat::number_of_executed_units: 1234\nstat::average_exec_per_sec: 3\n";
        assert_eq!(read(stats, true), Some(Fuzzed { executions: 1234, broke: None }));
        let broken = format!("artifact_prefix='x/'; Test unit written to x/crash-1\n{stats}");
        let expected = Fuzzed { executions: 1234, broke: Some("x/crash-1".to_owned()) };
        assert_eq!(read(&broken, false), Some(expected));
        assert_eq!(read("error: no such command", false), None);
        assert_eq!(read(stats, false), None, "it ended badly and kept nothing");
    }
}
