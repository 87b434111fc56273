//! Bytes as the canonical form of a delta.

use std::sync::OnceLock;

use rejoin::core::row::{Delta, Rows};
use rejoin::core::{ReplicaId, Timestamp};

use crate::host::{payload, row};

/// Decodes; what decodes encodes to the same bytes, and fits into a small state whole or not at all.
pub fn deltas(data: &[u8]) {
    let Ok(delta) = Delta::decode(data) else { return };
    assert_eq!(delta.encode(), data, "one meaning, one encoding");
    assert!(delta.len >= 1 && delta.first_seq >= 1, "burns a dot");
    assert_eq!(delta.entries().count(), delta.puts.len());
    let mut rows = base().0.clone();
    let before = rows.clone();
    if before.version_vector().contains(&delta.last()) {
        assert_eq!(rows.apply(&delta), Ok(()));
        assert_eq!(rows, before, "what is known changes nothing");
    } else if rows.apply(&delta).is_ok() {
        rows.check();
        assert!(rows.version_vector().contains(&delta.last()), "an applied delta is seen");
        // Merged as a state it says the same.
        let mut merged = before.clone();
        merged.merge(&rows);
        assert_eq!(merged, rows);
    } else {
        assert_eq!(rows, before, "a refused delta leaves no trace");
    }
}

/// A state that deltas may fit onto, and deltas that do.
pub(crate) fn base() -> &'static (Rows, Vec<Delta>) {
    static BASE: OnceLock<(Rows, Vec<Delta>)> = OnceLock::new();
    BASE.get_or_init(|| {
        let put = |rows: &mut Rows, by: u128, at: u64, number: u8| {
            let writes = [(row(number), Some(payload("text")))];
            rows.commit(ReplicaId::from_u128(by), Timestamp(at), writes).expect("a small transaction")
        };
        let mut rows = Rows::new();
        put(&mut rows, 1, 1, 1);
        put(&mut rows, 2, 2, 2);
        let base = rows.clone();
        let mut fitting = vec![put(&mut rows, 1, 3, 2), put(&mut rows, 3, 4, 3)];
        let clears = [(row(1), None), (row(2), None), (row(4), Some(payload("more")))];
        let by = ReplicaId::from_u128(2);
        fitting.push(base.clone().commit(by, Timestamp(5), clears).expect("a small transaction"));
        (base, fitting)
    })
}
