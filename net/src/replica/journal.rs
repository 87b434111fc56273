//! A space in memory whose commits a host keeps, one record after another: what a browser can do, where no call may wait.
//!
//! The host appends, and gives all records back in that order when the space is opened again. It may replace them by those of
//! an [`image`] at any time, all at once.

use futures::future::BoxFuture;
use rejoin_core::codec::{self, BoundedBytes, BoundedVec};
use rejoin_core::store::{Changes, Commit, MemoryStore, Store, StoreError, Table};

/// Keeps records.
pub trait Journal: Send + Sync {
    /// Makes a record durable, after all before it. An error means that nothing of it is there.
    fn append(&self, record: Vec<u8>) -> BoxFuture<'static, Result<(), StoreError>>;
}

/// Bytes of an image that one record holds, about.
const IMAGE_BYTES: usize = 1024 * 1024;
/// Bytes of the check at the end of a record.
const CHECK: usize = 8;
const MOST: usize = u32::MAX as usize;

type Bytes = BoundedBytes<MOST>;
/// Number of the table, key, and the new value or nothing.
type Kept = BoundedVec<(u8, Bytes, Option<Bytes>), MOST>;

/// The changes of a commit as a record: postcard, and eight bytes of BLAKE3 over it.
pub fn record(changes: &Changes) -> Vec<u8> {
    let bytes = |bytes: &[u8]| Bytes::new(bytes.to_vec()).expect("no key and no value has 4 GiB");
    let kept = changes.iter().map(|(table, key, value)| (table as u8, bytes(key), value.map(bytes)));
    let mut record = codec::encode(&Kept::new(kept.collect()).expect("no commit has 2^32 changes"));
    let check = blake3::hash(&record);
    record.extend_from_slice(&check.as_bytes()[..CHECK]);
    record
}

/// Carries a record out again.
pub fn replay(store: &mut MemoryStore, record: &[u8]) -> Result<(), StoreError> {
    let damaged = |what: &str| StoreError::Damaged(format!("a record of the journal {what}"));
    let (body, check) = record.split_last_chunk::<CHECK>().ok_or_else(|| damaged("is cut off"))?;
    if blake3::hash(body).as_bytes()[..CHECK] != check[..] {
        return Err(damaged("is not what was written"));
    }
    let kept: Kept = codec::decode(body).map_err(|_| damaged("is of another version"))?;
    let mut changes = Changes::default();
    for (table, key, value) in kept.into_vec() {
        let table = Table::ALL.get(usize::from(table)).ok_or_else(|| damaged("is of a later version"))?;
        let value = value.map(Bytes::into_vec);
        changes.push(*table, &key.into_vec(), value.as_deref());
    }
    store.apply(&Commit { id: 0, changes, merge: None }).map(drop)
}

/// Records that make all of a store, for a journal that has grown long.
pub fn image(store: &MemoryStore) -> Result<Vec<Vec<u8>>, StoreError> {
    let (mut records, mut changes, mut bytes) = (Vec::new(), Changes::default(), 0);
    for table in Table::ALL {
        store.scan(table, &[], &mut |key, value| {
            changes.push(table, key, Some(value));
            bytes += key.len() + value.len();
            if bytes >= IMAGE_BYTES {
                records.push(record(&std::mem::take(&mut changes)));
                bytes = 0;
            }
            std::ops::ControlFlow::Continue(())
        })?;
    }
    if !changes.is_empty() {
        records.push(record(&changes));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use rejoin_core::store::Change;

    use super::*;

    fn changes(changes: &[Change]) -> Changes {
        changes.iter().cloned().collect()
    }

    #[test]
    fn records_give_the_store_again_and_so_does_its_image() {
        let (mut store, mut again, mut from_image) =
            (MemoryStore::new(), MemoryStore::new(), MemoryStore::new());
        for n in 0..200_u8 {
            let gone = (Table::Log, vec![n.wrapping_sub(3)], None);
            let put = (Table::Meta, vec![n], Some(vec![n; 20_000]));
            let changes = changes(&[gone, put, (Table::Log, vec![n], Some(Vec::new()))]);
            replay(&mut again, &record(&changes)).expect("sound");
            store.apply(&Commit { id: 0, changes, merge: None }).expect("memory takes it");
        }
        assert_eq!(format!("{again:?}"), format!("{store:?}"));
        let image = image(&store).expect("memory is read");
        assert!(image.len() > 3 && image.iter().all(|record| record.len() < IMAGE_BYTES + 50_000));
        image.iter().for_each(|record| replay(&mut from_image, record).expect("sound"));
        assert_eq!(format!("{from_image:?}"), format!("{store:?}"));
    }

    #[test]
    fn any_flipped_bit_is_noticed_and_nothing_is_applied() {
        let sound =
            record(&changes(&[(Table::Rows, vec![1, 2, 3], Some(vec![4, 5])), (Table::Dots, vec![6], None)]));
        for bit in 0..sound.len() * 8 {
            let mut damaged = sound.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let mut store = MemoryStore::new();
            assert!(matches!(replay(&mut store, &damaged), Err(StoreError::Damaged(_))), "{bit}");
            assert_eq!(format!("{store:?}"), format!("{:?}", MemoryStore::new()));
        }
        for cut in 0..sound.len() {
            assert!(replay(&mut MemoryStore::new(), &sound[..cut]).is_err());
        }
    }
}
