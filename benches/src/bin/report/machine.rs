//! What it was measured on, and with what.

use std::process::Command;

/// The versions that this program was built beside.
const LOCK: &str = include_str!("../../../Cargo.lock");
const LORO: &str = include_str!("../../../loro/Cargo.toml");
const PEERS: [&str; 5] = ["automerge", "crdts", "iroh-docs", "negentropy", "yrs"];
const BESIDES: [&str; 2] = ["redb", "libp2p"];

/// Lines of a list in Markdown.
pub(crate) fn facts() -> Vec<String> {
    let peers: Vec<String> = PEERS.iter().map(|peer| format!("{peer} {}", version(peer))).collect();
    let besides: Vec<String> = BESIDES.iter().map(|name| format!("{name} {}", version(name))).collect();
    vec![
        format!("Machine: {} cores, {}", cores(), processor()),
        format!("Date: {}, {}", output("date", &["-u", "+%Y-%m-%d"]), output("rustc", &["--version"])),
        format!("Peers: {}, loro {}", peers.join(", "), loro()),
        format!("Yardsticks: {}", besides.join(", ")),
    ]
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name"));
    name.map_or_else(|| "unknown".into(), |name| name.trim_start_matches([':', ' ', '\t']).to_owned())
}

fn output(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

fn version(package: &str) -> &'static str {
    let start = format!("name = \"{package}\"\nversion = \"");
    LOCK.split_once(&start).and_then(|(_, rest)| rest.split('"').next()).unwrap_or("?")
}

fn loro() -> &'static str {
    LORO.split_once("loro = \"=").and_then(|(_, rest)| rest.split('"').next()).unwrap_or("?")
}
