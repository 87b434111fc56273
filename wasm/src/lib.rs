//! rejoin for JavaScript: the classes that the npm package is made of.
//!
//! Every rule is the library's; what is here turns values and errors into JavaScript's and back. Calls return at once, promises
//! stand for what has to be waited for. TypeScript on top of it (`npm/src`) has the handles that people use.
//!
//! | module | what it holds |
//! |---|---|
//! | [`node`], [`space`] | a node without files, and its spaces |
//! | [`counter`], [`set`], [`map`], [`register`], [`list`], [`log`] | one class for each kind of object |
//! | [`written`] | what a write returns |
//! | [`bridge`] | the network that the page carries: other tabs, a test |
//! | [`shelf`] | where the page keeps what is written |
//! | [`value`], [`error`] | JavaScript's values and errors, and ours |

pub mod at;
pub mod bridge;
pub mod counter;
pub mod error;
pub mod list;
pub mod log;
pub mod map;
pub mod node;
pub mod register;
pub mod set;
pub mod shelf;
pub mod space;
pub mod value;
pub mod written;
