//! A crate of a stranger: depends on `rejoin` by path, holds the quick start of README.md word for word, and is built and
//! run away from the workspace.
//!
//! The quick start waits for two more devices, so it is run as three processes: the first begins a board, the others join
//! with the ticket that it prints. Every one of them has to see all likes and both others, and to end well when it is
//! interrupted. The lock file is that of the workspace, so the versions are those that everything else was tested with,
//! and nothing is asked of a registry.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How the quick start begins.
const BEGIN: &str = "use std::time::Duration;";
/// What its code and no other crate needs; versions are those of the lock file.
const MANIFEST: &str = "\
[package]
name = \"fresh\"
version = \"0.0.0\"
edition = \"2024\"

[dependencies]
rejoin = { path = \"{top}\" }
serde = { version = \"1\", features = [\"derive\"] }
tokio = { version = \"1\", features = [\"macros\", \"rt-multi-thread\", \"signal\"] }

# Nobody debugs it, and without this it would take a gigabyte.
[profile.dev]
debug = false
";
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
/// Each of three adds three.
const LIKES: &str = "likes: 9";
const ONLINE: &str = "online: 2";
/// Lines that wait to be read.
const LINES: usize = 1000;

/// Makes the crate, builds it, runs it.
pub(crate) fn run(top: &Path) -> Result<(), String> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| top.join("target"), PathBuf::from).join("fresh");
    let folder = std::env::temp_dir().join(format!("rejoin-fresh-{}", std::process::id()));
    let outcome = make(top, &folder)
        .and_then(|()| build(&folder, &target))
        .and_then(|program| together(&program, &folder));
    // What is left in the folder for temporary files is the system's to remove.
    let _ = fs::remove_dir_all(&folder);
    outcome
}

/// The quick start: the block of code in a README that begins as it does.
fn quick_start(readme: &str) -> Option<&str> {
    let (_, behind) = readme.split_once(&format!("\n{BEGIN}"))?;
    let code = &readme[readme.len() - behind.len() - BEGIN.len()..];
    Some(&code[..code.find("\n```")? + 1])
}

fn make(top: &Path, folder: &Path) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("cannot make a crate in {}: {error}", folder.display());
    let readme = fs::read_to_string(top.join("README.md")).map_err(cannot)?;
    let code =
        quick_start(&readme).ok_or(format!("README.md has no block of code that begins with `{BEGIN}`"))?;
    let whole = fs::canonicalize(top).map_err(cannot)?;
    fs::create_dir_all(folder.join("src")).map_err(cannot)?;
    let manifest = MANIFEST.replace("{top}", &whole.display().to_string());
    fs::write(folder.join("Cargo.toml"), manifest).map_err(cannot)?;
    fs::write(folder.join("src/main.rs"), code).map_err(cannot)?;
    for file in ["Cargo.lock", "rust-toolchain.toml"] {
        fs::copy(top.join(file), folder.join(file)).map_err(cannot)?;
    }
    Ok(())
}

/// Builds it; says how many crates that took, and how long.
fn build(folder: &Path, target: &Path) -> Result<PathBuf, String> {
    let begin = Instant::now();
    let mut command = Command::new("cargo");
    command.args(["build", "--offline", "--message-format", "json-render-diagnostics"]);
    command.current_dir(folder).env("CARGO_TARGET_DIR", target).stderr(Stdio::inherit());
    // Those of the workspace, which this crate is no part of.
    command.env_remove("CARGO_MANIFEST_DIR");
    let output = command.output().map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "the quick start of README.md does not build as a crate of its own ({})",
            output.status
        ));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let (all, compiled) = crates(&messages);
    let seconds = begin.elapsed().as_secs_f64();
    println!("fresh crate: {all} crates, {compiled} of them compiled now, {seconds:.1} s");
    Ok(target.join("debug/fresh"))
}

/// How many crates cargo's messages name, and how many of them were not there already.
fn crates(messages: &str) -> (usize, usize) {
    let is_crate = |line: &&str| {
        line.contains("\"reason\":\"compiler-artifact\"") && !line.contains("\"kind\":[\"custom-build\"]")
    };
    let all: Vec<&str> = messages.lines().filter(is_crate).collect();
    (all.len(), all.iter().filter(|line| line.contains("\"fresh\":false")).count())
}

/// Runs three of them until they agree.
fn together(program: &Path, folder: &Path) -> Result<(), String> {
    let begin = Instant::now();
    let mut first = Running::start(program, &folder.join("ada"), None)?;
    let share = first.line_with("share: ")?;
    let ticket = share.trim_start_matches("share: ").to_owned();
    let mut second = Running::start(program, &folder.join("bo"), Some(&ticket))?;
    let mut third = Running::start(program, &folder.join("cy"), Some(&ticket))?;
    for running in [&mut first, &mut second, &mut third] {
        running.until_all_is_told()?;
    }
    for running in [first, second, third] {
        running.interrupt()?;
    }
    println!(
        "three of them: all likes everywhere, everybody met, ended well; {:.1} s",
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

/// One process. Killed when dropped.
struct Running {
    child: Child,
    lines: Receiver<String>,
    deadline: Instant,
}

impl Running {
    fn start(program: &Path, folder: &Path, ticket: Option<&str>) -> Result<Self, String> {
        let cannot = |error: std::io::Error| format!("cannot run {}: {error}", program.display());
        fs::create_dir_all(folder).map_err(cannot)?;
        let mut command = Command::new(program);
        command.current_dir(folder).args(ticket).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(cannot)?;
        let (say, lines) = sync_channel(LINES);
        let stdout = child.stdout.take().ok_or("its output is not to be had")?;
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if say.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, lines, deadline: Instant::now() + PATIENCE })
    }

    fn line(&self) -> Result<String, String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.lines.recv_timeout(left).map_err(|error| format!("the quick start says no more: {error}"))
    }

    fn line_with(&self, start: &str) -> Result<String, String> {
        loop {
            let line = self.line()?;
            if line.starts_with(start) {
                return Ok(line);
            }
        }
    }

    fn until_all_is_told(&mut self) -> Result<(), String> {
        let (mut likes, mut online) = (false, false);
        while !(likes && online) {
            let line = self.line()?;
            likes |= line == LIKES;
            online |= line == ONLINE;
        }
        Ok(())
    }

    /// As a person does it with Ctrl-C.
    fn interrupt(mut self) -> Result<(), String> {
        let kill = format!("kill -INT {}", self.child.id());
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .map_err(|error| format!("cannot start sh: {error}"))?;
        while Instant::now() < self.deadline {
            match self.child.try_wait().map_err(|error| error.to_string())? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("interrupted, the quick start ended badly ({status})")),
                None => thread::park_timeout(PAUSE),
            }
        }
        Err("interrupted, the quick start does not end".into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_start_is_found() {
        let readme = format!(
            "# Title\n```rust\nlet other = 1;\n```\n```rust,no_run\n{BEGIN}\nfn main() {{}}\n```\ntext\n"
        );
        assert_eq!(quick_start(&readme), Some(format!("{BEGIN}\nfn main() {{}}\n").as_str()));
        assert_eq!(quick_start("# Title\n"), None);
    }

    #[test]
    fn crates_are_counted_without_their_build_scripts() {
        let messages = "{\"reason\":\"compiler-artifact\",\"kind\":[\"lib\"],\"fresh\":false}\n\
                        {\"reason\":\"compiler-artifact\",\"kind\":[\"lib\"],\"fresh\":true}\n\
                        {\"reason\":\"compiler-artifact\",\"kind\":[\"custom-build\"],\"fresh\":false}\n\
                        {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(crates(messages), (2, 1));
    }
}
