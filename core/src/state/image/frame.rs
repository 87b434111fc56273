//! Blocks: how an image is cut, and how damage to any of its bytes is found.
//!
//! Each block is checked when it is read, by its number too, so nothing is built on a block that is not what was written,
//! or not where it was. The hash over everything, in the last block, finds what is missing as a whole.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{BLOCK_BYTES, IMAGE_FORMAT, ImageError};
use crate::id::{cut, domain, hash};
use crate::store::StoreError;

const MAGIC: &[u8; 8] = b"rejoinim";

/// Takes the bytes of an image as they are made.
pub type ImageSink<'a> = dyn FnMut(&[u8]) -> Result<(), StoreError> + 'a;
/// Gives the bytes of an image: fills a buffer as far as it can, and says how far; nothing is left at 0. The error is in
/// words.
pub type ImageSource<'a> = dyn FnMut(&mut [u8]) -> Result<usize, String> + 'a;

/// Whether a file that begins so is an image of some version, sound or not.
pub fn looks_like_image(begin: &[u8]) -> bool {
    begin.starts_with(MAGIC)
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Space = 1,
    Heads = 2,
    Frontier = 3,
    Forks = 4,
    Entries = 5,
    Close = 6,
    End = 7,
}

impl Kind {
    const ALL: [Self; 7] =
        [Self::Space, Self::Heads, Self::Frontier, Self::Forks, Self::Entries, Self::Close, Self::End];
}

fn check(number: u64, kind: Kind, bytes: &[u8]) -> [u8; 8] {
    cut(&hash(domain::IMAGE, &[&number.to_le_bytes(), &[kind as u8], bytes]))
}

/// Cuts bytes into blocks.
pub(super) struct Blocks {
    number: u64,
    whole: blake3::Hasher,
}

impl Blocks {
    pub(super) fn begin(sink: &mut ImageSink<'_>) -> Result<Self, StoreError> {
        let mut blocks = Self { number: 0, whole: blake3::Hasher::new() };
        blocks.put(MAGIC, sink)?;
        blocks.put(&[IMAGE_FORMAT], sink)?;
        Ok(blocks)
    }

    pub(super) fn block(
        &mut self,
        kind: Kind,
        bytes: &[u8],
        sink: &mut ImageSink<'_>,
    ) -> Result<(), StoreError> {
        let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= BLOCK_BYTES);
        // What is read from a store may be larger than what this code ever writes.
        let length =
            length.ok_or_else(|| StoreError::Damaged("a record is larger than any can be".into()))?;
        self.put(&[kind as u8], sink)?;
        self.put(&length.to_le_bytes(), sink)?;
        self.put(bytes, sink)?;
        self.put(&check(self.number, kind, bytes), sink)?;
        self.number += 1;
        Ok(())
    }

    /// The hash of all bytes so far.
    pub(super) fn whole(&self) -> [u8; 32] {
        *self.whole.finalize().as_bytes()
    }

    fn put(&mut self, bytes: &[u8], sink: &mut ImageSink<'_>) -> Result<(), StoreError> {
        self.whole.update(bytes);
        sink(bytes)
    }
}

/// Reads blocks, each of them checked.
pub(super) struct Source<'a> {
    source: &'a mut ImageSource<'a>,
    number: u64,
    at: u64,
    whole: blake3::Hasher,
}

impl<'a> Source<'a> {
    pub(super) fn begin(source: &'a mut ImageSource<'a>) -> Result<Self, ImageError> {
        let mut source = Self { source, number: 0, at: 0, whole: blake3::Hasher::new() };
        let mut magic = [0; MAGIC.len() + 1];
        let filled = source.fill(&mut magic)?;
        if filled < MAGIC.len() || !magic.starts_with(MAGIC) {
            return Err(ImageError::NotAnImage);
        }
        match magic[MAGIC.len()] {
            IMAGE_FORMAT if filled == magic.len() => Ok(source),
            found if found > IMAGE_FORMAT => Err(ImageError::Newer { found, known: IMAGE_FORMAT }),
            _ => Err(source.damaged("it has no version")),
        }
    }

    /// How many bytes were read.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn damaged(&self, why: &'static str) -> ImageError {
        ImageError::Damaged { at: self.at, why }
    }

    /// The next block, and the hash of everything before it.
    pub(super) fn block(&mut self) -> Result<(Kind, Vec<u8>, [u8; 32]), ImageError> {
        let before = *self.whole.finalize().as_bytes();
        let [kind, length @ ..] = self.array::<5>()?;
        let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind);
        let kind = kind.ok_or_else(|| self.damaged("a block is of no known kind"))?;
        let length = usize::try_from(u32::from_le_bytes(length)).ok().filter(|length| *length <= BLOCK_BYTES);
        let length = length.ok_or_else(|| self.damaged("a block is longer than any can be"))?;
        let mut bytes = vec![0; length];
        if self.fill(&mut bytes)? < length {
            return Err(self.damaged("it ends within a block"));
        }
        if self.array::<8>()? != check(self.number, kind, &bytes) {
            return Err(self.damaged("a block is not what was written"));
        }
        self.number += 1;
        Ok((kind, bytes, before))
    }

    /// Nothing may follow.
    pub(super) fn end(&mut self) -> Result<(), ImageError> {
        match self.fill(&mut [0])? {
            0 => Ok(()),
            _ => Err(self.damaged("something follows its end")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ImageError> {
        let mut bytes = [0; N];
        match self.fill(&mut bytes)? {
            filled if filled == N => Ok(bytes),
            _ => Err(self.damaged("it was cut off")),
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ImageError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match (self.source)(&mut buffer[filled..]).map_err(ImageError::Source)? {
                0 => break,
                more if more <= buffer.len() - filled => filled += more,
                more => return Err(ImageError::Source(format!("{more} bytes were read into less"))),
            }
        }
        self.whole.update(&buffer[..filled]);
        self.at += filled as u64;
        Ok(filled)
    }
}
