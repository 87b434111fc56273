//! What a hello says about a vector, so that it costs what differs and not what ever wrote.
//!
//! A vector of a few replicas travels whole. Of a wider one a hello lists the entries that are likely to be news (the own
//! one, and those at the end of the log), and a sum over keyed hashes of all others. The answer lists the same, and what
//! the question listed. So the asking side knows which entries may differ and can take them out of both sums: if they
//! are equal it knows the peer's vector, and tells its own side of the same entries ([`Message::Rest`]). If not, both send
//! their vectors whole.
//!
//! A sum can be forged where a hash cannot, by somebody who knows its key beforehand. It only saves bytes: that both
//! sides hold the same is proven by the root.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::clock::VersionVector;
use crate::codec::BoundedVec;
use crate::id::ReplicaId;
use crate::limits::{FRAME_REPLICAS, HELLO_LISTED, HELLO_REPLICAS};
use crate::store::{Store, StoreError};
use crate::sync::message::{Hello, HelloVector, Key, Message, Rest, Sum, Tag, Vector, VectorEntry};
use crate::sync::session::{Context, End, MISBEHAVED, Session};

/// Most replicas that a hello lists as news, and how many deltas are looked at for them; fewer when it can only be guessed
/// what is news.
const NEWS: usize = 8;
const LOOKED_AT: usize = 64;
const GUESSED: usize = 4;

/// What this side's last hello said.
#[derive(Default)]
pub(super) struct Said {
    /// Counts the hellos on this stream.
    number: u32,
    /// What it named, listed or not.
    pub(super) vector: VersionVector,
    /// The replicas that it listed.
    listed: BTreeSet<ReplicaId>,
    /// It had a sum for the others, and the peer has not said yet that it could make it out.
    is_partial: bool,
    /// Those others.
    unlisted: VersionVector,
}

/// The replicas that the peer's answer does not list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    /// They are the same on both sides.
    Same,
    /// None of them is known here.
    News,
    Unclear,
}

impl Session {
    /// Replicas by their names on this stream: hashing each once for a session, not once for a message.
    pub(super) fn names<S: Store>(&mut self, cx: &Context<'_, S>, key: Key) -> &BTreeMap<Tag, ReplicaId> {
        // Replicas are forgotten only when a commit fails, and when all of one got another name.
        let own = cx.space.replica();
        let now = (cx.space.heads.len(), cx.space.stats.commits_failed + cx.space.stats.renames, own);
        if self.named != now {
            // A store that went back may have an own id and nothing that was written under it.
            let known = cx.space.heads.iter().map(|(id, _)| *id).chain(own);
            self.names = known.map(|id| (key.replica(&id), id)).collect();
            self.named = now;
        }
        &self.names
    }

    /// Who an entry is about, if that is known here.
    pub(super) fn name<S: Store>(
        &mut self,
        cx: &Context<'_, S>,
        key: Key,
        entry: &VectorEntry,
    ) -> Option<ReplicaId> {
        self.names(cx, key).get(&entry.replica).copied()
    }

    /// The vector for a hello, and which entry is the own one. `asked` is what the hello named that this one answers.
    pub(super) fn hello_vector<S: Store>(
        &mut self,
        cx: &Context<'_, S>,
        key: Key,
        asked: Option<&[VectorEntry]>,
    ) -> Result<(HelloVector, Option<u8>), StoreError> {
        let heads = &cx.space.durable.heads;
        let own = cx.space.replica().filter(|own| heads.get(own).is_some());
        let is_whole = heads.len() <= HELLO_REPLICAS;
        let ids: Vec<ReplicaId> = match is_whole {
            true => heads.iter().map(|(id, _)| *id).collect(),
            false => self.listed(cx, key, own, asked.unwrap_or_default())?,
        };
        let me = own.and_then(|own| ids.iter().position(|id| *id == own));
        let me = me.and_then(|me| u8::try_from(me).ok());
        let entries: Vec<VectorEntry> = ids.iter().filter_map(|id| entry(cx, key, id)).collect();
        self.said.number += 1;
        self.said.vector = heads.vector();
        self.said.listed = ids.into_iter().collect();
        self.said.is_partial = !is_whole;
        let bounded = "no more are listed";
        if is_whole {
            return Ok((HelloVector::Whole(BoundedVec::new(entries).expect(bounded)), me));
        }
        let unlisted = heads.iter().filter(|(id, _)| !self.said.listed.contains(id));
        self.said.unlisted = unlisted.map(|(id, head)| (*id, head.seq)).collect();
        let sum = self.sum(cx, key, |id| self.said.listed.contains(id));
        Ok((HelloVector::Newest(BoundedVec::new(entries).expect(bounded), sum), me))
    }

    /// The own entry, those that are news since somebody was last in sync with this side, and what the peer asked about.
    fn listed<S: Store>(
        &mut self,
        cx: &Context<'_, S>,
        key: Key,
        own: Option<ReplicaId>,
        asked: &[VectorEntry],
    ) -> Result<Vec<ReplicaId>, StoreError> {
        let mut ids: Vec<ReplicaId> = own.into_iter().collect();
        let since = cx.space.agreed_log;
        // Since it was opened nobody was in sync: the last few are a guess.
        let (most, mut left) = if since.is_some() { (NEWS, LOOKED_AT) } else { (GUESSED, GUESSED * 2) };
        cx.space.read_log_back(&mut |record| {
            let replica = record.delta.replica;
            if left == 0 || ids.len() >= most || since.is_some_and(|since| record.arrival < since) {
                return ControlFlow::Break(());
            }
            left -= 1;
            if !ids.contains(&replica) {
                ids.push(replica);
            }
            ControlFlow::Continue(())
        })?;
        let names = self.names(cx, key);
        let asked = asked.iter().filter_map(|entry| names.get(&entry.replica).copied());
        let mut others: Vec<ReplicaId> = asked.filter(|id| !ids.contains(id)).collect();
        others.truncate(HELLO_LISTED - ids.len());
        ids.extend(others);
        Ok(ids)
    }

