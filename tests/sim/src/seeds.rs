//! Schedules that failed once, kept as small files and replayed by every run.
//!
//! ```text
//! # what was wrong, for people
//! seed 1234
//! replicas 3
//! feed
//! keep 0-4 9 12-13
//! ```
//!
//! Without `replicas` the seed decides; without `feed` no machine keeps a change feed; without `keep` all steps run.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::simulation::Plan;

/// Where they lie.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds")
}

/// All kept plans, by file name.
pub fn kept() -> io::Result<Vec<(String, Plan)>> {
    let mut plans = Vec::new();
    let entries = match fs::read_dir(folder()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(plans),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let text = fs::read_to_string(&path)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let plan = parse(&text).ok_or_else(|| io::Error::other(format!("{name} is no kept seed")))?;
            plans.push((name, plan));
        }
    }
    plans.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(plans)
}

/// Keeps a plan.
pub fn keep(plan: &Plan, steps: u64, why: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(folder())?;
    let path = folder().join(format!("{}.txt", plan.seed));
    fs::write(&path, format_plan(plan, steps, why))?;
    Ok(path)
}

/// The text of a kept plan.
pub fn format_plan(plan: &Plan, steps: u64, why: &str) -> String {
    let mut text = format!("# {why}\nseed {}\n", plan.seed);
    if let Some(replicas) = plan.replicas {
        text += &format!("replicas {replicas}\n");
    }
    if plan.has_feed() {
        text += "feed\n";
    }
    if !plan.skipped.is_empty() {
        text += "keep";
        let kept: Vec<u64> = (0..steps).filter(|step| !plan.skips(*step)).collect();
        for run in kept.chunk_by(|a, b| a + 1 == *b) {
            let (first, last) = (run[0], run[run.len() - 1]);
            text += &if first == last { format!(" {first}") } else { format!(" {first}-{last}") };
        }
        text += "\n";
    }
    text
}

/// Reads the text of a kept plan.
pub fn parse(text: &str) -> Option<Plan> {
    let mut plan = Plan { feed: Some(false), ..Plan::default() };
    let mut seeded = false;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "seed" => {
                plan.seed = rest.parse().ok()?;
                seeded = true;
            }
            "replicas" => plan.replicas = Some(rest.parse().ok()?),
            "feed" => plan.feed = Some(true),
            "keep" => plan.skipped = skipped(rest)?,
            _ => return None,
        }
    }
    seeded.then_some(plan)
}

/// No schedule has more steps.
const MOST_STEPS: u64 = 1000;

fn skipped(kept: &str) -> Option<BTreeSet<u64>> {
    let mut skipped: BTreeSet<u64> = (0..MOST_STEPS).collect();
    for run in kept.split_whitespace() {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        for step in first.parse::<u64>().ok()?..=last.parse().ok()? {
            skipped.remove(&step);
        }
    }
    Some(skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_plan_reads_back() {
        let mut plan = Plan { replicas: Some(3), feed: Some(true), ..Plan::new(77) };
        plan.skipped = (0..MOST_STEPS).filter(|step| ![1, 2, 3, 9].contains(step)).collect();
        let text = format_plan(&plan, 20, "why");
        assert_eq!(text, "# why\nseed 77\nreplicas 3\nfeed\nkeep 1-3 9\n");
        assert_eq!(parse(&text), Some(plan));
        assert_eq!(parse("seed 5"), Some(Plan { feed: Some(false), ..Plan::new(5) }));
        assert_eq!(parse("keep 5"), None);
        assert_eq!(parse("sed 5"), None);
    }
}
