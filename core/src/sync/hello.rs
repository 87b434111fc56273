//! Hellos: naming a state, comparing two, and finding out what the other lacks.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::boundary::{Event, Reason, Role};
use crate::id::{ReplicaId, SpaceId};
use crate::state::Heads;
use crate::store::Store;
use crate::sync::message::{Claim, Hello, HelloVector, Key, Message, PROTOCOL, Tag, VectorEntry, YouWere};
use crate::sync::session::{Context, End, MISBEHAVED, PROOFS, Session};

/// Whether a frame is a hello about `space`. A host that holds several spaces asks each for the first frame of a stream.
/// Those of other versions count: whoever says them is to hear why it is refused.
pub(crate) fn greets(frame: &[u8], space: &SpaceId) -> bool {
    let start = frame.split_first_chunk::<2>().filter(|([kind, _], _)| *kind == 0);
    let parts = start.and_then(|(_, rest)| rest.split_first_chunk::<8>());
    parts.is_some_and(|(key, rest)| rest.starts_with(&Key(*key).space(space)))
}

/// Whether a frame is a hello of another version of the protocol. Nothing else of it need be legible here.
pub(super) fn is_of_another_version(frame: &[u8]) -> bool {
    frame.first_chunk().is_some_and(|[kind, version]| *kind == 0 && *version != PROTOCOL)
}

