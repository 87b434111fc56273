//! Own transactions taken back, and done again.

use rejoin_core::Dot;
use rejoin_core::engine::{Engine, Now, Undone, WriteError};
use rejoin_core::store::StoreError;

use super::{Lost, Replica, Storage, Written};

impl Replica {
    /// How many own transactions are kept to be taken back, see [`Engine::keep_undo`]; waits until that is durable.
    pub async fn keep_undo(&self, limit: u32) -> Result<Result<(), Lost>, StoreError> {
        let ((), durable) = self.change(|engine| engine.keep_undo(limit))?;
        Ok(durable.done().await)
    }

    /// How many are kept at most, how many can be taken back, and how many of those done again.
    pub fn undo_depth(&self) -> Result<(u32, usize, usize), StoreError> {
        let state = self.shared.state();
        let engine = state.engine()?;
        let (back, again) = engine.undo_depth();
        Ok((engine.undo_limit(), back, again))
    }

    /// Takes back the newest own transaction that is kept and was not taken back. Shows in reads when this returns; see
    /// [`Engine::undo`].
    pub fn undo(&self) -> Result<(Option<Undone>, Option<Written>), WriteError> {
        self.turn(Engine::undo)
    }

    /// Does again what was taken back last; see [`Engine::redo`].
    pub fn redo(&self) -> Result<(Option<Undone>, Option<Written>), WriteError> {
        self.turn(Engine::redo)
    }

    fn turn(
        &self,
        turn: impl FnOnce(&mut Engine<Storage>, Now) -> Result<(Option<Undone>, Option<Dot>), WriteError>,
    ) -> Result<(Option<Undone>, Option<Written>), WriteError> {
        let mut state = self.shared.state();
        let engine = state.engine_to_write().map_err(WriteError::Store)?;
        let (undone, dot) = turn(engine, self.shared.clock.now())?;
        let written = state.written(dot);
        drop(state);
        self.shared.wake.notify_one();
        Ok((undone, written))
    }
}
