//! Who is here, and what they say of themselves; see [`Engine::set_presence`](rejoin_core::engine::Engine::set_presence).

use rejoin_core::engine::Present;
use rejoin_core::store::StoreError;

use super::Replica;

impl Replica {
    /// Says what this device is about, or with `None` that it goes. `false` when that is too long.
    pub fn set_presence(&self, value: Option<&[u8]>, lives_ms: u32) -> Result<bool, StoreError> {
        let now = self.shared.clock.now();
        let said = self.shared.state().engine_to_write()?.set_presence(now, value, lives_ms);
        self.shared.wake.notify_one();
        Ok(said)
    }

    /// What the others that are here say.
    pub fn present(&self) -> Result<Vec<Present>, StoreError> {
        Ok(self.shared.state().engine()?.present(self.shared.clock.now()))
    }
}
