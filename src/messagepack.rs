//! MessagePack with field names: how this node writes what it keeps and what it sends to itself.
//!
//! One reader and one writer for records, keeper frames and control frames: each further kind would be compiled once
//! more for every type.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// No value of ours nests deeper; a hostile one ends here and not the stack.
pub const DEPTH_MAX: usize = 64;

/// Why bytes are no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// They are no `T`, or nest too deep.
    #[error("{0}")]
    Malformed(String),
    /// They begin with one.
    #[error("{0} bytes follow it")]
    Followed(usize),
}

/// Appends `value` to `out`. After an error `out` may end with a part of it.
///
/// # Errors
/// When the value has a shape that MessagePack lacks.
pub fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), rmp_serde::encode::Error> {
    rmp_serde::encode::write_named(out, value)
}

/// The value that `bytes` are; nothing may follow.
///
/// # Errors
/// When they are no `T`, nest deeper than [`DEPTH_MAX`], or something follows.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut rest = bytes;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    deserializer.set_max_depth(DEPTH_MAX);
    let value =
        T::deserialize(&mut deserializer).map_err(|error| DecodeError::Malformed(error.to_string()))?;
    drop(deserializer);
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(DecodeError::Followed(rest.len()))
    }
}
