//! What else only unsafe calls give: signals as data, the ends of children, and a clean table of descriptors.

use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::io::Errno;

use super::apart;
use crate::runtime::keeper::protocol::ExitHow;

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
    wait_for(-1)
}

/// Reaps this child and no other. None if it has not ended, or somebody else in this process has reaped it.
#[must_use]
pub fn reap_child(pid: i32) -> Option<Reaped> {
    wait_for(pid)
}

fn wait_for(pid: i32) -> Option<Reaped> {
    let mut status = 0;
    // SAFETY: `rusage` is plain numbers, and all-zero is a valid one.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for writing.
    let pid = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) };
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
    /// Nobody finds the keeper's socket: another keeper says so, or an operator.
    Listen,
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
            libc::SIGHUP => Some(KeeperSignal::Listen),
            _ => None,
        })
        .collect()
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

pub(super) fn last_errno() -> Errno {
    Errno::from_raw_os_error(
        std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO),
    )
}
