//! The control socket: accepts connections, reads calls, hands them to a [`Door`] and writes the answers.
//!
//! Every connection has its own task and every call another one, so a slow call delays nobody. A client that sends
//! garbage loses its connection and nothing else.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use rustix::io::{Errno, FdFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::room::{Place, Room};
use super::wire::{self, WireError};
use crate::rpc::frames::{ClientFrame, REPLY_BYTES_MAX, REQUEST_BYTES_MAX, ServerFrame, VERSION};
use crate::rpc::{RpcError, RpcErrorCode};
use crate::runtime::accounts::name_of;

/// At most so many clients at once. One more takes the place of the one that has been silent for longest.
const CONNECTIONS_MAX: usize = 256;
/// At most so many calls of one client at once; one more is refused.
const CALLS_MAX: usize = 64;
/// So many answers wait for a client that reads slowly; then its calls wait.
const ANSWERS_MAX: usize = 64;
/// The longest deadline that a caller may set.
const CALL_TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user, from the kernel.
    pub uid: u32,
    /// The process, from the kernel; 0 where it is unknown.
    pub pid: i32,
}

impl Caller {
    /// For the audit: `dana (uid 1000, pid 4711)`, or `uid 1000 (pid 4711)` where the user has no name here.
    #[must_use]
    pub fn describe(&self) -> String {
        let Self { uid, pid } = self;
        match name_of(*uid) {
            Some(name) => format!("{name} (uid {uid}, pid {pid})"),
            None => format!("uid {uid} (pid {pid})"),
        }
    }
}

/// What a call may send before its answer.
#[derive(Debug, Clone)]
pub struct Items {
    id: u64,
    answers: mpsc::Sender<ServerFrame>,
}

impl Items {
    /// Sends one item; `false`: the caller is gone, stop.
    pub async fn send(&self, body: Vec<u8>) -> bool {
        self.answers
            .send(ServerFrame::Item { id: self.id, body })
            .await
            .is_ok()
    }

    /// Resolves when nobody reads any more.
    pub async fn closed(&self) {
        self.answers.closed().await;
    }
}

/// Carries out calls.
pub trait Door: Send + Sync + 'static {
    /// Carries out one call. A stream sends its items and then answers with an empty body.
    fn call(
        &self,
        caller: Caller,
        procedure: String,
        body: Vec<u8>,
        items: Items,
    ) -> BoxFuture<'static, Result<Vec<u8>, RpcError>>;
}

/// Binds the control socket with mode 0660, replacing what a dead daemon left there.
///
/// # Errors
/// When a living daemon listens there, or the folder cannot be written.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let reachable = Reachable::of(path)?;
    let address = SocketAddrUnix::new(&reachable.path)?;
    // One that cannot take more callers now lives as well.
    if let Ok(()) | Err(Errno::AGAIN) = rustix::net::connect(&socket()?, &address) {
        let why = "another daemon listens there";
        return Err(io::Error::new(io::ErrorKind::AddrInUse, why));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = socket()?;
    rustix::net::bind(&listener, &address)?;
    // Before it listens nobody can connect: not even in between does anybody come in who may not.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    rustix::net::listen(&listener, BACKLOG)?;
    UnixListener::from_std(std::os::unix::net::UnixListener::from(listener))
}

/// Callers that the kernel lets wait.
const BACKLOG: i32 = 128;

fn socket() -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// A socket's path that fits into a socket address: beyond 107 bytes it leads through a descriptor of its folder.
#[derive(Debug)]
pub struct Reachable {
    /// What to bind or connect to.
    pub path: PathBuf,
    _folder: Option<std::fs::File>,
}

/// `sun_path` has 108 bytes, the last one is 0.
const SOCKET_PATH_BYTES_MAX: usize = 107;

impl Reachable {
    /// The way to `path`, valid as long as the value lives.
    ///
    /// # Errors
    /// When the folder of a long path cannot be opened.
    pub fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
            return Ok(Self {
                path: path.to_owned(),
                _folder: None,
            });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no folder or no name",
            ));
        };
        let folder = std::fs::File::open(parent)?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&folder);
        Ok(Self {
            path: PathBuf::from(format!("/proc/self/fd/{number}")).join(name),
            _folder: Some(folder),
        })
    }
}

/// Accepts connections for ever; ends only by being dropped, or when the socket itself fails.
///
/// # Errors
/// When accepting fails for a reason that does not pass by itself.
pub async fn serve(listener: UnixListener, door: Arc<dyn Door>) -> io::Result<()> {
    let room = Room::new(CONNECTIONS_MAX);
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => match room.place().await {
                Some(place) => {
                    connections.spawn(connection(stream, door.clone(), place));
                }
                None => turn_away(&stream),
            },
            Err(error) if is_passing(&error) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => return Err(error),
        }
    }
}

/// Out of descriptors or memory, or the client left: try again a little later.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::ECONNABORTED | libc::EINTR)
    )
}

/// Tells a client that there is no place for it. What its socket does not take at once is not said.
fn turn_away(stream: &UnixStream) {
    let why = format!("{CONNECTIONS_MAX} clients are being served");
    let error = RpcError::new(RpcErrorCode::Unavailable, why).help("try again in a moment");
    if let Ok(bytes) = wire::frame(&ServerFrame::Failed { id: 0, error }, REPLY_BYTES_MAX) {
        let _ = stream.try_write(&bytes);
    }
}

