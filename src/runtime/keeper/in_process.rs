//! The keeper as a thread of its host: for a program that embeds a node, has no `osier` beside it and cannot become a
//! keeper itself. Its apps end with it.
//!
//! It is the same loop, reached through the same socket, so everything that holds for apps of a keeper holds for these,
//! but for what a thread cannot be:
//!
//! - It is set apart from its host ([`spawn::apart`]): descriptors, folder and mask of its own, every signal blocked. So
//!   nothing of the host leaks into an app, and no handler of the host runs here. In return nothing of the host's may be
//!   called here: not even a waker of an async runtime, which writes to a descriptor. Whoever waits for this thread looks.
//! - It waits for its own children alone, each by its descriptor and its number, and leaves those of the host to the host.
//! - It is no subreaper: orphans of apps go where those of the host go. Their trees are told by control group, else by
//!   session, descent and mark.
//! - The kernel kills each app's main process when this thread ends, so a host that is killed takes them along. What an
//!   app forked lives on then, and the next start in the same data directory kills it by group or mark.
//!
//! `docs/decisions/0040-supervision-in-process.md` says why it is so.

use std::io;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustix::fs::{Mode, OFlags};
use rustix::process::Resource;

use super::{Home, KeeperOptions, StartError, log, spawn, state};

/// A keeper on its way, or at work: a thread, or a process.
#[derive(Debug, Clone, Default)]
pub struct Started {
    failure: Arc<OnceLock<String>>,
}

impl Started {
    /// Why it could not start, once that is known.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Tells that it did not come up.
    pub(super) fn failed(&self, why: String) {
        let _ = self.failure.set(why);
    }
}

/// Starts the thread. It answers on the socket of its data directory, or tells a failure.
///
/// # Errors
/// When there can be no more threads.
pub fn start(data_dir: &Path) -> io::Result<Started> {
    let started = Started::default();
    let told = started.clone();
    let options = KeeperOptions {
        data_dir: data_dir.to_owned(),
        // Its apps die with the thread: whatever ends it has to stop them.
        tied: true,
    };
    let thread = std::thread::Builder::new().name("osier-keeper".to_owned());
    thread.spawn(move || {
        if let Err((what, error)) = keep(options) {
            told.failed(format!("{}: {what}: {error}", super::CANNOT_START));
        }
    })?;
    Ok(started)
}

fn failed(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> StartError {
    move |error| (what.to_owned(), error)
}

fn keep(options: KeeperOptions) -> Result<(), StartError> {
    spawn::apart::block_signals().map_err(failed("signals"))?;
    spawn::apart::own_descriptors().map_err(failed("descriptors of its own"))?;
    own_streams(&options.data_dir)?;
    let has_own_folder = spawn::apart::own_folder_and_mask();
    if has_own_folder {
        // Every file and folder is made with the mode that it is to have.
        rustix::process::umask(Mode::empty());
    }
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let home = Home {
        signals: None,
        open_files: state::open_files_of(&limit),
    };
    let Some(keeper) = super::start(options, home)? else {
        log(format_args!("{}", super::HELD));
        return Ok(());
    };
    if has_own_folder {
        let _ = rustix::process::chdir("/");
    }
    // A child on its way to exec reads what the keeper's state holds: a panic must not free it.
    let mut keeper = ManuallyDrop::new(keeper);
    log(format_args!("the keeper runs in the process of its host"));
    keeper.run();
    keeper.leave();
    log(format_args!("the keeper ends"));
    if keeper.apps.is_idle() {
        drop(ManuallyDrop::into_inner(keeper));
    }
    Ok(())
}

/// Nothing to read, nothing to say but to the keeper's own log: the host may close its streams as it likes.
fn own_streams(data_dir: &Path) -> Result<(), StartError> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let null = rustix::fs::open("/dev/null", flags, Mode::empty()).map_err(failed("/dev/null"))?;
    rustix::stdio::dup2_stdin(&null).map_err(failed("standard input"))?;
    rustix::stdio::dup2_stdout(&null).map_err(failed("standard output"))?;
    match super::open_log(data_dir) {
        Ok(log) => rustix::stdio::dup2_stderr(&log),
        // As with a process: worse than nothing, better than no keeper.
        Err(_) => rustix::stdio::dup2_stderr(&null),
    }
    .map_err(failed("standard error"))
}
