//! Arrows within core: a module uses lower ones only, so that each can be read, tested and trusted without those above.
//!
//! Read from `crate::` and `super::` paths outside of comments and tests. A name that lib.rs re-exports counts as a
//! use of the module it comes from.

use std::collections::BTreeMap;

use crate::code::{self, Token};
use crate::tree::{File, Finding, places, plant};

/// The modules of core, lowest first. Those of one layer may use one another unless [`BANS`] says otherwise.
const LAYERS: &[&[&str]] = &[
    &["id", "limits", "error", "planted"],
    &["codec"],
    &["identity"],
    &["clock"],
    &["value"],
    &["row"],
    &["crdt", "tree", "store"],
    &["boundary", "laws"],
    &["state"],
    &["sync"],
    &["engine"],
];

/// (who, never uses whom, why)
const BANS: &[(&str, &str, &str)] = &[
    ("tree", "crdt", "the tree hashes rows and knows no data type"),
    ("state", "crdt", "a space keeps rows and knows no data type"),
    ("sync", "crdt", "sync moves dots and bytes and knows no data type"),
    ("store", "crdt", "a store keeps rows and knows no data type"),
    ("store", "tree", "a store keeps what it is given; the engine keeps the tree beside it"),
    ("store", "sync", "a store is passive"),
];

const SOURCES: &str = "core/src/";
const TOP: &str = "core/src/lib.rs";

pub(crate) fn check(tree: &[File]) -> Vec<Finding> {
    let exports =
        tree.iter().find(|file| file.path == TOP).map(|file| exports(&file.text)).unwrap_or_default();
    let mut findings = Vec::new();
    for file in
        tree.iter().filter(|file| file.path.starts_with(SOURCES) && file.is_rust() && file.path != TOP)
    {
        let parts: Vec<&str> = file.path[SOURCES.len()..].trim_end_matches(".rs").split('/').collect();
        let module = parts[0];
        if layer(module).is_none() {
            let problem = format!(
                "`{module}` has no layer: give it one in LAYERS of tests/tidy/layers.rs, as low as it can be"
            );
            findings.push(Finding::new(&file.path, 1, problem));
        } else if !parts.iter().any(|part| part.starts_with("tests")) {
            let depth = parts.len() - usize::from(parts.last() == Some(&"mod"));
            findings.extend(uses(&file.text, depth).into_iter().filter_map(|(name, line)| {
                let target = exports.get(&name).unwrap_or(&name);
                refusal(module, target).map(|problem| Finding::new(&file.path, line, problem))
            }));
        }
    }
    findings
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Why `module` may not use `target`; `None` if it may.
fn refusal(module: &str, target: &str) -> Option<String> {
    if target == "*" {
        return Some("`crate::*` hides what is used: name the module".to_owned());
    }
    if let Some((_, _, why)) = BANS.iter().find(|(from, to, _)| (*from, *to) == (module, target)) {
        return Some(format!(
            "`{module}` uses `{target}`, but {why}: pass in what it needs, or move the code up"
        ));
    }
    let (own, other) = (layer(module)?, layer(target)?);
    (other > own).then(|| {
        format!("`{module}` uses `{target}`, which lies above it: move what both need down, or the code up")
    })
}

/// The names that follow `crate::` (or as many `super::` as lead there), with their lines.
fn uses(text: &str, depth: usize) -> Vec<(String, usize)> {
    let code = code::without_tests(&code::blank(text));
    let tokens = code::tokens(&code);
    let inline = code::modules(&tokens);
    let mut found = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let start = tokens[index];
        let is_inside = |body: Option<(usize, usize)>| {
            body.is_some_and(|(open, close)| open < start.at && start.at < close)
        };
        let levels = depth + inline.iter().filter(|module| is_inside(module.body)).count();
        let (mut ups, mut next) = (0, index);
        while tokens[next].text == "super" && is_path(&tokens, next + 1) {
            (ups, next) = (ups + 1, next + 3);
        }
        if start.text == "crate" && is_path(&tokens, index + 1) {
            names(&tokens, index + 3, text, &mut found);
        } else if ups > 0 && ups >= levels {
            names(&tokens, next, text, &mut found);
        }
        index = next.max(index + 1);
    }
    found
}

