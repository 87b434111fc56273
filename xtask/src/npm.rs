//! The npm package: built, tested in Node and in a browser, packed.
//!
//! What is downloaded is named by `wasm/npm/package-lock.json`, and for the bundlers by their versions alone; everything else is of
//! this repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::Line;

/// What Rust compiles to by default and what browsers have had for years; `--all-features` would make a module that some refuse.
const FEATURES: &str = "--enable-bulk-memory --enable-bulk-memory-opt --enable-sign-ext --enable-mutable-globals \
     --enable-nontrapping-float-to-int --enable-reference-types --enable-multivalue";
/// Schedules that have to run in Node as they do natively.
const SEEDS: u32 = 200;

/// A test that hangs is one that fails.
const BROWSER: &str = "node --test --test-timeout 120000 browser/";

/// Builds, tests and packs.
pub(crate) fn run(top: &Path) -> Result<(), String> {
    let target = target().unwrap_or_else(|| top.join("target"));
    let package = top.join("wasm/npm");
    does(&package, "node scripts/version.mjs")
        .map_err(|problem| format!("{problem}; the npm package needs Node 20 or later"))?;
    does(&package, "npm ci --no-audit --no-fund")?;
    build(top, &target, &package)?;
    does(&package, "node scripts/finish.mjs")?;
    let (sound, traces) = Line::parse(&format!(
        "cargo run --quiet --locked --profile ci -p rejoin-sim -- traces --seeds {SEEDS} --seed 1"
    ))
    .capture(top)?;
    if !sound {
        return Err(format!("the simulator gives no traces: {traces}"));
    }
    write(&package.join("same/traces.txt"), &traces)?;
    does(&package, "node --test test/")?;
    let packed = target.join("npm");
    fs::create_dir_all(&packed).map_err(|error| format!("cannot make {}: {error}", packed.display()))?;
    let line =
        Line::parse("npm pack --silent --pack-destination").arguments(&[&packed.display().to_string()]);
    start(&package, &line)
}

/// Tests the package in a headless Chromium, after [`run`], and what bundlers make of an app that uses it.
pub(crate) fn browser(top: &Path) -> Result<(), String> {
    run(top)?;
    let package = top.join("wasm/npm");
    if !Line::parse("node browser/there.mjs").capture(&package)?.0 {
        // One that is a part of the system; others say where theirs is.
        for line in ["apt-get update", "apt-get install -y --no-install-recommends chromium-headless-shell"] {
            let help = |problem| format!("{problem}; install Chromium, and say where it is in CHROMIUM");
            does(top, line).map_err(help)?;
        }
    }
    does(&package, BROWSER)?;
    let bundlers = package.join("bundlers");
    // The package as others get it, and not the folder that it was made from.
    let packed = target().unwrap_or_else(|| top.join("target")).join("npm/rejoin-0.1.0.tgz");
    let install = Line::parse("npm install --no-save --no-package-lock --no-audit --no-fund")
        .arguments(&[&packed.display().to_string()]);
    start(&bundlers, &install)?;
    does(&bundlers, "node --test --test-timeout 120000 bundlers.test.mjs")
}

/// Where cargo builds, if that was said.
fn target() -> Option<PathBuf> {
    std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from)
}

fn build(top: &Path, target: &Path, package: &Path) -> Result<(), String> {
    for (name, profile, folder) in [("rejoin-wasm", "wasm", "dist"), ("rejoin-same", "ci", "same")] {
        does(
            top,
            &format!("cargo build --locked -p {name} --profile {profile} --target wasm32-unknown-unknown"),
        )?;
        let module = format!("wasm32-unknown-unknown/{profile}/{}.wasm", name.replace('-', "_"));
        let bind =
            Line::parse("cargo run --quiet --locked --manifest-path wasm/bind/Cargo.toml --target-dir")
                .arguments(&[&target.join("bind").display().to_string(), "--"])
                .arguments(&[
                    &target.join(module).display().to_string(),
                    &package.join(folder).display().to_string(),
                ]);
        start(top, &bind)?;
    }
    does(
        package,
        &format!(
            "npx wasm-opt -Oz --strip-debug --strip-producers {FEATURES} dist/rejoin_bg.wasm -o dist/rejoin_bg.wasm"
        ),
    )?;
    // The compiler reads types where the sources are, and whoever uses the package where the scripts are.
    copy(&package.join("dist/glue.d.ts"), &package.join("src/glue.d.ts"))?;
    copy(&package.join("src/wasm-inline.d.ts"), &package.join("dist/wasm-inline.d.ts"))?;
    does(package, "npx tsc")?;
    // An app, as strict as can be.
    does(package, "npx tsc -p types")
}

fn does(folder: &Path, line: &str) -> Result<(), String> {
    start(folder, &Line::parse(line))
}

fn start(folder: &Path, line: &Line) -> Result<(), String> {
    println!("==> {line}");
    match line.start(folder)? {
        status if status.success() => Ok(()),
        status => Err(format!("`{line}` failed ({status})")),
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let cannot = |error| format!("cannot copy {} to {}: {error}", from.display(), to.display());
    fs::copy(from, to).map(drop).map_err(cannot)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
