//! The keeper: the small process whose children the apps are, so that they outlive the daemon.
//!
//! One thread, no async runtime, nothing that grows. It starts apps ([`launch`], [`spawn`]), is their subreaper, writes
//! their output into bounded logs ([`output`]), sees their whole trees off ([`ending`], [`tree`], [`cgroup`]), remembers
//! exits, and records what the next keeper must know ([`records`]). The daemon speaks to it over a socket
//! ([`protocol`], [`frame`]) through [`link`]. If the daemon dies, nothing changes for the apps. If the keeper dies, they
//! live on, and the next one adopts them ([`adopt`]).
//!
//! Data passes through like this: `turn` waits for events; a socket's bytes become calls (`callers`), calls are
//! carried out (`requests`), and what comes of them, then or later, is pushed to the daemon.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

mod adopt;
mod apps;
mod callers;
pub mod cgroup;
mod connection;
mod ending;
pub mod frame;
mod launch;
pub mod link;
pub mod log_file;
pub mod output;
pub mod proc;
pub mod protocol;
pub mod records;
mod requests;
pub mod sockets;
mod spawn;
mod state;
mod tree;
mod turn;
mod usage;

use state::{Keeper, Parts};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "keeper";
const LOCK: &str = "keeper.lock";
/// How long a new keeper waits for one that is just leaving.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_POLL: Duration = Duration::from_millis(5);

/// What a keeper is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperOptions {
    /// The node's data directory.
    pub data_dir: PathBuf,
    /// Whether it and its apps end with the daemon's connection, however that ends.
    pub tied: bool,
}

impl KeeperOptions {
    /// Out of the arguments behind [`SUBCOMMAND`]: `--data-dir DIR [--tied]`.
    ///
    /// # Errors
    /// With a sentence when they are anything else.
    pub fn from_arguments(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let (mut data_dir, mut tied) = (None, false);
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--data-dir") => data_dir = arguments.next().map(PathBuf::from),
                Some("--tied") => tied = true,
                _ => return Err(format!("keeper: unknown argument {}", argument.display())),
            }
        }
        let data_dir = data_dir.ok_or("keeper: --data-dir DIR is needed")?;
        Ok(Self { data_dir, tied })
    }

    /// The arguments that [`Self::from_arguments`] understands, the subcommand first.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![
            SUBCOMMAND.into(),
            "--data-dir".into(),
            self.data_dir.clone().into(),
        ];
        if self.tied {
            arguments.push("--tied".into());
        }
        arguments
    }
}

/// Runs the keeper if this process was started as one. First thing in `main`: before any thread and any runtime.
///
/// `None` means that the program is to go on as it would.
#[must_use]
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != SUBCOMMAND {
        return None;
    }
    Some(match KeeperOptions::from_arguments(arguments) {
        Ok(options) => run(options),
        Err(why) => {
            log(format_args!("{why}"));
            ExitCode::from(2)
        }
    })
}

/// Runs a keeper until it ends: told to, by a signal, or with nothing left to keep. The process must have one thread.
#[must_use]
pub fn run(options: KeeperOptions) -> ExitCode {
    match start(options) {
        Ok(Some(mut keeper)) => {
            log(format_args!("the keeper runs"));
            keeper.run();
            keeper.leave();
            log(format_args!("the keeper ends"));
            // A child on its way to exec reads what the keeper's state holds: it must not be dropped before the process.
            std::mem::forget(keeper);
            ExitCode::SUCCESS
        }
        Ok(None) => {
            log(format_args!("another keeper holds this data directory"));
            ExitCode::SUCCESS
        }
        Err((what, error)) => {
            log(format_args!("the keeper cannot start: {what}: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Says something in the keeper's own log, which is its standard error. A full disk must not end the keeper.
fn log(text: std::fmt::Arguments<'_>) {
    let line = format!("{:.3} {text}\n", jiff::Timestamp::now());
    let _ = rustix::io::write(rustix::stdio::stderr(), line.as_bytes());
}

type StartError = (&'static str, Errno);

/// Everything up to the loop. None: another keeper is there already.
fn start(options: KeeperOptions) -> Result<Option<Keeper>, StartError> {
    spawn::close_from(3);
    // Fails for the leader of a process group only: then somebody started it by hand, and may have it so.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"osier-keeper");
    // Every file and folder is made with the mode that it is to have.
    rustix::process::umask(Mode::empty());
    let failed = |what| move |error| (what, error);
    let data_dir = options.data_dir.canonicalize();
    let data_dir = data_dir.map_err(|error| {
        (
            "the data directory",
            Errno::from_io_error(&error).unwrap_or(Errno::IO),
        )
    })?;
    let folder = sockets::open_folder(&data_dir).map_err(failed("the data directory"))?;
    let Some(lock) = lock(folder.as_fd()).map_err(failed(LOCK))? else {
        return Ok(None);
    };
    // Held until the process ends.
    std::mem::forget(lock);
    let signals = spawn::signals().map_err(failed("signals"))?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(failed("subreaper"))?;
    let _ = rustix::process::chdir("/");
    let open_files = state::raise_open_files();
    let apps_folder = apps_folder(folder.as_fd()).map_err(failed("the apps folder"))?;
    let dev_null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let dev_null = dev_null.map_err(failed("/dev/null"))?;
    let handover = spawn::Handover::new(dev_null, apps_folder).map_err(failed("descriptors"))?;
    let (records, recovered) = records::Records::open(folder.as_fd()).map_err(failed("keeper.records"))?;
    let listener = sockets::listen(folder.as_fd(), &data_dir).map_err(failed(sockets::SOCKET))?;
    let mut keeper = Keeper::new(Parts {
        groups: cgroup::Groups::detect(&id_of(&data_dir)),
        boot_id: proc::boot_id(),
        torn_records_count: recovered.torn_count,
        options,
        data_dir,
        data_folder: folder,
        handover,
        records,
        open_files,
        signals,
        listener,
    })
    .map_err(failed("epoll"))?;
    keeper.adopt_all(recovered);
    Ok(Some(keeper))
}

/// Locks the data directory for one keeper. A record lock: children do not inherit it, so it ends with the keeper.
fn lock(folder: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let lock = rustix::fs::openat(folder, LOCK, flags, Mode::RUSR | Mode::WUSR)?;
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(lock)),
            Err(Errno::AGAIN | Errno::ACCESS) if Instant::now() < deadline => std::thread::sleep(LOCK_POLL),
            Err(Errno::AGAIN | Errno::ACCESS) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Opens the folder of all apps. Others may pass through it, to the app that is theirs.
fn apps_folder(data_dir: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const APPS: &str = "apps";
    match rustix::fs::mkdirat(data_dir, APPS, Mode::RWXU | Mode::XGRP | Mode::XOTH) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(data_dir, APPS, flags, Mode::empty())
}

/// A short name for a data directory, to tell the groups of two nodes apart.
fn id_of(data_dir: &Path) -> String {
    const DIGITS: usize = 10;
    let digest = blake3::hash(data_dir.as_os_str().as_encoded_bytes()).to_hex();
    digest.as_str().get(..DIGITS).unwrap_or_default().to_owned()
}
