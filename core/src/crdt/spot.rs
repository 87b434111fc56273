//! Spots in a list: keys between any two of which there is always another one.
//!
//! Problem: replicas insert at the same place of a list at the same time. Keys that are fractions mix up what they typed,
//! letter by letter, and grow with every insertion.
//!
//! Idea: the order of Fugue (Weidner and Kleppmann, The art of the Fugue: minimizing interleaving in collaborative text
//! editing, arXiv 2305.00583) without its tree: a spot holds its path from the root, so nothing that was removed has to be
//! kept for others to stand beside it. A path is a sequence of steps. A step names a *run* and an index in it: a run belongs
//! to one replica, which goes on in it, upwards or downwards, as long as it inserts beside its own; so typing costs a larger
//! number and not a longer path. Whoever inserts beside another's item begins a run on its left or right side. What one
//! replica inserts in a row therefore lies side by side, whatever others insert there meanwhile.
//!
//! | bytes of a step | meaning |
//! |---|---|
//! | 4 | who began the run: the beginning of the hash of its replica id |
//! | 1 to 9, ascending | a seq that it had then |
//! | 1 to 9, ascending | index, from a negative one on |
//! | 1 | 0: the next step lies on the left of this one; 1: the end; 2: on the right |
//!
//! No step begins with another, so spots compare as their bytes.

use alloc::vec::Vec;

use crate::id::{Dot, ReplicaId, domain, hash};

/// Longest spot: an item that a hundred others are nested around.
pub(super) const SPOT_BYTES: usize = 1024;

const LEFT: u8 = 0;
const END: u8 = 1;
const RIGHT: u8 = 2;

/// A run: who began it, and when by its own count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    author: [u8; 4],
    seq: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    run: Run,
    index: i64,
    /// Where the next step lies, or the end.
    side: u8,
}

/// A place in a list. Compares as items are shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot(Vec<u8>);

impl Spot {
    /// The spot with these bytes, if they are one.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= SPOT_BYTES && steps(bytes).is_some()).then(|| Self(bytes.to_vec()))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A spot between two neighbours, or at an end, for one who inserts there. `fresh` is a dot that is used for nothing
    /// else. `None` when it would be too long.
    pub(super) fn between(left: Option<&Self>, right: Option<&Self>, fresh: Dot) -> Option<Self> {
        let author = tag(&fresh.replica);
        let fits =
            |spot: &Self| left.is_none_or(|left| left < spot) && right.is_none_or(|right| spot < right);
        let own = |neighbour: Option<&Self>, by: i64| {
            let steps = neighbour.map(|spot| steps(&spot.0).expect(SOUND)).unwrap_or_default();
            (1..=steps.len()).rev().find_map(|depth| {
                let (last, before) = steps[..depth].split_last()?;
                let index = last.index.checked_add(by).filter(|_| last.run.author == author)?;
                Some(spell(before, Step { index, side: END, ..*last })).filter(&fits)
            })
        };
        let spot = own(left, 1).or_else(|| own(right, -1)).unwrap_or_else(|| {
            let begun = Step { run: Run { author, seq: fresh.seq }, index: 0, side: END };
            let (neighbour, side) = match (left, right) {
                (None, None) => return spell(&[], begun),
                (Some(left), Some(right)) if right.is_right_of(left) => (right, LEFT),
                (Some(left), _) => (left, RIGHT),
                (None, Some(right)) => (right, LEFT),
            };
            let mut steps = steps(&neighbour.0).expect(SOUND);
            steps.last_mut().expect(SOUND).side = side;
            spell(&steps, begun)
        });
        (spot.0.len() <= SPOT_BYTES).then_some(spot)
    }

    /// So many spots between two neighbours, ascending, each a step further in one run. One is as long as it may be; more than one
    /// take half of that at most, so that there is room again. `None` when they would be longer.
    pub(super) fn run_between(
        left: Option<&Self>,
        right: Option<&Self>,
        fresh: Dot,
        count: usize,
    ) -> Option<Vec<Self>> {
        let most = if count > 1 { SPOT_BYTES / 2 } else { SPOT_BYTES };
        let mut spots: Vec<Self> = Vec::with_capacity(count);
        while spots.len() < count {
            let spot = Self::between(spots.last().or(left), right, fresh)?;
            if spot.0.len() > most {
                return None;
            }
            spots.push(spot);
        }
        Some(spots)
    }

    /// Whether its path goes through another spot, to the right.
    fn is_right_of(&self, other: &Self) -> bool {
        let (_, path) = other.0.split_last().expect(SOUND);
        self.0.strip_prefix(path).is_some_and(|rest| rest.first() == Some(&RIGHT))
    }
}

