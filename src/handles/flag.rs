//! Flags.

use rejoin_core::crdt::FlagView;

use super::At;
use crate::{Commit, Result, Watch};

/// Yes or no. When one device enables it while another disables it, it is enabled.
#[derive(Clone, Debug)]
pub struct Flag(pub(crate) At<FlagView>);

impl Flag {
    /// Sets it to yes.
    pub fn enable(&self) -> Commit<()> {
        self.0.write(|view, tx| view.enable(tx))
    }

    /// Sets it to no.
    pub fn disable(&self) -> Commit<()> {
        self.0.write(|view, tx| view.disable(tx))
    }

    /// Whether it is yes; no until somebody enables it.
    pub fn get(&self) -> Result<bool> {
        self.0.read(|view, rows| view.is_enabled(rows))
    }

    /// Its state whenever it may have changed, first as it is.
    pub fn watch(&self) -> Watch<bool> {
        self.0.watch(|at| at.read(|view, rows| view.is_enabled(rows)))
    }
}
