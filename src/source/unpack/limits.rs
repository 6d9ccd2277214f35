//! How much an archive may become, counted while it is read.

use std::cell::Cell;
use std::io::{Read, Seek, SeekFrom};
use std::rc::Rc;

use super::UnpackError;

/// What is unpacked at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Files, folders and links.
    pub entries: u64,
    /// How many times larger than the archive the files may be together.
    pub ratio: u64,
}

/// Small archives may be as redundant as they like.
const RATIO_COUNTS_FROM_BYTES: u64 = 16 << 20;

/// What is left of the limits.
#[derive(Debug)]
pub(super) struct Room {
    limits: UnpackLimits,
    packed_bytes: u64,
    bytes: u64,
    entries: u64,
}

impl Room {
    pub fn new(limits: UnpackLimits, packed_bytes: u64) -> Self {
        Self {
            limits,
            packed_bytes,
            bytes: 0,
            entries: 0,
        }
    }

    pub fn take_entry(&mut self) -> Result<(), UnpackError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(UnpackError::TooLarge {
                limit: self.limits.entries,
                unit: "entries",
            });
        }
        Ok(())
    }

    pub fn take_bytes(&mut self, bytes: u64) -> Result<(), UnpackError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.bytes {
            return Err(UnpackError::TooLarge {
                limit: self.limits.bytes,
                unit: "bytes",
            });
        }
        let honest = self.packed_bytes.saturating_mul(self.limits.ratio);
        if self.bytes > honest.max(RATIO_COUNTS_FROM_BYTES) {
            return Err(UnpackError::Bomb {
                limit: self.limits.ratio,
            });
        }
        Ok(())
    }
}

/// How much may be read of an archive before it is looked at again. The readers of archives hold long names and lists of
/// entries in memory, as large as the archive says that they are; of a file's content they hold nothing.
#[derive(Debug, Clone)]
pub(super) struct Allowance(Rc<Cell<u64>>);

impl Allowance {
    /// For a list of entries, or what stands before one: some hundred bytes each.
    const LIST_BYTES_MAX: u64 = 16 << 20;

    pub fn for_lists() -> Self {
        Self(Rc::new(Cell::new(Self::LIST_BYTES_MAX)))
    }

    /// Names and lists come next.
    pub fn lists(&self) {
        self.0.set(Self::LIST_BYTES_MAX);
    }

    /// Content comes next, which is counted where it is written.
    pub fn content(&self) {
        self.0.set(u64::MAX);
    }
}

/// Reads what it is allowed; more is an error and no end.
pub(super) struct Metered<R> {
    inner: R,
    allowance: Allowance,
}

impl<R> Metered<R> {
    pub fn new(inner: R, allowance: Allowance) -> Self {
        Self { inner, allowance }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let left = self.allowance.0.get().checked_sub(read as u64);
        let left = left.ok_or_else(|| std::io::Error::other("what it says of its entries is too long"))?;
        self.allowance.0.set(left);
        Ok(read)
    }
}

impl<R: Seek> Seek for Metered<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(to)
    }
}
