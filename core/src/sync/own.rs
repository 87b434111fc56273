//! The own id in a session: what the peer has of it comes before anything is told.
//!
//! Another copy of this store may have written under it. The peer's entry shows that, its head proves it, and what was
//! never told gets a new id before any of it leaves: see `state/told.rs`.

use crate::id::ReplicaId;
use crate::planted::Rule;
use crate::store::Store;
use crate::sync::message::{Message, VectorEntry, YouWere};
use crate::sync::session::{Context, End, MISBEHAVED, Session};

impl Session {
    /// What the peer has of the own id: known from here on to be told, or to be looked at before anything is exchanged.
    /// Its word is not enough to give up the id, so it is asked for the head.
    pub(super) fn look_at_own<S: Store>(
        &mut self,
        cx: &mut Context<'_, S>,
        own: ReplicaId,
        entry: &VectorEntry,
    ) -> Result<Option<Message>, End> {
        if cx.space.own_passes(entry.seq(), &entry.chain)? == Some(false)
            && cx.space.planted.keeps(Rule::H6NewIncarnation)
            && cx.space.planted.keeps(Rule::OwnEntryFirst)
        {
            self.doubt = true;
            return Ok(Some(Message::Show(own)));
        }
        cx.space.tell(entry.seq());
        Ok(None)
    }

    /// Shows an owner what is known here of its replica.
    pub(super) fn on_show<S: Store>(cx: &mut Context<'_, S>, replica: &ReplicaId) {
        if let Some(head) = cx.space.durable.heads.get(replica) {
            cx.send(&Message::YouWere(YouWere::of(replica, head)));
        }
    }

    pub(super) fn on_you_were<S: Store>(
        &mut self,
        cx: &mut Context<'_, S>,
        you: &YouWere,
    ) -> Result<(), End> {
        let YouWere { head, tags } = you;
        if cx.space.heads.get(&head.replica).is_none() && cx.space.replica() != Some(head.replica) {
            return Ok(());
        }
        if !cx.space.is_signed(head) || !tags.precede(head.seq) {
            return Err(MISBEHAVED);
        }
        // Nobody knows more of a replica than was written there: whoever does knew it before this store went back. What
        // is in memory counts, not only what is reported as durable: a copy of the disk may know of a commit first.
        cx.space.heed(head, tags)?;
        // The answer to the next hello ends the doubt; it is not said at once again and again, whatever the peer says.
        if self.doubt {
            self.say_dropped(cx.now);
        }
        Ok(())
    }

    /// Own deltas got another name: what was said of them does not hold, and what was asked for by it is void. The peer
    /// is told once that is durable, and nothing is sent before it has answered.
    pub(crate) fn start_over<S: Store>(&mut self, cx: &mut Context<'_, S>) {
        if let Some(serving) = self.serving.take() {
            cx.send(&Message::BulkVoid(serving.round));
        }
        if cx.take.as_ref().is_some_and(|take| take.session == cx.id) {
            self.give_up_bulk(cx);
        }
        self.on_dropped();
        (self.offer, self.offered, self.doubt) = (None, false, false);
        self.misfits.clear();
        self.drop_queue(cx.now);
        self.settled = self.received;
        self.hello_soon(cx.now, cx.space.settles_at());
    }

    /// Whether it is known what the peer has, and nothing of it is in doubt.
    pub(crate) const fn knows_peer(&self) -> bool {
        self.peer_known && !self.doubt
    }
}
