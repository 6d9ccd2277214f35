//! Frames of the keeper's socket: four bytes of length (big endian), then that much MessagePack with named fields.
//!
//! Both ends read with [`FrameBuffer`], which never holds more than one frame's bound of unread bytes beyond what one
//! read brings. A frame that is too long, nested too deep or not the expected shape is an error, and an error ends the
//! connection: after it nothing tells where the next frame would begin.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::protocol::{Call, Message};
use crate::messagepack;

/// What may stand in a frame of its own.
pub trait Framed {
    /// The longest frame.
    const BYTES_MAX: usize;
}

impl Framed for Call {
    const BYTES_MAX: usize = CALL_BYTES_MAX;
}

impl Framed for Message {
    const BYTES_MAX: usize = MESSAGE_BYTES_MAX;
}

/// The longest call: the keeper holds no more of a caller's unread bytes.
pub const CALL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest answer: the list of 10,000 apps has some 3 MB, and seven times that if nothing that they ask for can be
/// enforced and every text in it is as long as it may be.
pub const MESSAGE_BYTES_MAX: usize = 24 * 1024 * 1024;
/// What a buffer keeps allocated between frames.
const KEPT_BYTES_MAX: usize = 16 * 1024;
const LENGTH_BYTES: usize = 4;

/// Why bytes are no frame, or a value is none.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`Framed::BYTES_MAX`].
    #[error("a frame of {bytes} bytes; {max} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// Not MessagePack, not the expected shape, or nested too deep.
    #[error("a frame that cannot be read: {why}")]
    Malformed {
        /// What the decoder says.
        why: String,
    },
    /// The value has no form in MessagePack.
    #[error("a message that cannot be written: {why}")]
    Unwritable {
        /// What the encoder says.
        why: String,
    },
}

/// Appends `message` as one frame to `out`. On an error `out` is as before.
///
/// # Errors
/// When the message is too long or cannot be written.
pub fn write_frame<T: Framed + Serialize>(message: &T, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let (begin, max) = (out.len(), T::BYTES_MAX);
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    let written = messagepack::encode(message, out);
    let bytes = out.len() - begin - LENGTH_BYTES;
    let result = match written {
        Err(error) => Err(FrameError::Unwritable {
            why: error.to_string(),
        }),
        Ok(()) if bytes > max => Err(FrameError::TooLong { bytes, max }),
        Ok(()) => Ok(()),
    };
    match (result, u32::try_from(bytes)) {
        (Ok(()), Ok(length)) => {
            if let Some(head) = out.get_mut(begin..begin + LENGTH_BYTES) {
                head.copy_from_slice(&length.to_be_bytes());
            }
            Ok(())
        }
        (result, _) => {
            out.truncate(begin);
            result.and(Err(FrameError::TooLong { bytes, max }))
        }
    }
}

/// Bytes as they come, cut into frames.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    read_to: usize,
}

impl FrameBuffer {
    /// Adds what a read brought.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.read_to > 0 {
            self.bytes.drain(..self.read_to);
            self.read_to = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame's message, or none while bytes are missing.
    ///
    /// # Errors
    /// When the frame is too long or malformed; the connection is of no use any more.
    pub fn next_message<T: Framed + DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let unread = self.bytes.get(self.read_to..).unwrap_or_default();
        let Some((head, rest)) = unread.split_first_chunk::<LENGTH_BYTES>() else {
            self.let_go();
            return Ok(None);
        };
        let bytes = u32::from_be_bytes(*head) as usize;
        if bytes > T::BYTES_MAX {
            let max = T::BYTES_MAX;
            return Err(FrameError::TooLong { bytes, max });
        }
        let Some(body) = rest.get(..bytes) else {
            return Ok(None);
        };
        let message = read_message(body)?;
        self.read_to += LENGTH_BYTES + bytes;
        Ok(Some(message))
    }

    /// Gives a large frame's memory back once it is read.
    fn let_go(&mut self) {
        if self.read_to == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BYTES_MAX);
            self.read_to = 0;
        }
    }
}

/// One message out of a whole frame's body.
///
/// # Errors
/// When it is malformed, nested too deep, or followed by more bytes.
pub fn read_message<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    messagepack::decode(body).map_err(|error| FrameError::Malformed {
        why: error.to_string(),
    })
}

#[cfg(test)]
mod tests;