    /// The sum over the durable vector without some replicas.
    fn sum<S: Store>(&self, cx: &Context<'_, S>, key: Key, without: impl Fn(&ReplicaId) -> bool) -> Sum {
        let shares = cx.space.durable.heads.iter().filter(|(id, _)| !without(id));
        Sum(shares.fold(0, |sum, (id, head)| sum.wrapping_add(key.share(id, head))))
    }

    /// Whether the peer's whole vector is known with this hello, whose entries were learnt; does what it takes to know it
    /// soon if not, and to let the peer know this side's.
    pub(super) fn learn_rest<S: Store>(
        &mut self,
        cx: &mut Context<'_, S>,
        key: Key,
        hello: &Hello,
        entries: &[VectorEntry],
    ) -> Result<bool, End> {
        let mut same = true;
        let known = match hello.vector {
            HelloVector::Whole(_) => true,
            HelloVector::Newest(_, sum) if hello.reply => {
                let rest = self.rest(cx, key, entries, sum);
                same = rest == Others::Same;
                rest != Others::Unclear
            }
            HelloVector::Newest(..) => false,
        };
        if hello.reply && !known {
            self.say_vector(cx, key);
        } else if hello.reply && core::mem::take(&mut self.said.is_partial) {
            let ids = self.names(cx, key);
            let mine = entries.iter().filter_map(|theirs| entry(cx, key, ids.get(&theirs.replica)?));
            let entries = BoundedVec::new(mine.collect()).expect("as many as the hello had");
            cx.send(&Message::Rest(Rest { about: self.heard, entries, same }));
        }
        Ok(known)
    }

    /// How what the peer's answer does not list compares with what is here; takes note of what is the same.
    fn rest<S: Store>(&mut self, cx: &Context<'_, S>, key: Key, entries: &[VectorEntry], sum: Sum) -> Others {
        let ids = self.names(cx, key);
        let theirs: BTreeSet<ReplicaId> =
            entries.iter().filter_map(|entry| ids.get(&entry.replica).copied()).collect();
        // What was asked about and not answered is not known there.
        let apart = |id: &ReplicaId| theirs.contains(id) || self.said.listed.contains(id);
        let rest: VersionVector = cx
            .space
            .durable
            .heads
            .iter()
            .filter(|(id, _)| !apart(id))
            .map(|(id, head)| (*id, head.seq))
            .collect();
        if self.sum(cx, key, apart) == sum {
            self.learn_same(&rest);
            return Others::Same;
        }
        // With nothing left here the peer has more, and for all that is here it answered.
        if rest.iter().next().is_none() { Others::News } else { Others::Unclear }
    }

    /// The peer has the same of these replicas.
    fn learn_same(&mut self, rest: &VersionVector) {
        self.peer.merge(rest);
        self.held.merge(rest);
    }

    pub(super) fn on_rest<S: Store>(&mut self, cx: &mut Context<'_, S>, rest: &Rest) -> Result<(), End> {
        let key = self.key.ok_or(MISBEHAVED)?;
        // Another hello is on its way to the peer, and so is another answer to here.
        if rest.about != self.said.number {
            return Ok(());
        }
        let news = self.learn(cx, key, &rest.entries)?;
        for message in &news {
            cx.send(message);
        }
        if core::mem::take(&mut self.said.is_partial) {
            cx.space.stats.vectors_summed += 1;
            let unlisted = core::mem::take(&mut self.said.unlisted);
            if rest.same {
                self.learn_same(&unlisted);
            }
        }
        self.peer_known = true;
        self.begin_sending(cx)
    }

    /// Sends the whole vector when it is too wide for a hello.
    fn say_vector<S: Store>(&mut self, cx: &mut Context<'_, S>, key: Key) {
        if cx.space.durable.heads.len() <= HELLO_REPLICAS {
            return;
        }
        self.said.is_partial = false;
        cx.space.stats.vectors_whole += 1;
        let ids: Vec<ReplicaId> = cx.space.durable.heads.iter().map(|(id, _)| *id).collect();
        let chunks = ids.chunks(FRAME_REPLICAS);
        let count = chunks.len();
        for (index, chunk) in chunks.enumerate() {
            let entries = chunk.iter().filter_map(|id| entry(cx, key, id)).collect();
            let entries = BoundedVec::new(entries).expect("chunked");
            cx.send(&Message::Vector(Vector { entries, last: index + 1 == count }));
        }
    }

    pub(super) fn on_vector<S: Store>(
        &mut self,
        cx: &mut Context<'_, S>,
        vector: &Vector,
    ) -> Result<(), End> {
        let key = self.key.ok_or(MISBEHAVED)?;
        // The peer could not make out this side's vector from its hello either.
        if core::mem::take(&mut self.said.is_partial) {
            self.say_vector(cx, key);
        }
        let news = self.learn(cx, key, &vector.entries)?;
        for message in &news {
            cx.send(message);
        }
        if vector.last {
            self.peer_known = true;
            self.begin_sending(cx)?;
        }
        Ok(())
    }
}

fn entry<S: Store>(cx: &Context<'_, S>, key: Key, replica: &ReplicaId) -> Option<VectorEntry> {
    let head = cx.space.durable.heads.get(replica)?;
    Some(VectorEntry::new(key.replica(replica), head.seq, head.forked, &head.chain))
}
