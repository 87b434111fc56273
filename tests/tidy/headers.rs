//! Each source file begins by saying what it is.

use crate::tree::{File, Finding, places, plant};

/// The first line of a Rust file is a `//!` with words in it. Build scripts are exempt: their name says what they are.
pub(crate) fn check(tree: &[File]) -> Vec<Finding> {
    let is_silent = |file: &&File| {
        let first = file.text.lines().next().unwrap_or_default();
        file.is_rust()
            && file.name() != "build.rs"
            && first.strip_prefix("//!").is_none_or(|words| words.trim().is_empty())
    };
    let problem = "the first line is not a `//!` sentence: say in it what this module holds and for whom";
    tree.iter().filter(is_silent).map(|file| Finding::new(&file.path, 1, problem)).collect()
}

#[test]
fn a_silent_file_is_found() {
    let tree = plant(&[
        ("src/says.rs", "//! What it is.\n"),
        ("src/silent.rs", "use core::fmt;\n"),
        ("src/item.rs", "/// Of the item below.\nfn f() {}\n"),
        ("src/hollow.rs", "//!\n//! Too late.\n"),
        ("src/empty.rs", ""),
        ("build.rs", "fn main() {}\n"),
        ("README.md", "no source\n"),
    ]);
    assert_eq!(
        places(&check(&tree)),
        ["src/silent.rs:1", "src/item.rs:1", "src/hollow.rs:1", "src/empty.rs:1"]
    );
}
