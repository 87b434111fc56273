//! The kept trees against trees from scratch, over random histories of commits, questions and crashes.

use alloc::string::String;
use alloc::vec::Vec;

use quickcheck::{Arbitrary, Gen, quickcheck};

use super::*;
use crate::Timestamp;
use crate::row::{Entry, Kind, Object, Payload};
use crate::state::overlay::dot_value;
use crate::store::{Commit, MemoryStore};

#[derive(Clone, Debug)]
enum Act {
    /// Puts a run of dots.
    Put { replica: u8, first: u16, len: u16 },
    /// Removes a run of dots.
    Remove { replica: u8, first: u16, len: u16 },
    /// Asks for every live root.
    Ask,
    /// The commit that is being made fails.
    Fail,
    /// Opens the store again: whatever was only in memory is gone.
    Reopen,
}

impl Arbitrary for Act {
    fn arbitrary(g: &mut Gen) -> Self {
        let run = |g: &mut Gen| {
            let reach = *g.choose(&[20_u16, 300, 5_000]).unwrap();
            (
                u8::arbitrary(g) % 2,
                u16::arbitrary(g) % reach + 1,
                u16::arbitrary(g) % *g.choose(&[2, 40, 700]).unwrap(),
            )
        };
        match u8::arbitrary(g) % 8 {
            0..=2 => {
                let (replica, first, len) = run(g);
                Self::Put { replica, first, len }
            }
            3 | 4 => {
                let (replica, first, len) = run(g);
                Self::Remove { replica, first, len }
            }
            5 => Self::Ask,
            6 => Self::Fail,
            _ => Self::Reopen,
        }
    }
}

const SEQ: u64 = 8_000;

/// How far a replica got, by its live and dead dots.
type Seqs = [u64; 2];

fn replica(number: u8) -> ReplicaId {
    ReplicaId::from_u128(u128::from(number) + 1)
}

/// One commit of puts or removals, with what the tree writes; durable unless it fails.
fn commit(store: &mut MemoryStore, tree: &mut LiveTree, put: bool, run: (u8, u16, u16), durable: bool) {
    let key = Object::new(Kind::OR_SET, "s").unwrap().row(b"x").unwrap();
    let (number, first, len) = run;
    let dots: Vec<Dot> = (first..=first + len).map(|seq| Dot::new(replica(number), u64::from(seq))).collect();
    let changes = tree.changes(dots.iter().copied());
    let entry = |dot: &Dot| dot_value(&Entry::new(&key, *dot, Timestamp(1), Payload::default()), &key);
    let dots = dots.iter().map(|dot| (Table::Dots, dot.to_bytes().to_vec(), put.then(|| entry(dot))));
    let rows = changes.rows().map(|(key, value)| (Table::Tree, key, value));
    let commit = Commit::new(0, dots.chain(rows).collect());
    if durable {
        store.apply(&commit).expect("sound");
        tree.persisted(changes);
    }
}

fn is_right(store: &MemoryStore, tree: &LiveTree, seqs: Seqs) -> Result<(), String> {
    if !tree.odd.iter().eq(tree.stale.symmetric_difference(&tree.marked)) {
        return Err("marks and blocks out of date differ elsewhere than noted".into());
    }
    let mut met = 0;
    for (number, seq) in (0..2).zip(seqs) {
        tree.audit(store, Range::top(replica(number), seq), &mut met)?;
    }
    let kept = tree.node_count(store).map_err(|error| alloc::format!("{error}"))?;
    if tree.is_fresh() && met != kept { Err(alloc::format!("{kept} nodes, {met} in place")) } else { Ok(()) }
}

/// Carries out acts; `scale` divides their numbers.
fn runs(acts: Vec<Act>, leaf_dots: usize, scale: u16) -> Result<(), String> {
    let scaled = |replica, first, len| (replica, first / scale + 1, len / scale);
    let mut store = MemoryStore::new();
    let mut tree = LiveTree::open(&store, leaf_dots).unwrap();
    let mut fails = false;
    let mut seqs = [0; 2];
    for act in acts {
        match act {
            Act::Put { replica, first, len } => {
                let run = scaled(replica, first, len);
                if !fails {
                    let seq = &mut seqs[usize::from(replica)];
                    *seq = u64::from(run.1 + run.2).max(*seq);
                }
                commit(&mut store, &mut tree, true, run, !fails);
                fails = false;
            }
            Act::Remove { replica, first, len } => {
                commit(&mut store, &mut tree, false, scaled(replica, first, len), !fails);
                fails = false;
            }
            Act::Ask => {
                for (number, seq) in (0..2).zip(seqs) {
                    let kept = tree.live_root(&store, &replica(number), seq).unwrap();
                    let Live::All(dots) =
                        scan_live(&store, &Range::top(replica(number), seq), seq, usize::MAX).unwrap()
                    else {
                        return Err("no end of dots".into());
                    };
                    if leaf_dots == tree::LEAF_DOTS && kept != tree::live_root(seq, &dots) {
                        return Err("the kept root is not that from scratch".into());
                    }
                }
            }
            Act::Fail => fails = true,
            Act::Reopen => tree = LiveTree::open(&store, leaf_dots).unwrap(),
        }
        is_right(&store, &tree, seqs)?;
    }
    Ok(())
}

quickcheck! {
    fn a_kept_tree_is_the_tree_from_scratch(acts: Vec<Act>) -> Result<(), String> {
        runs(acts, tree::LEAF_DOTS, 1)
    }

    fn small_leaves_too(acts: Vec<Act>) -> Result<(), String> {
        runs(acts, 3, 16)
    }
}

#[test]
fn a_root_costs_what_changed() {
    let mut store = MemoryStore::new();
    let mut tree = LiveTree::open(&store, tree::LEAF_DOTS).unwrap();
    commit(&mut store, &mut tree, true, (0, 1, 7_000), true);
    tree.live_root(&store, &replica(0), SEQ).unwrap();
    let all = tree.unsaved.len();
    assert!(all > 28, "{all} nodes over 7,001 dots");
    // Nothing is written for the sake of the tree alone: the nodes leave with the next commit.
    commit(&mut store, &mut tree, false, (0, 300, 0), true);
    assert!(tree.unsaved.is_empty());
    tree.live_root(&store, &replica(0), SEQ).unwrap();
    assert_eq!(tree.unsaved.len(), 3, "one leaf, and what is above it");
    let opened = LiveTree::open(&store, tree::LEAF_DOTS).unwrap();
    assert_eq!(opened.stale.len(), 1, "one block was marked when the process ended");
}