const SOUND: &str = "a spot has at least one step";

fn tag(replica: &ReplicaId) -> [u8; 4] {
    let hash = hash(domain::LIST_RUN, &[replica.as_bytes()]);
    *hash.first_chunk().expect("a hash is longer")
}

fn spell(before: &[Step], last: Step) -> Spot {
    let mut bytes = Vec::new();
    for step in before.iter().chain([&last]) {
        bytes.extend_from_slice(&step.run.author);
        push_unsigned(step.run.seq, &mut bytes);
        push_signed(step.index, &mut bytes);
        bytes.push(step.side);
    }
    Spot(bytes)
}

/// The steps of a spot; at least one, and only the last one is an end.
fn steps(mut bytes: &[u8]) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    loop {
        let (author, rest) = bytes.split_first_chunk()?;
        bytes = rest;
        let (seq, index) = (take_unsigned(&mut bytes)?, take_signed(&mut bytes)?);
        let (&side, rest) = bytes.split_first()?;
        bytes = rest;
        steps.push(Step { run: Run { author: *author, seq }, index, side });
        match side {
            LEFT | RIGHT => {}
            END if bytes.is_empty() => return Some(steps),
            _ => return None,
        }
    }
}

/// Numbers below this are one byte.
const SMALL: u8 = 240;
/// From minus this up to below it, indices are one byte: these.
const NEAR: i8 = 64;
const MIDDLE: u8 = 128;
const LEAST: u8 = MIDDLE.wrapping_add_signed(-NEAR);
const MOST: u8 = MIDDLE.wrapping_add_signed(NEAR - 1);

/// A byte that says how many follow, counted on from `base`, and the number in so many.
fn push_wide(base: u8, number: u64, bytes: &mut Vec<u8>) {
    let all = number.to_be_bytes();
    let wide = &all[number.leading_zeros() as usize / 8..];
    bytes.push(base + u8::try_from(wide.len()).expect("at most eight bytes"));
    bytes.extend_from_slice(wide);
}

fn take_wide(width: u8, bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let (wide, rest) = bytes.split_at_checked(width.into())?;
    *bytes = rest;
    Some(wide.to_vec())
}

