//! Frames come back as they were, and what claims more than it is gets nothing.

use alloc::vec;
use alloc::vec::Vec;

use quickcheck::{Arbitrary, Gen, quickcheck};

use super::*;
use crate::codec::BoundedVec;
use crate::id::{ReplicaId, VectorDigest};
use crate::limits::{FRAME_NAMED, KEY_BYTES, PAYLOAD_BYTES};
use crate::row::{DotRuns, Kind, Object, Payload, RowKey, Runs};
use crate::sync::frame::column::{Columnar, Columns};
use crate::sync::message::{Accept, BulkChunk, Deltas, Name};

fn key(element: &[u8]) -> RowKey {
    Object::new(Kind(3), "things").unwrap().row(element).unwrap()
}

fn number(g: &mut Gen) -> u64 {
    let all = u64::arbitrary(g);
    *g.choose(&[0, 1, 2, all % 100, all >> 20, u64::MAX >> 2, all >> 2]).unwrap()
}

fn name(g: &mut Gen) -> u32 {
    *g.choose(&[0, 1, 2, u32::MAX]).unwrap()
}

#[derive(Clone, Debug)]
struct Some<T>(T);

impl Arbitrary for Some<WireDelta> {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut offset = 0_u32;
        let count = usize::arbitrary(g) % 4;
        let puts: Vec<WirePut> = (0..count)
            .map(|_| {
                offset += 1 + u32::from(u8::arbitrary(g)) % 3;
                let row = match bool::arbitrary(g) {
                    true => Row::OfKilled(name(g) & (u32::MAX >> 1)),
                    false => Row::Key(key(&Vec::arbitrary(g))),
                };
                WirePut { offset, row, payload: Payload::new(Vec::<u8>::arbitrary(g)).unwrap() }
            })
            .collect();
        let needed = puts.last().map_or(1, |put| u64::from(put.offset) + 1);
        let deps = match bool::arbitrary(g) {
            true => WireDeps::Digest(VectorDigest([u8::arbitrary(g); 16])),
            false => {
                let dots = (0..u8::arbitrary(g) % 5).map(|_| (name(g), number(g))).collect();
                WireDeps::Dots(BoundedVec::new(dots).unwrap())
            }
        };
        let runs = |g: &mut Gen| (0..1 + u8::arbitrary(g) % 4).map(|_| number(g)).collect::<Runs>();
        let kills = (0..u8::arbitrary(g) % 3).map(|_| (name(g), runs(g))).collect();
        let (len, timestamp) = (needed + number(g), u64::arbitrary(g));
        Self(WireDelta { run: name(g), len, timestamp, deps, puts, kills })
    }
}

impl Arbitrary for Some<BulkEntry> {
    fn arbitrary(g: &mut Gen) -> Self {
        let (seq, timestamp) = (u64::arbitrary(g) >> 1, u64::arbitrary(g));
        let payload = Payload::new(Vec::<u8>::arbitrary(g)).unwrap();
        Self(BulkEntry { seq, timestamp, key: key(&Vec::arbitrary(g)), payload })
    }
}

fn deltas(deltas: Vec<WireDelta>) -> Message {
    let names = BoundedVec::new(vec![Name::Whole(ReplicaId::from_u128(1))]).unwrap();
    Message::Deltas(Deltas { names, runs: BoundedVec::default(), deltas: Table(deltas) })
}

quickcheck! {
    fn deltas_come_back(all: Vec<Some<WireDelta>>) -> bool {
        let all: Vec<WireDelta> = all.into_iter().map(|delta| delta.0).collect();
        let message = deltas(all.clone());
        WireDelta::read(Columns(&WireDelta::write(&all))).unwrap() == all && open(&seal(&message)).unwrap() == message
    }

    fn entries_come_back(all: Vec<Some<BulkEntry>>, round: u32) -> bool {
        let mut entries: Vec<BulkEntry> = all.into_iter().map(|entry| entry.0).collect();
        entries.sort_by_key(|entry| entry.seq);
        entries.dedup_by_key(|entry| entry.seq);
        let (replica, staged) = (ReplicaId::from_u128(7), BoundedVec::default());
        let live = entries.iter().map(|entry| entry.seq).collect();
        let entries = Table(entries);
        let chunk = Message::BulkChunk(BulkChunk { round, replica, upto: u64::MAX, live, staged, entries });
        open(&seal(&chunk)).unwrap() == chunk
    }

    fn damaged_columns_are_no_harm(all: Vec<Some<WireDelta>>, at: usize, bits: u8) -> bool {
        let all: Vec<WireDelta> = all.into_iter().map(|delta| delta.0).collect();
        let mut bytes = WireDelta::write(&all);
        let at = at % bytes.len();
        bytes[at] ^= bits;
        // What is read at all is written as it was read: one meaning, one form.
        WireDelta::read(Columns(&bytes)).is_none_or(|read| WireDelta::write(&read) == bytes)
    }
}

fn put(row: Row, payload: Payload) -> WireDelta {
    let deps = WireDeps::Dots(BoundedVec::default());
    WireDelta {
        run: 0,
        len: 1,
        timestamp: 5,
        deps,
        puts: vec![WirePut { offset: 0, row, payload }],
        kills: vec![],
    }
}

