//! What an owner does on evidence that its id was written elsewhere.
//!
//! Problem: an owner comes from offline with a suffix that nobody else holds, and meets somebody who holds another history
//! of its id. Once the suffix is sent under the old id, each of its dots means two things, and no merge by dot can keep both.
//!
//! Idea: nobody else holds the suffix, so its name is still free. The hello comes first. On evidence the owner gives what
//! it never told to anybody a new id (dots, kills, entries and log alike), and only then sends. What it told is a
//! published fork; for that the rule of merging must do. So that nothing that others hold gets a second name, "told" errs
//! upwards: what leaves counts as told even if it never arrives, and opening a store counts all of it as told, for whoever
//! took its image may have gone on to tell it. So the position told is a thing of memory: it need not survive a crash.
//!
//! The position told is evidence itself: whoever knows more of my id than I ever told has it from somebody else. That
//! needs no log on either side, where comparing histories does.

use std::collections::VecDeque;
use std::rc::Rc;

use super::relation::{Relation, relate};
use super::rule::Rule;
use super::store::{Delta, Entry, Head, Own, Place, Store};
use super::truth::{Chain, Replica, Truth};

/// What a hello tells an owner about its own id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heed {
    /// Nothing new.
    Nothing,
    /// The peer holds this much of it.
    Told(Chain),
    /// Somebody else wrote under it.
    Evidence {
        /// Up to here it stays under its name; `None`: all of it.
        keep: Option<Chain>,
        /// Where the two histories part, if that is known.
        parted: Option<Chain>,
    },
}

/// Looks at the heads that a peer has of the own id.
pub(crate) fn heed(truth: &Truth, owner: &Store, peer: &Store, rule: &Rule) -> Heed {
    let Some(own) = owner.own else { return Heed::Nothing };
    let Some(mut mine) = owner.head(own.replica) else { return Heed::Nothing };
    if rule.chains {
        mine.window = mine.window.min(truth.seq(own.told));
    }
    let later = |a: Chain, b: Chain| if truth.seq(a) >= truth.seq(b) { a } else { b };
    let (mut told, mut parted, mut forked, mut contained) = (own.told, None, false, false);
    let mixed = peer.is_mixed(own.replica);
    for theirs in peer.heads_of(own.replica) {
        forked |= theirs.mixed;
        match relate(truth, &mine, theirs, rule) {
            Relation::Same => told = own.chain,
            Relation::Ahead => told = later(told, theirs.chain),
            Relation::Behind => (forked, contained) = (true, true),
            Relation::Assumed { .. } => {
                let limit = if rule.rebase { truth.seq(own.told) } else { mine.seq };
                forked |= theirs.seq > limit;
            }
            Relation::Fork { at } => {
                forked = true;
                parted = at.map(|at| parted.map_or(at, |other| later(at, other))).or(parted);
            }
        }
    }
    match forked {
        true if contained || (rule.split && parted.is_some() && !mixed) => {
            Heed::Evidence { keep: None, parted }
        }
        // Where the place is not known, all that was there when the store was opened is taken for shared: its image may be
        // what the other one runs on.
        true => Heed::Evidence { keep: Some(later(told, parted.unwrap_or(own.opened))), parted },
        false if told != own.told => Heed::Told(told),
        false => Heed::Nothing,
    }
}

/// What acting on it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) renamed: bool,
    pub(crate) reputs: u64,
}

/// Retires the own id and, by rules that do so, takes what was never told along to a new one.
pub(crate) fn act(truth: &mut Truth, owner: &mut Store, heed: Heed, rule: &Rule) -> Done {
    let mut done = Done::default();
    let Some(own) = owner.own else { return done };
    match heed {
        Heed::Nothing => {}
        Heed::Told(chain) => owner.own = Some(Own { told: chain, ..own }),
        Heed::Evidence { keep, parted } => {
            owner.own = None;
            let Some(keep) = keep.filter(|_| rule.rebase) else { return done };
            done.renamed = rename(truth, owner, own, keep);
            if rule.reput {
                let after = truth.seq(parted.unwrap_or(own.opened));
                let published = owner.entries(own.replica, after + 1, truth.seq(keep));
                done.reputs = published.len() as u64;
                put_again(truth, owner, &published);
            }
        }
    }
    done
}

/// The suffix above `keep` under its new name.
struct Renamed {
    old: Replica,
    new: Replica,
    /// The last seq that keeps its name.
    after: u64,
    /// The ends of its deltas, in the new history.
    ends: Vec<(u64, Chain)>,
}

