//! How two heads of one id relate, as far as the two stores that hold them can tell.
//!
//! A store knows the chain at the end of each delta inside of its window, which ends with its head. So the later of two
//! heads is checked against the earlier one if its window reaches back that far; two heads of equal seq are compared at
//! once. If the window does not reach, nobody can tell a replica that was away for long from one that forked, and it must
//! be taken for the former. Where histories part is known if both windows reach the place.

use super::rule::Rule;
use super::store::Head;
use super::truth::{Chain, Truth};

/// How `a` relates to `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// One place.
    Same,
    /// `a` lies on the history of `b`.
    Behind,
    /// `b` lies on the history of `a`.
    Ahead,
    /// Nobody can tell; the earlier one is taken for a part of the later one. Whether that is true nobody sees.
    Assumed {
        /// Whether it is.
        true_prefix: bool,
    },
    /// Two histories.
    Fork {
        /// Where they part, if both know it.
        at: Option<Chain>,
    },
}

/// Relates two heads.
pub(crate) fn relate(truth: &Truth, a: &Head, b: &Head, rule: &Rule) -> Relation {
    if a.chain == b.chain {
        return Relation::Same;
    }
    let (early, late) = if a.seq <= b.seq { (a, b) } else { (b, a) };
    let common = truth.common(early.chain, late.chain);
    let prefix = common == early.chain;
    let window = |head: &Head| match rule.ideal {
        true => 0,
        false => head.window.min(truth.back(head.chain, rule.tags)),
    };
    if early.seq < window(late) {
        return Relation::Assumed { true_prefix: prefix };
    }
    if prefix {
        return if early.chain == a.chain { Relation::Behind } else { Relation::Ahead };
    }
    let known = truth.seq(common) >= window(a).max(window(b));
    Relation::Fork { at: known.then_some(common) }
}
