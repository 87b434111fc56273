//! A node without files: what it keeps, the page keeps.

use js_sys::{Array, Function, Promise};
use rejoin::net::keys::Keys;
use rejoin::{Node as Inner, Ticket};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::future_to_promise;

use crate::bridge::Bridge;
use crate::error::{Result, fail, thrown};
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
    /// messages to peers, as [`Bridge`] says.
    #[wasm_bindgen(unchecked_return_type = "Promise<Node>")]
    pub fn open(seed: &[u8], place: &[u8], carry: Option<Function>) -> Promise {
        let keys = bytes(seed, "a seed").and_then(|seed| Ok(Keys::of(seed, bytes(place, "a place")?)));
        future_to_promise(async move {
            let keys = keys?;
            let (network, bridge) = carry.map(|carry| Bridge::join(&keys, carry)).unzip();
            let mut builder = Inner::memory_builder().keys(keys).offline(true);
            if let Some(network) = network {
                builder = builder.carried(network);
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

    /// Keeps what waits to be kept, and lets go of everything.
    pub fn close(&self) -> Promise {
        let node = self.node.clone();
        future_to_promise(async move { node.close().await.map_err(thrown).map(|()| JsValue::UNDEFINED) })
    }
}