/// As many deltas as somebody makes who changes one row at a time.
fn edits(count: u64, value: impl Fn(u64) -> Vec<u8>) -> Vec<WireDelta> {
    let one = |n| {
        let runs = Runs::from_range(n * 7, n * 7);
        let payload = Payload::new(value(n)).unwrap();
        WireDelta { timestamp: n << 20, kills: vec![(0, runs)], ..put(Row::OfKilled(0), payload) }
    };
    (1..=count).map(one).collect()
}

fn digits(n: u64) -> Vec<u8> {
    alloc::format!("{:032x}", u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).pow(2)).into_bytes()
}

#[test]
fn columns_cost_what_differs() {
    let hex = seal(&deltas(edits(500, digits))).len();
    assert!(hex < 500 * 22, "16 bytes of entropy each: {hex}");
    let same = seal(&deltas(edits(500, |_| vec![1; 40]))).len();
    assert!(same < 500 * 2, "{same}");
    // Every other dot of a range, at random: a bit or so for each dot of the range.
    let odd = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 1;
    let kills = vec![(0, (1..16_000).filter(|n| odd(n * n)).collect::<Runs>())];
    let thinned =
        seal(&deltas(vec![WireDelta { kills, ..put(Row::Key(key(b"")), Payload::default()) }])).len();
    assert!(thinned < 16_000 / 8 * 3 / 2, "{thinned} bytes for 16,000 dots");
}

#[test]
fn what_would_not_be_shorter_is_sent_plain() {
    let random =
        |n: u64| (0..32).map(|at| blake3::hash(&(n * 32 + at).to_le_bytes()).as_bytes()[0]).collect();
    let one = deltas(edits(1, random));
    assert_eq!(seal(&one), codec::encode(&one));
    let root = Message::Keys;
    assert_eq!(seal(&root), [19]);
}

/// A frame that claims `claimed` bytes and holds a stream of `bytes`.
fn frame_of(kind: u8, claimed: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind | DEFLATED, 0];
    column::push(&mut frame, claimed as u64);
    frame.extend(miniz_oxide::deflate::compress_to_vec(bytes, 6));
    frame
}

#[test]
fn bombs_are_refused() {
    let zeros = vec![0; 8 * FRAME_BYTES];
    for claimed in [zeros.len(), FRAME_BYTES, FRAME_BYTES - 1, 1000, 0, usize::MAX] {
        assert!(inflated(&frame_of(3, claimed, &zeros)).is_none(), "{claimed}");
    }
    // As much as a frame may be is inflated, and no more than deflate can reach is believed.
    let most = &zeros[..FRAME_BYTES - 1];
    assert_eq!(inflated(&frame_of(3, most.len(), most)).unwrap().len(), FRAME_BYTES);
    assert!(inflated(&frame_of(3, most.len(), &zeros[..1000])).is_none(), "too short a stream for that");
    assert!(
        inflated(&frame_of(3, 1001, &zeros[..1000])).is_none()
            && inflated(&frame_of(3, 999, &zeros[..1000])).is_none()
    );
    // Kinds that carry no data, and whatever follows the stream.
    for kind in [0, 1, 2, 4, 5, 9, 12, 14, 16, 18, 19, 100] {
        assert!(inflated(&frame_of(kind, 1000, &zeros[..1000])).is_none(), "{kind}");
    }
    let mut longer = frame_of(3, 1000, &zeros[..1000]);
    longer.push(0);
    assert!(inflated(&longer).is_none());
    let long_head = [vec![3 | DEFLATED], vec![0xff; 9], vec![1], vec![0; 100]].concat();
    assert!(inflated(&long_head).is_none() && inflated(&[3 | DEFLATED]).is_none());
}

#[test]
fn what_a_frame_leaves_out_grows_within_bounds() {
    // A few bytes each, a kilobyte each when they are put together.
    let long = vec![7; KEY_BYTES - 20];
    let same =
        |count: usize| (0..count).map(|_| put(Row::Key(key(&long)), Payload::default())).collect::<Vec<_>>();
    let fits = WireDelta::write(&same(2000));
    assert!(fits.len() < 40_000 && WireDelta::read(Columns(&fits)).is_some());
    assert!(WireDelta::read(Columns(&WireDelta::write(&same(2200)))).is_none());
    let large = Payload::new(vec![7; PAYLOAD_BYTES]).unwrap();
    let large: Vec<_> = (0..9).map(|_| put(Row::Key(key(b"")), large.clone())).collect();
    assert!(WireDelta::read(Columns(&WireDelta::write(&large))).is_none());
    let named = |count: u32| {
        let one = |offset| WirePut { offset, row: Row::OfKilled(0), payload: Payload::default() };
        let puts: Vec<WirePut> = (0..1024).map(one).collect();
        let delta = WireDelta { len: 1024, puts, ..put(Row::OfKilled(0), Payload::default()) };
        WireDelta::read(Columns(&WireDelta::write(&(0..count).map(|_| delta.clone()).collect::<Vec<_>>())))
    };
    assert!(named(16).is_some() && named(17).is_none() && FRAME_NAMED == 16 * 1024);
}

#[test]
fn the_kinds_that_may_be_deflated_are_those_that_are() {
    let accept = Message::Accept(Accept { number: 1, round: 1, staged: DotRuns::default() });
    for message in [deltas(vec![]), accept, Message::Keys, Message::BulkOffer, Message::BulkVoid(1)] {
        assert_eq!(message.open_bytes().is_some(), Message::may_deflate(codec::encode(&message)[0]));
    }
}
