//! The entries of a bulk's chunk, as columns: how many; gaps between their seqs; times; keys; payloads.

use alloc::vec::Vec;

use crate::limits::{CHUNK_ENTRIES, FRAME_BYTES, KEY_BYTES, PAYLOAD_BYTES};
use crate::row::{Payload, RowKey};
use crate::sync::frame::column::{Columnar, Columns, Texts, Times, push};

/// A live entry of the chunk's replica. They come by rising seq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BulkEntry {
    pub(crate) seq: u64,
    pub(crate) timestamp: u64,
    pub(crate) key: RowKey,
    pub(crate) payload: Payload,
}

impl Columnar for BulkEntry {
    fn write(items: &[Self]) -> Vec<u8> {
        let (mut gaps, mut next) = (Vec::new(), 0);
        let (mut times, mut keys, mut payloads) = (Times::default(), Texts::default(), Texts::default());
        for entry in items {
            push(&mut gaps, entry.seq - next);
            next = entry.seq + 1;
            times.push(entry.timestamp);
            keys.push(entry.key.as_bytes());
            payloads.push(&entry.payload);
        }
        let mut all = Vec::new();
        push(&mut all, items.len() as u64);
        all.extend(gaps);
        times.end(&mut all);
        keys.end(&mut all);
        payloads.end(&mut all);
        all
    }

    fn read(mut columns: Columns<'_>) -> Option<Vec<Self>> {
        let count = columns.count(CHUNK_ENTRIES)?;
        let (mut gaps, mut times) = (columns.numbers(count)?, columns.times(count)?);
        let mut keys = columns.texts(count, KEY_BYTES)?;
        let mut payloads = columns.texts(count, PAYLOAD_BYTES)?;
        let (mut next, mut budget) = (0_u64, FRAME_BYTES);
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let seq = next.checked_add(gaps.next()?)?;
            next = seq.checked_add(1)?;
            let timestamp = times.next()?;
            let key = RowKey::from_bytes(keys.next(&mut budget)?).ok()?;
            let payload = Payload::new(payloads.next(&mut budget)?)?;
            entries.push(Self { seq, timestamp, key, payload });
        }
        columns.is_empty().then_some(entries)
    }
}
