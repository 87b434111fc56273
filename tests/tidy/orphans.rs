//! Every source file is compiled. A file that no `mod` names looks alive: it is read, searched and mended in vain.

use std::collections::BTreeSet;

use crate::code;
use crate::manifest;
use crate::tree::{File, Finding, join, places, plant, resolve};

/// Folders whose `*.rs` and `*/main.rs` cargo compiles as programs of their own.
const TARGET_FOLDERS: [&str; 4] = ["src/bin", "tests", "examples", "benches"];

/// Looks at every file under a package's src, and under its `tests/NAME/`, `examples/NAME/`, `benches/NAME/` where
/// those hold a main.rs; elsewhere under tests lie fixtures.
pub(crate) fn check(tree: &[File]) -> Vec<Finding> {
    let packages: Vec<&str> =
        tree.iter().filter(|file| file.name() == "Cargo.toml").map(File::folder).collect();
    let mut findings = Vec::new();
    for package in &packages {
        let files: Vec<&File> = tree.iter().filter(|file| is_of(package, &packages, file)).collect();
        let used = reachable(tree, &roots(package, &files));
        for file in files.iter().filter(|file| is_module(package, &files, file) && !used.contains(&file.path))
        {
            let problem =
                "no `mod` leads here, so it is never compiled: declare it in the module above, or delete it";
            findings.push(Finding::new(&file.path, 1, problem));
        }
    }
    findings
}

/// A file is of the innermost package around it.
fn is_of(package: &str, packages: &[&str], file: &File) -> bool {
    let contains = |folder: &str| {
        folder.is_empty() || file.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    };
    let nearest = packages.iter().filter(|folder| contains(folder)).max_by_key(|folder| folder.len());
    nearest == Some(&package)
}

/// The path within the package.
fn within<'a>(package: &str, file: &'a File) -> &'a str {
    file.path.strip_prefix(package).unwrap_or(&file.path).trim_start_matches('/')
}

fn is_module(package: &str, files: &[&File], file: &File) -> bool {
    let path = within(package, file);
    let is_of_target = TARGET_FOLDERS.iter().any(|folder| {
        let name = path.strip_prefix(folder).and_then(|rest| rest[1..].split_once('/')).map(|(name, _)| name);
        name.is_some_and(|name| {
            let main = join(package, &format!("{folder}/{name}/main.rs"));
            files.iter().any(|file| file.path == main)
        })
    });
    file.is_rust() && (path.starts_with("src/") || is_of_target)
}

/// The files at which cargo starts: by their places, and by `path` in Cargo.toml.
fn roots(package: &str, files: &[&File]) -> Vec<String> {
    let is_root = |path: &str| {
        let is_target = |folder: &str| {
            let Some(rest) = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) else {
                return false;
            };
            rest.ends_with("/main.rs") && rest.matches('/').count() == 1
                || rest.ends_with(".rs") && !rest.contains('/')
        };
        ["src/lib.rs", "src/main.rs", "build.rs"].contains(&path) || TARGET_FOLDERS.into_iter().any(is_target)
    };
    let mut roots: Vec<String> =
        files.iter().filter(|file| is_root(within(package, file))).map(|file| file.path.clone()).collect();
    let manifest = join(package, "Cargo.toml");
    for file in files.iter().filter(|file| file.path == manifest) {
        let named = manifest::entries(&file.text).into_iter().filter(|entry| {
            entry.key == "path" && ["lib", "bin", "test", "example", "bench"].contains(&entry.section)
        });
        roots.extend(named.map(|entry| join(package, manifest::unquoted(entry.value))));
    }
    roots
}

/// The files that the roots lead to by `mod`, the roots too.
fn reachable(tree: &[File], roots: &[String]) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    // The second value says that the file's modules lie in its own folder.
    let mut open: Vec<(String, bool)> = roots.iter().map(|root| (root.clone(), true)).collect();
    while let Some((path, is_root)) = open.pop() {
        let Some(file) = tree.iter().find(|file| file.path == path) else { continue };
        if used.insert(path) {
            open.extend(declared(file, is_root).into_iter().map(|child| (child, false)));
        }
    }
    used
}

