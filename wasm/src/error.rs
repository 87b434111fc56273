//! Errors as JavaScript has them: an `Error` with a `code` that programs can tell apart.

use js_sys::{Error as JsError, Reflect};
use rejoin::Error;
use rejoin::core::store::StoreError;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// What the calls of this package return.
pub type Result<T> = std::result::Result<T, JsValue>;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(text: &str);
}

/// A bug of ours ends the module, and all that JavaScript would see of it is "unreachable": so it says first where it was.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        console_error(&format!("rejoin has failed, please report this: {panic}"))
    }));
}

/// An error with a code.
pub fn fail(code: &str, message: &str) -> JsValue {
    let error = JsError::new(message);
    error.set_name("RejoinError");
    // A fresh object takes any property.
    let _ = Reflect::set(&error, &"code".into(), &code.into());
    error.into()
}

/// An error of the library.
pub fn thrown(error: Error) -> JsValue {
    fail(code(&error), &error.to_string())
}

const fn code(error: &Error) -> &'static str {
    match error {
        Error::Store(StoreError::Full(_)) => "QUOTA",
        Error::Store(StoreError::Damaged(_)) | Error::Damaged(_) => "DAMAGED",
        Error::Store(_) => "STORE",
        Error::Lost(_) => "LOST",
        Error::Data(_) | Error::Query(_) => "DATA",
        Error::TooLarge => "TOO_LARGE",
        Error::NotConfirmed { .. } => "NOT_CONFIRMED",
        Error::NotSeen { .. } => "NOT_SEEN",
        Error::Ticket(_) => "TICKET",
        Error::UnknownSpace { .. } => "UNKNOWN_SPACE",
        Error::NameTaken(_) | Error::Name(_) => "NAME",
        Error::Network(_) | Error::Offline | Error::NotInSync { .. } => "NETWORK",
        Error::Left(_) => "LEFT",
        Error::OnlyHere { .. } => "ONLY_HERE",
        Error::OtherSpace => "OTHER_SPACE",
        Error::UndoOff => "UNDO_OFF",
        Error::WrongKind { .. } => "WRONG_KIND",
        Error::PresenceTooLong { .. } => "PRESENCE_TOO_LONG",
        _ => "FAILED",
    }
}
