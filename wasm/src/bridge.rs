//! The network that the page carries: its other tabs, or nodes of a test.

use js_sys::{Function, Uint8Array};
use rejoin::PeerId;
use rejoin::net::keys::Keys;
use rejoin::net::network::Network;
use rejoin::net::network::bridge::{Bridge as Inner, Carry};
use send_wrapper::SendWrapper;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::{Result, fail};

/// The page's end: it says who is there, and moves messages.
#[wasm_bindgen]
pub struct Bridge(Inner);

struct Carrier(SendWrapper<Function>);

impl Carry for Carrier {
    fn carry(&self, to: PeerId, message: Vec<u8>) {
        // Whoever carries it tells by itself what could not be carried.
        let _ = self.0.call2(&JsValue::NULL, &to.to_string().into(), &Uint8Array::from(&message[..]));
    }
}

fn peer(name: &str) -> Result<PeerId> {
    name.parse().map_err(|_| fail("PEER", "this is the id of no peer"))
}

impl Bridge {
    /// For the node with these keys. `carry` is called with a peer and a message, and may not call the bridge at once.
    pub fn join(keys: &Keys, carry: Function) -> (Network, Self) {
        let (network, bridge) = Inner::join(keys.peer(), Carrier(SendWrapper::new(carry)));
        (network, Self(bridge))
    }
}

#[wasm_bindgen]
impl Bridge {
    /// A peer is there; one of the two sides asks.
    pub fn here(&self, id: &str, asks: bool) -> Result<()> {
        self.0.here(peer(id)?, asks);
        Ok(())
    }

    /// A peer is gone.
    pub fn gone(&self, id: &str) -> Result<()> {
        self.0.gone(peer(id)?);
        Ok(())
    }

    /// A message of a peer has arrived.
    pub fn arrived(&self, id: &str, message: &[u8]) -> Result<()> {
        self.0.arrived(peer(id)?, message).map_err(|error| fail("PEER", &error.to_string()))
    }
}
