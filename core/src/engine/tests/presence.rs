//! Presence: shown as long as it was said to last, in the order in which it was said, and never made up.

use super::*;
use crate::limits::{PRESENCE_BYTES, PRESENCE_LONGEST_MS, PRESENT};

fn at(mono_ms: u64) -> Now {
    Now { mono_ms, wall_ms: NOW.wall_ms + mono_ms }
}

fn alone(device: u8) -> Engine<MemoryStore> {
    let mut alone = engine(device, device, 0, MemoryStore::new());
    begin(&mut alone);
    alone
}

/// Makes the first commit of a store.
fn begin(engine: &mut Engine<MemoryStore>) {
    while let Some(output) = engine.poll_output() {
        let Output::Persist(commit) = output else { panic!("{output:?}") };
        let result = engine.store_mut().apply(&commit);
        engine.handle(at(0), Input::Persisted { commit: commit.id, result });
    }
}

/// What an engine publishes at a time, and whether it says that presence changed.
fn turn(engine: &mut Engine<MemoryStore>, now: Now) -> (Vec<Vec<u8>>, bool) {
    engine.handle(now, Input::Tick);
    let (mut frames, mut changed) = (Vec::new(), false);
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Publish { frame } => frames.push(frame),
            Output::Event(Event::Presence) => changed = true,
            output => panic!("{output:?}"),
        }
    }
    (frames, changed)
}

/// What an engine makes of a frame.
fn hear(engine: &mut Engine<MemoryStore>, now: Now, frame: &[u8]) -> (Verdict, bool) {
    engine.handle(now, Input::Gossiped { id: GossipId(1), frame: frame.to_vec() });
    let (mut verdict, mut changed) = (None, false);
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Judged { verdict: judged, .. } => verdict = Some(judged),
            Output::Event(Event::Presence) => changed = true,
            Output::Publish { .. } => {}
            output => panic!("{output:?}"),
        }
    }
    (verdict.unwrap(), changed)
}

fn shown(engine: &Engine<MemoryStore>, now: Now) -> Vec<Vec<u8>> {
    engine.present(now).into_iter().map(|present| present.value).collect()
}

