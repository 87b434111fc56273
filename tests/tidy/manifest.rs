//! A line scanner for Cargo.toml and Cargo.lock: sections, keys, values. Enough for files that cargo has accepted.

/// `key = value` under `[section]` or `[[section]]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) section: &'a str,
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
    /// Counted from 1.
    pub(crate) line: usize,
    /// Which section of the file it is in, counted: two `[[bin]]` differ here.
    pub(crate) block: usize,
}

/// A dependency as a Cargo.toml names it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dependency<'a> {
    /// The package, whatever it is renamed to.
    pub(crate) package: &'a str,
    /// From `[dev-dependencies]`.
    pub(crate) is_dev: bool,
    pub(crate) line: usize,
}

pub(crate) fn entries(text: &str) -> Vec<Entry<'_>> {
    let (mut section, mut block, mut found) = ("", 0, Vec::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let header = line.split(" #").next().unwrap_or(line).trim();
        if header.starts_with('[') && header.ends_with(']') {
            section = header.trim_matches(['[', ']']);
            block += 1;
        } else if let (false, Some((key, value))) = (line.starts_with(['#', '{', '"']), line.split_once('='))
        {
            found.push(Entry { section, key: key.trim(), value: value.trim(), line: index + 1, block });
        }
    }
    found
}

/// The first string in quotes.
pub(crate) fn unquoted(value: &str) -> &str {
    value.split(['"', '\'']).nth(1).unwrap_or(value)
}

/// The package's name; `None` for a workspace without a root package.
pub(crate) fn package_name<'a>(entries: &[Entry<'a>]) -> Option<&'a str> {
    entries
        .iter()
        .find(|entry| entry.section == "package" && entry.key == "name")
        .map(|entry| unquoted(entry.value))
}

pub(crate) fn dependencies<'a>(entries: &[Entry<'a>]) -> Vec<Dependency<'a>> {
    let mut found: Vec<Dependency<'a>> = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.section.starts_with("workspace")) {
        let Some((before, after)) = entry.section.rsplit_once("dependencies") else {
            continue;
        };
        let package = match after.strip_prefix('.') {
            // [dependencies.name], where a rename stands on a line of its own
            Some(name) => {
                let block = || entries.iter().filter(|other| other.block == entry.block);
                if block().next() != Some(entry) {
                    continue;
                }
                block().find(|other| other.key == "package").map_or(name, |rename| unquoted(rename.value))
            }
            // name = { package = "real" }, name.workspace = true
            None => match entry.value.split_once("package") {
                Some((_, rest)) => unquoted(rest),
                None => entry.key.split('.').next().unwrap_or(entry.key),
            },
        };
        found.push(Dependency { package, is_dev: before.ends_with("dev-"), line: entry.line });
    }
    found
}

#[test]
fn every_form_of_a_dependency_is_read() {
    let text = r#"
        [package]
        name = "a"
        [dependencies]
        b = "1"
        c.workspace = true
        d = { package = "e", path = ".." }
        # f = "1"
        [dev-dependencies]
        g = "1"
        [dependencies.h] # far
        version = "1"
        path = ".."
        [dependencies.i]
        package = "j"
        [target.'cfg(target_arch = "wasm32")'.dependencies]
        k = "1"
        [workspace.dependencies]
        l = "1"
    "#;
    let all = entries(text);
    let found: Vec<(&str, bool)> =
        dependencies(&all).iter().map(|found| (found.package, found.is_dev)).collect();
    let wanted =
        [("b", false), ("c", false), ("e", false), ("g", true), ("h", false), ("j", false), ("k", false)];
    assert_eq!(found, wanted);
    assert_eq!(package_name(&all), Some("a"));
}
