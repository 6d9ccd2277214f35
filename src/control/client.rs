//! The other end of the control socket: calls a node's procedures over one Unix connection.
//!
//! One call or stream at a time on a connection; a second one opens a second connection, which costs microseconds.

use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::error::Elapsed;

use super::server::Reachable;
use super::wire::{self, WireError};
use crate::rpc::frames::{ClientFrame, REPLY_BYTES_MAX, REQUEST_BYTES_MAX, ServerFrame, VERSION};
use crate::rpc::{Procedure, RpcError};

/// How long a connection may take: the other end is this very machine.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How much longer than the node itself a caller waits, so that the node's own answer comes first.
const GRACE: Duration = Duration::from_millis(500);

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("cannot connect to {}: {source}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The connection broke, or what came is no frame.
    #[error("the node at {}: {source}", path.display())]
    Wire {
        /// The socket.
        path: PathBuf,
        /// What happened.
        source: WireError,
    },
    /// The node ended the connection before it answered: it stopped or crashed.
    #[error("the node at {} left before it answered", path.display())]
    Closed {
        /// The socket.
        path: PathBuf,
    },
    /// No answer in time. What was asked for may still be done.
    #[error("the node at {} did not answer within {} ms", path.display(), waited.as_millis())]
    TimedOut {
        /// The socket.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The node answered: no.
    #[error(transparent)]
    Refused(#[from] RpcError),
}

/// A connection to a node.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    path: PathBuf,
    last_id: u64,
}

impl Client {
    /// Connects to the node that listens on `path`.
    ///
    /// # Errors
    /// When nobody listens there, or not within [`CONNECT_TIMEOUT`].
    pub async fn connect(path: &Path) -> Result<Self, ClientError> {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, open(path)).await;
        let stream = connected
            .unwrap_or_else(|_: Elapsed| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|source| ClientError::Connect {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            stream,
            path: path.to_owned(),
            last_id: 0,
        })
    }

    /// The socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Calls a procedure and waits for its reply; without `timeout` for as long as the node lives. After
    /// [`ClientError::TimedOut`] the connection is of no more use.
    ///
    /// # Errors
    /// When the node says no, does not answer in time or is gone.
    pub async fn call<P: Procedure>(
        &mut self,
        request: &P::Request,
        timeout: Option<Duration>,
    ) -> Result<P::Reply, ClientError> {
        let id = self.send::<P>(request, timeout).await?;
        let Some(timeout) = timeout else {
            return self.reply::<P>(id).await;
        };
        match tokio::time::timeout(timeout + GRACE, self.reply::<P>(id)).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::TimedOut {
                path: self.path.clone(),
                waited: timeout,
            }),
        }
    }

    /// Opens a stream of items. It ends when the node has no more, and is cancelled when it is dropped.
    ///
    /// # Errors
    /// When the node is gone; a refusal comes with the first [`Items::next`].
    pub async fn stream<P: Procedure>(mut self, request: &P::Request) -> Result<Items<P>, ClientError> {
        let id = self.send::<P>(request, None).await?;
        Ok(Items {
            client: self,
            id,
            procedure: PhantomData,
        })
    }

    async fn send<P: Procedure>(
        &mut self,
        request: &P::Request,
        timeout: Option<Duration>,
    ) -> Result<u64, ClientError> {
        self.last_id += 1;
        let body = wire::encode(request).map_err(|source| self.broken(source))?;
        let call = ClientFrame::Call {
            v: VERSION,
            id: self.last_id,
            procedure: P::NAME.to_owned(),
            timeout_ms: timeout.map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX)),
            body,
        };
        let sent = wire::write_frame(&mut self.stream, &call, REQUEST_BYTES_MAX).await;
        sent.map_err(|source| self.broken(source))?;
        Ok(self.last_id)
    }

    async fn reply<P: Procedure>(&mut self, id: u64) -> Result<P::Reply, ClientError> {
        match self.frame(id).await? {
            Answer::Item(body) | Answer::Done(body) => {
                wire::decode(&body).map_err(|source| self.broken(source))
            }
        }
    }

    /// The next frame that belongs to `id`; those of calls that were given up before are passed over.
    async fn frame(&mut self, id: u64) -> Result<Answer, ClientError> {
        loop {
            let read = wire::read_frame(&mut self.stream, REPLY_BYTES_MAX).await;
            let Some(frame) = read.map_err(|source| self.broken(source))? else {
                return Err(ClientError::Closed {
                    path: self.path.clone(),
                });
            };
            match frame {
                ServerFrame::Item { id: of, body } if of == id => return Ok(Answer::Item(body)),
                ServerFrame::Done { id: of, body } if of == id => return Ok(Answer::Done(body)),
                ServerFrame::Failed { id: of, error } if of == id || of == 0 => return Err(error.into()),
                ServerFrame::Item { .. } | ServerFrame::Done { .. } | ServerFrame::Failed { .. } => {}
            }
        }
    }

    fn broken(&self, source: WireError) -> ClientError {
        ClientError::Wire {
            path: self.path.clone(),
            source,
        }
    }
}

enum Answer {
    Item(Vec<u8>),
    Done(Vec<u8>),
}

/// The items of a stream, one after the other.
#[derive(Debug)]
pub struct Items<P: Procedure> {
    client: Client,
    id: u64,
    procedure: PhantomData<P>,
}

impl<P: Procedure> Items<P> {
    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// When the node refuses the stream or is gone.
    pub async fn next(&mut self) -> Result<Option<P::Reply>, ClientError> {
        match self.client.frame(self.id).await? {
            Answer::Done(_) => Ok(None),
            Answer::Item(body) => {
                let item = wire::decode(&body).map_err(|source| self.client.broken(source))?;
                Ok(Some(item))
            }
        }
    }
}

async fn open(path: &Path) -> io::Result<UnixStream> {
    let reachable = Reachable::of(path)?;
    UnixStream::connect(&reachable.path).await
}
