//! The small things that everything else is made of: the merge rule, hashes, and the canonical encoding of a delta.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rejoin_benches::rows::{self, Content, Kind};
use rejoin_core::clock::Timestamp;
use rejoin_core::id::ContentHash;
use rejoin_core::row::{self, Delta, Entry, Object, Payload, RowKey, Rows};
use rejoin_core::{Dot, ReplicaId, Value, tree};

const ROWS: usize = 1000;
const SOUND: &str = "rows of this size can be written";
const ME: ReplicaId = ReplicaId::from_u128(1);
const BO: ReplicaId = ReplicaId::from_u128(2);

fn written(count: usize) -> BTreeMap<RowKey, Option<Payload>> {
    let object = Object::new(row::Kind::LWW_MAP, "m").expect(SOUND);
    let pair = |row: rows::Row| {
        let value = match row.value {
            Content::Text(text) => Value::from(text),
            Content::Bytes(bytes) => Value::from(bytes),
        };
        (object.row(row.key.as_bytes()).expect(SOUND), Payload::new(value.encode().expect(SOUND)))
    };
    rows::rows(count, Kind::Hex).into_iter().map(pair).collect()
}

/// A state that one replica wrote, with the delta that did it.
fn state(author: ReplicaId, count: usize) -> (Rows, Delta) {
    let mut rows = Rows::new();
    let delta = rows.commit(author, Timestamp(1), written(count)).expect(SOUND);
    (rows, delta)
}

fn merge(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("merge");
    group.throughput(Throughput::Elements(ROWS as u64));
    let (mine, _) = state(ME, ROWS);
    let (theirs, _) = state(BO, ROWS);
    group.bench_function("two writers of the same rows", |bencher| {
        bencher.iter_batched(
            || mine.clone(),
            |mut mine| mine.merge(black_box(&theirs)),
            BatchSize::SmallInput,
        );
    });
    let mut later = mine.clone();
    later.commit(ME, Timestamp(2), written(10)).expect(SOUND);
    group.bench_function("ten rows of a thousand are newer", |bencher| {
        bencher.iter_batched(
            || mine.clone(),
            |mut mine| mine.merge(black_box(&later)),
            BatchSize::SmallInput,
        );
    });
}

fn hash(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash");
    let (key, payload) = written(1).pop_first().expect("one was made");
    let payload = payload.expect(SOUND);
    group.throughput(Throughput::Elements(1));
    group.bench_function("the content of an entry", |bencher| {
        bencher.iter(|| Entry::new(black_box(&key), Dot::new(ME, 7), Timestamp(1), payload.clone()));
    });
    for count in [256_u64, 4096, 100_000] {
        let dots: Vec<(u64, ContentHash)> = (1..=count).map(|seq| (seq, ContentHash([7; 16]))).collect();
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("the live root of {count} dots"), |bencher| {
            bencher.iter(|| tree::live_root(count, black_box(&dots)));
        });
    }
}

fn delta(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("delta");
    for count in [1, ROWS] {
        let (_, delta) = state(ME, count);
        let bytes = delta.encode();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("encode {count} rows"), |bencher| {
            bencher.iter(|| black_box(&delta).encode())
        });
        group.bench_function(format!("decode {count} rows"), |bencher| {
            bencher.iter(|| Delta::decode(black_box(&bytes)).expect("canonical"));
        });
    }
}

criterion_group!(micro, merge, hash, delta);
criterion_main!(micro);