async fn connection(stream: UnixStream, door: Arc<dyn Door>, place: Place) {
    let Ok(credentials) = stream.peer_cred() else {
        return;
    };
    let caller = Caller {
        uid: credentials.uid(),
        pid: credentials.pid().unwrap_or(0),
    };
    let (mut reader, mut writer) = stream.into_split();
    let (answers, mut outgoing) = mpsc::channel::<ServerFrame>(ANSWERS_MAX);
    let write = async move {
        while let Some(frame) = outgoing.recv().await {
            if write_answer(&mut writer, &frame).await.is_err() {
                break;
            }
        }
    };
    let read = async move {
        let mut calls = Calls::default();
        loop {
            let frame = tokio::select! {
                biased;
                frame = wire::read_frame::<ClientFrame>(&mut reader, REQUEST_BYTES_MAX) => frame,
                // It says nothing, or only half of something, and others wait.
                () = calls.crowded_out(&place) => break,
            };
            match frame {
                Ok(Some(frame)) => calls.take(frame, &caller, &door, &answers).await,
                // The client left: what it asked for is dropped, what an actor has taken over goes on.
                Ok(None) => break,
                Err(error) => {
                    let error = RpcError::new(RpcErrorCode::Malformed, error.to_string());
                    let _ = answers.send(ServerFrame::Failed { id: 0, error }).await;
                    break;
                }
            }
        }
    };
    tokio::pin!(write);
    tokio::select! {
        // The last answers are still written: with the reader's end the channel closes, and the writer with it.
        () = read => write.await,
        () = &mut write => {}
    }
}

async fn write_answer(
    writer: &mut tokio::net::unix::OwnedWriteHalf,
    frame: &ServerFrame,
) -> Result<(), WireError> {
    match wire::write_frame(writer, frame, REPLY_BYTES_MAX).await {
        Err(WireError::TooLarge { .. }) => {
            let (ServerFrame::Item { id, .. }
            | ServerFrame::Done { id, .. }
            | ServerFrame::Failed { id, .. }) = frame;
            let error = RpcError::new(RpcErrorCode::Failed, "the answer is larger than a frame may be");
            wire::write_frame(writer, &ServerFrame::Failed { id: *id, error }, REPLY_BYTES_MAX).await
        }
        other => other,
    }
}

/// The calls of one connection that are under way.
#[derive(Default)]
struct Calls {
    running: HashMap<u64, AbortHandle>,
    tasks: tokio::task::JoinSet<u64>,
}

impl Calls {
    /// Resolves when somebody else needs the place, and nothing is being done for this client.
    async fn crowded_out(&mut self, place: &Place) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Ok(id) = ended {
                self.running.remove(&id);
            }
        }
        place.sent_away().await;
    }

    async fn take(
        &mut self,
        frame: ClientFrame,
        caller: &Caller,
        door: &Arc<dyn Door>,
        answers: &mpsc::Sender<ServerFrame>,
    ) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Ok(id) = ended {
                self.running.remove(&id);
            }
        }
        let refused = match frame {
            ClientFrame::Cancel { id } => {
                if let Some(task) = self.running.remove(&id) {
                    task.abort();
                }
                return;
            }
            ClientFrame::Call { id, .. } if self.running.contains_key(&id) => (
                id,
                RpcError::new(RpcErrorCode::Malformed, format!("call {id} is under way already")),
            ),
            ClientFrame::Call { id, .. } if self.running.len() >= CALLS_MAX => (
                id,
                RpcError::new(
                    RpcErrorCode::Unavailable,
                    format!("more than {CALLS_MAX} calls at once"),
                ),
            ),
            ClientFrame::Call { v, id, .. } if v > VERSION => {
                let why =
                    format!("the client speaks version {v} of the control protocol, this node {VERSION}");
                (
                    id,
                    RpcError::new(RpcErrorCode::Malformed, why)
                        .help("use the client of the daemon's release"),
                )
            }
            ClientFrame::Call {
                id,
                procedure,
                timeout_ms,
                body,
                ..
            } => {
                let items = Items {
                    id,
                    answers: answers.clone(),
                };
                let work = door.call(caller.clone(), procedure, body, items);
                let limit = timeout_ms
                    .map_or(CALL_TIMEOUT_MAX, Duration::from_millis)
                    .min(CALL_TIMEOUT_MAX);
                let limit = timeout_ms.map(|_| limit);
                self.running
                    .insert(id, self.tasks.spawn(answer(id, work, limit, answers.clone())));
                return;
            }
        };
        let _ = answers
            .send(ServerFrame::Failed {
                id: refused.0,
                error: refused.1,
            })
            .await;
    }
}

async fn answer(
    id: u64,
    work: BoxFuture<'static, Result<Vec<u8>, RpcError>>,
    limit: Option<Duration>,
    answers: mpsc::Sender<ServerFrame>,
) -> u64 {
    let work = std::panic::AssertUnwindSafe(work);
    let work = futures::FutureExt::catch_unwind(work);
    let outcome = match limit {
        Some(limit) => tokio::time::timeout(limit, work).await,
        None => Ok(work.await),
    };
    let frame = match outcome {
        Ok(Ok(Ok(body))) => ServerFrame::Done { id, body },
        Ok(Ok(Err(error))) => ServerFrame::Failed { id, error },
        Ok(Err(_panic)) => ServerFrame::Failed {
            id,
            error: RpcError::new(RpcErrorCode::Failed, "the procedure crashed; see the log"),
        },
        Err(_elapsed) => ServerFrame::Failed {
            id,
            error: RpcError::new(RpcErrorCode::TimedOut, "time ran out; what was started goes on"),
        },
    };
    let _ = answers.send(frame).await;
    id
}
