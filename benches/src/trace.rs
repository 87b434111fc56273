//! The edits by which a paper was written: where, how many characters went and how many came.
//!
//! They are those of the trace `automerge-paper` (Martin Kleppmann, automerge-perf; from josephg/editing-traces): 182,315
//! characters inserted and 77,463 deleted, nearly all one by one, on the way to a text of 104,852. Only the numbers are here:
//! what was typed is not, and letters are put in its place.
//!
//! The file is a sequence of runs, each four varints (LEB128): how often, by how many characters the place lies behind the end
//! of the edit before it (zigzag), how many characters go, how many come.

/// One edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Before which character.
    pub at: usize,
    /// How many go.
    pub delete: usize,
    /// How many come.
    pub insert: usize,
}

/// How long the text is in the end.
pub const END: usize = 104_852;

const FILE: &[u8] = include_bytes!("../data/automerge-paper.trace");

/// Letters that nothing compresses to much less than text: as many as any edit inserts.
pub fn letters(edits: &[Edit]) -> String {
    let count = edits.iter().map(|edit| edit.insert).sum();
    let letter = |number: u64| char::from(b"etaoinshrdlu "[usize::try_from(number % 13).expect("small")]);
    crate::rows::Numbers::stream(9).take(count).map(letter).collect()
}

/// All edits, in their order.
pub fn edits() -> Vec<Edit> {
    let (mut rest, mut edits, mut end) = (FILE, Vec::new(), 0_usize);
    while !rest.is_empty() {
        let [count, place, delete, insert] = [(); 4].map(|()| varint(&mut rest));
        let back = usize::try_from(place >> 1).expect("a place in a paper");
        for _ in 0..count {
            let at = if place & 1 == 0 { end + back } else { end - back - 1 };
            let edit = [delete, insert].map(|number| usize::try_from(number).expect("a part of a paper"));
            edits.push(Edit { at, delete: edit[0], insert: edit[1] });
            end = at + edit[1];
        }
    }
    edits
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..).step_by(7) {
        let (first, rest) = bytes.split_first().expect("the file is whole");
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edits_are_those_of_the_paper() {
        let edits = edits();
        assert_eq!(edits.len(), 259_778);
        let (mut length, mut inserted, mut deleted) = (0, 0, 0);
        for edit in &edits {
            assert!(edit.at + edit.delete <= length, "{edit:?} of {length}");
            length = length + edit.insert - edit.delete;
            inserted += edit.insert;
            deleted += edit.delete;
        }
        assert_eq!((length, inserted, deleted), (END, 182_315, 77_463));
    }
}
