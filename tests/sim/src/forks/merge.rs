//! Replay and bulk: one store takes in what another one has.
//!
//! Replay where the log reaches and no history is in doubt, else bulk: what the other side has seen and does not hold is
//! dead. For an id of two histories that inference is wrong. Rules that merge by dot keep it, and let the larger content
//! hash win where both sides hold a dot (F1); rules that split keep branches apart where they can (`branches`).

use std::collections::BTreeMap;
use std::rc::Rc;

use super::branches;
use super::relation::{Relation, relate};
use super::rule::Rule;
use super::store::{Delta, Head, Store};
use super::truth::{Put, Replica, Truth};
use crate::draw::mix;

/// How two stores exchange one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One history, or what is taken for one.
    Plain,
    /// Two histories that are kept apart.
    Branches,
    /// Two histories merged by dot.
    Mixed,
}

/// Takes in all that `from` has. `from` learns from the hello what is evidence to both.
pub(crate) fn pull(truth: &Truth, into: &mut Store, from: &mut Store, rule: &Rule) -> u64 {
    let ids: Vec<Replica> = from.heads.keys().copied().collect();
    let modes: Vec<Mode> = ids.iter().map(|id| mode(truth, into, from, *id, rule)).collect();
    // Equal vectors and other rows: contents are compared, so something must have been merged wrongly before.
    let deep = into.same_vector(from) && into.live != from.live;
    let plain = modes.iter().all(|mode| *mode == Mode::Plain);
    if plain
        && !deep
        && let Some(deltas) = replayable(into, from)
    {
        for delta in &deltas {
            into.apply(delta);
        }
        into.retire_if_foreign();
        return 0;
    }
    let mut splits = 0;
    for (id, mode) in ids.into_iter().zip(modes) {
        match mode {
            Mode::Plain => by_dot(into, from, id, deep, rule),
            Mode::Mixed => {
                branches::collapse(truth, into, id, rule);
                branches::collapse(truth, from, id, rule);
                by_dot(into, from, id, true, rule);
            }
            Mode::Branches => splits += u64::from(branches::join(truth, into, from, id)),
        }
    }
    into.retire_if_foreign();
    splits
}

fn mode(truth: &Truth, a: &Store, b: &Store, id: Replica, rule: &Rule) -> Mode {
    if a.is_mixed(id) || b.is_mixed(id) {
        return Mode::Mixed;
    }
    let (mine, theirs) = (a.heads_of(id), b.heads_of(id));
    if rule.split {
        let signed = !rule.signed || a.mine.contains(&id) || b.mine.contains(&id);
        return match branches::mode(truth, mine, theirs, rule) {
            // What is split already was signed for; a new branch nobody here can sign.
            Mode::Branches if !signed && mine.len() == 1 && theirs.len() == 1 => Mode::Mixed,
            mode => mode,
        };
    }
    match (mine, theirs) {
        ([mine], [theirs]) if matches!(relate(truth, mine, theirs, rule), Relation::Fork { .. }) => {
            Mode::Mixed
        }
        _ => Mode::Plain,
    }
}

/// The deltas that `into` lacks, if the log of `from` has them all and they fit.
fn replayable(into: &Store, from: &Store) -> Option<Vec<Rc<Delta>>> {
    let reaches = |(id, heads): (&Replica, &Vec<Head>)| match heads.as_slice() {
        [head] => head.seq <= into.seq(*id) || head.floor <= into.seq(*id),
        _ => false,
    };
    if !from.heads.iter().all(reaches) {
        return None;
    }
    let mut ahead: BTreeMap<Replica, (u64, u32)> = BTreeMap::new();
    let mut deltas = Vec::new();
    for delta in &from.log {
        let here = || into.head(delta.replica).map_or((0, 0), |head| (head.seq, head.chain));
        let at = ahead.get(&delta.replica).copied().unwrap_or_else(here);
        if delta.last <= at.0 {
            continue;
        }
        if (delta.first, delta.previous) != (at.0 + 1, at.1) {
            return None;
        }
        ahead.insert(delta.replica, (delta.last, delta.chain));
        deltas.push(Rc::clone(delta));
    }
    Some(deltas)
}

/// Which of two contents of one dot stays.
pub(crate) fn content_hash(put: Put) -> u64 {
    mix(u64::from(put))
}

/// Joins one id by dot. `compare` says that contents are compared under dots that both hold.
fn by_dot(into: &mut Store, from: &Store, id: Replica, compare: bool, rule: &Rule) {
    let (mine, theirs) = (into.seq(id), from.seq(id));
    let forked = into.is_mixed(id) || from.is_mixed(id);
    // Seen there and not held there: killed there, or burnt by another history.
    for (entry, _) in into.entries(id, 1, theirs) {
        if from.at(id, entry.seq).is_empty() {
            into.live.remove(&entry);
            if rule.archive && forked {
                into.forks.insert(entry.put);
            }
        }
    }
    for (entry, place) in from.entries(id, 1, theirs) {
        if entry.seq > mine {
            into.live.insert(entry, place);
            continue;
        }
        for (held, _) in into.at(id, entry.seq) {
            if held.put == entry.put || !compare {
                continue;
            }
            let replace = content_hash(held.put) < content_hash(entry.put);
            into.forks.insert(if replace { held.put } else { entry.put });
            if replace {
                into.live.remove(&held);
                into.live.insert(entry, place);
            }
        }
    }
    join_head(into, from, id, forked);
}

/// The longer history names the state, the larger chain among equals: it depends on the set alone.
fn join_head(into: &mut Store, from: &Store, id: Replica, forked: bool) {
    let Some(theirs) = from.head(id) else { return };
    let heads = into.heads.entry(id).or_default();
    let jumped = Head { floor: theirs.seq, window: theirs.seq, mixed: forked, ..theirs };
    match heads.first_mut() {
        None => heads.push(jumped),
        Some(mine) if theirs.seq > mine.seq => *mine = jumped,
        Some(mine) => {
            if theirs.seq == mine.seq && theirs.chain > mine.chain {
                mine.chain = theirs.chain;
            }
            mine.mixed |= forked;
        }
    }
    if let Some(mine) = heads.first_mut()
        && mine.mixed
    {
        (mine.floor, mine.window) = (mine.seq, mine.seq);
    }
}
