//! From a plan to a process: fork, the child's way to exec, and what only unsafe calls give (signals, reaping).
//!
//! The keeper has one thread, so a forked child may do what it likes before exec. It still allocates nothing, takes no
//! lock and never unwinds: everything that it needs stands ready in its [`ChildPlan`]. The child prepares itself, then
//! waits for one byte on the *go* pipe, which the keeper writes only after the child's record is in the file. A keeper
//! that dies before closes the pipe by dying, and the child leaves without exec. A failed step is reported with its
//! error number on the *report* pipe; a successful exec closes that pipe without a word.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::process::Pid;

use super::protocol::{ExitHow, SpawnStep};

/// Null-terminated pointers to strings, as exec wants them, with the strings that they point to.
#[derive(Debug)]
pub struct StringArray {
    pointers: Vec<*const c_char>,
    // Boxed by `CString`: moving this struct leaves the texts where they are.
    _texts: Vec<CString>,
}

impl StringArray {
    /// The array of `texts`.
    #[must_use]
    pub fn new(texts: Vec<CString>) -> Self {
        let mut pointers: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Self {
            pointers,
            _texts: texts,
        }
    }
}

/// Everything that a child needs between fork and exec.
#[derive(Debug)]
pub struct ChildPlan<'a> {
    /// Paths to try in turn, as `execvp` does; the last error but "not found" counts.
    pub programs: &'a [CString],
    /// The arguments, the program's name first.
    pub arguments: &'a StringArray,
    /// The environment.
    pub environment: &'a StringArray,
    /// Where it starts.
    pub working_dir: &'a CStr,
    /// Becomes descriptor 0.
    pub dev_null: BorrowedFd<'a>,
    /// The app's folder and the name of the output pipe in it; becomes 1 and 2.
    pub output: (BorrowedFd<'a>, &'a CStr),
    /// `cgroup.procs` files to join.
    pub groups: &'a [OwnedFd],
    /// Soft and hard number of open files.
    pub open_files: (u64, u64),
    /// Whom to become: uid, gid, supplementary groups.
    pub user: Option<(u32, u32, &'a [u32])>,
    /// The file mode creation mask.
    pub umask: u32,
    /// Whether set-uid programs give nothing.
    pub no_new_privileges: bool,
    /// Whether it is killed when the keeper dies (tied keepers only).
    pub dies_with_keeper: bool,
    /// The end of the go pipe to read, and the one to close.
    pub go: (BorrowedFd<'a>, BorrowedFd<'a>),
    /// Where failures are reported.
    pub report: BorrowedFd<'a>,
}

/// A child that waits for its go.
#[derive(Debug)]
pub struct Forked {
    /// Its process id.
    pub pid: Pid,
    /// A descriptor that names it for good.
    pub pidfd: OwnedFd,
}

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
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks a child that follows `plan`.
///
/// # Errors
/// When no process can be made.
pub fn fork(plan: &ChildPlan<'_>) -> Result<Forked, Errno> {
    match clone3(plan, None) {
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => plain_fork(plan),
        done => done,
    }
}

/// Forks a child that is born in the version 2 group whose folder `group` is.
///
/// # Errors
/// When no process can be made; [`is_no_birth`] tells whether only this way of making one is closed.
pub fn fork_into(plan: &ChildPlan<'_>, group: BorrowedFd<'_>) -> Result<Forked, Errno> {
    clone3(plan, Some(group))
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

fn clone3(plan: &ChildPlan<'_>, group: Option<BorrowedFd<'_>>) -> Result<Forked, Errno> {
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: CLONE_PIDFD,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    let mut bytes = CLONE_ARGS_BYTES_5_5;
    if let Some(group) = group {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = group.as_raw_fd() as u64;
        bytes = size_of::<CloneArgs>();
    }
    // SAFETY: `args` is a valid clone_args of `bytes` bytes. Without CLONE_VM this is a fork: the child has a copy of
    // the address space and of this (the only) thread, and goes straight into `child`, which never returns.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, bytes) };
    if pid == 0 {
        child(plan);
    }
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    match pid {
        // SAFETY: the kernel stored a new descriptor that nobody else owns.
        Some(pid) if pidfd >= 0 => Ok(Forked {
            pid,
            pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
        }),
        _ => Err(last_errno()),
    }
}

/// For kernels and filters without clone3.
fn plain_fork(plan: &ChildPlan<'_>) -> Result<Forked, Errno> {
    // SAFETY: the process has one thread; the child goes straight into `child`, which never returns.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        child(plan);
    }
    let Some(pid) = Pid::from_raw(pid).filter(|pid| pid.as_raw_nonzero().get() > 0) else {
        return Err(last_errno());
    };
    // The child cannot be reaped and its number not be used again before this thread waits for it.
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    Ok(Forked { pid, pidfd })
}

