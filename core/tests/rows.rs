//! States and deltas from storage or from a stranger: what contradicts itself is refused, what does not comes back.

use rejoin_core::codec::{decode, encode};
use rejoin_core::row::{DotRuns, Entry, Gap, Kind, Object, Payload, RowKey, Rows, RowsDelta};
use rejoin_core::{Dot, ReplicaId, Timestamp, VersionVector};

const A: ReplicaId = ReplicaId::from_u128(1);

/// The fields of a delta, in the order of its encoding.
type Parts = (VersionVector, VersionVector, DotRuns, Vec<(RowKey, Entry)>);

fn key(element: u32) -> RowKey {
    Object::new(Kind::OR_SET, "s").unwrap().row(&element.to_be_bytes()).unwrap()
}

fn entry(element: u32, seq: u64) -> (RowKey, Entry) {
    let key = key(element);
    let entry = Entry::new(&key, Dot::new(A, seq), Timestamp(seq), Payload::default());
    (key, entry)
}

fn parts(since: u64, seen: u64, live: &[u64], entries: &[(RowKey, Entry)]) -> Parts {
    let vector = |seq| [(A, seq)].into_iter().collect();
    let live = live.iter().map(|seq| Dot::new(A, *seq)).collect();
    (vector(since), vector(seen), live, entries.to_vec())
}

#[test]
fn sound_parts_are_a_delta() {
    let delta: RowsDelta = decode(&encode(&parts(1, 3, &[1, 3], &[entry(7, 3)]))).unwrap();
    let mut rows = Rows::new();
    rows.write(A, Timestamp(1), key(1), Some(Payload::default()));
    rows.merge_delta(&delta).unwrap();
    rows.check();
    assert_eq!(rows.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), [key(1), key(7)]);
    assert_eq!(decode::<Rows>(&encode(&rows)), Ok(rows));
}

/// One dot in two rows would leave one of them live for ever: a kill finds only the other.
#[test]
fn parts_that_contradict_themselves_are_no_delta_and_no_state() {
    let alien = (key(9), entry(7, 1).1);
    for (what, parts) in [
        ("one dot in two rows", parts(0, 1, &[1], &[entry(7, 1), entry(8, 1)])),
        ("one dot twice in a row", parts(0, 1, &[1], &[entry(7, 1), entry(7, 1)])),
        ("an entry that the vector does not cover", parts(0, 1, &[2], &[entry(7, 2)])),
        ("an entry that is not live", parts(0, 2, &[1], &[entry(7, 1), entry(8, 2)])),
        ("a live dot without its entry", parts(0, 2, &[1, 2], &[entry(7, 1)])),
        ("an entry that its hash does not vouch for", parts(0, 1, &[1], &[alien])),
        ("a dot before the first", parts(0, 1, &[0], &[entry(7, 0)])),
    ] {
        assert!(decode::<RowsDelta>(&encode(&parts)).is_err(), "{what}, as a delta");
        assert!(decode::<Rows>(&encode(&parts)).is_err(), "{what}, as a state");
    }
    let partial = parts(1, 2, &[1, 2], &[entry(7, 2)]);
    assert!(decode::<Rows>(&encode(&partial)).is_err(), "a state is a delta since nothing");
}

/// Runs on the wire come in chunks of at most 65,536. A state has no such bound, and must not be lost to it.
#[test]
fn a_state_with_more_gaps_than_a_chunk_has_runs_comes_back_from_storage() {
    let mut rows = Rows::new();
    for n in 0..70_000 {
        rows.write(A, Timestamp(1), key(n), Some(Payload::default()));
        rows.write(A, Timestamp(1), key(u32::MAX), Some(Payload::default()));
    }
    assert!(decode::<Rows>(&encode(&rows)) == Ok(rows));
}

#[test]
fn a_transaction_is_one_delta_and_is_applied_once_and_in_order() {
    let payload = |n: u8| Payload::new(&[n][..]);
    let mut a = Rows::new();
    let rows = [(key(1), payload(1)), (key(2), payload(2))];
    let first = a.commit(A, Timestamp(1), rows).unwrap();
    let second = a.commit(A, Timestamp(2), [(key(1), None), (key(2), payload(3))]).unwrap();
    let third = a.commit(A, Timestamp(3), [(key(2), None)]).unwrap();
    assert_eq!([first.len, second.len, third.len], [2, 1, 1], "a removal burns a dot too");

    let mut b = Rows::new();
    assert_eq!(b.apply(&second), Err(Gap));
    assert_eq!(b, Rows::new());
    for delta in [&first, &first, &second, &first, &third, &third] {
        b.apply(delta).unwrap();
        b.check();
    }
    assert_eq!(b, a);
    // More replicas than a delta names: the whole vector is its past.
    let mut crowd = a.clone();
    for n in 10..30_u8 {
        crowd.write(ReplicaId::from_u128(n.into()), Timestamp(4), key(n.into()), payload(1));
    }
    let before = crowd.clone();
    let wide = crowd.commit(A, Timestamp(5), [(key(10), None)]).unwrap();
    assert_eq!(b.apply(&wide), Err(Gap));
    b.merge(&before);
    b.apply(&wide).unwrap();
    assert_eq!(b, crowd);
}
