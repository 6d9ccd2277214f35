//! The keeper: the small process whose children the apps are, so that they outlive the daemon.
//!
//! One thread, no async runtime, nothing that grows. It starts apps ([`launch`], [`spawn`]), is their subreaper, writes
//! their output into bounded logs ([`output`]), hears what they say about themselves ([`ears`]), runs the commands that look
//! after them ([`checks`]), confines them to their own files ([`sandbox`]), sees their whole trees off ([`ending`], [`tree`],
//! [`cgroup`]), remembers exits, and records what the next keeper must know ([`records`]). The daemon speaks to it over a
//! socket ([`protocol`], [`frame`]) through [`link`]. If the daemon dies, nothing changes for the apps. If the keeper dies, they
//! live on, and the next one adopts them ([`adopt`]). For hosts that have no program to be a keeper the same loop runs
//! on a thread of theirs ([`in_process`]); then apps end with the host.
//!
//! Data passes through like this: `turn` waits for events; a socket's bytes become calls (`callers`), calls are
//! carried out (`requests`), and what comes of them, then or later, is pushed to the daemon.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

mod adopt;
mod apps;
mod callers;
pub mod cgroup;
mod checks;
mod connection;
mod ears;
mod ending;
pub mod frame;
pub mod in_process;
mod launch;
pub mod link;
mod lock;
pub mod log_file;
pub mod output;
pub mod proc;
pub mod protocol;
pub mod records;
mod requests;
mod sandbox;
pub mod sockets;
mod spawn;
mod state;
mod tree;
mod turn;
mod usage;

use state::{Keeper, Parts};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "keeper";
/// What a keeper says that finds another one in its place.
const HELD: &str = "another keeper holds this data directory";
/// What one says before the reason that it does not come up for.
const CANNOT_START: &str = "the keeper cannot start";

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

/// Who is the keeper of a node's apps, where none answers yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeeperProgram {
    /// An installed `osier`, started as a process of its own.
    Installed(PathBuf),
    /// The running program, started once more: it calls [`run_if_asked`] first thing in its `main`.
    ThisProgram,
    /// None: a thread of this process, see [`in_process`].
    InProcess,
}

/// Whether this program can be its own keeper. A fact about the program, not the state of a node.
static CAN_BE_ASKED: AtomicBool = AtomicBool::new(false);

/// Whether [`run_if_asked`] was called: only then may the running program be started as keeper. Else its whole `main`
/// would run once more for each attempt.
#[must_use]
pub fn can_be_asked() -> bool {
    CAN_BE_ASKED.load(Ordering::Relaxed)
}

/// Runs the keeper if this process was started as one. First thing in `main`: before any thread and any runtime.
///
/// `None` means that the program is to go on as it would.
#[must_use]
pub fn run_if_asked() -> Option<ExitCode> {
    CAN_BE_ASKED.store(true, Ordering::Relaxed);
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
    match own_process().and_then(|home| start(options, home)) {
        Ok(Some(mut keeper)) => {
            let _ = rustix::process::chdir("/");
            log(format_args!("the keeper runs"));
            keeper.run();
            keeper.leave();
            log(format_args!("the keeper ends"));
            // A child on its way to exec reads what the keeper's state holds: it must not be dropped before the process.
            std::mem::forget(keeper);
            ExitCode::SUCCESS
        }
        Ok(None) => {
            log(format_args!("{HELD}"));
            ExitCode::SUCCESS
        }
        Err((what, error)) => {
            log(format_args!("{CANNOT_START}: {what}: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Says something in the keeper's own log, which is its standard error. A full disk must not end the keeper.
fn log(text: std::fmt::Arguments<'_>) {
    let line = format!("{:.3} {text}\n", jiff::Timestamp::now());
    let _ = rustix::io::write(rustix::stdio::stderr(), line.as_bytes());
}

/// Opens the keeper's own log, in the place of one that has become too long.
fn open_log(data_dir: &Path) -> io::Result<File> {
    const LOG_BYTES_MAX: u64 = 1024 * 1024;
    let path = data_dir.join("keeper.log");
    if std::fs::metadata(&path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        // If it stays, it grows on: worse than nothing, better than no keeper.
        let _ = std::fs::rename(&path, data_dir.join("keeper.log.1"));
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// What could not be had, and why.
type StartError = (String, Errno);

/// Where a keeper's loop runs, and what comes of it.
#[derive(Debug)]
struct Home {
    /// The signals of a process of its own; a thread takes none: its host's are its host's.
    signals: Option<OwnedFd>,
    /// The number of open files that apps get: what this process was started with.
    open_files: (u64, u64),
}

/// Makes this process a keeper's: a session, descriptors, signals and orphans of its own.
fn own_process() -> Result<Home, StartError> {
    let failed = |what: &'static str| move |error| (what.to_owned(), error);
    spawn::close_from(3);
    // Fails for the leader of a process group only: then somebody started it by hand, and may have it so.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"osier-keeper");
    // Every file and folder is made with the mode that it is to have.
    rustix::process::umask(Mode::empty());
    let signals = spawn::signals().map_err(failed("signals"))?;
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).map_err(failed("subreaper"))?;
    Ok(Home {
        signals: Some(signals),
        open_files: state::raise_open_files(),
    })
}

/// Everything up to the loop. None: another keeper is there already.
fn start(options: KeeperOptions, home: Home) -> Result<Option<Keeper>, StartError> {
    let failed = |what: &'static str| move |error| (what.to_owned(), error);
    // By its path: whoever reads it has to go there.
    let at = |name: &'static str| {
        let path = options.data_dir.join(name).display().to_string();
        move |error| (path, error)
    };
    let data_dir = options.data_dir.canonicalize();
    let data_dir = data_dir.map_err(|error| at("")(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    let folder = sockets::open_folder(&data_dir).map_err(at(""))?;
    let is_process = home.signals.is_some();
    let Some(lock) = lock::take(folder.as_fd(), is_process).map_err(at(lock::LOCK))? else {
        return Ok(None);
    };
    // Held until the process or the thread ends, with its descriptors.
    std::mem::forget(lock);
    let apps_folder = apps_folder(folder.as_fd()).map_err(at("apps"))?;
    let dev_null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let dev_null = dev_null.map_err(failed("/dev/null"))?;
    let handover = spawn::Handover::new(dev_null, apps_folder).map_err(failed("descriptors"))?;
    let (records, recovered) = records::Records::open(folder.as_fd()).map_err(at("keeper.records"))?;
    let listener = sockets::listen(folder.as_fd(), &data_dir).map_err(at(sockets::SOCKET))?;
    let mut keeper = Keeper::new(Parts {
        groups: cgroup::Groups::detect(&id_of(&data_dir), is_process),
        boot_id: proc::boot_id(),
        torn_records_count: recovered.torn_count,
        options,
        data_dir,
        data_folder: folder,
        handover,
        records,
        open_files: home.open_files,
        signals: home.signals,
        listener,
    })
    .map_err(failed("epoll"))?;
    keeper.adopt_all(recovered);
    Ok(Some(keeper))
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
