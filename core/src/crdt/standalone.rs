//! Values that stand alone: one view over rows of its own, to be merged by hand. No engine, no network, no disk.
//!
//! One struct serves every type, so there is one merge, one delta and one encoding; what the types add lies beside their
//! views.

use serde::{Deserialize, Serialize};

use super::{Draft, View};
use crate::clock::{HybridClock, VersionVector};
use crate::id::{Dot, ReplicaId};
use crate::row::{DataError, Gap, Rows, RowsDelta};

/// The path of the one object in a value that stands alone.
const PATH: &str = "value";

/// A view and its rows, written by one replica.
///
/// Two values that have received the same changes are equal, whoever holds them. [`Standalone::merge`] is commutative,
/// associative and idempotent; [`Standalone::delta_since`] gives only what somebody else lacks.
///
/// Every replica that writes needs an id of its own. **A clone writes under the same id**: it is good for reading and for
/// sending, but when a clone and its original both write, they use the same dots for different writes, and merging them
/// loses one side's. To write on both sides, [`fork`](Standalone::fork).
///
/// Times are those of a Lamport clock: no wall clock is read, and a write is later than all that was merged before it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(serialize = "", deserialize = "V: View"))]
pub struct Standalone<V> {
    replica: ReplicaId,
    clock: HybridClock,
    rows: Rows,
    #[serde(skip, default = "view")]
    view: V,
}

fn view<V: View>() -> V {
    V::at(PATH).expect("the path is sound")
}

impl<V: View> Standalone<V> {
    /// An empty value, to be written by `replica`.
    pub fn new(replica: ReplicaId) -> Self {
        Self { replica, clock: HybridClock::default(), rows: Rows::new(), view: view() }
    }

    /// The same value, to be written by another replica.
    #[must_use]
    pub fn fork(&self, replica: ReplicaId) -> Self {
        Self { replica, clock: self.clock, rows: self.rows.clone(), view: view() }
    }

    /// Who writes here.
    pub const fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// The view, for reads that this value has no method for.
    pub const fn view(&self) -> &V {
        &self.view
    }

    /// The rows that hold it.
    pub const fn rows(&self) -> &Rows {
        &self.rows
    }

    /// What was received so far.
    pub const fn version_vector(&self) -> &VersionVector {
        self.rows.version_vector()
    }

    /// Writes through the view as one transaction: all of it, or nothing if it fails.
    pub fn write<T>(
        &mut self,
        act: impl FnOnce(&V, &mut Draft<'_, Rows>) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        let mut clock = self.clock;
        let timestamp = clock.tick(0);
        let next = Dot::new(self.replica, self.version_vector().seq(&self.replica).saturating_add(1));
        let mut draft = Draft::new(&self.rows, next, timestamp);
        let result = act(&self.view, &mut draft)?;
        let writes = draft.into_writes();
        if !writes.rows.is_empty() {
            self.rows.commit(self.replica, timestamp, writes)?;
            self.clock = clock;
        }
        Ok(result)
    }

    /// Takes over what another replica's value has and this one lacks.
    pub fn merge(&mut self, other: &Self) {
        self.merge_delta(&other.delta_since(self.version_vector()))
            .expect("the delta was made for this value");
    }

    /// What somebody lacks who has received `since`.
    pub fn delta_since(&self, since: &VersionVector) -> RowsDelta {
        self.rows.delta_since(since)
    }

    /// Takes over a delta. One that starts beyond what was received here is refused, and nothing changes.
    pub fn merge_delta(&mut self, delta: &RowsDelta) -> Result<(), Gap> {
        self.rows.merge_delta(delta)?;
        self.clock.observe(delta.timestamp(), 0);
        Ok(())
    }
}

/// Equal data: the same received, the same live. Who writes on each side does not matter.
impl<V> PartialEq for Standalone<V> {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

impl<V> Eq for Standalone<V> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode, encode};
    use crate::crdt::{LwwMap, OrSet};
    use crate::value::Value;

    const A: ReplicaId = ReplicaId::from_u128(1);
    const B: ReplicaId = ReplicaId::from_u128(2);

    #[test]
    fn a_value_is_the_same_after_a_rest_in_any_format() {
        let mut map = LwwMap::new(A);
        map.put("k", Value::Bytes(alloc::vec![0, 255])).unwrap();
        map.merge(&map.fork(B));
        map.put(3, "x").unwrap();
        map.remove(3).unwrap();
        let from_postcard: LwwMap = decode(&encode(&map)).unwrap();
        let json = serde_json::to_string(&map).unwrap();
        let from_json: LwwMap = serde_json::from_str(&json).unwrap();
        for mut back in [from_postcard, from_json] {
            assert_eq!(back, map);
            assert_eq!((back.replica(), back.clock), (A, map.clock));
            // Both go on as the original would.
            back.put("k", 2).unwrap();
            assert_eq!(back.version_vector().seq(&A), 4);
        }
    }

    #[test]
    fn a_delta_that_leaves_a_hole_is_refused_and_one_that_fits_is_enough() {
        let mut a = OrSet::new(A);
        a.insert(1).unwrap();
        let first = a.version_vector().clone();
        a.insert(2).unwrap();
        let second = a.delta_since(&first);
        let mut b = OrSet::new(B);
        assert_eq!(b.merge_delta(&second), Err(Gap));
        assert!(b.is_empty());
        b.merge_delta(&a.delta_since(b.version_vector())).unwrap();
        assert_eq!(b, a);
    }
}
