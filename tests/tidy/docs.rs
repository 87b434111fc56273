//! The documents a new reader looks for are there, and what they link to is there.

use std::collections::BTreeSet;

use crate::tree::{File, Finding, places, plant, resolve};

const DOCUMENTS: [(&str, &str); 5] = [
    ("README.md", "say what it does, for whom, and what it does not do"),
    ("ARCHITECTURE.md", "show the folders and the arrows between them"),
    ("CHANGELOG.md", "say what changed for users"),
    ("LICENSE-MIT", "put the text of the licence there"),
    ("LICENSE-APACHE", "put the text of the licence there"),
];

pub(crate) fn check_presence(tree: &[File]) -> Vec<Finding> {
    let is_there = |name: &str| tree.iter().any(|file| file.path == name && !file.text.trim().is_empty());
    let absent = DOCUMENTS.iter().filter(|(name, _)| !is_there(name));
    absent.map(|(name, what)| Finding::new(name, 1, format!("is missing or empty: {what}"))).collect()
}

/// Relative links of every Markdown file. Links with a scheme need a network, and anchors change with headings.
pub(crate) fn check_links(tree: &[File]) -> Vec<Finding> {
    let mut places: BTreeSet<&str> = BTreeSet::from([""]);
    for file in tree {
        places.insert(&file.path);
        places.extend(file.path.match_indices('/').map(|(at, _)| &file.path[..at]));
    }
    let mut findings = Vec::new();
    for file in tree.iter().filter(|file| file.path.ends_with(".md")) {
        for (link, line) in links(&file.text) {
            let found = resolve(file.folder(), &link.replace("%20", " "))
                .is_some_and(|path| places.contains(path.as_str()));
            if !found {
                let problem = format!("`{link}` leads to no file: correct the link or add the file");
                findings.push(Finding::new(&file.path, line, problem));
            }
        }
    }
    findings
}

/// Functions that pages name as `path/file.rs::name`.
pub(crate) fn check_tests(tree: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.iter().filter(|file| file.path.ends_with(".md")) {
        for (index, line) in file.text.lines().enumerate() {
            let named = line.split('`').skip(1).step_by(2).filter_map(|code| code.split_once(".rs::"));
            for (path, name) in named.filter(|(path, _)| path.contains('/')) {
                let path = format!("{path}.rs");
                let source = tree.iter().find(|file| file.path == path);
                if !source.is_some_and(|source| source.text.contains(&format!("fn {name}("))) {
                    let problem =
                        format!("`{path}` has no function `{name}`: name the test that holds the line");
                    findings.push(Finding::new(&file.path, index + 1, problem));
                }
            }
        }
    }
    findings
}

/// The relative targets outside of code: `[a](target)`, `[a]: target`, `src="target"`, `href="target"`.
fn links(text: &str) -> Vec<(String, usize)> {
    let (mut found, mut fence) = (Vec::new(), None);
    for (index, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            _ => {}
        }
        if fence.is_some() || mark.is_some() {
            continue;
        }
        // Every second piece between back ticks is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
        let inline = prose.split("](").skip(1).map(|rest| rest.split([')', ' ']).next());
        let defined = prose
            .trim_start()
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "))
            .map(|(_, target)| target.split(' ').next());
        let tags = ["src=\"", "href=\""]
            .into_iter()
            .flat_map(|tag| prose.split(tag).skip(1).map(|rest| rest.split('"').next()));
        for target in inline.chain(defined).chain(tags).flatten() {
            let target = target.trim_matches(['<', '>']).split(['#', '?']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                found.push((target.to_owned(), index + 1));
            }
        }
    }
    found
}

#[test]
fn a_missing_document_is_found() {
    let tree = plant(&[
        ("README.md", "words"),
        ("CHANGELOG.md", " \n"),
        ("LICENSE-MIT", "text"),
        ("docs/ARCHITECTURE.md", "words"),
    ]);
    assert_eq!(places(&check_presence(&tree)), ["ARCHITECTURE.md:1", "CHANGELOG.md:1", "LICENSE-APACHE:1"]);
}

#[test]
fn a_link_to_nowhere_is_found() {
    let text = "[a](docs/wire.md) [b](docs/wire.md#frames) [c](docs/) [d](https://x.org/y) [e](#here)\n\
                [f](docs/gone.md)\n```\n[g](gone.md)\n```\n`[h](gone.md)`\n\
                [i]: gone.md\n<img src=\"gone.png\">\n[j](../out.md)\n";
    let docs = "[k](../README.md) [l](README.md)\n[m](wire.md \"title\") [n](/README.md)\n";
    let tree = plant(&[("README.md", text), ("docs/wire.md", docs)]);
    let wanted = ["README.md:2", "README.md:7", "README.md:8", "README.md:9", "docs/wire.md:1"];
    assert_eq!(places(&check_links(&tree)), wanted);
}

#[test]
fn a_test_that_is_not_there_is_found() {
    let page = "`a/b.rs::holds` and `a/b.rs::gone`\n`a/c.rs::holds` `Table::x` `b.rs::local`\n";
    let tree = plant(&[("docs/x.md", page), ("a/b.rs", "fn holds() {}\nfn goner() {}\n")]);
    assert_eq!(places(&check_tests(&tree)), ["docs/x.md:1", "docs/x.md:2"]);
}
