//! A node without files: what it keeps, the page keeps.

use std::collections::BTreeMap;
use std::sync::Arc;

use js_sys::{Array, Function, Promise};
use rejoin::net::keys::Keys;
use rejoin::{Node as Inner, Ticket};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::future_to_promise;

use crate::bridge::Bridge;
use crate::error::{Result, fail, thrown};
use crate::shelf::{self, Keeper, KeptSpaces, Page};
use crate::space::Space;

/// This device, or this tab of it.
#[wasm_bindgen]
pub struct Node {
    node: Inner,
    bridge: Option<Bridge>,
}

fn bytes<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| fail("VALUE", &format!("{what} has {N} bytes")))
}

#[wasm_bindgen]
impl Node {
    /// Opens a node. `seed` is the secret of this device, 32 bytes; `place` tells this tab from the others, 16 bytes; `carry` moves
    /// messages to peers, as [`Bridge`] says; `keeper` keeps what is written, and `kept` is what it kept so far.
    #[wasm_bindgen(unchecked_return_type = "Promise<Node>")]
    pub fn open(
        seed: &[u8],
        place: &[u8],
        carry: Option<Function>,
        keeper: Option<Keeper>,
        kept: Option<KeptSpaces>,
    ) -> Promise {
        let keys = bytes(seed, "a seed").and_then(|seed| Ok((seed, bytes(place, "a place")?)));
        let kept = kept.map_or_else(|| Ok(BTreeMap::new()), |kept| shelf::kept(&kept));
        future_to_promise(async move {
            let (seed, place) = keys?;
            let keys = Keys::of(seed, place);
            let (network, bridge) = carry.map(|carry| Bridge::join(&keys, carry)).unzip();
            let mut builder = Inner::memory_builder().keys(keys).offline(true);
            if let Some(network) = network {
                builder = builder.carried(network);
            }
            if let Some(keeper) = keeper {
                builder = builder.shelf(Arc::new(Page::new(keeper)), place, kept?);
            }
            let node = builder.open().await.map_err(thrown)?;
            Ok(Self { node, bridge }.into())
        })
    }

    /// The id under which others meet it.
    pub fn id(&self) -> String {
        self.node.id().to_string()
    }

    /// The page's end of the network; once.
    pub fn bridge(&mut self) -> Option<Bridge> {
        self.bridge.take()
    }

    /// Begins a new space.
    #[wasm_bindgen(unchecked_return_type = "Promise<Space>")]
    pub fn create(&self, name: String) -> Promise {
        let node = self.node.clone();
        future_to_promise(async move { Ok(Space(node.create(&name).await.map_err(thrown)?).into()) })
    }

    /// Joins a space.
    #[wasm_bindgen(unchecked_return_type = "Promise<Space>")]
    pub fn join(&self, ticket: String) -> Promise {
        let node = self.node.clone();
        future_to_promise(async move {
            let ticket: Ticket = ticket.parse().map_err(|error: rejoin::TicketError| thrown(error.into()))?;
            Ok(Space(node.join(&ticket).await.map_err(thrown)?).into())
        })
    }

    /// The spaces that are here.
    #[wasm_bindgen(unchecked_return_type = "Space[]")]
    pub fn spaces(&self) -> Array {
        self.node.spaces().into_iter().map(|space| JsValue::from(Space(space))).collect()
    }

    /// The spaces that were kept and cannot be used: id and why, each.
    #[wasm_bindgen(unchecked_return_type = "[id: string, why: string][]")]
    pub fn unusable(&self) -> Array {
        let pair = |(id, why): (rejoin::core::SpaceId, Arc<rejoin::Error>)| {
            JsValue::from(Array::of2(&id.to_string().into(), &why.to_string().into()))
        };
        self.node.unusable().into_iter().map(pair).collect()
    }

    /// Keeps what waits to be kept, and lets go of everything.
    pub fn close(&self) -> Promise {
        let node = self.node.clone();
        future_to_promise(async move { node.close().await.map_err(thrown).map(|()| JsValue::UNDEFINED) })
    }
}
