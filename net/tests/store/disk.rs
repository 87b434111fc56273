//! A disk in memory that records what is done to it, and fails when told to.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

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
    pub(crate) pages: Pages,
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

/// Bytes in blocks that copies share until one of them writes: an image of a disk costs what differs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages {
    blocks: Vec<Arc<[u8; BLOCK]>>,
    len: usize,
}

impl Pages {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut pages = Self::default();
        pages.resize(bytes.len());
        pages.write(0, bytes);
        pages
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Longer by zeros, or shorter.
    pub(crate) fn resize(&mut self, len: usize) {
        // What lies behind the end is zero, should the end move on.
        if let Some(block) = self.blocks.get_mut(len / BLOCK).filter(|_| len < self.len) {
            Arc::make_mut(block)[len % BLOCK..].fill(0);
        }
        static ZEROS: LazyLock<Arc<[u8; BLOCK]>> = LazyLock::new(|| Arc::new([0; BLOCK]));
        self.blocks.resize(len.div_ceil(BLOCK), ZEROS.clone());
        self.len = len;
    }

    /// The part of the range that lies in each block: block, place in it, place in the range.
    fn parts(at: usize, len: usize) -> impl Iterator<Item = (usize, Range<usize>, Range<usize>)> {
        let blocks = if len == 0 { 0..0 } else { at / BLOCK..(at + len).div_ceil(BLOCK) };
        blocks.map(move |block| {
            let start = at.max(block * BLOCK);
            let end = (at + len).min((block + 1) * BLOCK);
            (block, start - block * BLOCK..end - block * BLOCK, start - at..end - at)
        })
    }

    /// Writes what lies before the end.
    pub(crate) fn write(&mut self, at: usize, data: &[u8]) {
        let len = data.len().min(self.len.saturating_sub(at));
        for (block, within, of_data) in Self::parts(at, len) {
            Arc::make_mut(&mut self.blocks[block])[within].copy_from_slice(&data[of_data]);
        }
    }

    /// Reads; `None` beyond the end.
    pub(crate) fn read(&self, at: usize, out: &mut [u8]) -> Option<()> {
        at.checked_add(out.len()).filter(|end| *end <= self.len)?;
        for (block, within, of_out) in Self::parts(at, out.len()) {
            out[of_out].copy_from_slice(&self.blocks[block][within]);
        }
        Some(())
    }
}

impl TestDisk {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self::of(Pages::new(&bytes))
    }

    pub(crate) fn of(pages: Pages) -> Self {
        let used = (0..pages.len().div_ceil(BLOCK)).collect();
        let (events, fault) = (Vec::new(), Fault::None);
        Self(Arc::new(Mutex::new(State {
            pages,
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
        let pages = self.state().pages.clone();
        let mut bytes = vec![0; pages.len()];
        pages.read(0, &mut bytes).expect("all of it");
        bytes
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
                assert!(offset + data.len() <= self.pages.len(), "written behind the end");
                self.pages.write(*offset, data);
            }
            Event::SetLen(len) => {
                self.pages.resize(*len);
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
        Ok(state.pages.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.state();
        state.read()?;
        Ok(state.pages.read(index(offset), out).ok_or(ErrorKind::UnexpectedEof)?)
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

/// Against plain bytes, with copies taken in between.
#[test]
fn pages_are_bytes() {
    let mut random = crate::script::Random(5);
    let (mut pages, mut bytes) = (Pages::default(), Vec::new());
    let mut copies = Vec::new();
    for turn in 0..400 {
        let (len, at) = (random.below(3 * BLOCK), random.below(3 * BLOCK));
        if turn % 5 == 0 {
            pages.resize(len);
            bytes.resize(len, 0);
        } else {
            let data = random.bytes(at / 4);
            pages.write(at, &data);
            let room = bytes.len().saturating_sub(at).min(data.len());
            if room > 0 {
                bytes[at..at + room].copy_from_slice(&data[..room]);
            }
        }
        copies.push((pages.clone(), bytes.clone()));
        let (pages, bytes) = &copies[random.below(copies.len())];
        let mut read = vec![0; bytes.len()];
        assert_eq!(pages.read(0, &mut read), Some(()));
        assert!(read == *bytes, "turn {turn}");
        assert_eq!(pages.read(1, &mut read), None);
    }
}