/// `::` stands at `index` and something behind it.
fn is_path(tokens: &[Token<'_>], index: usize) -> bool {
    tokens.len() > index + 2 && tokens[index].text == ":" && tokens[index + 1].text == ":"
}

/// The name at `index`, or the first name of every branch of `{a::b, c}`.
fn names(tokens: &[Token<'_>], index: usize, text: &str, found: &mut Vec<(String, usize)>) {
    if tokens[index].text != "{" {
        found.push((tokens[index].text.to_owned(), code::line_of(text, tokens[index].at)));
        return;
    }
    let close = code::closing(tokens, index);
    let mut branch = index + 1;
    while branch < close {
        names(tokens, branch, text, found);
        while branch < close && tokens[branch].text != "," {
            branch = if tokens[branch].text == "{" { code::closing(tokens, branch) + 1 } else { branch + 1 };
        }
        branch += 1;
    }
}

/// Name -> module, from `pub use module::{A, b::C as D};` in lib.rs.
fn exports(text: &str) -> BTreeMap<String, String> {
    let blanked = code::blank(text);
    let tokens = code::tokens(&blanked);
    let mut found = BTreeMap::new();
    for (index, pair) in tokens.windows(2).enumerate() {
        if pair[0].text != "pub" || pair[1].text != "use" {
            continue;
        }
        let path: Vec<&str> =
            tokens[index + 2..].iter().map(|token| token.text).take_while(|text| *text != ";").collect();
        let Some(module) = path.iter().find(|name| !["crate", "self", ":"].contains(name)) else {
            continue;
        };
        // The exported name is the last of each branch: what stands before `,`, `}` or the end.
        for (at, name) in path.iter().enumerate().skip(1) {
            let ends = path.get(at + 1).is_none_or(|next| [",", "}"].contains(next));
            if ends && ![",", "}", "{"].contains(name) {
                found.insert((*name).to_owned(), (*module).to_owned());
            }
        }
    }
    found
}

#[test]
fn an_arrow_upwards_is_found_in_every_form() {
    let tree = plant(&[
        (
            "core/src/lib.rs",
            "pub mod row; pub use engine::{Engine, config::Config as Settings}; pub use id::Dot;",
        ),
        ("core/src/id.rs", "use crate::limits::KEY_BYTES;\nuse crate::codec::Reader;"),
        ("core/src/clock/mod.rs", "use crate::{\n    id::Dot,\n    row::{Key, Entry},\n};"),
        (
            "core/src/row/key.rs",
            "fn f() -> crate::sync::Frame {}\nuse super::super::engine;\nuse super::entry;",
        ),
        (
            "core/src/row/mod.rs",
            "use crate::{Dot, Engine};\nuse super::tree::Root;\nmod a { use super::crdt; }",
        ),
        (
            "core/src/value/mod.rs",
            "use crate::Settings;\nuse crate::*;\nmacro_rules! m { () => { $crate::engine::X } }",
        ),
    ]);
    let wanted = [
        "core/src/id.rs:2",
        "core/src/clock/mod.rs:3",
        "core/src/row/key.rs:1",
        "core/src/row/key.rs:2",
        "core/src/row/mod.rs:1",
        "core/src/row/mod.rs:2",
        "core/src/value/mod.rs:1",
        "core/src/value/mod.rs:2",
        "core/src/value/mod.rs:3",
    ];
    assert_eq!(places(&check(&tree)), wanted);
}

#[test]
fn bans_hold_within_and_below() {
    let tree = plant(&[
        ("core/src/tree/mod.rs", "use crate::store::Store;\nuse crate::crdt::Set;"),
        ("core/src/sync/mod.rs", "use crate::tree::Root;\nuse crate::crdt::Set;"),
        (
            "core/src/store/mod.rs",
            "use crate::row::Row;\nuse crate::crdt::Set;\nuse crate::tree::Root;\nuse crate::sync::Frame;",
        ),
        ("core/src/crdt/mod.rs", "use crate::store::Store;"),
        ("core/src/engine/mod.rs", "use crate::{crdt, store, sync, tree};"),
    ]);
    let wanted = [
        "core/src/tree/mod.rs:2",
        "core/src/sync/mod.rs:2",
        "core/src/store/mod.rs:2",
        "core/src/store/mod.rs:3",
        "core/src/store/mod.rs:4",
    ];
    assert_eq!(places(&check(&tree)), wanted);
}

#[test]
fn tests_and_comments_may_name_anything() {
    let tree = plant(&[
        ("core/src/row/tests.rs", "use crate::engine::Engine;"),
        ("core/src/row/tests_merge.rs", "use crate::engine::Engine;"),
        (
            "core/src/row/mod.rs",
            "//! See [`crate::engine`].\n#[cfg(test)]\nmod tests { use crate::engine::Engine; }",
        ),
        ("net/src/driver.rs", "use crate::engine::Engine;"),
    ]);
    assert_eq!(places(&check(&tree)), [""; 0]);
}

#[test]
fn a_module_without_a_layer_is_found() {
    let tree = plant(&[("core/src/helpers.rs", "")]);
    assert_eq!(places(&check(&tree)), ["core/src/helpers.rs:1"]);
}
