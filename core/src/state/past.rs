//! What tokens say of this replica, and of each other.
//!
//! Whether a token was seen here is a look at the vector. How two tokens relate is asked of the log: a delta names its past
//! by the author's frontier, so the log is a graph that can be walked back from the dots of each token. Where it ends, below
//! the floors, what else lies in the past of a token is not known; an answer that would need it is not given.
//!
//! With P(t) what the walk from t finds, and ends(t) the dots in it that the log does not hold any more:
//!
//! * *a is in the past of b* if each dot of a is in P(b).
//! * *It is not* if b was seen here and some dot of a was not, since histories are closed; or if some dot of a is not in P(b)
//!   and all ends of b are in P(a): what lies below an end is then in the past of a, where no dot of a is.
//!
//! No clock is asked: beyond the clamp timestamps do not order causally.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use crate::clock::{Causality, Frontier, Token, VersionVector};
use crate::id::{Dot, ReplicaId};
use crate::row::Deps;
use crate::state::{Space, log};
use crate::store::{Store, StoreError, Table};

/// A delta of the log, without what it says.
struct Link {
    replica: ReplicaId,
    first: u64,
    deps: Deps,
}

/// What is known of the past of a token, itself included.
struct Past {
    known: VersionVector,
    /// Where the walk ended; below each of them there may be more. `None` when it is not known where all of them are.
    ends: Option<Vec<Dot>>,
}

impl<S: Store> Space<S> {
    /// What memory has seen. Own writes that wait for a commit have all of it in their past: nothing from elsewhere is
    /// applied before they are sealed.
    pub(crate) fn token(&self) -> Token {
        match self.incarnation.filter(|_| self.pending.is_some()) {
            Some(own) => Token::of_write(Dot::new(own.replica, self.heads.seq(&own.replica))),
            None => self.frontier.clone().into(),
        }
    }

    /// A token whose dots have the names that they have now.
    fn renamed(&self, token: &Token) -> Vec<Dot> {
        token.dots().map(|dot| self.current(dot)).collect()
    }

    /// The dots of a token that are not here, by their present names.
    pub(crate) fn missing(&self, token: &Token) -> Vec<Dot> {
        let mut dots = self.renamed(token);
        dots.retain(|dot| !self.heads.contains(dot));
        dots
    }

    /// How two tokens relate, where memory and the log can tell.
    pub(crate) fn compare(&mut self, a: &Token, b: &Token) -> Result<Option<Causality>, StoreError> {
        let (a, b) = (self.renamed(a), self.renamed(b));
        if a == b {
            return Ok(Some(Causality::Equal));
        }
        // What is pending has to be in the log.
        self.seal()?;
        let links = self.links()?;
        let (past_a, past_b) = (self.past(&a, &links), self.past(&b, &links));
        let (a_first, b_first) =
            (self.is_past(&a, &past_a, &b, &past_b), self.is_past(&b, &past_b, &a, &past_a));
        Ok(match (a_first, b_first) {
            (Some(true), Some(true)) => Some(Causality::Equal),
            // Two frontiers of one history are equal, so these are none.
            (Some(true), _) => Some(Causality::Before),
            (_, Some(true)) => Some(Causality::After),
            (Some(false), Some(false)) => Some(Causality::Concurrent),
            _ => None,
        })
    }

    /// All that lies in the past of a token, itself included, where memory and the log can tell.
    pub(crate) fn version_at(&mut self, token: &Token) -> Result<Option<VersionVector>, StoreError> {
        self.seal()?;
        if !self.missing(token).is_empty() {
            return Ok(None);
        }
        let dots = self.renamed(token);
        if Token::from(Frontier::from_dots(dots.iter().copied())) == self.frontier.clone().into() {
            return Ok(Some(self.heads.vector()));
        }
        let past = self.past(&dots, &self.links()?);
        Ok(past.ends.filter(Vec::is_empty).map(|_| past.known))
    }

    /// The log in memory, oldest first.
    fn links(&self) -> Result<Vec<Link>, StoreError> {
        let (mut links, mut failed) = (Vec::new(), None);
        self.overlay.scan(Table::Log, &[], &mut |key, value| match log::decode(key, value) {
            Ok(record) => {
                let delta = record.delta;
                links.push(Link { replica: delta.replica, first: delta.first_seq, deps: delta.deps });
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(links), Err)
    }

    fn past(&self, dots: &[Dot], links: &[Link]) -> Past {
        let mut known = VersionVector::new();
        dots.iter().for_each(|dot| known.observe(dot.replica, dot.seq));
        let mut is_whole = true;
        // Arrival order is causal: what a delta depends on comes before it.
        for link in links.iter().rev() {
            if link.first <= known.seq(&link.replica) {
                link.deps.dots().iter().for_each(|dot| known.observe(dot.replica, dot.seq));
                is_whole &= matches!(link.deps, Deps::Dots(_));
            }
        }
        let end = |(replica, seq): (ReplicaId, u64)| {
            let end = match self.heads.get(&replica) {
                Some(head) if seq <= head.seq => seq.min(head.floor),
                _ => seq,
            };
            (end > 0).then(|| Dot::new(replica, end))
        };
        let ends = is_whole.then(|| known.iter().filter_map(end).collect());
        Past { known, ends }
    }

    /// Whether all of `a` is in the past of `b`, or part of it; `None` when that cannot be told.
    fn is_past(&self, a: &[Dot], past_a: &Past, b: &[Dot], past_b: &Past) -> Option<bool> {
        if a.iter().all(|dot| past_b.known.contains(dot)) {
            return Some(true);
        }
        let is_seen = |dots: &[Dot]| dots.iter().all(|dot| self.heads.contains(dot));
        if is_seen(b) && !is_seen(a) {
            return Some(false);
        }
        let ends = past_b.ends.as_ref()?;
        ends.iter().all(|end| past_a.known.contains(end)).then_some(false)
    }
}
