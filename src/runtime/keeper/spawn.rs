//! From a plan to a process, and what else only unsafe calls give: signals as data, reaping ([`signals`]), a thread set
//! apart from its process ([`apart`]).
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
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::Pid;

use super::protocol::SpawnStep;

pub mod apart;
mod child;
mod raw;
mod signals;
mod stack;
#[cfg(test)]
mod tests;

pub use signals::{KeeperSignal, Reaped, read_signals, reap, reap_child, signals};
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
    /// Whether it is killed when the keeper dies (tied keepers only).
    pub dies_with_keeper: bool,
    /// Whether dispositions of signals are a host's, and not those that [`signals`] gave the keeper.
    pub resets_signals: bool,
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

/// A child that waits for its go.
#[derive(Debug)]
pub struct Born {
    /// Its process id.
    pub pid: Pid,
    /// Names it for good.
    pub pidfd: OwnedFd,
    /// Where it reports a failure.
    pub report: OwnedFd,
    /// What it reads.
    pub launching: Box<Launching>,
}

/// Places among the lowest descriptors through which the keeper hands things to a child.
#[derive(Debug)]
pub struct Handover {
    dev_null: OwnedFd,
    apps_folder: OwnedFd,
    report: OwnedFd,
    groups: Vec<OwnedFd>,
    keeper: i32,
    shares_descriptors: bool,
    /// Stacks that no child uses now.
    stacks: Vec<Stack>,
    /// [`bear`], but for tests of what it falls back to.
    bear: Bear,
}

type Bear = fn(&Launching, Option<BorrowedFd<'_>>) -> Result<(Pid, OwnedFd), Errno>;

/// A process joins a group of version 2 and three of version 1 at most.
const GROUPS_MAX: usize = 4;

impl Handover {
    /// Reserves the places. To be called while few descriptors are open.
    ///
    /// # Errors
    /// When no more descriptors may be opened.
    pub fn new(dev_null: OwnedFd, apps_folder: OwnedFd) -> Result<Self, Errno> {
        let place = || rustix::io::fcntl_dupfd_cloexec(&dev_null, 3);
        let report = place()?;
        let groups: Vec<OwnedFd> = (0..GROUPS_MAX).map(|_| place()).collect::<Result<_, _>>()?;
        let is_low = |fd: &OwnedFd| u32::try_from(fd.as_raw_fd()).is_ok_and(|fd| fd < CHILD_FDS_MAX);
        let are_low = groups
            .iter()
            .chain([&report, &dev_null, &apps_folder])
            .all(is_low);
        Ok(Self {
            keeper: rustix::process::getpid().as_raw_nonzero().get(),
            shares_descriptors: are_low && can_unshare(),
            report,
            groups,
            dev_null,
            apps_folder,
            stacks: Vec::new(),
            bear,
        })
    }

    /// The folder of all apps.
    #[must_use]
    pub fn apps_folder(&self) -> BorrowedFd<'_> {
        self.apps_folder.as_fd()
    }

    /// Bears a child for `program`, into the version 2 group `group` if one is given; it joins the groups whose
    /// `cgroup.procs` are in `join` by itself, then waits for its go.
    ///
    /// # Errors
    /// When no process can be made; [`is_no_birth`] tells whether only `group` stands in the way.
    pub fn bear(
        &mut self,
        program: Program,
        group: Option<BorrowedFd<'_>>,
        join: &[OwnedFd],
    ) -> Result<Born, Errno> {
        let (report, report_write) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK)?;
        self.place(&report_write, join)?;
        drop(report_write);
        let stack = self.stacks.pop().map_or_else(Stack::new, Ok)?;
        let launching = Box::new(self.launching(program, join.len(), stack));
        let born = (self.bear)(&launching, group).and_then(|(pid, pidfd)| {
            if launching.wait_ready(pidfd.as_fd()) {
                return Ok((pid, pidfd));
            }
            // Dead, or stopped by somebody: it must not see what the places hold next. What it reads stays for good.
            let _ = rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL);
            Err(Errno::CHILD)
        });
        self.clear();
        match born {
            Ok((pid, pidfd)) => Ok(Born {
                pid,
                pidfd,
                report,
                launching,
            }),
            Err(error) => {
                if error == Errno::CHILD {
                    Box::leak(launching);
                }
                Err(error)
            }
        }
    }

    /// Ends a child that cannot be kept. What it reads stays for good: it may still be on its way.
    pub fn abandon(born: Born) {
        let _ = rustix::process::pidfd_send_signal(&born.pidfd, rustix::process::Signal::KILL);
        Box::leak(born.launching);
    }

    /// Takes back what a child read, which has left.
    pub fn take_back(&mut self, launching: Box<Launching>) {
        if self.stacks.len() < CHILDREN_MAX {
            self.stacks.push(launching.stack);
        }
    }

    fn place(&mut self, report: &OwnedFd, join: &[OwnedFd]) -> Result<(), Errno> {
        let cloexec = rustix::io::DupFlags::CLOEXEC;
        rustix::io::dup3(report, &mut self.report, cloexec)?;
        for (group, place) in join.iter().zip(&mut self.groups) {
            rustix::io::dup3(group, place, cloexec)?;
        }
        Ok(())
    }

    /// Closes what was handed over: the report pipe must have no end but the child's.
    fn clear(&mut self) {
        let cloexec = rustix::io::DupFlags::CLOEXEC;
        let _ = rustix::io::dup3(&self.dev_null, &mut self.report, cloexec);
        for place in &mut self.groups {
            let _ = rustix::io::dup3(&self.dev_null, place, cloexec);
        }
    }

    fn launching(&self, mut program: Program, groups_count: usize, stack: Stack) -> Launching {
        let take = |texts: &mut Vec<CString>| StringArray::new(std::mem::take(texts));
        Launching {
            status: AtomicU32::new(BORN),
            keeper: self.keeper,
            shares_descriptors: self.shares_descriptors,
            paths: take(&mut program.paths),
            arguments: take(&mut program.arguments),
            environment: take(&mut program.environment),
            program,
            dev_null: self.dev_null.as_raw_fd(),
            apps_folder: self.apps_folder.as_raw_fd(),
            report: self.report.as_raw_fd(),
            groups: self
                .groups
                .iter()
                .take(groups_count)
                .map(AsRawFd::as_raw_fd)
                .collect(),
            stack,
        }
    }
}

