//! What stands on the wire of the control socket: length-prefixed MessagePack frames, versioned and bounded.

use serde::{Deserialize, Serialize};

use super::RpcError;

/// The version that this release speaks. A server answers a newer one with its own.
pub const VERSION: u8 = 1;

/// The largest frame that a client may send: a spec file with room to spare.
pub const REQUEST_BYTES_MAX: usize = 2 << 20;

/// The largest frame that a server may send: the state of 10,000 apps.
pub const REPLY_BYTES_MAX: usize = 64 << 20;

/// Client to server. A length (four bytes, big-endian) stands before each frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientFrame {
    /// Calls a procedure.
    Call {
        /// [`VERSION`].
        v: u8,
        /// Chosen by the client, unique on its connection.
        id: u64,
        /// The procedure's wire name.
        procedure: String,
        /// How long the caller waits, in milliseconds.
        timeout_ms: Option<u64>,
        /// The request as MessagePack.
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    },
    /// Ends a call or stream of this connection.
    Cancel {
        /// The call's.
        id: u64,
    },
}

/// Server to client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerFrame {
    /// One item of a stream.
    Item {
        /// The call's.
        id: u64,
        /// The item as MessagePack.
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    },
    /// The reply; for a stream, its end (then the body is empty).
    Done {
        /// The call's.
        id: u64,
        /// The reply as MessagePack.
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    },
    /// It was not carried out.
    Failed {
        /// The call's; 0 where the frame could not be read.
        id: u64,
        /// Why.
        error: RpcError,
    },
}
