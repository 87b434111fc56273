//! The observed-remove set.
//!
//! Problem: a set that replicas add to and remove from at once, without tombstones for what was removed.
//!
//! Idea: a row for each element, with an empty payload; the element is in the set while its row has a live entry. A
//! removal kills the entries that its writer saw, and nothing else (Bieniusa et al., An optimized conflict-free replicated
//! set, arXiv 1210.3368).
//!
//! Concurrent cases: *add and remove*, the add wins, since the remove could not kill what it had not seen. That holds for
//! adding an element which is already there as well: it writes a new entry, so an add always costs one entry on the wire,
//! and at rest nothing, since it replaces the old one. Ask [`OrSetView::contains`] first where that is too much. *Add and
//! add*: one element with two live entries, until somebody adds it again.

use core::ops::ControlFlow;
use core::time::Duration;

use super::view::view;
use super::{Keys, Standalone, view as rows_of};
use crate::row::{DataError, Payload, ReadRows, WriteRows};
use crate::value::{Value, decode_element};

view!(
    /// A set where add wins. See the [module page](crate::crdt).
    OrSetView, OR_SET
);

/// An [`OrSetView`] that stands alone.
pub type OrSet = Standalone<OrSetView>;

impl OrSetView {
    /// Adds an element. One that is already there is added anew, so that this add survives a concurrent removal.
    pub fn insert<W: WriteRows>(&self, rows: &mut W, element: impl Into<Value>) -> Result<(), W::Error> {
        rows.put(rows_of::row_of(&self.0, &element.into())?, Payload::default())
    }

    /// Adds an element for some time; see [`expiry`](crate::row::expiry()). Where others add it too it stays until the last of
    /// them has expired.
    pub fn insert_for<W: WriteRows>(
        &self,
        rows: &mut W,
        element: impl Into<Value>,
        time_to_live: Duration,
    ) -> Result<(), W::Error> {
        let payload = rows_of::payload_for(rows, &Payload::default(), time_to_live)?;
        rows.put(rows_of::row_of(&self.0, &element.into())?, payload)
    }

    /// Removes an element as far as the writer sees it. Nothing is written for one that is not there.
    pub fn remove<W: WriteRows>(&self, rows: &mut W, element: impl Into<Value>) -> Result<(), W::Error> {
        rows.remove(rows_of::row_of(&self.0, &element.into())?)
    }

    /// Whether the element is there.
    pub fn contains<R: ReadRows>(&self, rows: &R, element: impl Into<Value>) -> Result<bool, R::Error> {
        Ok(!rows.entries(&rows_of::row_of(&self.0, &element.into())?)?.is_empty())
    }

    /// Visits elements in order until the visitor breaks.
    pub fn visit<R: ReadRows>(
        &self,
        rows: &R,
        keys: &Keys,
        mut visitor: impl FnMut(Value) -> ControlFlow<()>,
    ) -> Result<(), R::Error> {
        rows_of::scan(&self.0, rows, keys, |element, _| match decode_element(element) {
            Ok(element) => visitor(element),
            Err(_) => ControlFlow::Continue(()),
        })
    }

    /// How many elements there are. Reads all of them.
    pub fn len<R: ReadRows>(&self, rows: &R) -> Result<usize, R::Error> {
        let mut count = 0;
        self.visit(rows, &Keys::All, |_| {
            count += 1;
            ControlFlow::Continue(())
        })?;
        Ok(count)
    }

    /// Whether there is no element.
    pub fn is_empty<R: ReadRows>(&self, rows: &R) -> Result<bool, R::Error> {
        let mut empty = true;
        self.visit(rows, &Keys::All, |_| {
            empty = false;
            ControlFlow::Break(())
        })?;
        Ok(empty)
    }
}

impl OrSet {
    /// Adds an element; see [`OrSetView::insert`].
    pub fn insert(&mut self, element: impl Into<Value>) -> Result<(), DataError> {
        self.write(|view, rows| view.insert(rows, element))
    }

    /// Removes an element; see [`OrSetView::remove`].
    pub fn remove(&mut self, element: impl Into<Value>) -> Result<(), DataError> {
        self.write(|view, rows| view.remove(rows, element))
    }

    /// Whether the element is there. What is too long to be an element is not.
    pub fn contains(&self, element: impl Into<Value>) -> bool {
        self.view().contains(self.rows(), element).unwrap_or(false)
    }

    /// The elements, in order.
    pub fn elements(&self) -> alloc::vec::Vec<Value> {
        let mut elements = alloc::vec::Vec::new();
        let all = self.view().visit(self.rows(), &Keys::All, |element| {
            elements.push(element);
            ControlFlow::Continue(())
        });
        all.expect("a whole set can be read");
        elements
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.view().len(self.rows()).expect("a whole set can be read")
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.view().is_empty(self.rows()).expect("a whole set can be read")
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::clock::Timestamp;
    use crate::id::ReplicaId;

    const ME: ReplicaId = ReplicaId::from_u128(1);

    #[test]
    fn an_add_of_what_is_there_survives_a_concurrent_removal() {
        let mut a = OrSet::new(ME);
        a.insert("red").unwrap();
        let mut b = a.fork(ReplicaId::from_u128(2));
        a.remove("red").unwrap();
        b.insert("red").unwrap();
        a.merge(&b);
        assert_eq!(a.elements(), [Value::from("red")]);
        assert_eq!(a.rows().iter().map(|(_, row)| row.len()).sum::<usize>(), 1);
    }

    #[test]
    fn elements_come_in_order_and_in_ranges_and_strangers_are_left_out() {
        let mut set = OrSet::new(ME);
        for number in [300, -2, 5] {
            set.insert(number).unwrap();
        }
        for text in ["b/1", "a", "b/2", "c"] {
            set.insert(text).unwrap();
        }
        // An element of a version to come.
        let stranger = set.view().object().row(&[0xee, 1]).unwrap();
        set.write(|_, rows| rows.put(stranger, Payload::default())).unwrap();
        let read = |keys: Keys| {
            let mut out = Vec::new();
            set.view()
                .visit(set.rows(), &keys, |element| {
                    out.push(element);
                    ControlFlow::Continue(())
                })
                .unwrap();
            out
        };
        let text = |texts: &[&str]| texts.iter().map(|text| Value::from(*text)).collect::<Vec<_>>();
        assert_eq!(read(Keys::Prefix("b/".into())), text(&["b/1", "b/2"]));
        assert_eq!(read(Keys::From("b/2".into())), text(&["b/2", "c"]));
        assert_eq!(read(Keys::All)[..3], [Value::Int(-2), Value::Int(5), Value::Int(300)]);
        assert_eq!((set.len(), set.is_empty()), (7, false));
        assert!(set.rows().iter().all(|(_, row)| row[0].timestamp() > Timestamp(0)));
    }

    #[test]
    fn what_cannot_be_an_element_is_refused_and_is_not_there() {
        let mut set = OrSet::new(ME);
        let long = "x".repeat(2000);
        assert!(matches!(set.insert(long.as_str()), Err(DataError::Value(_))));
        assert!(!set.contains(long.as_str()) && set.is_empty() && set.version_vector().is_empty());
        set.remove("absent").unwrap();
        assert!(set.version_vector().is_empty(), "nothing was there, nothing was done");
    }
}
