//! Branches as replicas of their own, where the logs of two stores tell where histories part.
//!
//! An entry belongs to the branches that contain the delta that put it. Naming each branch (by a hash of the old id and of
//! its first chain) is the same as naming each entry by its delta, which is what the model does. A store keeps, from the
//! split on, the chains of both branches since they parted, and ships them: whoever meets one of them later can place
//! itself. That is generous to this rule.
//!
//! Where the fork point is not known, or one history was silently taken for a part of the other, nobody can say which
//! branch an entry belongs to, and guesses of two stores could differ. So the id then falls back to merging by dot, for good
//! and for everybody who hears of it: per dot unseen < live by rising hash < dead, and the dot of a split id is as dead as
//! in the branch where it is most dead, so the fallback commutes with everything else.

use super::merge::{Mode, content_hash};
use super::relation::{Relation, relate};
use super::rule::Rule;
use super::store::{Entry, Head, Place, Store};
use super::truth::{Chain, Replica, Truth};

/// How two stores that hold these heads of an id exchange it.
pub(super) fn mode(truth: &Truth, mine: &[Head], theirs: &[Head], rule: &Rule) -> Mode {
    let mut mode = if mine.len() > 1 || theirs.len() > 1 { Mode::Branches } else { Mode::Plain };
    for head in theirs.iter().filter(|_| !mine.is_empty()) {
        match place(truth, mine, head, rule) {
            Mode::Plain => {}
            other => mode = other,
        }
        if mode == Mode::Mixed {
            break;
        }
    }
    mode
}

/// Whether a head continues a known branch, is a new one, or cannot be placed.
fn place(truth: &Truth, mine: &[Head], head: &Head, rule: &Rule) -> Mode {
    let mut deepest: Option<(u64, bool)> = None;
    let mut wrong = false;
    for held in mine {
        match relate(truth, held, head, rule) {
            Relation::Same | Relation::Behind | Relation::Ahead => return Mode::Plain,
            Relation::Assumed { true_prefix: true } => return Mode::Plain,
            Relation::Assumed { true_prefix: false } => wrong = true,
            Relation::Fork { at } => {
                let depth = truth.seq(truth.common(held.chain, head.chain));
                if deepest.is_none_or(|(other, _)| depth > other) {
                    deepest = Some((depth, at.is_some()));
                }
            }
        }
    }
    match deepest {
        Some((_, true)) if !wrong => Mode::Branches,
        _ => Mode::Mixed,
    }
}

fn covers(truth: &Truth, heads: &[Head], chain: Chain) -> bool {
    heads.iter().any(|head| truth.is_within(chain, head.chain))
}

/// Joins an id whose branches are kept apart. Says whether it was split by this.
pub(super) fn join(truth: &Truth, into: &mut Store, from: &Store, id: Replica) -> bool {
    let theirs = from.heads_of(id);
    for (entry, place) in into.entries(id, 1, u64::MAX) {
        if covers(truth, theirs, place.chain) && !from.live.contains_key(&entry) {
            into.live.remove(&entry);
        }
    }
    for (entry, place) in from.entries(id, 1, u64::MAX) {
        if !covers(truth, into.heads_of(id), place.chain) {
            into.live.insert(entry, place);
        }
    }
    let heads = into.heads.entry(id).or_default();
    let before = heads.len();
    for head in theirs {
        join_head(truth, heads, head);
    }
    for head in heads.iter_mut() {
        head.floor = head.seq;
    }
    before <= 1 && heads.len() > 1
}

fn join_head(truth: &Truth, heads: &mut Vec<Head>, head: &Head) {
    if heads.iter().any(|held| held.chain != head.chain && truth.is_within(head.chain, held.chain)) {
        return;
    }
    let behind = heads.iter().position(|held| truth.is_within(held.chain, head.chain));
    match behind {
        Some(at) => {
            let held = heads[at];
            let joined = head.window <= held.seq;
            let window = if joined { head.window.min(held.window) } else { head.window };
            heads[at] = Head { window, ..*head };
            // Others may lie behind it as well.
            let new = heads[at].chain;
            heads.retain(|held| held.chain == new || !truth.is_within(held.chain, new));
        }
        None => heads.push(*head),
    }
}

/// Gives the branches of an id up and merges them by dot.
pub(super) fn collapse(truth: &Truth, store: &mut Store, id: Replica, rule: &Rule) {
    let heads = store.heads_of(id).to_vec();
    let Some(longest) = heads.iter().max_by_key(|head| (head.seq, head.chain)).copied() else { return };
    if longest.mixed {
        return;
    }
    if heads.len() > 1 {
        let mut seqs: Vec<u64> = store.entries(id, 1, u64::MAX).iter().map(|(e, _)| e.seq).collect();
        seqs.dedup();
        for seq in seqs {
            let held = store.at(id, seq);
            let dead = |head: &Head| head.seq >= seq && !holds(truth, &held, head);
            let burnt = heads.iter().any(dead);
            let winner = held.iter().map(|(entry, _)| entry.put).max_by_key(|put| content_hash(*put));
            for (entry, _) in &held {
                if burnt || Some(entry.put) != winner {
                    store.live.remove(entry);
                    // Two contents of one dot are plain to see; that a branch lacks a dot proves nothing.
                    if rule.archive || !burnt {
                        store.forks.insert(entry.put);
                    }
                }
            }
        }
    }
    let (floor, window) = (longest.seq, longest.seq);
    store.heads.insert(id, vec![Head { floor, window, mixed: true, ..longest }]);
}

fn holds(truth: &Truth, held: &[(Entry, Place)], head: &Head) -> bool {
    held.iter().any(|(_, place)| truth.is_within(place.chain, head.chain))
}
