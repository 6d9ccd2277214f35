//! How much an archive may become, counted while it is read.

use std::io::Read;

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

    /// What an archive's reader may still inflate, headers and padding included: whatever it makes of what it reads, it
    /// reads no more than this.
    pub fn stream_bytes(&self) -> u64 {
        /// A header of 512 bytes and as much padding, with long names before it.
        const PER_ENTRY: u64 = 8 << 10;
        self.limits
            .bytes
            .saturating_add(self.limits.entries.saturating_mul(PER_ENTRY))
    }
}

/// Reads at most so much; more is an error and no end.
pub(super) struct Metered<R> {
    inner: R,
    left: u64,
}

impl<R> Metered<R> {
    pub fn new(inner: R, bytes: u64) -> Self {
        Self { inner, left: bytes }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| std::io::Error::other("it unpacks to more than is allowed"))?;
        Ok(read)
    }
}
