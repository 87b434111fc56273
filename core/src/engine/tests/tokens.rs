//! Tokens: what was seen, and what came first.

use super::*;
use crate::clock::{Causality, Token};
use crate::id::Dot;

const LOG: u64 = 1 << 20;

fn pair() -> Pair {
    Pair::new([engine(1, 1, LOG, MemoryStore::new()), engine(2, 2, LOG, MemoryStore::new())])
}

fn tokens(pair: &Pair) -> [Token; 2] {
    [0, 1].map(|number: usize| pair.engines[number].token())
}

fn meet(pair: &mut Pair, session: u64) {
    pair.meet(session, |_, _| {});
}

#[test]
fn a_token_is_seen_by_who_holds_its_dots_and_a_write_has_all_that_its_writer_saw() {
    let mut pair = pair();
    assert!(pair.engines[1].token().is_empty());
    write(&mut pair.engines[0], 1, "a");
    // Before it is durable, too.
    let [first, nothing] = tokens(&pair);
    assert_eq!(first.dots().count(), 1);
    assert!(pair.engines[0].has_seen(&first) && !pair.engines[1].has_seen(&first));
    assert_eq!(pair.engines[1].missing(&first), first.dots().collect::<Vec<Dot>>());
    assert!(pair.engines[0].has_seen(&nothing), "the empty token is seen by all");
    pair.save();
    assert_eq!(pair.engines[0].token(), first, "durable or not");
    write(&mut pair.engines[1], 2, "b");
    meet(&mut pair, 1);
    let [both, same] = tokens(&pair);
    assert_eq!((&both, both.dots().count()), (&same, 2));
    assert!(pair.engines[1].has_seen(&first) && pair.engines[1].has_seen(&both));
    write(&mut pair.engines[1], 3, "c");
    let [_, last] = tokens(&pair);
    assert_eq!(last.dots().count(), 1, "a write has all of it in its past");
    meet(&mut pair, 2);
    assert!(pair.engines[0].has_seen(&last));
}

#[test]
fn tokens_compare_by_what_came_before_and_never_by_clocks() {
    let mut pair = pair();
    // The clock of the first is years ahead.
    let ahead = Now { wall_ms: NOW.wall_ms + (1 << 40), ..NOW };
    let key = Object::new(Kind(200), "t").unwrap().row(&[9]).unwrap();
    pair.engines[0].write(ahead, |tx| tx.put(key, Payload::default())).unwrap();
    let [early, nothing] = tokens(&pair);
    meet(&mut pair, 1);
    write(&mut pair.engines[1], 1, "b");
    let [_, answer] = tokens(&pair);
    write(&mut pair.engines[0], 2, "a");
    let [apart, _] = tokens(&pair);
    let compare = |pair: &mut Pair, number: usize, a: &Token, b: &Token| {
        let there = pair.engines[number].compare(a, b).unwrap();
        let back = pair.engines[number].compare(b, a).unwrap();
        let mirrored = match there {
            Some(Causality::Before) => Some(Causality::After),
            Some(Causality::After) => Some(Causality::Before),
            same => same,
        };
        assert_eq!(back, mirrored);
        there
    };
    assert_eq!(compare(&mut pair, 1, &early, &answer), Some(Causality::Before));
    assert_eq!(compare(&mut pair, 1, &nothing, &answer), Some(Causality::Before));
    assert_eq!(compare(&mut pair, 0, &early, &apart), Some(Causality::Before));
    // Each knows one of the two only: the other may have seen it or not.
    assert_eq!(compare(&mut pair, 1, &answer, &apart), None);
    assert_eq!(compare(&mut pair, 0, &answer, &apart), None);
    meet(&mut pair, 2);
    for number in [0, 1] {
        assert_eq!(compare(&mut pair, number, &answer, &apart), Some(Causality::Concurrent));
        let [now, _] = tokens(&pair);
        assert_eq!(compare(&mut pair, number, &apart, &now), Some(Causality::Before));
        assert_eq!(compare(&mut pair, number, &now, &now.clone()), Some(Causality::Equal));
    }
}

#[test]
fn what_the_log_has_dropped_is_not_made_up() {
    // No log: what lies between two replicas is not known, and what one of them did by itself is.
    let mut pair = Pair::new([engine(1, 1, 0, MemoryStore::new()), engine(2, 2, 0, MemoryStore::new())]);
    write(&mut pair.engines[0], 1, "a");
    let [first, _] = tokens(&pair);
    meet(&mut pair, 1);
    write(&mut pair.engines[1], 2, "b");
    let [_, second] = tokens(&pair);
    meet(&mut pair, 2);
    write(&mut pair.engines[0], 3, "c");
    let [third, _] = tokens(&pair);
    for number in [0, 1] {
        assert_eq!(pair.engines[number].compare(&first, &second), Ok(None), "{number}");
    }
    assert_eq!(pair.engines[0].compare(&first, &third), Ok(Some(Causality::Before)));
    // Who has seen one of two and not the other knows at least that the other is not part of it.
    assert_eq!(pair.engines[1].compare(&first, &third), Ok(Some(Causality::Before)));
}

#[test]
fn the_past_of_a_token_is_what_its_writer_had_seen_and_is_not_told_where_the_log_has_ended() {
    let mut pair = pair();
    write(&mut pair.engines[0], 1, "a");
    meet(&mut pair, 1);
    write(&mut pair.engines[1], 2, "b");
    let ([_, answer], past) = (tokens(&pair), pair.engines[1].version_vector());
    assert_eq!(pair.engines[0].version_at(&answer), Ok(None), "not seen yet");
    assert_eq!(pair.engines[1].version_at(&answer), Ok(Some(past.clone())));
    write(&mut pair.engines[0], 3, "apart");
    meet(&mut pair, 2);
    write(&mut pair.engines[0], 4, "later");
    let ([now, _], all) = (tokens(&pair), pair.engines[0].version_vector());
    assert_ne!(past, all);
    assert_eq!(pair.engines[0].version_at(&answer), Ok(Some(past)), "nothing that lies beside it");
    assert_eq!(pair.engines[0].version_at(&now), Ok(Some(all)));
    assert_eq!(pair.engines[0].version_at(&Token::default()), Ok(Some(crate::VersionVector::new())));

    let mut forgetful = Pair::new([engine(3, 3, 0, MemoryStore::new()), engine(4, 4, 0, MemoryStore::new())]);
    write(&mut forgetful.engines[0], 1, "a");
    forgetful.save();
    let [first, _] = tokens(&forgetful);
    write(&mut forgetful.engines[0], 2, "b");
    forgetful.save();
    assert_eq!(forgetful.engines[0].version_at(&first), Ok(None), "no log tells what was there before");
}
