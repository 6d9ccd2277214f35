//! How values are kept: a version, a checksum, and MessagePack with field names.
//!
//! Field names make added and dropped fields harmless (with serde's `default`); a change beyond that raises
//! [`Record::VERSION`] and reads the older form in [`Record::read_old`]. `tests/golden/` holds every form ever written.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::messagepack;

/// A value that can be kept.
pub trait Record: Serialize + DeserializeOwned {
    /// The form in which it is written.
    const VERSION: u8;

    /// Reads a form that an older release wrote; none: nobody can read it any more.
    #[must_use]
    fn read_old(_version: u8, _payload: &[u8]) -> Option<Self> {
        None
    }
}

/// The name under which a record of the node is kept.
pub struct Key<T> {
    name: &'static str,
    kind: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// A key. Names are part of the format: never given to another meaning.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            kind: PhantomData,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// Why kept bytes are no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not even a head.
    #[error("it is cut off")]
    Short,
    /// Some of its bytes are others than were written.
    #[error("its checksum does not hold")]
    Checksum,
    /// A newer release wrote it, or one so old that nobody reads its form any more.
    #[error("it has version {0}, which this release does not read")]
    Version(u8),
    /// It has the right version and yet is no such value.
    #[error("it does not decode: {0}")]
    Payload(String),
}

/// Version and checksum.
const HEAD_BYTES: usize = 5;

/// The value as it is kept.
///
/// # Errors
/// When the type cannot be written as MessagePack.
pub fn encode<T: Record>(value: &T) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut bytes = vec![0; HEAD_BYTES];
    messagepack::encode(value, &mut bytes)?;
    if let Some((head, payload)) = bytes.split_first_chunk_mut::<HEAD_BYTES>() {
        let [version, sum @ ..] = head;
        *version = T::VERSION;
        *sum = checksum(T::VERSION, payload);
    }
    Ok(bytes)
}

/// The value of kept bytes.
///
/// # Errors
/// When they are not what was written, or of a version that nobody reads.
pub fn decode<T: Record>(bytes: &[u8]) -> Result<T, RecordError> {
    let ([version, sum @ ..], payload) = bytes
        .split_first_chunk::<HEAD_BYTES>()
        .ok_or(RecordError::Short)?;
    if *sum != checksum(*version, payload) {
        return Err(RecordError::Checksum);
    }
    if *version != T::VERSION {
        return T::read_old(*version, payload).ok_or(RecordError::Version(*version));
    }
    messagepack::decode(payload).map_err(|error| RecordError::Payload(error.to_string()))
}

/// redb checks its pages only when it repairs; a record that was altered on the disk must not be believed.
fn checksum(version: u8, payload: &[u8]) -> [u8; HEAD_BYTES - 1] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[version]).update(payload);
    let mut sum = [0; HEAD_BYTES - 1];
    hasher.finalize_xof().fill(&mut sum);
    sum
}
