//! Bugs that other engines shipped, where merging itself went wrong. Each test opens with the story. The threads are public
//! issues and pull requests.

use std::collections::VecDeque;

use rejoin_core::crdt::{
    Flag, GCounter, LwwMap, LwwMapView, LwwRegister, MvRegister, OrSet, OrSetView, PnCounter,
};
use rejoin_core::row::{Delta, Gap, Payload, RowKey, Rows};
use rejoin_core::{Causality, ReplicaId, Timestamp, Value, VersionVector};

const A: ReplicaId = ReplicaId::from_u128(1);
const B: ReplicaId = ReplicaId::from_u128(2);
const C: ReplicaId = ReplicaId::from_u128(3);

/// derekkraan/delta_crdt_ex issues 65 and 45: a part of the difference was sent with the whole context. The receiver took
/// "I have seen that and do not list it" for a removal, and of 100,000 additions 18,429 survived.
///
/// Here a part of a state comes with the vector of that part. Both sides go on writing between the parts.
#[test]
fn a_hundred_thousand_additions_survive_a_sync_in_parts() {
    let (mut a, mut b) = (OrSet::new(A), OrSet::new(B));
    (0..100_000).for_each(|n| a.insert(n).unwrap());
    for part in 1..=20_u32 {
        let under = VersionVector::from_iter([(A, u64::from(part) * 5_000)]);
        b.merge_delta(&a.rows().restrict(&under).delta_since(b.version_vector())).unwrap();
        a.insert(200_000 + part).unwrap();
        b.insert(300_000 + part).unwrap();
        a.remove(part).unwrap();
        b.remove(100 + part).unwrap();
    }
    b.merge(&a);
    a.merge(&b);
    assert!(a == b);
    let expected = (0..100_000).filter(|n| !(1..=20).contains(n) && !(101..=120).contains(n));
    let expected = expected.chain(200_001..=200_020).chain(300_001..=300_020);
    assert!(a.elements().into_iter().eq(expected.map(Value::Int)));
}

/// akka/akka-core issue 22188 and pull request 22331: deltas that could be merged out of order left holes in the vector,
/// and "holes work as deletes" at the next merge of states.
#[test]
fn the_second_delta_does_not_go_before_the_first() {
    let mut a = OrSet::new(A);
    a.insert("first").unwrap();
    let between = a.version_vector().clone();
    let first = a.delta_since(&VersionVector::new());
    a.insert("second").unwrap();
    let second = a.delta_since(&between);
    let mut b = OrSet::new(B);
    assert_eq!(b.merge_delta(&second), Err(Gap));
    assert!(b.is_empty() && b.version_vector().is_empty(), "a refused delta leaves no trace");
    b.merge_delta(&first).unwrap();
    b.merge_delta(&second).unwrap();
    b.merge_delta(&first).unwrap();
    assert_eq!(b.elements(), [Value::from("first"), Value::from("second")]);
}

/// akka/akka-core issue 22648 (and 22631, 22668): merging the delta of an addition and a removal left the value of the
/// other replica and the removed one, where merging the states left the other's alone.
#[test]
fn the_delta_of_a_removal_merges_as_its_state_does() {
    let (mut a, mut b) = (LwwMap::new(A), LwwMap::new(B));
    a.put("b", "B1").unwrap();
    b.put("b", "B2").unwrap();
    b.remove("b").unwrap();
    let (from_a, from_b) = (a.delta_since(b.version_vector()), b.delta_since(a.version_vector()));
    let mut merged = [a.clone(), b.clone(), a.clone(), b.clone()];
    merged[0].merge(&b);
    merged[1].merge(&a);
    merged[2].merge_delta(&from_b).unwrap();
    merged[3].merge_delta(&from_a).unwrap();
    for map in merged {
        assert_eq!(map.entries(), [("b".into(), "B1".into())]);
    }
}

/// akka/akka-core issues 22631 and 22606: the outcome depended on the order in which deltas of several nodes arrived.
///
/// Six transactions of three replicas, with removals of what others wrote, in each of the 720 orders. What comes too early
/// is refused and offered again.
#[test]
fn deltas_in_every_order_give_the_merged_state() {
    let row = |name: &str| LwwMapView::at("m").unwrap().object().row(name.as_bytes()).unwrap();
    let put = |rows: &mut Rows, by, name: &str| {
        let writes = [(row(name), Payload::new(name.as_bytes()))];
        rows.commit(by, Timestamp(1), writes).unwrap()
    };
    let remove = |rows: &mut Rows, by, names: [&str; 2]| {
        let writes = names.map(|name| (row(name), None::<Payload>));
        rows.commit(by, Timestamp(2), writes).unwrap()
    };
    let (mut a, mut b, mut c) = (Rows::new(), Rows::new(), Rows::new());
    let mut deltas = vec![put(&mut a, A, "x"), put(&mut b, B, "x")];
    c.merge(&a);
    deltas.push(remove(&mut c, C, ["x", "y"]));
    a.merge(&b);
    deltas.push(put(&mut a, A, "y"));
    b.merge(&c);
    deltas.push(remove(&mut b, B, ["x", "y"]));
    c.merge(&a);
    deltas.push(put(&mut c, C, "z"));
    a.merge(&b);
    a.merge(&c);
    let names: Vec<RowKey> = a.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(names, [row("y"), row("z")]);
    let mut orders = 0;
    permutations(&mut deltas, 0, &mut |order| {
        let mut rows = Rows::new();
        let mut waiting: VecDeque<&Delta> = order.iter().collect();
        while let Some(delta) = waiting.pop_front() {
            if rows.apply(delta) == Err(Gap) {
                waiting.push_back(delta);
            }
        }
        rows.check();
        assert_eq!(rows, a);
        orders += 1;
    });
    assert_eq!(orders, 720);
}

