//! Words that have no place in the tree: unfinished code, tests and warnings switched off, paths of one machine.
//!
//! This file holds none of them itself: each is put together from parts.

use crate::tree::{File, Finding, places, plant};

/// (what must not occur, what to do instead)
const WORDS: &[(&str, &str)] = &[
    (concat!("to", "do!("), "write it, or leave the feature out"),
    (concat!("unimple", "mented!("), "write it, or leave the feature out"),
    (concat!("db", "g!("), "delete it; what people should see goes through tracing"),
    (
        concat!("#[ig", "nore"),
        "mend the test or delete it; a slow one belongs to the simulator or a soak run",
    ),
];

/// Lints that hide unused code when they are allowed.
const LINTS: [&str; 2] = [concat!("dead", "_code"), concat!("un", "used")];

/// Folders of one machine.
const FOLDERS: [&str; 3] = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];

pub(crate) fn check(tree: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree {
        for (index, line) in file.text.lines().enumerate() {
            for problem in problems(line) {
                findings.push(Finding::new(&file.path, index + 1, problem));
            }
        }
    }
    findings
}

fn problems(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (word, instead) in WORDS {
        if line.contains(word) {
            found.push(format!("`{word}`: {instead}"));
        }
    }
    for list in line.split("allow(").skip(1) {
        let lints = list.split(')').next().unwrap_or(list).split(',').map(str::trim);
        for lint in lints.filter(|lint| LINTS.iter().any(|hidden| lint.starts_with(hidden))) {
            found.push(format!("`{lint}` is allowed: delete what is not used"));
        }
    }
    for folder in FOLDERS {
        if line.match_indices(folder).any(|(at, _)| is_absolute(&line[..at])) {
            found.push(format!(
                "`{folder}` is a folder of one machine: write a path from the top of the repository"
            ));
        }
    }
    found
}

/// `../x/` and `name/x/` are relative, and so are the paths of a URL behind its host.
fn is_absolute(before: &str) -> bool {
    !before.ends_with(|last: char| last.is_alphanumeric() || ['.', '-', '_', '~', '}', ')'].contains(&last))
}

#[test]
fn every_word_is_found() {
    for (word, _) in WORDS {
        let tree = plant(&[("src/a.rs", &format!("fn f() {{\n    {word}\n")), ("README.md", "fine\n")]);
        assert_eq!(places(&check(&tree)), ["src/a.rs:2"], "{word}");
    }
}

#[test]
fn hidden_lints_are_found_anywhere_in_the_list() {
    let [dead, unused] = LINTS;
    for attribute in [
        format!("#[allow({dead})]"),
        format!("#![allow({unused}_imports)]"),
        format!("#[allow(clippy::all, {dead})]"),
        format!("#[cfg_attr(test, allow({unused}))]"),
    ] {
        assert_eq!(check(&plant(&[("src/a.rs", &attribute)])).len(), 1, "{attribute}");
    }
    assert!(
        check(&plant(&[("src/a.rs", "#[allow(clippy::too_many_arguments)] fn unused_space() {}")]))
            .is_empty()
    );
}

#[test]
fn absolute_paths_are_found_and_relative_ones_are_not() {
    for folder in FOLDERS {
        let text = format!(
            "\"{folder}me\"\nfile://{folder}me\ncd {folder}\n..{folder}\nhttps://x.org{folder}\n$(pwd){folder}"
        );
        assert_eq!(places(&check(&plant(&[("a.md", &text)]))), ["a.md:1", "a.md:2", "a.md:3"]);
    }
}