const CLONE_VM: u64 = 0x100;
const CLONE_FILES: u64 = 0x400;
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args` of the kernel (version 2, 88 bytes).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// `clone_args` without its last member, as kernels before 5.7 know it.
const CLONE_ARGS_BYTES_5_5: usize = 80;

fn bear(launching: &Launching, group: Option<BorrowedFd<'_>>) -> Result<(Pid, OwnedFd), Errno> {
    match bear_by_clone3(launching, group) {
        // A filter that does not know clone3: its predecessor does the same, without a group.
        Err(Errno::NOSYS | Errno::PERM) if group.is_none() => bear_by_clone(launching),
        done => done,
    }
}

/// How a child is born, whoever bears it.
fn flags(launching: &Launching) -> u64 {
    let files = if launching.shares_descriptors {
        CLONE_FILES
    } else {
        0
    };
    CLONE_VM | CLONE_PIDFD | files
}

fn bear_by_clone3(launching: &Launching, group: Option<BorrowedFd<'_>>) -> Result<(Pid, OwnedFd), Errno> {
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: flags(launching),
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: launching.stack.bottom(),
        stack_size: launching.stack.bytes(),
        ..CloneArgs::default()
    };
    let mut bytes = CLONE_ARGS_BYTES_5_5;
    if let Some(group) = group {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = group.as_raw_fd() as u64;
        bytes = size_of::<CloneArgs>();
    }
    // SAFETY: `args` is a valid clone_args of `bytes` bytes. The child begins in `child::begin` on a stack that nobody
    // else uses, with a `Launching` that outlives it (the caller keeps it until the child has left, or leaks it).
    let result = unsafe { raw::clone3(&raw mut args, bytes, launching, child::begin) };
    born(result, pidfd)
}

fn bear_by_clone(launching: &Launching) -> Result<(Pid, OwnedFd), Errno> {
    let mut pidfd: RawFd = -1;
    let top = launching.stack.bottom() + launching.stack.bytes();
    let flags = flags(launching) | libc::SIGCHLD as u64;
    // SAFETY: as above; the stack grows down from its top.
    let result = unsafe { raw::clone(flags, top, &raw mut pidfd, launching, child::begin) };
    born(result, pidfd)
}

/// What a call of the clone family returned.
fn born(result: isize, pidfd: RawFd) -> Result<(Pid, OwnedFd), Errno> {
    let pid = i32::try_from(result)
        .ok()
        .filter(|pid| *pid > 0)
        .and_then(Pid::from_raw);
    match pid {
        // SAFETY: the kernel stored a new descriptor that nobody else owns.
        Some(pid) if pidfd >= 0 => Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) })),
        _ => Err(refusal(result).unwrap_or(Errno::IO)),
    }
}

/// What the kernel said no with, if it did.
fn refusal(result: isize) -> Option<Errno> {
    let errno = result.checked_neg().and_then(|errno| i32::try_from(errno).ok())?;
    (1..4096)
        .contains(&errno)
        .then(|| Errno::from_raw_os_error(errno))
}

/// Whether the kernel is too old (before 5.7), filters the call, or does not let this group be entered so.
#[must_use]
pub fn is_no_birth(error: Errno) -> bool {
    matches!(
        error,
        Errno::TOOBIG
            | Errno::INVAL
            | Errno::NOSYS
            | Errno::PERM
            | Errno::OPNOTSUPP
            | Errno::BUSY
            | Errno::ACCESS
    )
}

/// Whether this kernel (5.9 or newer) can give a child its own copy of the lowest descriptors alone.
fn can_unshare() -> bool {
    // SAFETY: an empty range of a table that nobody shares: changes nothing.
    let result = unsafe {
        raw::call(
            libc::SYS_close_range,
            [u32::MAX as usize, u32::MAX as usize, child::UNSHARE, 0, 0],
        )
    };
    result == 0
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

/// Closes every descriptor from `first` on: whatever the keeper was started with is none of its apps' business.
pub fn close_from(first: u32) {
    // SAFETY: called first thing in the keeper, before it owns any descriptor beyond the standard three.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if closed < 0 {
        // Before Linux 5.9.
        apart::close_listed(first.cast_signed());
    }
}

fn last_errno() -> Errno {
    Errno::from_raw_os_error(
        std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO),
    )
}