/// Where the modules that a file declares may lie; of two candidates at most one exists.
fn declared(file: &File, is_root: bool) -> Vec<String> {
    let blanked = code::blank(&file.text);
    let tokens = code::tokens(&blanked);
    let stem = file.name().trim_end_matches(".rs");
    let own = if is_root || stem == "mod" { file.folder().to_owned() } else { join(file.folder(), stem) };
    let mut paths = Vec::new();
    for module in code::modules(&tokens).into_iter().filter(|module| module.body.is_none()) {
        if let Some(named) = named_path(&file.text, &tokens, module.index) {
            paths.extend(resolve(file.folder(), named));
            continue;
        }
        let folder = module.inside.iter().fold(own.clone(), |folder, name| join(&folder, name));
        paths.push(join(&folder, &format!("{}.rs", module.name)));
        paths.push(join(&folder, &format!("{}/mod.rs", module.name)));
    }
    paths
}

/// The file that `#[path = ".."]` before a module names; it starts from the folder of the file.
fn named_path<'a>(text: &'a str, tokens: &[code::Token<'_>], module: usize) -> Option<&'a str> {
    let before = tokens[..module]
        .iter()
        .rposition(|token| [";", "{", "}"].contains(&token.text))
        .map_or(0, |at| at + 1);
    let attribute = tokens[before..module].windows(3).find(|window| {
        let words: Vec<&str> = window.iter().map(|token| token.text).collect();
        words == ["[", "path", "="]
    })?;
    let rest = &text[attribute[2].at..];
    rest.split('"').nth(1)
}

#[test]
fn a_file_that_nothing_declares_is_found() {
    let tree = plant(&[
        ("Cargo.toml", "[package]\nname = \"a\"\n"),
        ("src/lib.rs", "//! A.\nmod b;\n// mod lost;\nmod inline { mod deep; }\n"),
        ("src/b.rs", "mod c; #[cfg(test)] mod tests;\n#[path = \"../src/odd.rs\"]\nmod renamed;"),
        ("src/b/c.rs", ""),
        ("src/b/tests.rs", ""),
        ("src/odd.rs", ""),
        ("src/inline/deep.rs", ""),
        ("src/lost.rs", "mod child;"),
        ("src/lost/child.rs", ""),
        ("src/c.rs", ""),
    ]);
    assert_eq!(places(&check(&tree)), ["src/lost.rs:1", "src/lost/child.rs:1", "src/c.rs:1"]);
}

#[test]
fn targets_and_packages_have_roots_of_their_own() {
    let tree = plant(&[
        ("Cargo.toml", "[package]\nname = \"a\"\n[[bin]]\nname = \"x\"\npath = \"src/other/start.rs\"\n"),
        ("src/main.rs", ""),
        ("src/bin/tool.rs", ""),
        ("src/bin/big/main.rs", "mod part;"),
        ("src/bin/big/part.rs", ""),
        ("src/other/start.rs", "mod near;"),
        ("src/other/near.rs", ""),
        ("tests/plain.rs", "mod common;"),
        ("tests/common/mod.rs", ""),
        ("tests/fixtures/broken.rs", ""),
        ("tests/tidy/main.rs", "mod used;"),
        ("tests/tidy/used.rs", ""),
        ("tests/tidy/unused.rs", ""),
        ("tests/sim/Cargo.toml", "[package]\nname = \"sim\"\n"),
        ("tests/sim/src/lib.rs", "mod world;"),
        ("tests/sim/src/world/mod.rs", "mod clock;"),
        ("tests/sim/src/world/clock.rs", ""),
        ("tests/sim/src/clock.rs", ""),
        ("examples/app/Cargo.toml", "[package]\nname = \"app\"\n"),
        ("examples/app/main.rs", ""),
        ("examples/app/not_ours.rs", ""),
    ]);
    assert_eq!(places(&check(&tree)), ["tests/tidy/unused.rs:1", "tests/sim/src/clock.rs:1"]);
}
