//! A space.

use js_sys::{Array, Function, Object, Promise};
use rejoin::core::engine::Event;
use rejoin::core::row::RowKey;
use rejoin::net::replica::{News, RecvError};
use rejoin::{Grant, Incident, Space as Inner, What};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{future_to_promise, spawn_local};

use crate::at::{self, At};
use crate::counter::Counter;
use crate::error::{Result, fail, thrown};
use crate::list::List;
use crate::log::Log;
use crate::map::LwwMap;
use crate::register::Register;
use crate::set::OrSet;
use crate::value::set;
use crate::written::Written;

/// What is shared, and with whom.
#[wasm_bindgen]
pub struct Space(pub(crate) Inner);

#[wasm_bindgen]
impl Space {
    /// Its id, the same everywhere.
    pub fn id(&self) -> String {
        self.0.id().to_string()
    }

    /// What it is called here.
    pub fn name(&self) -> String {
        self.0.name().to_owned()
    }

    /// The counter at a path.
    pub fn counter(&self, path: &str) -> Result<Counter> {
        At::new(&self.0, path).map(Counter)
    }

    /// The set at a path.
    pub fn set(&self, path: &str) -> Result<OrSet> {
        At::new(&self.0, path).map(OrSet)
    }

    /// The map at a path.
    pub fn map(&self, path: &str) -> Result<LwwMap> {
        At::new(&self.0, path).map(LwwMap)
    }

    /// The register at a path.
    pub fn register(&self, path: &str) -> Result<Register> {
        At::new(&self.0, path).map(Register)
    }

    /// The list at a path.
    pub fn list(&self, path: &str) -> Result<List> {
        At::new(&self.0, path).map(List)
    }

    /// The log at a path.
    pub fn log(&self, path: &str) -> Result<Log> {
        At::new(&self.0, path).map(Log)
    }

    /// Runs a function whose writes are one transaction: all of it is seen, or nothing. What it throws is thrown, and nothing was
    /// written.
    pub fn batch(&self, run: &Function) -> Result<Written> {
        at::batch(&self.0, || {
            let result = run.call0(&JsValue::UNDEFINED)?;
            // What it would write after its first await would be outside.
            if result.has_type::<Promise>() {
                return Err(fail("BATCH", "a batch is one step: await before it or after it, not in it"));
            }
            Ok(())
        })
    }

    /// Records that make all of it, in the place of those that were kept before.
    #[wasm_bindgen(unchecked_return_type = "Uint8Array[]")]
    pub fn image(&self) -> Result<Array> {
        at::outside(&self.0)?;
        let records = self.0.image().map_err(thrown)?;
        Ok(records.iter().map(|record| js_sys::Uint8Array::from(&record[..])).collect())
    }

    /// Waits until all that was written so far is kept.
    pub fn saved(&self) -> Promise {
        let space = self.0.clone();
        future_to_promise(async move { space.saved().await.map_err(thrown).map(|()| JsValue::UNDEFINED) })
    }

    /// An invitation. Whoever has it can join.
    pub fn ticket(&self) -> Promise {
        let space = self.0.clone();
        future_to_promise(
            async move { Ok(space.ticket(Grant::Write).await.map_err(thrown)?.to_string().into()) },
        )
    }

    /// The hash that names what is kept here: equal roots are equal data.
    pub fn root(&self) -> Result<String> {
        at::outside(&self.0)?;
        self.0.root().map(|root| root.to_string()).map_err(thrown)
    }

    /// The space in figures.
    pub fn status(&self) -> Result<JsValue> {
        at::outside(&self.0)?;
        let status = self.0.status().map_err(thrown)?;
        let number = |number: u64| JsValue::from_f64(number as f64);
        let peers = status.peers.iter().map(|peer| {
            let object = Object::new();
            set(&object, "id", &peer.peer.to_string().into());
            set(&object, "online", &peer.online.into());
            set(&object, "inSync", &peer.in_sync.into());
            set(&object, "provenAt", &peer.proven_at.map_or(JsValue::NULL, number));
            set(&object, "behind", &number(peer.behind));
            JsValue::from(object)
        });
        let object = Object::new();
        set(&object, "root", &status.root.to_string().into());
        set(&object, "rows", &number(status.rows));
        set(&object, "unsynced", &number(status.unsynced));
        set(&object, "peers", &peers.collect::<Array>().into());
        Ok(object.into())
    }