/// What an engine says of itself at a time.
fn say(engine: &mut Engine<MemoryStore>, now: Now, value: Option<&str>) -> Vec<u8> {
    assert!(engine.set_presence(now, value.map(str::as_bytes), 900));
    let (mut frames, _) = turn(engine, now);
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

#[test]
fn it_is_shown_until_its_time_is_over_and_said_again_before_that() {
    let (mut ada, mut bo) = (alone(1), alone(2));
    let first = say(&mut ada, at(1000), Some("here"));
    assert_eq!(hear(&mut bo, at(5000), &first), (Verdict::Relay, true));
    assert_eq!(shown(&bo, at(5000)), [b"here"]);
    assert_eq!(
        (bo.present(at(5300))[0].age_ms, bo.present(at(5300))[0].device),
        (300, Ed25519::from_seed([1; 32]).device())
    );
    assert_eq!(ada.poll_timeout(), Some(1300), "three times in its time to live");
    let (again, _) = turn(&mut ada, at(1300));
    assert_eq!(hear(&mut bo, at(5300), &again[0]), (Verdict::Relay, false), "no news, and lasts longer");
    assert_eq!(bo.poll_timeout(), Some(6200));
    assert_eq!((shown(&bo, at(6199)).len(), shown(&bo, at(6200)).len()), (1, 0));
    assert_eq!(turn(&mut bo, at(6199)), (Vec::new(), false));
    assert_eq!(turn(&mut bo, at(6200)), (Vec::new(), true));
    assert_eq!((turn(&mut bo, at(6201)), bo.poll_timeout()), ((Vec::new(), false), None));
    assert!(shown(&ada, at(1300)).is_empty(), "nobody is present to oneself");
    assert!(ada.version_vector().is_empty() && bo.version_vector().is_empty(), "nothing is stored");
}

#[test]
fn what_comes_twice_late_or_out_of_order_is_not_shown() {
    let (mut ada, mut bo) = (alone(1), alone(2));
    let frames = [(1000, Some("one")), (1100, Some("two")), (1200, Some("three")), (1300, None)]
        .map(|(ms, value)| say(&mut ada, at(ms), value));
    assert_eq!(hear(&mut bo, at(1), &frames[1]), (Verdict::Relay, true));
    assert_eq!(hear(&mut bo, at(2), &frames[0]), (Verdict::Ignore, false));
    assert_eq!(hear(&mut bo, at(3), &frames[1]), (Verdict::Ignore, false));
    assert_eq!(shown(&bo, at(3)), [b"two"]);
    assert_eq!(hear(&mut bo, at(4), &frames[3]), (Verdict::Relay, true), "it goes");
    assert_eq!(hear(&mut bo, at(5), &frames[2]), (Verdict::Ignore, false));
    assert!(shown(&bo, at(5)).is_empty());
    assert_eq!(
        turn(&mut bo, at(2000)),
        (Vec::new(), false),
        "what does not show is forgotten without a word"
    );
    // A goodbye is said once, and by those alone who were here.
    assert_eq!((turn(&mut ada, at(9000)).0.len(), ada.poll_timeout()), (0, None));
    assert!(bo.set_presence(at(2000), None, 900));
    assert_eq!(turn(&mut bo, at(2000)).0.len(), 0);
    assert_eq!(hear(&mut ada, at(9000), &frames[2]).0, Verdict::Ignore, "its own words");
}

#[test]
fn many_changes_are_said_a_few_times_and_the_last_of_them_always() {
    let (mut ada, mut bo) = (alone(1), alone(2));
    let mut said = Vec::new();
    for ms in 1000..1200 {
        assert!(ada.set_presence(at(ms), Some(alloc::format!("{ms}").as_bytes()), 900));
        said.extend(turn(&mut ada, at(ms)).0);
    }
    let due = ada.poll_timeout().unwrap();
    said.extend(turn(&mut ada, at(due)).0);
    assert_eq!(said.len(), 5, "at 1000, 1050, 1100, 1150 and 1200");
    said.iter().for_each(|frame| assert_eq!(hear(&mut bo, at(1), frame).0, Verdict::Relay));
    assert_eq!(shown(&bo, at(1)), [b"1199"]);
    let bye = say(&mut ada, at(due), None);
    assert_eq!(
        (hear(&mut bo, at(1), &bye).0, shown(&bo, at(1)).len()),
        (Verdict::Relay, 0),
        "without waiting"
    );
}

#[test]
fn all_others_answer_a_newcomer_soon() {
    let (mut ada, mut bo) = (alone(1), alone(2));
    assert!(ada.set_presence(at(0), Some(b"a"), 300_000));
    assert_eq!(turn(&mut ada, at(0)).0.len(), 1);
    assert_eq!(ada.poll_timeout(), Some(100_000));
    let hello = say(&mut bo, at(5000), Some("b"));
    hear(&mut ada, at(5000), &hello);
    assert!(ada.poll_timeout().is_some_and(|due| (5000..5600).contains(&due)));
    let (answer, _) = turn(&mut ada, at(5600));
    hear(&mut bo, at(5600), &answer[0]);
    assert_eq!(shown(&bo, at(5600)), [b"a"]);
    assert_eq!(turn(&mut ada, at(8000)), (Vec::new(), true));
    // A new link is given a moment.
    ada.handle(at(9000), Input::Connected { session: SessionId(1), role: Role::Responder });
    assert_eq!(ada.poll_timeout(), Some(10_200));
}

#[test]
fn nothing_is_shown_that_its_device_did_not_say_in_this_space() {
    let mut ada = alone(1);
    let frame = say(&mut ada, at(1), Some("here"));
    let mut bo = alone(2);
    for bit in 0..frame.len() * 8 {
        let mut forged = frame.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(hear(&mut bo, at(1), &forged), (Verdict::Reject, false), "bit {bit}");
    }
    assert!(shown(&bo, at(1)).is_empty());
    let elsewhere = Config::new(SpaceId([8; 32]));
    let mut other =
        Engine::open(elsewhere, Box::new(Ed25519::from_seed([3; 32])), MemoryStore::new(), [3; 32]).unwrap();
    begin(&mut other);
    assert_eq!(hear(&mut other, at(1), &frame).0, Verdict::Reject);
    // Not too much, not too long, and not too many.
    assert!(!ada.set_presence(at(2), Some(&[0; PRESENCE_BYTES + 1]), 900));
    assert!(ada.set_presence(at(100), Some(&[0; PRESENCE_BYTES]), u32::MAX));
    let (frames, _) = turn(&mut ada, at(100));
    assert_eq!(hear(&mut bo, at(100), &frames[0]).0, Verdict::Relay);
    assert_eq!(bo.poll_timeout(), Some(100 + u64::from(PRESENCE_LONGEST_MS)));
    let crowd = |n: usize| {
        let mut seed = [9; 32];
        seed[..8].copy_from_slice(&n.to_le_bytes());
        let config = Config::new(SpaceId([7; 32]));
        let mut one =
            Engine::open(config, Box::new(Ed25519::from_seed(seed)), MemoryStore::new(), seed).unwrap();
        begin(&mut one);
        say(&mut one, at(1), Some("x"))
    };
    for n in 1..PRESENT {
        assert_eq!(hear(&mut bo, at(200), &crowd(n)).0, Verdict::Relay);
    }
    assert_eq!(hear(&mut bo, at(200), &crowd(PRESENT)), (Verdict::Ignore, false));
    assert_eq!(bo.present(at(200)).len(), PRESENT);
}
