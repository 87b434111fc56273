//! The text of the repository, read once from the disk, and what a check reports about it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Files larger than this are data, and no check reads them.
const TEXT_BYTES: u64 = 1024 * 1024;

/// A file of the repository.
#[derive(Debug)]
pub(crate) struct File {
    /// From the top of the repository, with `/` between its parts on every system.
    pub(crate) path: String,
    /// Empty for files that are not text.
    pub(crate) text: String,
}

impl File {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The path without its last part; empty at the top.
    pub(crate) fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or(self.path.as_str(), |(_, name)| name)
    }
}

/// A place that breaks a rule, and what to do about it.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) path: String,
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) problem: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, problem: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line, problem: problem.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.path, self.line, self.problem)
    }
}

/// `folder/name`, where the top folder has no name.
pub(crate) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Where a path written in a file of `folder` leads, from the top of the repository; `None` if it leads out of it.
pub(crate) fn resolve(folder: &str, path: &str) -> Option<String> {
    let full = match path.strip_prefix('/') {
        Some(from_top) => from_top.to_owned(),
        None => join(folder, path),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in full.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Every file of the repository, sorted by path, without what the build and git put there.
pub(crate) fn repository() -> Vec<File> {
    let top = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("run by cargo"));
    let files = read(&top);
    // A walk that went to the wrong place would let every check pass.
    assert!(
        files.iter().any(|file| file.path == "tests/tidy/tree.rs"),
        "{} is not the repository",
        top.display()
    );
    files
}

fn read(top: &Path) -> Vec<File> {
    let mut files = Vec::new();
    walk(top, "", &mut files);
    files.sort_by(|left, right| left.path.cmp(&right.path));
    files
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
        let name = entry.file_name().to_string_lossy().into_owned();
        // A file of this name under src is a module; next to a Cargo.toml it is the build's.
        let is_built = name == "target" && folder.join("Cargo.toml").is_file();
        if is_built || [".git", "node_modules", ".idea", ".vscode"].contains(&name.as_str()) {
            continue;
        }
        let (path, inner) = (join(prefix, &name), entry.path());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&inner, &path, files),
            Ok(kind) if kind.is_file() => files.push(File { path, text: text(&inner) }),
            // Links are followed by nobody: what they name is read in its own place.
            _ => {}
        }
    }
}

fn text(path: &Path) -> String {
    match fs::metadata(path) {
        Ok(data) if data.len() <= TEXT_BYTES => {}
        _ => return String::new(),
    }
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).unwrap_or_default()
}

/// A made-up tree, for a check's own test.
pub(crate) fn plant(files: &[(&str, &str)]) -> Vec<File> {
    files.iter().map(|(path, text)| File { path: (*path).to_owned(), text: (*text).to_owned() }).collect()
}

/// `path:line` of each finding, for a check's own test.
pub(crate) fn places(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}:{}", finding.path, finding.line)).collect()
}

#[test]
fn the_walk_leaves_out_what_the_build_wrote() {
    let top = std::env::temp_dir().join(format!("rejoin-tidy-{}", std::process::id()));
    for folder in ["target/debug", "src/target", ".git", "web/node_modules/x"] {
        fs::create_dir_all(top.join(folder)).expect("a temporary folder");
    }
    for file in
        ["Cargo.toml", "target/debug/a.rs", "src/target/mod.rs", ".git/config", "web/node_modules/x/a.md"]
    {
        fs::write(top.join(file), "text").expect("a temporary file");
    }
    fs::write(top.join("picture.png"), [0x89, 0x50, 0x00, 0xff]).expect("a temporary file");
    let files = read(&top);
    fs::remove_dir_all(&top).expect("the temporary folder is ours");
    let seen: Vec<(&str, &str)> = files.iter().map(|file| (file.path.as_str(), file.text.as_str())).collect();
    assert_eq!(seen, [("Cargo.toml", "text"), ("picture.png", ""), ("src/target/mod.rs", "text")]);
}

#[test]
fn paths_resolve_within_the_repository() {
    assert_eq!(resolve("a/b", "../c/./d.md").as_deref(), Some("a/c/d.md"));
    assert_eq!(resolve("a/b", "/c.md").as_deref(), Some("c.md"));
    assert_eq!(resolve("", "../c.md"), None);
}