impl Renamed {
    fn covers(&self, replica: Replica, seq: u64) -> bool {
        replica == self.old && seq > self.after
    }

    fn entry(&self, entry: &Entry) -> Entry {
        if self.covers(entry.replica, entry.seq) {
            Entry { replica: self.new, seq: entry.seq - self.after, put: entry.put }
        } else {
            *entry
        }
    }

    fn end(&self, seq: u64) -> Chain {
        self.ends.iter().find(|(last, _)| *last >= seq).map_or(0, |(_, chain)| *chain)
    }

    fn delta(&self, delta: &Delta) -> Delta {
        let kills = delta.kills.iter().map(|entry| self.entry(entry)).collect();
        if !self.covers(delta.replica, delta.first) {
            return Delta { kills, ..delta.clone() };
        }
        let (first, last) = (delta.first - self.after, delta.last - self.after);
        let puts = delta.puts.iter().map(|(entry, key)| (self.entry(entry), *key)).collect();
        let (previous, chain) = (if first == 1 { 0 } else { self.end(first - 1) }, self.end(last));
        Delta { replica: self.new, first, last, previous, chain, puts, kills }
    }
}

/// Gives what lies above `keep` a new id: dots, kills, entries and log alike. The rest stays what it was, so the store
/// looks as if the suffix had been written by somebody who had seen it up to there.
fn rename(truth: &mut Truth, store: &mut Store, own: Own, keep: Chain) -> bool {
    let after = truth.seq(keep);
    let Some(head) = store.head(own.replica).filter(|head| head.seq > after) else { return false };
    let mut renamed = Renamed { old: own.replica, new: truth.mint(), after, ends: Vec::new() };
    let logged = store.log.iter().filter(|delta| renamed.covers(delta.replica, delta.first));
    let lasts: Vec<u64> = logged.map(|delta| delta.last - after).collect();
    let first = store.log.iter().find(|delta| renamed.covers(delta.replica, delta.first));
    // What the log has dropped becomes one link: nobody ever asks for its deltas.
    let dropped = first.map_or(head.seq, |delta| delta.first - 1) - after;
    let ends = Some(dropped).filter(|dropped| *dropped > 0).into_iter().chain(lasts);
    let mut chain = 0;
    for last in ends {
        chain = truth.link(renamed.new, chain, last);
        renamed.ends.push((last, chain));
    }
    let log: VecDeque<Rc<Delta>> = store.log.iter().map(|delta| Rc::new(renamed.delta(delta))).collect();
    store.log = log;
    for (entry, Place { key, .. }) in store.entries(own.replica, after + 1, u64::MAX) {
        store.live.remove(&entry);
        let entry = renamed.entry(&entry);
        store.live.insert(entry, Place { key, chain: renamed.end(entry.seq) });
    }
    let (seq, floor) = (head.seq - after, dropped);
    store.heads.insert(renamed.new, vec![Head { seq, chain, floor, window: floor, mixed: false }]);
    let (floor, window) = (head.floor.min(after), head.window.min(after));
    let kept = Head { seq: after, chain: keep, floor, window, mixed: head.mixed };
    if after == 0 {
        store.heads.remove(&own.replica);
    } else {
        store.heads.insert(own.replica, vec![kept]);
    }
    store.own = Some(Own { replica: renamed.new, chain, told: 0, opened: 0 });
    store.mine.insert(renamed.new);
    true
}

/// Writes entries again under the own new id, in one transaction that kills nothing.
fn put_again(truth: &mut Truth, store: &mut Store, entries: &[(Entry, Place)]) {
    if entries.is_empty() {
        return;
    }
    let own = store.own.unwrap_or_else(|| Own { replica: truth.mint(), chain: 0, told: 0, opened: 0 });
    let first = truth.seq(own.chain) + 1;
    let last = first + entries.len() as u64 - 1;
    let chain = truth.link(own.replica, own.chain, last);
    let again = |(seq, (entry, place)): (u64, &(Entry, Place))| {
        (Entry { replica: own.replica, seq, put: entry.put }, place.key)
    };
    let puts = (first..).zip(entries).map(again).collect();
    let (replica, previous, kills) = (own.replica, own.chain, Vec::new());
    store.apply(&Rc::new(Delta { replica, first, last, previous, chain, puts, kills }));
    store.own = Some(Own { chain, ..own });
}
