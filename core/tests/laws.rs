//! The laws of all views, each on the histories of `check_laws` and on as many again, three times. `rejoin_core::laws` says
//! what they are.

use rejoin_core::crdt::{
    BoundedCounterView, FlagView, GCounterView, ListView, LogView, LwwMapView, LwwRegisterView,
    MvRegisterView, OrSetView, PnCounterView,
};
use rejoin_core::laws::{CASES, Lawful, check_laws, violation};

fn check<V: Lawful>() {
    assert_eq!(check_laws::<V>().cases, CASES);
    let checked = violation::<V>(CASES..4 * CASES).unwrap_or_else(|report| panic!("{report}"));
    let percent = checked.concurrent * 100 / checked.cases;
    println!("{}: {} histories, {percent} % concurrent", name::<V>(), checked.cases);
}

fn name<V>() -> &'static str {
    std::any::type_name::<V>().rsplit("::").next().unwrap_or_default()
}

#[test]
fn g_counter() {
    check::<GCounterView>();
}

#[test]
fn pn_counter() {
    check::<PnCounterView>();
}

#[test]
fn bounded_counter() {
    check::<BoundedCounterView>();
}

#[test]
fn or_set() {
    check::<OrSetView>();
}

#[test]
fn lww_map() {
    check::<LwwMapView>();
}

#[test]
fn lww_register() {
    check::<LwwRegisterView>();
}

#[test]
fn mv_register() {
    check::<MvRegisterView>();
}

#[test]
fn flag() {
    check::<FlagView>();
}

#[test]
fn list() {
    check::<ListView>();
}

/// Each read loads the document, so this takes fewer histories than the others.
#[cfg(feature = "document")]
#[test]
fn document() {
    let checked = violation::<rejoin_core::crdt::DocumentView>(0..CASES / 4)
        .unwrap_or_else(|report| panic!("{report}"));
    assert!(checked.concurrent * 2 > checked.cases, "{checked:?}");
}

#[test]
fn log() {
    check::<LogView>();
}
