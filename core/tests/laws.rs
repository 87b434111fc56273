//! The laws of all views, each on a thousand histories. `rejoin_core::laws` says what they are.

use std::time::Instant;

use rejoin_core::crdt::{
    FlagView, GCounterView, LwwMapView, LwwRegisterView, MvRegisterView, OrSetView, PnCounterView,
};
use rejoin_core::laws::{CASES, Lawful, check_laws};

fn check<V: Lawful>() {
    let start = Instant::now();
    let checked = check_laws::<V>();
    assert_eq!(checked.cases, CASES);
    let percent = checked.concurrent * 100 / checked.cases;
    println!("{}: {} histories, {percent} % concurrent, {:?}", name::<V>(), checked.cases, start.elapsed());
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