impl Session {
    /// Says hello: on connecting as the initiator, or again.
    pub(crate) fn say_hello<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        self.greet(cx, None)
    }

    /// Says hello, in answer to one that named the entries of `asked` or by itself.
    fn greet<S: Store>(&mut self, cx: &mut Context<'_, S>, asked: Option<&[VectorEntry]>) -> Result<(), End> {
        let key = *self.key.get_or_insert_with(|| Key(cx.space.entropy.draw()));
        let (digest, root) = cx.space.durable_state()?;
        // While a rename is on its way to the disk this names the old state: the next hello has to say that it is none any
        // more, also on a stream that was not open yet when own deltas got another name.
        self.dropped |= cx.space.is_parting();
        let dropped = !cx.space.is_parting() && core::mem::take(&mut self.dropped);
        let (vector, me) = self.hello_vector(cx, key, asked)?;
        let hello = Hello {
            version: PROTOCOL,
            key,
            space: key.space(&cx.space.id),
            claim: key.claim(&digest, &root),
            control: [0; 8],
            reply: asked.is_some(),
            dropped,
            me,
            vector,
        };
        cx.send(&Message::Hello(hello));
        self.announced = Some(cx.space.durable.generation);
        if cx.space.durable.generation >= self.hello_after {
            self.hello_at = None;
        }
        Ok(())
    }

    pub(super) fn on_hello<S: Store>(&mut self, cx: &mut Context<'_, S>, hello: &Hello) -> Result<(), End> {
        let key = *self.key.get_or_insert(hello.key);
        let same = hello.control == [0; 8] && hello.space == key.space(&cx.space.id);
        if !same {
            return Err(End::Peer(Reason::Incompatible));
        }
        // One key for the whole stream; an initiator is greeted by an answer, a responder by a question.
        let expected = hello.key == key && (self.greeted || hello.reply == (self.role == Role::Initiator));
        if !expected {
            return Err(MISBEHAVED);
        }
        self.greeted = true;
        self.heard += 1;
        if hello.dropped {
            self.on_dropped();
        }
        self.claim = Some(hello.claim);
        if self.is_equal(cx)? {
            self.peer.merge(&cx.space.durable.heads.vector());
            self.peer_known = true;
            self.doubt = false;
            cx.space.tell_durable();
            self.follow_log(cx, cx.space.durable.log.next);
            self.agree(cx)?;
            if !hello.reply {
                self.say_root(cx)?;
            }
            return Ok(());
        }
        self.proofs_left = PROOFS;
        self.doubt_take(cx);
        self.contested.clear();
        self.said_forked.clear();
        self.told.clear();
        self.doubt = false;
        let entries = match &hello.vector {
            HelloVector::Whole(entries) => entries.to_vec(),
            HelloVector::Newest(entries, _) => entries.to_vec(),
        };
        let me = hello.me.map(|me| entries.get(usize::from(me)).copied().ok_or(MISBEHAVED)).transpose()?;
        let news = self.learn(cx, key, &entries)?;
        if !hello.reply {
            self.greet(cx, Some(&entries))?;
        }
        for message in &news {
            cx.send(message);
        }
        if let Some(me) = me {
            self.remind(cx, key, &me);
        }
        if self.learn_rest(cx, key, hello, &entries)? {
            self.peer_known = true;
            self.begin_sending(cx)?;
        }
        self.compare_claims(cx)
    }

    /// Takes note of what the peer has. Entries of replicas that are not known here say nothing that helps it. That a
    /// history differs is only heard, not proven: it says what to compare, and nobody loses an id for it. Returns heads of
    /// forked replicas that may prove it to the peer.
    pub(super) fn learn<S: Store>(
        &mut self,
        cx: &mut Context<'_, S>,
        key: Key,
        entries: &[VectorEntry],
    ) -> Result<Vec<Message>, End> {
        let mut unaware = Vec::new();
        let named: Vec<_> =
            entries.iter().zip(entries.iter().map(|entry| self.name(cx, key, entry))).collect();
        for (entry, replica) in named {
            if let Some(own) = replica.filter(|id| cx.space.replica() == Some(*id)) {
                unaware.extend(self.look_at_own(cx, own, entry)?);
            }
            let Some((replica, head)) = replica.zip(replica.and_then(|id| cx.space.durable.heads.get(&id)))
            else {
                continue;
            };
            let replica = &replica;
            self.peer.observe(*replica, entry.seq().min(head.seq));
            self.told.insert(*replica, (entry.seq(), entry.chain));
            if entry.forked() {
                self.said_forked.insert(*replica);
            }
            let same_seq = entry.seq() == head.seq;
            let differs = head.passes(entry.seq(), &entry.chain) == Some(false);
            // The place of the own id that is in doubt may be anybody's.
            let doubtful = self.doubt && cx.space.replica() == Some(*replica);
            if !differs && !doubtful && !entry.forked() && !head.forked {
                self.held.observe(*replica, entry.seq().min(head.seq));
            }
            if same_seq && !differs {
                self.misfits.remove(replica);
            }
            // What a peer that knows of a fork lacks it takes only by bulk.
            let by_bulk = entry.seq() < head.seq && (entry.forked() || self.misfits.contains(replica));
            if differs || by_bulk {
                self.contested.insert(*replica);
            }
            if head.forked && !entry.forked() && (differs || !same_seq) {
                unaware.push(Message::YouWere(YouWere::of(replica, head)));
            }
        }
        Ok(unaware)
    }

    /// Replicas that have another history at the peer, by its last hello and by what is known of them now.
    pub(super) fn differing<'a>(&'a self, heads: &'a Heads) -> impl Iterator<Item = ReplicaId> + 'a {
        let differs = |(id, (seq, tag)): &(&ReplicaId, &(u64, Tag))| {
            heads.get(id).is_some_and(|head| head.passes(*seq, tag) == Some(false))
        };
        self.told.iter().filter(differs).map(|(id, _)| *id)
    }

    /// Replicas that have two histories, as far as this side or the peer's last hello says.
    pub(super) fn doubted(&self, heads: &Heads) -> BTreeSet<ReplicaId> {
        let said = self.contested.union(&self.said_forked).copied();
        said.chain(self.differing(heads)).collect()
    }

    /// A bulk that is under way is of what the peer had before its next hello: what was in doubt by the last one stays so.
    fn doubt_take<S: Store>(&self, cx: &mut Context<'_, S>) {
        if let Some(take) = cx.take.as_mut().filter(|take| take.session == cx.id) {
            take.doubtful.append(&mut self.doubted(&cx.space.durable.heads));
        }
    }

    /// Tells a replica that went back in time how far it once was.
    fn remind<S: Store>(&mut self, cx: &mut Context<'_, S>, key: Key, me: &VectorEntry) {
        let Some(replica) = self.name(cx, key, me) else { return };
        let Some(head) = cx.space.durable.heads.get(&replica) else { return };
        let further = head.seq > me.seq() || (head.seq == me.seq() && me.chain != head.tag());
        // Whoever saw another history of the id, however short, shows it: only its owner can stop writing under it.
        if further || head.forked {
            cx.send(&Message::YouWere(YouWere::of(&replica, head)));
        }
    }

    pub(super) fn say_root<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        let key = self.key.ok_or(MISBEHAVED)?;
        let (digest, root) = cx.space.durable_state()?;
        cx.send(&Message::Root(key.claim(&digest, &root)));
        self.announced = Some(cx.space.durable.generation);
        Ok(())
    }

    pub(super) fn on_root<S: Store>(&mut self, cx: &mut Context<'_, S>, claim: Claim) -> Result<(), End> {
        if self.key.is_none() {
            return Err(MISBEHAVED);
        }
        self.claim = Some(claim);
        if !self.greeted {
            // The answer to an equal hello. What it says differs only if something was committed meanwhile.
            self.greeted = true;
            if !self.is_equal(cx)? {
                return self.say_hello(cx);
            }
        }
        if self.is_equal(cx)? {
            self.peer.merge(&cx.space.durable.heads.vector());
            cx.space.tell_durable();
            self.doubt = false;
            if !self.peer_known {
                self.peer_known = true;
                self.follow_log(cx, cx.space.durable.log.next);
            }
            return self.agree(cx);
        }
        self.compare_claims(cx)
    }

    /// Whether the peer's newest claim names the state that is durable here.
    pub(super) fn is_equal<S: Store>(&self, cx: &mut Context<'_, S>) -> Result<bool, End> {
        let (Some(key), Some(claim)) = (self.key, self.claim) else { return Ok(false) };
        let (digest, root) = cx.space.durable_state()?;
        Ok(key.claim(&digest, &root) == claim)
    }

    /// Equal vectors with different roots: contents differ under some dot. Compares all contents, and reports when that
    /// does not help.
    pub(super) fn compare_claims<S: Store>(&mut self, cx: &mut Context<'_, S>) -> Result<(), End> {
        let (Some(key), Some(claim)) = (self.key, self.claim) else { return Ok(()) };
        let (digest, root) = cx.space.durable_state()?;
        let mine = key.claim(&digest, &root);
        if mine.vector != claim.vector || mine.root == claim.root || !cx.space.is_settled() {
            return Ok(());
        }
        // Each comparison that mends something changes a side, and only so much can differ: those count from anew.
        let tries = match self.deep {
            Some((at, about, tries)) if (at, about) == (mine, claim) => tries,
            _ => 0,
        };
        if self.doubt || cx.space.is_parting() || (tries < PROOFS && cx.is_taking()) {
            return Ok(());
        }
        if tries < PROOFS && self.dropped {
            // That is told first. The peer may have to ask for more before it knows what is here, and voids what comes
            // earlier; its answer leads here again.
            return self.say_hello(cx);
        }
        if tries < PROOFS {
            self.deep = Some((mine, claim, tries + 1));
            return self.ask_bulk(cx, true);
        }
        if tries == PROOFS {
            self.deep = Some((mine, claim, tries + 1));
            cx.space.events.push(Event::Diverged { session: cx.id });
        }
        Ok(())
    }
}