fn last_errno() -> Errno {
    Errno::from_raw_os_error(
        std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO),
    )
}

/// The child's way from fork to exec. Calls nothing but the kernel.
fn child(plan: &ChildPlan<'_>) -> ! {
    let (step, errno) = match prepare(plan) {
        Err(failed) => failed,
        Ok(()) if told_to_go(plan) => (SpawnStep::Exec, exec(plan)),
        // The keeper is gone, or has not recorded this start.
        Ok(()) => (SpawnStep::Record, libc::ECANCELED),
    };
    let mut report = [0u8; REPORT_BYTES];
    report[0] = step as u8;
    report[4..].copy_from_slice(&errno.to_le_bytes());
    // SAFETY: the buffer is valid for its length; a failed write leaves nothing that could be done.
    unsafe { libc::write(plan.report.as_raw_fd(), report.as_ptr().cast(), report.len()) };
    leave(127)
}

fn leave(code: c_int) -> ! {
    // SAFETY: `_exit` ends the process without touching its memory.
    unsafe { libc::_exit(code) }
}

type Failed = (SpawnStep, i32);

fn check(step: SpawnStep, result: impl Into<i64>) -> Result<(), Failed> {
    if result.into() < 0 {
        // SAFETY: errno is this thread's own.
        Err((step, unsafe { *libc::__errno_location() }))
    } else {
        Ok(())
    }
}

/// Everything before the go. Order matters: groups before limits, the pipe is opened while still the keeper's user,
/// the working directory entered as the app's.
fn prepare(plan: &ChildPlan<'_>) -> Result<(), Failed> {
    // SAFETY: (whole function) plain system calls on descriptors that this process owns and on strings and structs
    // that `plan` keeps alive; none allocates, locks or runs code of this program.
    unsafe {
        // Else the child itself would hold the pipe open that tells it of the keeper's death.
        libc::close(plan.go.1.as_raw_fd());
        check(SpawnStep::Session, libc::setsid())?;
        for group in plan.groups {
            let written = libc::write(group.as_raw_fd(), c"0".as_ptr().cast(), 1);
            check(SpawnStep::Groups, written as i64)?;
        }
        let open_files = libc::rlimit {
            rlim_cur: plan.open_files.0,
            rlim_max: plan.open_files.1,
        };
        check(
            SpawnStep::OpenFiles,
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const open_files),
        )?;
        // Both ways, so that the app never meets SIGPIPE or a pipe without reader when the keeper dies.
        let output = libc::openat(
            plan.output.0.as_raw_fd(),
            plan.output.1.as_ptr(),
            libc::O_RDWR | libc::O_CLOEXEC,
        );
        check(SpawnStep::Streams, output)?;
        check(SpawnStep::Streams, libc::dup2(plan.dev_null.as_raw_fd(), 0))?;
        check(SpawnStep::Streams, libc::dup2(output, 1))?;
        check(SpawnStep::Streams, libc::dup2(output, 2))?;
        libc::umask(plan.umask);
        if let Some((uid, gid, groups)) = plan.user {
            // Raw calls: the C library's own would look for other threads.
            check(
                SpawnStep::User,
                libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()),
            )?;
            check(SpawnStep::User, libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
            check(SpawnStep::User, libc::syscall(libc::SYS_setresuid, uid, uid, uid))?;
        }
        check(SpawnStep::WorkingDir, libc::chdir(plan.working_dir.as_ptr()))?;
        if plan.no_new_privileges {
            check(
                SpawnStep::Privileges,
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            )?;
        }
        if plan.dies_with_keeper {
            check(
                SpawnStep::Session,
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL),
            )?;
        }
        // The one disposition that the keeper ignores, and the mask that it blocks, would live on through exec.
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        check(
            SpawnStep::Session,
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()),
        )
    }
}

/// Waits for the keeper's word; false when it died.
fn told_to_go(plan: &ChildPlan<'_>) -> bool {
    loop {
        let mut byte = 0u8;
        // SAFETY: one byte of room is passed for one byte.
        let read = unsafe { libc::read(plan.go.0.as_raw_fd(), (&raw mut byte).cast(), 1) };
        if read == 1 {
            return true;
        }
        // SAFETY: errno is this thread's own.
        if read == 0 || unsafe { *libc::__errno_location() } != libc::EINTR {
            return false;
        }
    }
}

