//! What one side did, as JSON lines: each unit before it is sent, and its answer when it came.
//!
//! `{"unit": 7, "phase": 2, "edits": [..]}` and `{"unit": 7, "answered": true}`. The edits have the form of
//! `rejoin batch`. A unit without an answer was sent to a node that was killed: it may have happened or not.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::{Value, json};

struct Inner {
    file: File,
    units: u64,
}

/// The record of one side, written by all hands of that side.
pub(super) struct Journal {
    path: PathBuf,
    inner: Mutex<Inner>,
}

impl Journal {
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, inner: Mutex::new(Inner { file, units: 0 }) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes down what is about to be sent; the number names it.
    pub(super) fn begin(&self, phase: u64, edits: &[Value]) -> Result<u64> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.units += 1;
        let unit = inner.units;
        self.write(&mut inner, &json!({ "unit": unit, "phase": phase, "edits": edits }))?;
        Ok(unit)
    }

    pub(super) fn answered(&self, unit: u64) -> Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(&mut inner, &json!({ "unit": unit, "answered": true }))
    }

    /// Unbuffered: the line is with the system before anything is sent.
    fn write(&self, inner: &mut Inner, line: &Value) -> Result<()> {
        let written = inner.file.write_all(format!("{line}\n").as_bytes());
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}