fn permutations(items: &mut [Delta], from: usize, visit: &mut dyn FnMut(&[Delta])) {
    if from == items.len() {
        return visit(items);
    }
    for index in from..items.len() {
        items.swap(from, index);
        permutations(items, from + 1, visit);
        items.swap(from, index);
    }
}

/// basho/riak_dt pull requests 78 and 79: a merge took the side whose clock descended from the other's, as a short cut. A
/// removal did not move the clock, so equal clocks counted as descending, and the removed element came back.
#[test]
fn a_removal_is_not_overruled_by_a_clock_that_looks_newer() {
    let (mut a, mut b) = (OrSet::new(A), OrSet::new(B));
    a.insert("foo").unwrap();
    a.insert("bar").unwrap();
    b.insert("baz").unwrap();
    let mut c = a.fork(C);
    c.merge(&b);
    a.remove("bar").unwrap();
    assert_eq!(a.version_vector().compare(c.version_vector()), Causality::Concurrent, "a removal is an act");
    a.merge(&c);
    assert_eq!(a.elements(), [Value::from("baz"), Value::from("foo")]);
}

/// basho/riak_dt pull request 82: an element that both sides hold was kept without asking whether they hold the same
/// additions of it. Its flag had the same mistake: true on both sides was true.
#[test]
fn what_both_sides_hold_may_be_removed_all_the_same() {
    let (mut a, mut b) = (OrSet::new(A), OrSet::new(B));
    a.insert("x").unwrap();
    b.insert("x").unwrap();
    let c = a.fork(C);
    a.remove("x").unwrap();
    a.merge(&b);
    b.remove("x").unwrap();
    a.merge(&c);
    b.merge(&a);
    assert!(b.is_empty());

    let (mut a, mut b) = (Flag::new(A), Flag::new(B));
    a.enable().unwrap();
    b.enable().unwrap();
    let c = a.fork(C);
    a.disable().unwrap();
    a.merge(&b);
    b.disable().unwrap();
    a.merge(&c);
    b.merge(&a);
    assert!(!b.is_enabled());
}

/// basho/riak_dt pull request 93 and issue 92: removing a field forgot its contents only if the field was added again
/// afterwards. Otherwise a concurrent change brought all of them back.
#[test]
fn removing_a_container_removes_what_was_seen_in_it_and_nothing_else() {
    for added_again in [true, false] {
        let mut a = OrSet::new(A);
        a.insert("X").unwrap();
        let mut b = a.fork(B);
        b.insert("Y").unwrap();
        a.write(|set, rows| set.clear(rows)).unwrap();
        if added_again {
            a.insert("Z").unwrap();
        }
        a.merge(&b);
        let expected: &[&str] = if added_again { &["Y", "Z"] } else { &["Y"] };
        assert!(a.elements().into_iter().eq(expected.iter().map(|text| Value::from(*text))));
    }
}

/// basho/riak_dt issue 98; Baquero, Almeida, Lerche, The problem with embedded CRDT counters and a solution (PaPoC 2016):
/// one entry holds all that a replica has counted, so an increment concurrent to a removal of the counter keeps all of it.
///
/// That is so here too, and documented. A reset, which the paper asks for, keeps exactly the increment.
#[test]
fn an_increment_beside_a_removal_brings_its_writers_total_back_and_beside_a_reset_does_not() {
    let mut a = GCounter::new(A);
    a.add(5).unwrap();
    let mut b = a.fork(B);
    b.add(7).unwrap();
    b.write(|counter, rows| counter.clear(rows)).unwrap();
    assert_eq!(b.value(), 0);
    a.add(1).unwrap();
    a.merge(&b);
    assert_eq!(a.value(), 6, "its own five come back, the seven that the removal saw do not");

    let mut a = PnCounter::new(A);
    a.add(5).unwrap();
    let mut b = a.fork(B);
    b.add(7).unwrap();
    b.reset().unwrap();
    a.add(1).unwrap();
    a.merge(&b);
    assert_eq!(a.value(), 1);
}

