//! deny.toml against every Cargo.lock, without a network and without cargo-deny: one list, two readers.

use crate::manifest;
use crate::tree::{File, Finding, places, plant};

/// Three numbers, compared in order.
type Version = [u64; 3];

/// An entry of `deny` in deny.toml.
#[derive(Debug, PartialEq, Eq)]
struct Denied<'a> {
    name: &'a str,
    /// Versions from here on are welcome; `None` denies all.
    below: Option<Version>,
    reason: &'a str,
}

pub(crate) fn check(tree: &[File]) -> Vec<Finding> {
    let Some(list) = tree.iter().find(|file| file.path == "deny.toml") else {
        return vec![Finding::new("deny.toml", 1, "is missing: it lists the crates that must stay out")];
    };
    let (denied, mut findings) = denied(list);
    if denied.is_empty() {
        findings.push(Finding::new(&list.path, 1, "no entry of `deny` could be read, so nothing is checked"));
    }
    if !tree.iter().any(|file| file.path == "Cargo.lock") {
        findings.push(Finding::new(
            "Cargo.lock",
            1,
            "is missing: run a build and commit it, so that everybody builds the same",
        ));
    }
    for lock in tree.iter().filter(|file| file.name() == "Cargo.lock") {
        for (name, version, line) in locked(&lock.text) {
            for rule in denied.iter().filter(|rule| rule.name == name) {
                let is_denied =
                    rule.below.is_none_or(|below| parse(version).is_none_or(|version| version < below));
                if is_denied {
                    let problem = format!("{name} {version} is denied by deny.toml: {}", rule.reason);
                    findings.push(Finding::new(&lock.path, line, problem));
                }
            }
        }
    }
    findings
}

/// The entries between `deny = [` and `]`, and a finding for each line that is none.
fn denied(file: &File) -> (Vec<Denied<'_>>, Vec<Finding>) {
    let (mut rules, mut findings) = (Vec::new(), Vec::new());
    let lines = file.text.lines().enumerate().skip_while(|(_, line)| line.trim() != "deny = [").skip(1);
    for (index, line) in lines.map(|(index, line)| (index, line.trim())).take_while(|(_, line)| *line != "]")
    {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match entry(line) {
            Some(rule) => rules.push(rule),
            None => {
                let problem =
                    "write { crate = \"name\", reason = \"why\" }, or \"name:<version\", on one line";
                findings.push(Finding::new(&file.path, index + 1, problem));
            }
        }
    }
    (rules, findings)
}

fn entry(line: &str) -> Option<Denied<'_>> {
    let (krate, reason) = line.strip_prefix("{ crate = \"")?.split_once("\", reason = \"")?;
    let reason = reason.strip_suffix("\" },").filter(|reason| !reason.is_empty())?;
    match krate.split_once(":<") {
        Some((name, version)) => Some(Denied { name, below: Some(parse(version)?), reason }),
        None if krate.contains([':', '@', '=']) => None,
        None => Some(Denied { name: krate, below: None, reason }),
    }
}

/// Without what follows `-` or `+`.
fn parse(version: &str) -> Option<Version> {
    let numbers: Option<Vec<u64>> =
        version.split(['-', '+']).next()?.split('.').map(|number| number.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// (name, version, line) of every package.
fn locked(text: &str) -> Vec<(&str, &str, usize)> {
    let entries = manifest::entries(text);
    let names = entries.iter().filter(|entry| entry.section == "package" && entry.key == "name");
    let version = |block| entries.iter().find(|entry| entry.block == block && entry.key == "version");
    names
        .filter_map(|name| {
            let version = version(name.block)?;
            Some((manifest::unquoted(name.value), manifest::unquoted(version.value), name.line))
        })
        .collect()
}

const DENY: &str = "[bans]
deny = [
    # a note
    { crate = \"im\", reason = \"unsound\" },
    { crate = \"redb:<4.5.0\", reason = \"old\" },
]
";

#[test]
fn a_denied_crate_is_found_in_any_lock_file() {
    let package = |name: &str, version: &str| {
        format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\ndependencies = [\n \"im\",\n]\n\n")
    };
    let good = [package("imbl", "7.0.2"), package("redb", "4.5.0"), package("redb", "4.10.0")].concat();
    let bad = [package("im", "15.1.0"), package("redb", "4.4.9")].concat();
    let tree = plant(&[("deny.toml", DENY), ("Cargo.lock", &good), ("fuzz/Cargo.lock", &bad)]);
    assert_eq!(places(&check(&tree)), ["fuzz/Cargo.lock:2", "fuzz/Cargo.lock:9"]);
}

#[test]
fn a_list_that_cannot_be_read_is_found() {
    let broken = DENY.replace("redb:<4.5.0", "redb@4.5").replace(", reason = \"unsound\"", "");
    let tree = plant(&[("deny.toml", &broken), ("Cargo.lock", "")]);
    assert_eq!(places(&check(&tree)), ["deny.toml:4", "deny.toml:5", "deny.toml:1"]);
    assert_eq!(places(&check(&plant(&[]))), ["deny.toml:1"]);
    assert_eq!(places(&check(&plant(&[("deny.toml", DENY)]))), ["Cargo.lock:1"]);
}
