//! Arrows between packages: core <- net <- {rejoin, wasm} <- cli, and the simulator beside them on core alone.

use crate::manifest;
use crate::tree::{File, Finding, places, plant};

/// (package, what it may depend on, what only its tests and examples may use besides)
const MAY_USE: &[(&str, &[&str], &[&str])] = &[
    ("rejoin-core", &[], &[]),
    ("rejoin-sim", &["rejoin-core"], &[]),
    ("rejoin-net", &["rejoin-core"], &["rejoin-sim"]),
    ("rejoin", &["rejoin-core", "rejoin-net"], &["rejoin-sim"]),
    ("rejoin-wasm", &["rejoin", "rejoin-core", "rejoin-net"], &[]),
    ("rejoin-same", &["rejoin-core", "rejoin-sim"], &[]),
    ("rejoin-cli", &["rejoin", "rejoin-core", "rejoin-net"], &[]),
    ("rejoin-fuzz", &["rejoin"], &[]),
];

/// A package that is a workspace of its own (benches, fuzz, xtask) stands on top: it may use all, and none uses it.
pub(crate) fn check(tree: &[File]) -> Vec<Finding> {
    let manifests: Vec<_> = tree
        .iter()
        .filter(|file| file.name() == "Cargo.toml")
        .map(|file| (file, manifest::entries(&file.text)))
        .collect();
    let ours: Vec<&str> =
        manifests.iter().filter_map(|(_, entries)| manifest::package_name(entries)).collect();
    let mut findings = Vec::new();
    for (file, entries) in &manifests {
        let Some(package) = manifest::package_name(entries) else { continue };
        let Some((_, always, in_tests)) = MAY_USE.iter().find(|(name, _, _)| *name == package) else {
            if !file.text.lines().any(|line| line.trim() == "[workspace]") {
                let problem =
                    format!("`{package}` has no place: add it to MAY_USE of tests/tidy/packages.rs");
                findings.push(Finding::new(&file.path, 1, problem));
            }
            continue;
        };
        for found in manifest::dependencies(entries) {
            let is_ours = ours.contains(&found.package) || found.package.starts_with("rejoin");
            let may = always.contains(&found.package) || found.is_dev && in_tests.contains(&found.package);
            if is_ours && !may {
                let problem = format!(
                    "`{package}` may not depend on `{}`: arrows point one way, see MAY_USE of tests/tidy/packages.rs",
                    found.package
                );
                findings.push(Finding::new(&file.path, found.line, problem));
            }
        }
    }
    findings
}

#[test]
fn an_arrow_the_wrong_way_is_found() {
    let manifest = |name: &str, rest: &str| format!("[package]\nname = \"{name}\"\n{rest}\n");
    let core =
        manifest("rejoin-core", "[dependencies]\nserde = \"1\"\n[dev-dependencies]\nrejoin-sim = \"0\"");
    let net = manifest("rejoin-net", "[dependencies]\nrejoin-core = \"0\"\nrejoin-sim = \"0\"");
    let top = "[dependencies]\nx = { package = \"rejoin-cli\" }\n[dev-dependencies]\nrejoin-sim = \"0\"\n[workspace]";
    let fuzz = manifest("fuzz", "[dependencies]\nrejoin-core = \"0\"\n[workspace]");
    let tree = plant(&[
        ("core/Cargo.toml", &core),
        ("net/Cargo.toml", &net),
        ("Cargo.toml", &manifest("rejoin", top)),
        ("tests/sim/Cargo.toml", &manifest("rejoin-sim", "[dependencies.rejoin]\npath = \"..\"")),
        ("fuzz/Cargo.toml", &fuzz),
        ("wasm/Cargo.toml", &manifest("rejoin-wasm", "[dependencies]\nfuzz = \"0\"")),
        ("new/Cargo.toml", &manifest("rejoin-new", "")),
    ]);
    let wanted = [
        "core/Cargo.toml:6",
        "net/Cargo.toml:5",
        "Cargo.toml:4",
        "tests/sim/Cargo.toml:4",
        "wasm/Cargo.toml:4",
        "new/Cargo.toml:1",
    ];
    assert_eq!(places(&check(&tree)), wanted);
}
