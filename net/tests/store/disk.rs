//! A disk in memory that records what is done to it, and fails when told to.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Write(usize, Vec<u8>),
    SetLen(usize),
    Sync,
    /// A commit of this number was begun.
    Started(usize),
    /// It was reported as durable.
    Acked(usize),
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not.
    None,
    /// At the nth change, once.
    Change(usize),
    /// At every change from the nth on.
    ChangesFrom(usize),
    /// At the nth reading, once.
    Read(usize),
    /// At writing a new block, when so many are written.
    Full(usize),
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) bytes: Vec<u8>,
    pub(crate) events: Vec<Event>,
    pub(crate) fault: Fault,
    /// Readings and changes since the fault was set.
    pub(crate) reads: usize,
    pub(crate) changes: usize,
    /// Syncs say that all is well and do nothing: a planted fault.
    pub(crate) syncs_lie: bool,
    /// Numbers of the blocks that take up room.
    pub(crate) used: BTreeSet<usize>,
}

/// Clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct TestDisk(Arc<Mutex<State>>);

const BLOCK: usize = 4096;

impl TestDisk {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let used = (0..bytes.len().div_ceil(BLOCK)).collect();
        let (events, fault) = (Vec::new(), Fault::None);
        Self(Arc::new(Mutex::new(State {
            bytes,
            events,
            fault,
            reads: 0,
            changes: 0,
            syncs_lie: false,
            used,
        })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state().bytes.clone()
    }

    pub(crate) fn fail(&self, fault: Fault) {
        let mut state = self.state();
        (state.fault, state.reads, state.changes) = (fault, 0, 0);
    }

    pub(crate) fn note(&self, event: Event) {
        self.state().events.push(event);
    }
}

impl State {
    fn read(&mut self) -> io::Result<()> {
        self.reads += 1;
        let fails = matches!(self.fault, Fault::Read(n) if self.reads == n);
        if fails { Err(io::Error::other("planted")) } else { Ok(()) }
    }

    fn take(&mut self, event: Event) -> io::Result<()> {
        self.changes += 1;
        match self.fault {
            Fault::Change(n) if self.changes == n => return Err(io::Error::other("planted")),
            Fault::ChangesFrom(n) if self.changes >= n => return Err(io::Error::other("planted")),
            _ => {}
        }
        match &event {
            Event::Write(offset, data) => {
                for block in offset / BLOCK..(offset + data.len()).div_ceil(BLOCK) {
                    if let Fault::Full(blocks) = self.fault
                        && self.used.len() >= blocks
                        && !self.used.contains(&block)
                    {
                        return Err(ErrorKind::StorageFull.into());
                    }
                    self.used.insert(block);
                }
                self.bytes[*offset..offset + data.len()].copy_from_slice(data);
            }
            Event::SetLen(len) => {
                self.bytes.resize(*len, 0);
                self.used = self.used.iter().copied().filter(|block| block * BLOCK < *len).collect();
            }
            Event::Sync if self.syncs_lie => return Ok(()),
            Event::Sync | Event::Started(_) | Event::Acked(_) => {}
        }
        self.events.push(event);
        Ok(())
    }
}

fn index(position: u64) -> usize {
    usize::try_from(position).unwrap()
}

impl StorageBackend for TestDisk {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.state();
        state.read()?;
        Ok(state.bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        state.read()?;
        let bytes = state.bytes.get(index(offset)..index(offset) + out.len());
        out.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state().take(Event::SetLen(index(len)))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.state().take(Event::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.state().take(Event::Write(index(offset), data.to_vec()))
    }
}
