//! From a plan to a process. Rooms: `handover` gives a child its descriptors and its memory, `birth` the call that bears
//! it, `child` its way to exec, `confine` and [`landlock`] what it is confined by on the way; `signals` and `memory` what else only unsafe calls give; [`apart`] a thread set apart from its process.
//!
//! A child shares the keeper's memory until it execs (`CLONE_VM`, as `posix_spawn` does it): nothing is copied, so a
//! start costs the same however large the keeper is. Unlike with `vfork` the keeper goes on meanwhile: a program on a
//! file system that hangs keeps nobody waiting. So the child runs on a stack of its own, calls nothing but the kernel
//! ([`raw`]: not even the C library, whose `errno` it would share), and reads only its [`Launching`], which the keeper
//! keeps until the child has left.
//!
//! It shares the keeper's descriptors as well, for the first moment: then it takes its own copy of the lowest few
//! (`CLOSE_RANGE_UNSHARE`). Without that every start would copy and close a descriptor an app.
//!
//! The child prepares itself and waits for the keeper's word, given only after the child's record is in the file. A
//! keeper that dies before takes the child along (`PR_SET_PDEATHSIG`): nothing runs unrecorded.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char};
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::protocol::SpawnStep;

pub mod apart;
mod birth;
mod child;
mod confine;
mod handover;
pub mod landlock;
mod memory;
mod raw;
mod signals;
mod stack;
#[cfg(test)]
mod tests;

pub use birth::is_no_birth;
pub use confine::{Mounts, Sandbox, UserNamespace};
pub use handover::{Born, Handover};
pub use memory::give_back;
pub use signals::{KeeperSignal, Reaped, close_from, read_signals, reap, reap_child, signals};
use stack::Stack;

/// Children between birth and exec at a time; more starts wait.
pub const CHILDREN_MAX: usize = 64;
/// A child is ready after some microseconds; it is looked for whether it still lives when it is not.
const READY_POLL: Duration = Duration::from_millis(5);
/// How long a child may take to be ready before the keeper goes on without it.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// The descriptors that a child keeps of the keeper's are those below this number: what the keeper opened at its start,
/// and the places of [`Handover`].
pub const CHILD_FDS_MAX: u32 = 32;

/// Null-terminated pointers to strings, as exec wants them, with the strings that they point to.
#[derive(Debug)]
struct StringArray {
    pointers: Vec<*const c_char>,
    // Boxed by `CString`: moving this struct leaves the texts where they are.
    _texts: Vec<CString>,
}

impl StringArray {
    fn new(texts: Vec<CString>) -> Self {
        let mut pointers: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Self {
            pointers,
            _texts: texts,
        }
    }
}

/// What a program is started with.
#[derive(Debug)]
pub struct Program {
    /// Paths to try in turn, as `execvp` does; the last error but "not found" counts.
    pub paths: Vec<CString>,
    /// The arguments, the program's name first.
    pub arguments: Vec<CString>,
    /// The environment.
    pub environment: Vec<CString>,
    /// Where it starts.
    pub working_dir: CString,
    /// The output pipe, seen from the folder of all apps; becomes descriptors 1 and 2.
    pub output: CString,
    /// Soft and hard number of open files.
    pub open_files: (u64, u64),
    /// Whom to become: uid, gid, supplementary groups.
    pub user: Option<(u32, u32, Vec<u32>)>,
    /// The file mode creation mask.
    pub umask: u32,
    /// Whether set-uid programs give nothing.
    pub no_new_privileges: bool,
    /// Which files it may write; none: those that its user may.
    pub sandbox: Option<Sandbox>,
    /// Whether it is killed when the keeper dies (tied keepers only).
    pub dies_with_keeper: bool,
    /// Whether dispositions of signals are a host's, and not those that [`signals`] gave the keeper.
    pub resets_signals: bool,
}

impl Program {
    /// The same, in this sandbox.
    #[must_use]
    pub fn confined_by(mut self, sandbox: Option<Sandbox>) -> Self {
        let restricts_unprivileged = sandbox
            .as_ref()
            .is_some_and(|sandbox| sandbox.mounts.is_none() && sandbox.ruleset.is_some());
        // The kernel lets nobody put Landlock rules in force who could still gain privileges, but who may mount.
        self.no_new_privileges |= restricts_unprivileged;
        self.sandbox = sandbox;
        self
    }
}

/// Everything that a child reads between its birth and exec. Its owner keeps it until the child has left: until the
/// report pipe is closed, or the child is reaped.
#[derive(Debug)]
pub struct Launching {
    status: AtomicU32,
    keeper: i32,
    shares_descriptors: bool,
    paths: StringArray,
    arguments: StringArray,
    environment: StringArray,
    program: Program,
    dev_null: RawFd,
    apps_folder: RawFd,
    report: RawFd,
    groups: Vec<RawFd>,
    ruleset: Option<RawFd>,
    stack: Stack,
}

/// [`Launching::status`]: born, but not yet with descriptors of its own.
const BORN: u32 = 0;
/// The child no longer shares the keeper's descriptors.
const READY: u32 = 1;
/// Recorded: run the program.
const GO: u32 = 2;
/// Not recorded: leave.
const NO_GO: u32 = 3;
/// The child's last word before exec.
const EXECS: u32 = 4;

impl Launching {
    /// Tells the child to run its program, or to leave.
    pub fn tell(&self, go: bool) {
        self.status.store(if go { GO } else { NO_GO }, Ordering::Release);
        // SAFETY: the address is of a live, aligned word.
        unsafe {
            raw::call(
                libc::SYS_futex,
                [self.status.as_ptr() as usize, libc::FUTEX_WAKE as usize, 1, 0, 0],
            )
        };
    }

    /// Whether the child came as far as running its program.
    #[must_use]
    pub fn came_to_exec(&self) -> bool {
        self.status.load(Ordering::Acquire) == EXECS
    }

    /// Waits until the child has descriptors of its own. False when it died before.
    fn wait_ready(&self, pidfd: BorrowedFd<'_>) -> bool {
        let begun = Instant::now();
        while self.status.load(Ordering::Acquire) == BORN {
            let timeout = libc::timespec {
                tv_sec: 0,
                tv_nsec: i64::from(READY_POLL.subsec_nanos()),
            };
            let arguments = [
                self.status.as_ptr() as usize,
                libc::FUTEX_WAIT as usize,
                BORN as usize,
                (&raw const timeout) as usize,
                0,
            ];
            // SAFETY: the word and the timeout live through the call.
            unsafe { raw::call(libc::SYS_futex, arguments) };
            let mut looked = [rustix::event::PollFd::from_borrowed_fd(
                pidfd,
                rustix::event::PollFlags::IN,
            )];
            let at_once = rustix::time::Timespec::default();
            let is_dead = rustix::event::poll(&mut looked, Some(&at_once)).is_ok_and(|count| count > 0);
            if is_dead || begun.elapsed() > READY_WITHIN {
                return self.status.load(Ordering::Acquire) != BORN;
            }
        }
        true
    }
}

/// A step, three bytes of nothing, an error number.
const REPORT_BYTES: usize = 8;

/// What a child wrote on its report pipe: none when it wrote nothing, which means that exec succeeded once the pipe is
/// closed.
#[must_use]
pub fn read_report(bytes: &[u8]) -> Option<(SpawnStep, i32)> {
    let report: &[u8; REPORT_BYTES] = bytes.first_chunk()?;
    let [step, _, _, _, errno @ ..] = *report;
    let step = SpawnStep::ALL.into_iter().find(|known| *known as u8 == step)?;
    Some((step, i32::from_le_bytes(errno)))
}
