//! Presence: who is here now, and what each of them is about.

use std::marker::PhantomData;
use std::time::Duration;

use rejoin_core::Value;
use rejoin_core::id::DeviceKey;
use rejoin_core::limits::PRESENCE_BYTES;
use rejoin_core::row::DataError;
use rejoin_core::value::{from_value, to_value};
use rejoin_net::replica::News;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result, Space, Watch};

/// How long a device is shown after it was heard last, unless it says otherwise.
const LIVES: Duration = Duration::from_secs(15);

/// What devices say of themselves while they are here: a name, a colour, a cursor. It is stored nowhere and is no part of the
/// data. Each device says one value in a space, to all that are connected, directly or through others; what is lost on the
/// way is not sent again, but said anew within seconds. Say it as often as you like: at most twenty times a second goes out.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> rejoin::Result<()> {
/// # use serde::{Deserialize, Serialize};
/// #[derive(Debug, Serialize, Deserialize)]
/// struct Here { name: String, line: u32 }
///
/// # let board = rejoin::Node::memory().await?.create("board").await?;
/// let presence = board.presence::<Here>();
/// presence.set(&Here { name: "Ada".into(), line: 12 })?;
/// for other in presence.others()? {
///     println!("{} is at line {}", other.value.name, other.value.line);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Presence<T> {
    space: Space,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Presence<T> {
    fn clone(&self) -> Self {
        Self { space: self.space.clone(), of: PhantomData }
    }
}

/// Another device that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here<T> {
    /// Which device: it signs what it says.
    pub device: DeviceKey,
    /// What it says.
    pub value: T,
    /// How long ago it was heard.
    pub age: Duration,
}

impl Space {
    /// Who is here now, and what they say of themselves. All apps of a space share it, so `T` is the same for all: what is no
    /// `T` is not shown.
    pub fn presence<T>(&self) -> Presence<T> {
        Presence { space: self.clone(), of: PhantomData }
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Presence<T> {
    /// Says it to whoever is here, and to whoever comes, until it is said otherwise or this space is closed. Who has not heard
    /// it for 15 seconds shows it no longer.
    ///
    /// # Errors
    /// It is too long: at most 1,024 bytes.
    pub fn set(&self, value: &T) -> Result<()> {
        self.set_for(value, LIVES)
    }

    /// The same, and others show it for so long after they heard it last, at most five minutes. It is said three times within
    /// that: shorter is more exact, longer costs less.
    pub fn set_for(&self, value: &T, lives: Duration) -> Result<()> {
        let value = to_value(value).map_err(DataError::from)?;
        let bytes = value.encode().map_err(DataError::from)?;
        let lives_ms = u32::try_from(lives.as_millis()).unwrap_or(u32::MAX);
        match self.space.replica().set_presence(Some(&bytes), lives_ms)? {
            true => Ok(()),
            false => Err(Error::PresenceTooLong { bytes: bytes.len(), most: PRESENCE_BYTES }),
        }
    }

    /// Says that this device goes.
    pub fn clear(&self) -> Result<()> {
        self.space.replica().set_presence(None, 0)?;
        Ok(())
    }

    /// The others that are here, by device.
    pub fn others(&self) -> Result<Vec<Here<T>>> {
        let read = |present: rejoin_core::engine::Present| {
            let value = Value::decode(&present.value).ok().and_then(|value| from_value(value).ok())?;
            Some(Here { device: present.device, value, age: Duration::from_millis(present.age_ms) })
        };
        Ok(self.space.replica().present()?.into_iter().filter_map(read).collect())
    }

    /// The others whenever one comes, goes, or says something else; first as they are.
    pub fn watch(&self) -> Watch<Vec<Here<T>>> {
        let here = self.clone();
        Watch::new(self.space.replica(), |news| matches!(news, News::Presence), move || here.others())
    }
}
