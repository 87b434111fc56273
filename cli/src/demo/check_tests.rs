//! Each kind of violation is found, and what is legal is let be.

use serde_json::{Value, json};

use super::check::{Found, Wrong, judge, read};

/// A record of sides, each a list of (phase, answered, edits).
fn record(sides: &[&[(u64, bool, Value)]]) -> Vec<super::check::Unit> {
    let lines = |units: &&[(u64, bool, Value)]| {
        let mut text = String::new();
        for (unit, (phase, answered, edits)) in units.iter().enumerate() {
            text.push_str(&json!({ "unit": unit, "phase": phase, "edits": edits }).to_string());
            text.push('\n');
            if *answered {
                text.push_str(&json!({ "unit": unit, "answered": true }).to_string());
                text.push('\n');
            }
        }
        text
    };
    let texts: Vec<String> = sides.iter().map(lines).collect();
    read(&texts).unwrap()
}

fn found(rows: &[(&str, Value)], counters: &[(&str, i64)]) -> Found {
    let row = |name: &str| {
        let (path, key) = name.split_once('/').unwrap();
        (path.to_owned(), key.to_owned())
    };
    let counters = counters.iter().map(|(name, sum)| (((*name).to_owned(), String::new()), json!(sum)));
    rows.iter().map(|(name, value)| (row(name), value.clone())).chain(counters).collect()
}

fn put(value: u64) -> Value {
    json!([{ "map": "m", "put": "k", "value": value }])
}

fn rm() -> Value {
    json!([{ "map": "m", "rm": "k" }])
}

fn is_lost(wrong: &[Wrong]) -> bool {
    matches!(wrong, [Wrong::Lost(words)] if words.starts_with("m/k"))
}

fn is_resurrected(wrong: &[Wrong]) -> bool {
    matches!(wrong, [Wrong::Resurrected(words)] if words.starts_with("m/k"))
}

#[test]
fn the_last_put_must_be_there_with_its_value() {
    let units = record(&[&[(0, true, put(1))], &[(1, true, put(2))]]);
    assert!(judge(&units, &found(&[("m/k", json!(2))], &[])).is_empty());
    assert!(is_lost(&judge(&units, &found(&[("m/k", json!(1))], &[]))));
    assert!(is_lost(&judge(&units, &found(&[], &[]))));
}

#[test]
fn a_removal_by_one_who_had_seen_the_row_stays() {
    let units = record(&[&[(0, true, put(1))], &[(1, true, rm())]]);
    assert!(judge(&units, &found(&[], &[])).is_empty());
    assert!(is_resurrected(&judge(&units, &found(&[("m/k", json!(1))], &[]))));
    let own = record(&[&[(1, true, put(1)), (1, true, rm())], &[(1, true, rm())]]);
    assert!(is_resurrected(&judge(&own, &found(&[("m/k", json!(1))], &[]))));
}

#[test]
fn a_row_that_nobody_put_is_found() {
    assert!(is_resurrected(&judge(&record(&[]), &found(&[("m/k", json!(1))], &[]))));
}

#[test]
fn a_put_wins_over_a_removal_at_the_same_time() {
    let units = record(&[&[(0, true, put(1)), (1, true, rm())], &[(1, true, put(2))]]);
    assert!(judge(&units, &found(&[("m/k", json!(2))], &[])).is_empty());
    assert!(is_lost(&judge(&units, &found(&[], &[]))));
    assert!(is_lost(&judge(&units, &found(&[("m/k", json!(1))], &[]))));
}

#[test]
fn either_of_two_puts_at_the_same_time_is_legal() {
    let units = record(&[&[(1, true, put(1))], &[(1, true, put(2))]]);
    for value in [1, 2] {
        assert!(judge(&units, &found(&[("m/k", json!(value))], &[])).is_empty());
    }
    assert!(is_lost(&judge(&units, &found(&[("m/k", json!(3))], &[]))));
}

#[test]
fn elements_of_sets_are_rows() {
    let (add, rm) = (json!([{ "set": "m", "add": "k" }]), json!([{ "set": "m", "rm": "k" }]));
    let units = record(&[&[(0, true, add.clone()), (1, true, rm.clone())], &[(1, true, add.clone())]]);
    assert!(judge(&units, &found(&[("m/k", json!(true))], &[])).is_empty());
    assert!(is_lost(&judge(&units, &found(&[], &[]))));
    let gone = record(&[&[(0, true, add), (1, true, rm)]]);
    assert!(is_resurrected(&judge(&gone, &found(&[("m/k", json!(true))], &[]))));
}

#[test]
fn counters_are_sums() {
    let add = |n: i64| json!([{ "counter": "c", "add": n }]);
    let units = record(&[&[(0, true, add(5))], &[(1, true, add(-2)), (1, false, add(10))]]);
    for sum in [3, 13] {
        assert!(judge(&units, &found(&[], &[("c", sum)])).is_empty());
    }
    let wrong = judge(&units, &found(&[], &[("c", 5)]));
    assert!(matches!(&wrong[..], [Wrong::Miscounted(words)] if words.starts_with("c:")));
    assert_eq!(judge(&units, &found(&[], &[])).len(), 1);
    assert_eq!(judge(&record(&[]), &found(&[], &[("c", 1)])).len(), 1);
}

#[test]
fn an_unanswered_unit_is_there_whole_or_not_at_all() {
    let both = json!([{ "map": "m", "put": "a", "value": 1 }, { "map": "m", "rm": "k" }]);
    let units = record(&[&[(0, true, put(1)), (1, false, both)]]);
    assert!(judge(&units, &found(&[("m/k", json!(1))], &[])).is_empty());
    assert!(judge(&units, &found(&[("m/a", json!(1))], &[])).is_empty());
    assert_eq!(judge(&units, &found(&[("m/a", json!(1)), ("m/k", json!(1))], &[])).len(), 1);
    assert_eq!(judge(&units, &found(&[], &[])).len(), 1);
}

#[test]
fn an_unanswered_unit_comes_before_what_its_side_did_later() {
    let units = record(&[&[(1, true, put(1)), (1, false, rm()), (1, true, put(2)), (1, false, put(3))]]);
    for value in [2, 3] {
        assert!(judge(&units, &found(&[("m/k", json!(value))], &[])).is_empty());
    }
    assert!(is_lost(&judge(&units, &found(&[], &[]))));
    assert!(is_lost(&judge(&units, &found(&[("m/k", json!(1))], &[]))));
}

#[test]
fn a_record_that_is_no_json_is_an_error() {
    assert!(read(&["{\"unit\": 0".to_owned()]).is_err());
}