    /// What somebody may want to know of what happened since the space was opened: code and words, each.
    #[wasm_bindgen(unchecked_return_type = "[code: string, text: string][]")]
    pub fn incidents(&self) -> Result<Array> {
        at::outside(&self.0)?;
        let incidents = self.0.incidents().get().map_err(thrown)?;
        let pair = |incident: &Incident| {
            let (code, text) = in_words(&incident.what);
            JsValue::from(Array::of2(&code.into(), &text.into()))
        };
        Ok(incidents.iter().map(pair).collect())
    }

    /// Keeps the newest own transactions, so that they can be taken back.
    #[wasm_bindgen(js_name = keepUndo)]
    pub fn keep_undo(&self, limit: u32) -> Promise {
        let space = self.0.clone();
        future_to_promise(
            async move { space.keep_undo(limit).await.map_err(thrown).map(|()| JsValue::UNDEFINED) },
        )
    }

    /// How many transactions can be taken back now, and how many of those done again.
    #[wasm_bindgen(js_name = undoDepth)]
    pub fn undo_depth(&self) -> Result<Array> {
        at::outside(&self.0)?;
        let (_, undo, redo) = self.0.undo_depth().map_err(thrown)?;
        Ok(Array::of2(&at::count(undo), &at::count(redo)))
    }

    /// Takes back the newest own transaction; says whether there was one.
    pub fn undo(&self) -> Result<bool> {
        at::outside(&self.0)?;
        self.0.undo().detach().map(|undone| undone.is_some()).map_err(thrown)
    }

    /// Does it again.
    pub fn redo(&self) -> Result<bool> {
        at::outside(&self.0)?;
        self.0.redo().detach().map(|undone| undone.is_some()).map_err(thrown)
    }

    /// Calls a function whenever something has happened, never from within another call: with paths that have changed, as an
    /// array, or null for "anything may have"; with "peers", "incident" or "presence"; and with "closed", last.
    pub fn watch(&self, told: Function) {
        let mut news = self.0.news();
        spawn_local(async move {
            loop {
                let one = news.recv().await;
                let what = match &one {
                    Ok(News::Changed { rows, more: false }) => paths(rows),
                    // What was missed may have been about anything.
                    Ok(News::Changed { more: true, .. }) | Err(RecvError::Lagged(_)) => JsValue::NULL,
                    Ok(News::Peers) => "peers".into(),
                    Ok(News::Presence) => "presence".into(),
                    Ok(News::Event(_)) => "incident".into(),
                    Ok(News::Closed) | Err(RecvError::Closed) => "closed".into(),
                };
                let is_last = matches!(one, Ok(News::Closed) | Err(RecvError::Closed));
                // What the app throws is its own: the page reports it as it reports any other.
                let _ = told.call1(&JsValue::UNDEFINED, &what);
                if is_last {
                    return;
                }
            }
        });
    }
}

fn in_words(what: &What) -> (&'static str, String) {
    let What::Engine(event) = what else {
        return ("QUARANTINED", "the space was found damaged and began anew".into());
    };
    match event {
        Event::Lost { error, .. } => {
            ("LOST", format!("changes were shown, and lost before they were kept: {error}"))
        }
        Event::StoreFailed { error } => ("STORE", format!("what is kept cannot be read any more: {error}")),
        Event::Diverged { .. } => {
            ("DIVERGED", "a device that has seen the same shows something else: compare versions".into())
        }
        Event::Fork { replica } => (
            "FORK",
            format!("{replica} has two histories: a copy of a device, or of what it kept, has written"),
        ),
        Event::NewIncarnation { .. } | Event::Renamed { .. } => {
            ("RENAMED", "this device writes under a new id: the old one was written under elsewhere".into())
        }
        Event::ClockSuspect { replica } => {
            ("CLOCK", format!("the clock of {replica} is far ahead of this one"))
        }
        other => ("EVENT", format!("{other:?}")),
    }
}

/// The paths of rows, each once, sorted.
fn paths(rows: &[RowKey]) -> JsValue {
    let mut paths: Vec<&str> = rows.iter().map(RowKey::path).collect();
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter().map(JsValue::from_str).collect::<Array>().into()
}
