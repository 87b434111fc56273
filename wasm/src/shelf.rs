//! Where the page keeps what is written: an object of JavaScript's that appends records.

use std::collections::BTreeMap;
use std::sync::Arc;

use js_sys::{Array, Promise, Reflect, Uint8Array};
use rejoin::core::SpaceId;
use rejoin::core::id::parse_hex;
use rejoin::core::store::StoreError;
use rejoin::net::replica::journal::Journal;
use rejoin::{Kept, Shelf};
use send_wrapper::SendWrapper;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::error::{Result, fail};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** Keeps records; calls nothing back. */
export interface Keeper {
  /** Makes a record durable, after all before it. */
  append(space: string, record: Uint8Array): Promise<void>;
  /** Keeps a fact, or forgets it, after all that was asked before. */
  keep(space: string, name: string, value: Uint8Array | undefined): void;
  /** Forgets a space. */
  forget(space: string): void;
}
/** A space as it was kept: its id, its records, its facts. */
export type KeptSpace = [id: string, records: Uint8Array[], facts: [name: string, value: Uint8Array][]];
"#;

#[wasm_bindgen]
extern "C" {
    /// See the TypeScript above.
    #[wasm_bindgen(typescript_type = "Keeper")]
    #[derive(Clone)]
    pub type Keeper;

    #[wasm_bindgen(method, catch)]
    fn append(this: &Keeper, space: &str, record: Uint8Array) -> Result<Promise>;

    #[wasm_bindgen(method, catch)]
    fn keep(this: &Keeper, space: &str, name: &str, value: Option<Uint8Array>) -> Result<()>;

    #[wasm_bindgen(method, catch)]
    fn forget(this: &Keeper, space: &str) -> Result<()>;

    /// A list of what was kept.
    #[wasm_bindgen(typescript_type = "KeptSpace[]")]
    pub type KeptSpaces;
}

/// A keeper as the library knows it. Everything here runs on one thread.
#[derive(Clone)]
pub struct Page(SendWrapper<Keeper>);

impl Page {
    /// Of a keeper.
    pub fn new(keeper: Keeper) -> Self {
        Self(SendWrapper::new(keeper))
    }
}

struct Records(Page, SpaceId);

impl Journal for Records {
    fn append(
        &self,
        record: Vec<u8>,
    ) -> futures::future::BoxFuture<'static, std::result::Result<(), StoreError>> {
        let promise = self.0.0.append(&self.1.to_string(), Uint8Array::from(&record[..]));
        let kept = async move { JsFuture::from(promise?).await };
        let kept = async move { kept.await.map(drop).map_err(|error| store_error(&error)) };
        Box::pin(SendWrapper::new(kept))
    }
}

impl Shelf for Page {
    fn journal(&self, space: &SpaceId) -> Arc<dyn Journal> {
        Arc::new(Records(self.clone(), *space))
    }

    fn keep(&self, space: &SpaceId, name: &str, value: Option<&[u8]>) {
        // A fact is a hint for the next time, and who keeps it reports by itself that it cannot.
        let _ = self.0.keep(&space.to_string(), name, value.map(Uint8Array::from));
    }

    fn forget(&self, space: &SpaceId) {
        let _ = self.0.forget(&space.to_string());
    }
}

/// What a keeper could not do.
fn store_error(error: &JsValue) -> StoreError {
    let text = |name: &str| Reflect::get(error, &name.into()).ok().and_then(|it| it.as_string());
    let message = text("message").unwrap_or_else(|| format!("{error:?}"));
    let is_full = text("code").is_some_and(|code| ["QUOTA", "ENOSPC", "EDQUOT"].contains(&code.as_str()))
        || text("name").is_some_and(|name| name == "QuotaExceededError");
    if is_full { StoreError::Full(message) } else { StoreError::Io(message) }
}

/// What was kept, as the library takes it.
pub fn kept(spaces: &KeptSpaces) -> Result<BTreeMap<SpaceId, Kept>> {
    let wrong = || fail("STORAGE", "what the keeper gives back is not what it was given");
    let bytes = |it: JsValue| it.dyn_into::<Uint8Array>().map(|it| it.to_vec()).map_err(|_| wrong());
    let list = |it: JsValue| it.dyn_into::<Array>().map_err(|_| wrong());
    let mut all = BTreeMap::new();
    for space in list(spaces.obj.clone())?.iter() {
        let space = list(space)?;
        let id = space.get(0).as_string().and_then(|id| parse_hex::<32>(&id)).ok_or_else(wrong)?;
        let records = list(space.get(1))?.iter().map(bytes).collect::<Result<_>>()?;
        let mut facts = BTreeMap::new();
        for fact in list(space.get(2))?.iter() {
            let fact = list(fact)?;
            facts.insert(fact.get(0).as_string().ok_or_else(wrong)?, bytes(fact.get(1))?);
        }
        all.insert(SpaceId(id), Kept { records, facts });
    }
    Ok(all)
}
