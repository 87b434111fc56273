//! Style is a test: what the project promises about its own text, held against the text.
//!
//! Every check is a pure function from a [`tree::File`] list to findings, and stands next to a test that plants a
//! fault in a small made-up tree and watches it being found: a check that cannot fail proves nothing.
//!
//! | module | what must hold |
//! |---|---|
//! | [`size`] | no file over 600 lines, no function over 70 |
//! | [`headers`] | each source file begins by saying what it is |
//! | [`orphans`] | each source file is compiled |
//! | [`layers`] | within core, modules use lower ones only |
//! | [`packages`] | between packages, dependencies point one way |
//! | [`words`] | nothing left unfinished, switched off, or bound to one machine |
//! | [`lock`] | the crates of deny.toml stay out of every lock file |
//! | [`docs`] | the documents are there and their links lead somewhere |
//!
//! [`code`] is the small scanner for Rust text under most of them, [`manifest`] the one for Cargo.toml.

mod code;
mod docs;
mod headers;
mod layers;
mod lock;
mod manifest;
mod orphans;
mod packages;
mod size;
mod tree;
mod words;

use crate::tree::{File, Finding};

/// Runs a check over the repository and fails with everything it found.
fn hold(rule: &str, check: impl Fn(&[File]) -> Vec<Finding>) {
    let findings = check(&tree::repository());
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(lines.is_empty(), "{rule}: {} to mend\n{}\n", lines.len(), lines.join("\n"));
}

#[test]
fn files_are_short() {
    hold("a file is read in one sitting", size::check_files);
}

#[test]
fn functions_are_short() {
    hold("a function fits on a screen", size::check_functions);
}

#[test]
fn files_say_what_they_are() {
    hold("a file begins by saying what it is", headers::check);
}

#[test]
fn files_are_compiled() {
    hold("a file that nothing includes is dead", orphans::check);
}

#[test]
fn modules_use_lower_ones() {
    hold("arrows within core point one way", layers::check);
}

#[test]
fn packages_use_lower_ones() {
    hold("arrows between packages point one way", packages::check);
}

#[test]
fn nothing_is_left_unfinished() {
    hold("what is in the tree is finished, switched on and free of one machine's paths", words::check);
}

#[test]
fn denied_crates_stay_out() {
    hold("deny.toml is held against every lock file", lock::check);
}

#[test]
fn documents_are_there() {
    hold("a new reader finds the documents", docs::check_presence);
}

#[test]
fn links_lead_somewhere() {
    hold("a relative link leads to a file", docs::check_links);
    hold("a test that a page names is there", docs::check_tests);
}
