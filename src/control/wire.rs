//! Frames on a byte stream: four bytes of length, big-endian, then MessagePack. Bounded before anything is allocated.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::messagepack;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other side is gone or the socket failed.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    /// The frame is larger than allowed. Nothing of it was read.
    #[error("a frame of {bytes} bytes is larger than the {limit} that are allowed")]
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The bytes are no frame.
    #[error("a frame cannot be read: {0}")]
    Malformed(String),
    /// A value cannot be written as MessagePack.
    #[error("a value cannot be encoded: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
}

/// `value` as MessagePack with field names.
///
/// # Errors
/// When the value has a shape that MessagePack lacks.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, WireError> {
    let mut bytes = Vec::new();
    messagepack::encode(value, &mut bytes)?;
    Ok(bytes)
}

/// Reads `bytes` as MessagePack; nothing may follow.
///
/// # Errors
/// When they are no `T`, nest too deep, or something follows.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    messagepack::decode(bytes).map_err(|error| WireError::Malformed(error.to_string()))
}

/// Reads one frame of at most `bytes_max`; `None` at the end of the stream.
///
/// # Errors
/// When the stream breaks, the frame is too large or is no `T`.
pub async fn read_frame<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    bytes_max: usize,
) -> Result<Option<T>, WireError> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let bytes = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if bytes > bytes_max {
        return Err(WireError::TooLarge {
            bytes,
            limit: bytes_max,
        });
    }
    let mut body = vec![0; bytes];
    stream.read_exact(&mut body).await?;
    decode(&body).map(Some)
}

/// Writes one frame of at most `bytes_max`.
///
/// # Errors
/// When the frame is too large or the stream breaks.
pub async fn write_frame<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    frame: &T,
    bytes_max: usize,
) -> Result<(), WireError> {
    stream.write_all(&self::frame(frame, bytes_max)?).await?;
    Ok(stream.flush().await?)
}

/// The bytes of one frame of at most `bytes_max`.
///
/// # Errors
/// When it is too large.
pub fn frame<T: Serialize>(frame: &T, bytes_max: usize) -> Result<Vec<u8>, WireError> {
    let body = encode(frame)?;
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    if body.len() > bytes_max {
        return Err(WireError::TooLarge {
            bytes: body.len(),
            limit: bytes_max,
        });
    }
    let mut bytes = Vec::with_capacity(body.len() + 4);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::frames::ClientFrame;

    #[tokio::test]
    async fn a_frame_comes_back_as_it_was_sent() {
        let (mut here, mut there) = tokio::io::duplex(1 << 16);
        let frame = ClientFrame::Call {
            v: 1,
            id: 7,
            procedure: "x".into(),
            timeout_ms: None,
            body: vec![1, 2, 3],
        };
        write_frame(&mut here, &frame, 1 << 10).await.unwrap();
        drop(here);
        assert_eq!(
            read_frame::<ClientFrame>(&mut there, 1 << 10).await.unwrap(),
            Some(frame)
        );
        assert_eq!(
            read_frame::<ClientFrame>(&mut there, 1 << 10).await.unwrap(),
            None
        );
    }

    #[tokio::test]
    async fn a_frame_that_claims_to_be_huge_is_refused_unread() {
        let mut bytes: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0];
        assert!(matches!(
            read_frame::<ClientFrame>(&mut bytes, 1 << 10).await,
            Err(WireError::TooLarge { .. })
        ));
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        assert!(decode::<serde_json::Value>(&[0x91; 100_000]).is_err());
    }
}
