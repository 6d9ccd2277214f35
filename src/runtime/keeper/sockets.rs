//! `keeper.sock` in the data directory: bound by the keeper, reached by the daemon, however long its path is.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// The socket's name in the data directory.
pub const SOCKET: &str = "keeper.sock";
/// `sun_path` holds 108 bytes with the final NUL.
const PATH_BYTES_MAX: usize = 107;
/// Connections that wait to be accepted: one daemon and a few observers.
const BACKLOG: i32 = 16;

/// Opens a data directory, to reach what is in it by descriptor.
///
/// # Errors
/// When it is no folder that may be entered.
pub fn open_folder(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// A path to the socket that fits into an address: the plain one, or one through the descriptor of its folder, which
/// must stay open while the path is used.
fn short_path(folder: BorrowedFd<'_>, path: &Path) -> PathBuf {
    let plain = path.join(SOCKET);
    if plain.as_os_str().len() <= PATH_BYTES_MAX {
        plain
    } else {
        // A keeper that is a thread has descriptors of its own.
        PathBuf::from(format!("/proc/thread-self/fd/{}/{SOCKET}", folder.as_raw_fd()))
    }
}

/// Binds and listens, in the place of a socket that an earlier keeper left. Only its owner may connect.
///
/// The caller holds the keeper's lock, so nobody else listens there. Nobody can connect before the mode is set: the
/// socket does not listen yet.
///
/// # Errors
/// When the folder does not let a socket be made.
pub fn listen(folder: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    match rustix::fs::unlinkat(folder, SOCKET, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error),
    }
    let socket = socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let address = SocketAddrUnix::new(short_path(folder, path))?;
    rustix::net::bind(&socket, &address)?;
    rustix::fs::chmodat(folder, SOCKET, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Connects to the keeper of the data directory `path`; never waits.
///
/// # Errors
/// `NOENT` or `CONNREFUSED` when no keeper listens.
pub fn connect(path: &Path) -> Result<OwnedFd, Errno> {
    let folder = open_folder(path)?;
    let socket = socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(short_path(folder.as_fd(), path))?)?;
    Ok(socket)
}

fn socket(flags: SocketFlags) -> Result<OwnedFd, Errno> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// The next waiting connection, if it is from this user or root; others are closed on the spot.
#[must_use]
pub fn accept(listener: BorrowedFd<'_>) -> Option<OwnedFd> {
    let own = rustix::process::geteuid();
    loop {
        let connection =
            match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(connection) => connection,
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(_) => return None,
            };
        let peer = rustix::net::sockopt::socket_peercred(&connection);
        if peer.is_ok_and(|peer| peer.uid == own || peer.uid.is_root()) {
            return Some(connection);
        }
    }
}
