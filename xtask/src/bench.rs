//! rejoin beside its peers: builds the measuring programs of benches/ and runs the report.
//!
//! `loro` is built from a copy of benches/loro in the target folder: it depends on a crate that deny.toml keeps out of every
//! lock file of the repository, so that package has none here. Its own version is exact.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::Line;

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Bench {
    /// Words for the report.
    words: Vec<String>,
    /// One workload, or a tenth of all: shown and not kept.
    is_part: bool,
    /// The micro benchmarks instead.
    micro: bool,
}

impl Bench {
    /// Reads the words behind `bench`.
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let (mut bench, mut words) = (Self::default(), words.iter());
        while let Some(word) = words.next() {
            match *word {
                "--micro" => bench.micro = true,
                "--quick" | "--instructions" => bench.words.push((*word).to_owned()),
                "--only" | "--resume" => {
                    let value = words.next().ok_or(format!("`{word}` needs a value"))?;
                    bench.words.extend([(*word).to_owned(), (*value).to_owned()]);
                }
                _ => {
                    return Err(format!(
                        "`bench` takes --quick, --only W5, --resume FILE, --instructions and --micro, not `{word}`"
                    ));
                }
            }
            bench.is_part |= *word != "--resume";
        }
        Ok(bench)
    }

    /// Builds and runs.
    pub(crate) fn run(&self, top: &Path) -> Result<(), String> {
        let benches = fs::canonicalize(top.join("benches"));
        let benches = benches.map_err(|error| format!("cannot find benches/: {error}"))?;
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| benches.with_file_name("target").join("benches"), PathBuf::from);
        let manifest = benches.join("Cargo.toml");
        if self.micro {
            return done(cargo("bench --locked --bench micro", &manifest, &target), top);
        }
        done(cargo("build --locked --release --bins", &manifest, &target), top)?;
        done(cargo("build --release", &copy_loro(&benches, &target)?, &target), top)?;
        let report = target.join("release/bench-report");
        let mut words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        if !self.is_part {
            words.extend(["--docs", "docs"]);
        }
        done(Line::parse(&report.display().to_string()).arguments(&words), top)
    }
}

fn cargo(words: &str, manifest: &Path, target: &Path) -> Line {
    let [manifest, target] = [manifest, target].map(|path| path.display().to_string());
    Line::parse(&format!("cargo {words}")).arguments(&["--manifest-path", &manifest, "--target-dir", &target])
}

fn done(line: Line, top: &Path) -> Result<(), String> {
    println!("==> {line}");
    match line.start(top)? {
        status if status.success() => Ok(()),
        status => Err(format!("`{line}` failed ({status})")),
    }
}

/// Copies benches/loro to where a lock file harms nobody; returns its manifest.
fn copy_loro(benches: &Path, target: &Path) -> Result<PathBuf, String> {
    let (from, to) = (benches.join("loro"), target.join("bench-loro"));
    let cannot =
        |error: std::io::Error| format!("cannot copy {} to {}: {error}", from.display(), to.display());
    let manifest = fs::read_to_string(from.join("Cargo.toml")).map_err(cannot)?;
    let manifest = manifest.replace("path = \"..\"", &format!("path = \"{}\"", benches.display()));
    fs::create_dir_all(to.join("src")).map_err(cannot)?;
    fs::write(to.join("Cargo.toml"), manifest).map_err(cannot)?;
    fs::copy(from.join("src/main.rs"), to.join("src/main.rs")).map_err(cannot)?;
    Ok(to.join("Cargo.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_passed_on_and_others_are_refused() {
        let bench = Bench::parse(&["--only", "W5", "--quick"]).expect("both are known");
        assert_eq!((bench.words.join(" ").as_str(), bench.is_part), ("--only W5 --quick", true));
        assert_eq!(Bench::parse(&[]), Ok(Bench::default()));
        assert!(Bench::parse(&["--only"]).is_err() && Bench::parse(&["W5"]).is_err());
    }
}
