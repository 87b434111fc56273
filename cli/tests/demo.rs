//! The demo, small: it ends well when all is well, and names the row when a fault was planted.

use std::process::{Command, Output};

use serde_json::Value;

/// Few rows and short phases; everything else as in the real one.
const SMALL: [&str; 8] = ["--json", "demo", "--rows", "900", "--edits", "400", "--seconds", "2.5"];

fn demo(more: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_rejoin");
    Command::new(program).args(SMALL).args(more).output().expect("the program starts")
}

/// The JSON lines of a run, by their phases.
fn phases(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

fn told(output: &Output) -> String {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    format!("{:?}\n{out}\n{err}", output.status)
}

#[test]
fn nothing_is_lost_and_nothing_comes_back() {
    let output = demo(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let phases = phases(&output);
    let names: Vec<&str> = phases.iter().filter_map(|phase| phase["phase"].as_str()).collect();
    assert_eq!(names, ["load", "together", "apart", "rejoin", "verdict"]);
    let apart = &phases[2];
    assert_ne!(apart["root"], apart["root_cut_off"]);
    let verdict = &phases[4];
    for field in ["lost", "resurrected", "miscounted"] {
        assert_eq!(verdict[field], 0, "{verdict}");
    }
    assert_eq!(verdict["root"], phases[3]["root"]);
    assert!(verdict["edits"].as_u64() > Some(100), "{verdict}");
    assert!(verdict["rejoin"]["bytes"].as_u64() > Some(1000), "{verdict}");
}

#[test]
fn a_planted_fault_is_found_and_named() {
    for (plant, field) in
        [("lose-row", "lost"), ("resurrect-row", "resurrected"), ("wrong-counter", "miscounted")]
    {
        let output = demo(&["--plant", plant]);
        assert_eq!(output.status.code(), Some(1), "{plant}: {}", told(&output));
        let phases = phases(&output);
        let did = phases.iter().find(|phase| phase["phase"] == "plant").expect("it was planted");
        let verdict = phases.last().expect("a verdict");
        assert_eq!(verdict[field], 1, "{plant}: {verdict}");
        let wrong = &verdict["wrong"][0];
        assert_eq!(wrong["nodes"].as_array().map(Vec::len), Some(3), "{plant}: {verdict}");
        // `map rm demo/airports KEY`, `counter add demo/edits 1`.
        let words: Vec<&str> = did["did"].as_str().expect("words").split(' ').collect();
        let row =
            if plant == "wrong-counter" { "edits".to_owned() } else { format!("airports/{}", words[3]) };
        assert!(wrong["what"].as_str().is_some_and(|what| what.contains(&row)), "{plant}: {verdict}");
    }
}
