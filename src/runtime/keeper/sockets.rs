//! `keeper.sock` in the data directory: bound by the keeper, reached by the daemon, however long its path is.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// The socket's name in the data directory.
pub const SOCKET: &str = "keeper.sock";
/// `sun_path` holds 108 bytes with the final NUL.
const PATH_BYTES_MAX: usize = 107;
/// What is found in the socket's place is kept under so many names at most.
const ASIDE_MAX: u32 = 100;
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

/// Binds and listens, in the place of a socket that an earlier keeper left. Only its owner may connect. Anything else
/// that is found there is put aside.
///
/// The caller holds the keeper's lock, so nobody else listens there. Nobody can connect before the mode is set: the
/// socket does not listen yet.
///
/// # Errors
/// When the folder does not let a socket be made.
pub fn listen(folder: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    make_room(folder)?;
    let socket = socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let address = SocketAddrUnix::new(short_path(folder, path))?;
    rustix::net::bind(&socket, &address)?;
    rustix::fs::chmodat(folder, SOCKET, Mode::RUSR | Mode::WUSR, AtFlags::empty())?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Takes away what stands in the socket's place: a socket is nobody's any more, the rest may be somebody's. A link is
/// not followed.
fn make_room(folder: BorrowedFd<'_>) -> Result<(), Errno> {
    match entry(folder) {
        Ok(stat) if is_socket(&stat) => rustix::fs::unlinkat(folder, SOCKET, AtFlags::empty()),
        Ok(_) => put_aside(folder),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

fn put_aside(folder: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut result = Err(Errno::EXIST);
    for number in 1..=ASIDE_MAX {
        let aside = format!("{SOCKET}.set-aside-{number}");
        result = rustix::fs::renameat_with(folder, SOCKET, folder, &aside, RenameFlags::NOREPLACE);
        if result != Err(Errno::EXIST) {
            if result.is_ok() {
                super::log(format_args!("{SOCKET} was no socket; it is kept as {aside}"));
            }
            return result;
        }
    }
    result
}

/// What stands in the socket's place.
fn entry(folder: BorrowedFd<'_>) -> Result<Stat, Errno> {
    rustix::fs::statat(folder, SOCKET, AtFlags::SYMLINK_NOFOLLOW)
}

fn is_socket(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Socket
}

/// Which file a listening socket is: device and number. None: it has lost its place.
pub fn place_of(folder: BorrowedFd<'_>) -> Option<(u64, u64)> {
    let stat = entry(folder).ok().filter(is_socket)?;
    Some((stat.st_dev, stat.st_ino))
}

/// Connects to the keeper of the data directory `path`; never waits, and follows no link.
///
/// # Errors
/// `NOENT` or `CONNREFUSED` when no keeper listens.
pub fn connect(path: &Path) -> Result<OwnedFd, Errno> {
    let folder = open_folder(path)?;
    if !is_socket(&entry(folder.as_fd())?) {
        return Err(Errno::NOENT);
    }
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