/// basho/riak_dt pull request 53: two concurrent removals beside an update reset the field twice, which takes the value of
/// a counter away twice. It was noted there as a question without an answer.
#[test]
fn two_resets_at_once_reset_once() {
    let mut a = PnCounter::new(A);
    a.add(10).unwrap();
    a.add(-3).unwrap();
    let (mut b, mut c) = (a.fork(B), a.fork(C));
    b.reset().unwrap();
    c.add(2).unwrap();
    c.reset().unwrap();
    a.add(1).unwrap();
    for other in [&b, &c, &b] {
        a.merge(other);
    }
    assert_eq!(a.value(), 1);
    b.merge(&a);
    assert_eq!(b.value(), 1);
}

/// rust-crdt/rust-crdt issues 33 and 35: `Map::merge` changed the clock of an entry that both sides had, and used it
/// afterwards as if it had not. The generated tests of the time did not notice.
#[test]
fn three_replicas_merge_nested_containers_in_any_order() {
    let map = LwwMapView::at("friends").unwrap();
    let nested = OrSetView::at("friends/bob").unwrap();
    let row = |element: &str| nested.object().row(element.as_bytes()).unwrap();
    let bob = || map.object().row(b"bob").unwrap();
    let there = || Payload::new(&b"yes"[..]);
    let mut a = Rows::new();
    a.commit(A, Timestamp(1), [(bob(), there()), (row("janet"), there())]).unwrap();
    let (mut b, mut c) = (a.clone(), a.clone());
    // a removes bob with all that it sees in him; b and c add to him.
    a.commit(A, Timestamp(2), [(bob(), None), (row("janet"), None)]).unwrap();
    b.commit(B, Timestamp(2), [(bob(), there()), (row("erik"), there())]).unwrap();
    c.commit(C, Timestamp(2), [(row("janet"), None), (row("ann"), there())]).unwrap();
    let merged = |order: [&Rows; 3]| {
        let [first, second, third] = order;
        let mut left = first.clone();
        left.merge(second);
        left.merge(third);
        let mut right = second.clone();
        right.merge(third);
        let mut all = first.clone();
        all.merge(&right);
        all.check();
        assert_eq!(all, left);
        left
    };
    let states =
        [[&a, &b, &c], [&a, &c, &b], [&b, &a, &c], [&b, &c, &a], [&c, &a, &b], [&c, &b, &a]].map(merged);
    assert!(states.windows(2).all(|pair| pair[0] == pair[1]));
    let keys: Vec<RowKey> = states[0].iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(keys, [row("ann"), row("erik"), bob()]);
}

/// rust-crdt/rust-crdt issue 10: a register that keeps a clock with each value should keep dots under a common context, as
/// in arXiv 1603.01529, where what was overwritten and what is concurrent cannot be confused.
#[test]
fn a_multi_value_register_shows_what_nobody_overwrote() {
    let (mut a, mut b, mut c) = (MvRegister::new(A), MvRegister::new(B), MvRegister::new(C));
    a.put(1).unwrap();
    b.put(1).unwrap();
    c.merge(&a);
    c.put(2).unwrap();
    // c has overwritten a's 1 and not b's, although they are equal.
    a.merge(&b);
    assert_eq!(a.values(), [Value::Int(1), Value::Int(1)]);
    a.merge(&c);
    assert_eq!(a.values(), [Value::Int(2), Value::Int(1)]);
    b.merge(&a);
    b.put(3).unwrap();
    for register in [&mut a, &mut c] {
        register.merge(&b);
        assert_eq!(register.values(), [Value::Int(3)]);
    }
}

/// yjs/yjs issue 374, y-crdt/y-crdt issue 632: deletions did not show in state vectors. A deletion that was lost on the
/// way was never sent again, because the vectors were equal.
#[test]
fn a_lost_deletion_shows_in_the_vectors() {
    let mut a = LwwMap::new(A);
    a.put("text", "hello").unwrap();
    let mut b = a.fork(B);
    a.remove("text").unwrap();
    // The message with the removal is lost. At the next meeting the vectors say so.
    assert_eq!(a.version_vector().compare(b.version_vector()), Causality::After);
    b.merge_delta(&a.delta_since(b.version_vector())).unwrap();
    assert!(b.is_empty() && a == b);
}

/// evoluhq/evolu issue 709, cachapa/crdt issue 6: one device with a clock far off stopped or upset those that heard of it.
#[test]
fn a_clock_at_the_end_of_time_poisons_nothing() {
    let mut a = LwwRegister::new(A);
    let mut mad = Rows::new();
    let row = a.view().object().row(&[]).unwrap();
    let payload = Payload::new(Value::from("mad").encode().unwrap());
    mad.write(B, Timestamp(u64::MAX), row, payload);
    a.merge_delta(&mad.delta_since(&VersionVector::new())).unwrap();
    assert_eq!(a.get(), Some("mad".into()), "data is never refused for its time");
    a.put("sane").unwrap();
    assert_eq!((a.get(), a.conflicts()), (Some("sane".into()), vec![]), "what was seen is beaten");
    let written = a.rows().iter().next().unwrap().1[0].timestamp();
    assert!(written < Timestamp::from_millis(120_000), "and the clock did not follow");
}
