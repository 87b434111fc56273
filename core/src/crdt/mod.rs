//! Data types: views over rows.
//!
//! A *view* knows how one kind of object lies in rows and what its rows mean; it holds nothing but the object's address.
//! The merge rule below knows no view (an old replica relays types that it has never heard of), and no view merges: it
//! reads what is live, and it replaces or removes rows, which kills what was live there. All that a view can decide is
//! which rows a change touches and how several live entries of one row, left by concurrent writes, read as one.
//!
//! | type | element | payload | reads as | concurrent update and removal |
//! |---|---|---|---|---|
//! | [`GCounterView`] | replica id | running total | the sum | the update brings its writer's total back |
//! | [`PnCounterView`] | replica id | running totals up and down | the sum | `reset` takes away what it saw, nothing else |
//! | [`OrSetView`] | the element | | elements with a live entry | add wins |
//! | [`LwwMapView`] | the key | value | the newest value of each key | put wins |
//! | [`LwwRegisterView`] | | value | the newest value | put wins |
//! | [`MvRegisterView`] | | value | all concurrent values | put wins |
//! | [`FlagView`] | | true or false | true if any entry is | enable wins |
//! | [`BoundedCounterView`] | replica id, or two | running totals up and down, or given | the sum, never below 0 | nothing is removed |
//! | [`ListView`] | name of the item | value and place; place after a move | items in order | an edit wins, a move does not |
//! | [`LogView`] | time, author, number | value | entries in order | nothing is updated; what a removal saw goes |
//! | `document::DocumentView` | hash of a change | an Automerge change | JSON and text | Automerge's rules |
//! | [`OnceView`] | hash of a key | | keys of acts that are done | a try beats forgetting |
//!
//! *Newest* is the largest (timestamp, dot) among entries that no write has seen; a write that has seen another always
//! beats it, whatever the clocks say.
//!
//! Views work on anything that implements [`ReadRows`](crate::row::ReadRows) and [`WriteRows`](crate::row::WriteRows): a
//! transaction of the engine, a [`Draft`], or the rows inside a [`Standalone`] value such as [`OrSet`], which needs no
//! engine at all.
//!
//! **Payloads that do not decode** come from a newer version or from a hostile writer. Reads skip them, as if the entry
//! were not there, and never panic; they are still stored, merged and relayed, and a write to the row replaces them.
//!
//! Sources: Shapiro, Preguiça, Baquero, Zawirski, A comprehensive study of convergent and commutative replicated data
//! types (INRIA RR-7506, 2011), for the types; Almeida, Shoker, Baquero, Delta state replicated data types (arXiv
//! 1603.01529), for their form over dots.

mod bounded;
mod carry;
mod counter;
#[cfg(feature = "document")]
pub mod document;
mod draft;
mod flag;
mod list;
mod log;
mod map;
mod once;
mod register;
mod set;
mod spot;
mod standalone;
mod undo;
mod view;

pub use bounded::{BoundedCounter, BoundedCounterView};
pub(crate) use carry::Counters;
pub use counter::{GCounter, GCounterView, PnCounter, PnCounterView};
#[cfg(feature = "document")]
pub use document::{Document, DocumentView};
pub use draft::Draft;
pub use flag::{Flag, FlagView};
pub use list::{Item, ItemId, List, ListView};
pub use log::{Log, LogEntry, LogView, Place};
pub use map::{LwwMap, LwwMapView};
pub use once::{OnceKey, OnceView};
pub use register::{LwwRegister, LwwRegisterView, MvRegister, MvRegisterView};
pub use set::{OrSet, OrSetView};
pub use standalone::Standalone;
pub(crate) use undo::take_back;
pub use view::{Keys, View};
