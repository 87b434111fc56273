//! Secondary indexes of a replica: see [`rejoin_core::index`].

use rejoin_core::index::IndexSpec;
use rejoin_core::store::StoreError;

use super::{Lost, Replica};

impl Replica {
    /// Goes one step towards having an index, and waits until that is durable; whether it is there. Reads and writes go on
    /// between steps.
    pub async fn build_index(&self, index: &IndexSpec) -> Result<Result<bool, Lost>, StoreError> {
        let (is_there, durable) = self.change(|engine| engine.build_index(index))?;
        let outcome = durable.done().await;
        // A bulk that was on its way has let go of what was built meanwhile.
        let is_kept = is_there && self.indexes()?.contains(index);
        Ok(outcome.map(|()| is_kept))
    }

    /// Goes one step towards not having one; whether nothing of it is left.
    pub async fn drop_index(&self, index: &IndexSpec) -> Result<Result<bool, Lost>, StoreError> {
        let (is_gone, durable) = self.change(|engine| engine.drop_index(index))?;
        Ok(durable.done().await.map(|()| is_gone))
    }

    /// Gives up what is kept beside the data: see [`rejoin_core::engine::Engine::give_up_derived`].
    pub fn give_up_derived(&self) -> Result<(), StoreError> {
        let ((), _) = self.change(|engine| {
            engine.give_up_derived();
            Ok(())
        })?;
        Ok(())
    }

    /// Which ones there are.
    pub fn indexes(&self) -> Result<Vec<IndexSpec>, StoreError> {
        Ok(self.shared.state().engine()?.indexes())
    }
}
