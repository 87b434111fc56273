//! Goals: a figure, or a ratio to another contender in the same run, so that they survive a slow machine.

use crate::plan::Case;
use crate::run::Outcomes;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
}

/// What rejoin is to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// Only reported.
    None,
    /// This figure, or better.
    Figure(f64),
    /// So many times the figure of a contender, or better.
    Times(f64, &'static str),
    /// No more than so many times worse than in another case of the same workload.
    Steady(f64, &'static str),
}

impl Goal {
    /// In words.
    pub(crate) fn words(self, better: Better) -> String {
        let sign = if better == Better::Less { "at most" } else { "at least" };
        match self {
            Self::None => String::new(),
            Self::Figure(figure) => format!("{sign} {}", human(figure)),
            Self::Times(times, of) => format!("{sign} {times} x {of}"),
            Self::Steady(times, case) => format!("{times} x worse than with {case} at most"),
        }
    }

    /// Whether `figure` reaches it; `None` where there is nothing to compare with.
    pub(crate) fn is_met(
        self,
        figure: f64,
        better: Better,
        (case, name): (&Case, &str),
        outcomes: &Outcomes,
    ) -> Option<bool> {
        let bound = match self {
            Self::None => return None,
            Self::Figure(bound) => bound,
            Self::Times(times, of) => times * outcomes.figure(&case.key(), of, name)?,
            Self::Steady(times, label) => {
                let before = outcomes.figure(&case.key_of(label), "rejoin", name)?;
                if better == Better::Less { before * times } else { before / times }
            }
        };
        Some(if better == Better::Less { figure <= bound } else { figure >= bound })
    }
}

/// A figure with three digits.
pub(crate) fn human(figure: f64) -> String {
    // The sum of no floats is minus zero.
    let (figure, size) = (figure + 0.0, figure.abs());
    match () {
        () if size >= 1e6 => format!("{} M", digits(figure / 1e6)),
        () if size >= 1e4 => format!("{} k", digits(figure / 1e3)),
        () if size >= 100.0 || figure.fract() == 0.0 => format!("{figure:.0}"),
        () => digits(figure),
    }
}

fn digits(figure: f64) -> String {
    match figure.abs() {
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 0.1 => format!("{figure:.2}"),
        _ => format!("{figure:.4}"),
    }
}