/// A number of one to eight bytes that begins with no zero.
fn number(wide: &[u8]) -> Option<u64> {
    let is_shortest = wide.first().is_some_and(|byte| *byte != 0);
    is_shortest.then(|| wide.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn push_unsigned(number: u64, bytes: &mut Vec<u8>) {
    match u8::try_from(number) {
        Ok(small) if small < SMALL => bytes.push(small),
        _ => push_wide(SMALL - 1, number, bytes),
    }
}

fn take_unsigned(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    match first.checked_sub(SMALL - 1) {
        None | Some(0) => Some(first.into()),
        Some(width @ 1..=8) => number(&take_wide(width, bytes)?).filter(|number| *number >= SMALL.into()),
        Some(_) => None,
    }
}

fn push_signed(number: i64, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    match i8::try_from(number) {
        Ok(near) if (-NEAR..NEAR).contains(&near) => bytes.push(MIDDLE.wrapping_add_signed(near)),
        _ if number > 0 => push_wide(MOST, number.unsigned_abs(), bytes),
        // The further below zero, the smaller: wider ones first, and their bytes turned.
        _ => {
            push_wide(0, number.unsigned_abs(), bytes);
            bytes[start] = LEAST - bytes[start];
            bytes[start + 1..].iter_mut().for_each(|byte| *byte = !*byte);
        }
    }
}

fn take_signed(bytes: &mut &[u8]) -> Option<i64> {
    let (&first, rest) = bytes.split_first()?;
    *bytes = rest;
    let index = match first {
        LEAST..=MOST => return Some(i64::from(first) - i64::from(MIDDLE)),
        _ if (MOST + 1..=MOST + 8).contains(&first) => {
            i64::try_from(number(&take_wide(first - MOST, bytes)?)?).ok()?
        }
        _ if (LEAST - 8..LEAST).contains(&first) => {
            let mut wide = take_wide(LEAST - first, bytes)?;
            wide.iter_mut().for_each(|byte| *byte = !*byte);
            0_i64.checked_sub_unsigned(number(&wide)?)?
        }
        _ => return None,
    };
    // One that fits in one byte is written in one.
    (!(-i64::from(NEAR)..i64::from(NEAR)).contains(&index)).then_some(index)
}

#[cfg(test)]
mod tests {
    use quickcheck::{TestResult, quickcheck};

    use super::*;

    fn dot(replica: u8, seq: u64) -> Dot {
        Dot::new(ReplicaId::from_u128(replica.into()), seq)
    }

    fn seqs() -> impl Iterator<Item = u64> {
        (1..).step_by(97)
    }

    quickcheck! {
        fn numbers_sort_as_their_bytes_and_come_back(one: i64, other: i64, shift: u8) -> bool {
            let (one, other) = (one >> (shift % 64), other >> (shift % 61));
            let signed = |number: i64| { let mut bytes = Vec::new(); push_signed(number, &mut bytes); bytes };
            let unsigned = |number: u64| { let mut bytes = Vec::new(); push_unsigned(number, &mut bytes); bytes };
            let size = i64::unsigned_abs;
            let comes_back = take_signed(&mut signed(one).as_slice()) == Some(one)
                && take_unsigned(&mut unsigned(size(one)).as_slice()) == Some(size(one));
            comes_back
                && signed(one).cmp(&signed(other)) == one.cmp(&other)
                && unsigned(size(one)).cmp(&unsigned(size(other))) == size(one).cmp(&size(other))
        }

        fn there_is_always_a_spot_between_two(choices: Vec<(u8, u8)>) -> bool {
            let mut spots: Vec<Spot> = Vec::new();
            choices.into_iter().zip(seqs()).all(|((at, replica), seq)| {
                let at = usize::from(at) % (spots.len() + 1);
                let (left, right) = (at.checked_sub(1).map(|left| &spots[left]), spots.get(at));
                let spot = Spot::between(left, right, dot(replica % 3, seq)).unwrap();
                let sound = Spot::from_bytes(spot.as_bytes()) == Some(spot.clone());
                spots.insert(at, spot);
                sound && spots.is_sorted_by(|one, other| one < other)
            })
        }

        fn bytes_that_are_no_spot_are_refused_and_do_no_harm(bytes: Vec<u8>, cut: usize) -> TestResult {
            let spot = Spot::between(None, None, dot(1, 9)).unwrap();
            let spot = Spot::between(Some(&spot), None, dot(2, 500)).unwrap();
            let cut = cut % spot.as_bytes().len();
            let _ = Spot::from_bytes(&bytes);
            TestResult::from_bool(Spot::from_bytes(&spot.as_bytes()[..cut]).is_none())
        }
    }

    #[test]
    fn the_ends_of_numbers_sort() {
        let ends =
            [i64::MIN, i64::MIN + 1, -65_537, -257, -256, -65, -64, -1, 0, 1, 63, 64, 255, 256, i64::MAX];
        let bytes = ends.map(|number| {
            let mut bytes = Vec::new();
            push_signed(number, &mut bytes);
            assert_eq!(take_signed(&mut bytes.as_slice()), Some(number));
            bytes
        });
        assert!(bytes.is_sorted());
    }

    #[test]
    fn typing_forwards_or_backwards_or_in_turns_at_the_end_does_not_lengthen_spots() {
        for forwards in [true, false] {
            for writers in [1, 2] {
                let mut last: Option<Spot> = None;
                for (step, seq) in (0..10_000).zip(seqs()) {
                    let fresh = dot(u8::from(step % writers == 1), seq);
                    let spot = match &last {
                        last if forwards => Spot::between(last.as_ref(), None, fresh),
                        last => Spot::between(None, last.as_ref(), fresh),
                    };
                    last = spot;
                    assert!(last.as_ref().unwrap().as_bytes().len() <= 30, "step {step} of {writers}");
                }
            }
        }
    }

    #[test]
    fn what_two_insert_at_one_place_is_not_mixed() {
        let ends = [Spot::between(None, None, dot(9, 1)).unwrap()];
        let ends = [ends[0].clone(), Spot::between(Some(&ends[0]), None, dot(9, 2)).unwrap()];
        for forwards in [true, false] {
            let runs = [1, 2].map(|replica| {
                let mut run: Vec<Spot> = Vec::new();
                for seq in 10..30 {
                    let (left, right) = if forwards {
                        (run.last().unwrap_or(&ends[0]), &ends[1])
                    } else {
                        (&ends[0], run.first().unwrap_or(&ends[1]))
                    };
                    let spot = Spot::between(Some(left), Some(right), dot(replica, seq)).unwrap();
                    run.insert(if forwards { run.len() } else { 0 }, spot);
                }
                run
            });
            let [one, other] = &runs;
            assert!(one.is_sorted() && other.is_sorted());
            assert!(one.last() < other.first() || other.last() < one.first(), "forwards: {forwards}");
        }
    }
}