/// Returns only the error, chosen as `execvp` chooses it: what was found but may not be run before "not found".
fn exec(plan: &ChildPlan<'_>) -> i32 {
    let mut errno = libc::ENOENT;
    for program in plan.programs {
        // SAFETY: the program is a C string, both arrays end with null, and all of them outlive the call.
        let failed = unsafe {
            libc::execve(
                program.as_ptr(),
                plan.arguments.pointers.as_ptr(),
                plan.environment.pointers.as_ptr(),
            );
            *libc::__errno_location()
        };
        match failed {
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => errno = failed,
            _ => return failed,
        }
    }
    errno
}

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

/// A child of the keeper that has ended and is now reaped.
#[derive(Debug)]
pub struct Reaped {
    /// What its process id was.
    pub pid: i32,
    /// How it ended.
    pub how: ExitHow,
    /// CPU time of it and of the children that it waited for.
    pub cpu_ms: u64,
}

/// Reaps one child that has ended, none if there is none.
#[must_use]
pub fn reap() -> Option<Reaped> {
    let mut status = 0;
    // SAFETY: `rusage` is plain numbers, and all-zero is a valid one.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for writing.
    let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage) };
    if pid <= 0 {
        return None;
    }
    let how = if libc::WIFEXITED(status) {
        ExitHow::Code(libc::WEXITSTATUS(status))
    } else {
        ExitHow::Signal(libc::WTERMSIG(status))
    };
    let millis = |time: libc::timeval| time.tv_sec.unsigned_abs() * 1000 + time.tv_usec.unsigned_abs() / 1000;
    Some(Reaped {
        pid,
        how,
        cpu_ms: millis(usage.ru_utime) + millis(usage.ru_stime),
    })
}

/// The signals that the keeper takes as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeeperSignal {
    /// A child ended.
    Child,
    /// End.
    End,
}

/// Makes signals data: every disposition as a fresh process has it (SIGPIPE and SIGHUP ignored), children's ends and
/// the requests to end readable from the descriptor that is returned. Children undo both.
///
/// # Errors
/// When the kernel has no signalfd.
pub fn signals() -> Result<OwnedFd, Errno> {
    // SAFETY: dispositions and the mask of this process alone; the set is initialised by sigemptyset before use.
    unsafe {
        // All zero is the kernel's `sigaction` for SIG_DFL. Raw, because the C library hides two signals of its own,
        // which may have been ignored by whoever started us. KILL and STOP refuse, which is as good.
        let default = [0u64; 4];
        for signal in 1..=64 {
            let none = std::ptr::null_mut::<u64>();
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                none,
                size_of::<u64>(),
            );
        }
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            libc::sigaddset(&raw mut set, signal);
        }
        if libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) < 0 {
            return Err(last_errno());
        }
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 {
            Err(last_errno())
        } else {
            Ok(OwnedFd::from_raw_fd(fd))
        }
    }
}

/// The signals waiting in `fd`, which [`signals`] made.
#[must_use]
pub fn read_signals(fd: BorrowedFd<'_>) -> Vec<KeeperSignal> {
    const INFO_BYTES: usize = size_of::<libc::signalfd_siginfo>();
    let mut bytes = [0u8; INFO_BYTES * 4];
    let count = rustix::io::read(fd, &mut bytes).unwrap_or(0);
    let read = bytes.get(..count).unwrap_or_default();
    let numbers = read
        .chunks_exact(INFO_BYTES)
        .filter_map(|info| info.first_chunk::<4>());
    numbers
        .filter_map(|number| match i32::from_ne_bytes(*number) {
            libc::SIGCHLD => Some(KeeperSignal::Child),
            libc::SIGTERM | libc::SIGINT => Some(KeeperSignal::End),
            _ => None,
        })
        .collect()
}

/// Closes every descriptor from `first` on: whatever the keeper was started with is none of its apps' business.
pub fn close_from(first: u32) {
    // SAFETY: called first thing in the keeper, before it owns any descriptor beyond the standard three.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if closed < 0 {
        // Before Linux 5.9: one by one, as far as the usual limit goes.
        for fd in first..4096 {
            // SAFETY: as above.
            unsafe { libc::close(fd.cast_signed()) };
        }
    }
}
