//! Adds the parts of the toolchain that the steps need, where rustup manages it and they are missing.
//!
//! Without rustup (a distribution's own Rust) nothing is done: the first step that lacks something says so.

use std::path::Path;
use std::process::Command;

use crate::command::Line;

/// (what `rustup WHAT list` calls the group, the wanted members)
const WANTED: &[(&str, &[&str])] =
    &[("component", &["clippy", "rustfmt"]), ("target", &["wasm32-unknown-unknown"])];

/// Installs what is missing. An error means that rustup is there and could not do it.
pub(crate) fn install_missing(top: &Path) -> Result<(), String> {
    for (group, members) in WANTED {
        let Some(installed) = installed(top, group) else {
            println!("rustup is not there: using the toolchain as it is");
            return Ok(());
        };
        for member in missing(&installed, members) {
            let line = Line::parse(&format!("rustup {group} add {member}"));
            println!("==> {line}");
            match line.start(top)? {
                status if status.success() => {}
                status => return Err(format!("`{line}` failed ({status}); is the network reachable?")),
            }
        }
    }
    Ok(())
}

/// What rustup lists as installed for the toolchain of this folder, or `None` without rustup.
fn installed(top: &Path, group: &str) -> Option<String> {
    let output =
        Command::new("rustup").args([group, "list", "--installed"]).current_dir(top).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Components are listed with the host behind their name (`clippy-x86_64-unknown-linux-gnu`), targets are not.
fn missing<'a>(installed: &str, wanted: &[&'a str]) -> Vec<&'a str> {
    let is_there = |name: &&str| {
        installed
            .lines()
            .any(|line| line == *name || line.strip_prefix(*name).is_some_and(|rest| rest.starts_with('-')))
    };
    wanted.iter().copied().filter(|name| !is_there(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_installed() {
        let listed = "cargo-x86_64-unknown-linux-gnu\nclippy-x86_64-unknown-linux-gnu\n";
        assert_eq!(missing(listed, &["clippy", "rustfmt"]), ["rustfmt"]);
        assert_eq!(missing("wasm32-unknown-unknown\n", &["wasm32-unknown-unknown"]), [""; 0]);
    }
}
