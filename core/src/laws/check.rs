//! The laws, one function each.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::Lawful;
use super::history::{Universe, Version};
use crate::clock::VersionVector;
use crate::codec;
use crate::id::ReplicaId;
use crate::row::{Delta, Rows, RowsDelta};

/// A law, by its name in the table of the module page, and how it was broken.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) law: &'static str,
    how: String,
}

impl Broken {
    pub(super) fn new(law: &'static str, how: impl ToString) -> Self {
        Self { law, how: how.to_string() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the law '{}' is broken: {}", self.law, self.how)
    }
}

type Law = Result<(), Broken>;

const COMMUTATIVE: &str = "commutative";
const ASSOCIATIVE: &str = "associative";
const IDEMPOTENT: &str = "idempotent";
const DELTA: &str = "delta = state";
const RESTRICTION: &str = "restriction";
const SINGLE_DOTS: &str = "single dots";
const ENCODING: &str = "encoding";
const CONVERGENCE: &str = "convergence";
const REPLAY: &str = "replay";
pub(super) const MEANING: &str = "meaning";

/// Checks every law on every state that matters to it.
pub(super) fn all<V: Lawful>(universe: &Universe<V>) -> Law {
    meaning(universe)?;
    let states: Vec<&Rows> = universe.replicas.iter().filter_map(|v| Some(&v.last()?.rows)).collect();
    convergence(universe, &states)?;
    for (index, a) in states.iter().enumerate() {
        let (b, c) = (states[(index + 1) % states.len()], states[(index + 2) % states.len()]);
        a.check();
        associative::<V>(a, b, c)?;
        for b in &states {
            commutative::<V>(a, b)?;
            idempotent::<V>(a, b)?;
            delta_is_state::<V>(a, b, states[(index + 1) % states.len()])?;
            restriction::<V>(a, b.version_vector())?;
            encoding(a, b)?;
        }
        single_dots::<V>(a, universe)?;
    }
    for (index, versions) in universe.replicas.iter().enumerate() {
        delta_chain::<V>(states[(index + 1) % states.len()], versions)?;
        replay(universe, versions)?;
    }
    transactions_encode(universe)
}

fn joined<V: Lawful>(a: &Rows, b: &Rows) -> Rows {
    let mut rows = a.clone();
    V::merge(&mut rows, b);
    rows
}

fn same(law: &'static str, left: &Rows, right: &Rows) -> Law {
    if left == right { Ok(()) } else { Err(Broken::new(law, format!("{left:?}\nis not {right:?}"))) }
}

fn commutative<V: Lawful>(a: &Rows, b: &Rows) -> Law {
    same(COMMUTATIVE, &joined::<V>(a, b), &joined::<V>(b, a))
}

fn associative<V: Lawful>(a: &Rows, b: &Rows, c: &Rows) -> Law {
    let left = joined::<V>(&joined::<V>(a, b), c);
    let right = joined::<V>(a, &joined::<V>(b, c));
    same(ASSOCIATIVE, &left, &right)
}

fn idempotent<V: Lawful>(a: &Rows, b: &Rows) -> Law {
    same(IDEMPOTENT, &joined::<V>(a, a), a)?;
    let once = joined::<V>(a, b);
    same(IDEMPOTENT, &joined::<V>(&once, b), &once)?;
    let most = |replica: &ReplicaId| a.version_vector().seq(replica).max(b.version_vector().seq(replica));
    let vector = once.version_vector();
    let tight = vector.covers(a.version_vector())
        && vector.covers(b.version_vector())
        && vector.iter().all(|(replica, seq)| seq == most(&replica));
    if tight {
        Ok(())
    } else {
        Err(Broken::new(IDEMPOTENT, format!("vectors join to their maximum: {once:?}")))
    }
}

/// `older` stands for anything that somebody may have seen: a delta since it fits only who has seen as much.
fn delta_is_state<V: Lawful>(a: &Rows, b: &Rows, older: &Rows) -> Law {
    let whole = joined::<V>(a, b);
    for since in [a.version_vector(), &VersionVector::new()] {
        let mut rows = a.clone();
        let fits = rows.merge_delta(&b.delta_since(since)).is_ok();
        same(DELTA, &rows, &whole)?;
        if !fits {
            return Err(Broken::new(DELTA, "a delta since what is known here was refused"));
        }
    }
    // The delta starts at what b and the older one have both seen: more of the older one hides nothing.
    let start = b.restrict(older.version_vector());
    let fits = a.version_vector().covers(start.version_vector());
    let mut rows = a.clone();
    let merged = rows.merge_delta(&b.delta_since(older.version_vector())).is_ok();
    if merged != fits {
        return Err(Broken::new(
            DELTA,
            format!("refused exactly when it leaves a hole: {start:?} for {a:?}"),
        ));
    }
    if merged { same(DELTA, &rows, &whole) } else { same(DELTA, &rows, a) }
}

/// Deltas from version to version, each as small as can be.
fn delta_chain<V: Lawful>(a: &Rows, versions: &[Version]) -> Law {
    let mut rows = a.clone();
    for (older, newer) in versions.iter().zip(&versions[1..]) {
        let delta = newer.rows.delta_since(older.rows.version_vector());
        rows.merge_delta(&delta).map_err(|gap| Broken::new(DELTA, gap))?;
        same(DELTA, &rows, &joined::<V>(a, &newer.rows))?;
    }
    Ok(())
}

fn below<V: Lawful>(law: &'static str, part: &Rows, whole: &Rows) -> Law {
    same(law, &joined::<V>(part, whole), whole)?;
    same(law, &joined::<V>(whole, part), whole)
}

fn restriction<V: Lawful>(a: &Rows, vector: &VersionVector) -> Law {
    below::<V>(RESTRICTION, &a.restrict(vector), a)
}

fn single_dots<V: Lawful>(a: &Rows, universe: &Universe<V>) -> Law {
    let dots = a
        .version_vector()
        .iter()
        .flat_map(|(replica, last)| (1..=last).map(move |seq| VersionVector::from_iter([(replica, seq)])));
    let pasts = universe.acts.iter().map(|act| act.past.clone());
    let pasts = pasts.filter(|past| a.version_vector().covers(past));
    for vectors in [dots.collect::<Vec<_>>(), pasts.collect()] {
        let parts: Vec<Rows> = vectors.iter().map(|vector| a.restrict(vector)).collect();
        parts.iter().try_for_each(|part| below::<V>(SINGLE_DOTS, part, a))?;
        let up = parts.iter().fold(Rows::new(), |whole, part| joined::<V>(&whole, part));
        let down = parts.iter().rev().fold(Rows::new(), |whole, part| joined::<V>(&whole, part));
        same(SINGLE_DOTS, &up, a)?;
        same(SINGLE_DOTS, &down, a)?;
    }
    Ok(())
}

fn encoding(a: &Rows, b: &Rows) -> Law {
    let delta = b.delta_since(a.version_vector());
    let state_back = codec::decode::<Rows>(&codec::encode(a)).as_ref() == Ok(a);
    let delta_back = codec::decode::<RowsDelta>(&codec::encode(&delta)).as_ref() == Ok(&delta);
    if state_back && delta_back { Ok(()) } else { Err(Broken::new(ENCODING, format!("{a:?} and {delta:?}"))) }
}

fn transactions_encode<V: Lawful>(universe: &Universe<V>) -> Law {
    let lost = universe.acts.iter().find(|act| Delta::decode(&act.delta.encode()).as_ref() != Ok(&act.delta));
    lost.map_or(Ok(()), |act| Err(Broken::new(ENCODING, format!("{:?}", act.delta))))
}

/// The transactions that the last state contains, in the order in which they were made.
fn replay<V: Lawful>(universe: &Universe<V>, versions: &[Version]) -> Law {
    let Some(last) = versions.last() else { return Ok(()) };
    let mut rows = Rows::new();
    for act in universe.acts.iter().filter(|act| last.seen.contains(&act.first)) {
        rows.apply(&act.delta).map_err(|gap| Broken::new(REPLAY, gap))?;
    }
    same(REPLAY, &rows, &last.rows)
}

fn convergence<V: Lawful>(universe: &Universe<V>, states: &[&Rows]) -> Law {
    let versions: Vec<&Rows> = universe.replicas.iter().flatten().map(|version| &version.rows).collect();
    for (index, a) in versions.iter().enumerate() {
        for b in &versions[index + 1..] {
            if a.version_vector() == b.version_vector() {
                same(CONVERGENCE, a, b)?;
            }
        }
    }
    let mut all: Vec<Rows> = states.iter().map(|rows| (*rows).clone()).collect();
    for rows in &mut all {
        states.iter().for_each(|other| V::merge(rows, other));
    }
    all.windows(2).try_for_each(|pair| same(CONVERGENCE, &pair[0], &pair[1]))?;
    let seen = universe.replicas.iter().flatten().flat_map(|version| version.seen.clone()).collect();
    all.first().map_or(Ok(()), |rows| read_is_expected(universe, &Version { rows: rows.clone(), seen }))
}

fn meaning<V: Lawful>(universe: &Universe<V>) -> Law {
    universe.replicas.iter().flatten().try_for_each(|version| read_is_expected(universe, version))
}

fn read_is_expected<V: Lawful>(universe: &Universe<V>, version: &Version) -> Law {
    let (read, expected) = (V::read(&version.rows), V::expected(&universe.record(&version.seen)));
    if read == expected {
        return Ok(());
    }
    Err(Broken::new(MEANING, format!("the view reads {read:?}\nand the updates mean {expected:?}")))
}
