//! The call that bears a child: `clone3`, or its predecessor where a filter does not know it.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::process::Pid;

use super::{Launching, child, raw};

const CLONE_VM: u64 = 0x100;
const CLONE_FILES: u64 = 0x400;
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args` of the kernel (version 2, 88 bytes).
#[repr(C)]
#[derive(Default)]
pub struct CloneArgs {
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

/// Bears the child of `launching`, into the version 2 group `group` if one is given.
pub fn bear(launching: &Launching, group: Option<BorrowedFd<'_>>) -> Result<(Pid, OwnedFd), Errno> {
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

pub(super) fn bear_by_clone3(
    launching: &Launching,
    group: Option<BorrowedFd<'_>>,
) -> Result<(Pid, OwnedFd), Errno> {
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

pub(super) fn bear_by_clone(launching: &Launching) -> Result<(Pid, OwnedFd), Errno> {
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
pub fn can_unshare() -> bool {
    // SAFETY: an empty range of a table that nobody shares: changes nothing.
    let result = unsafe {
        raw::call(
            libc::SYS_close_range,
            [u32::MAX as usize, u32::MAX as usize, child::UNSHARE, 0, 0],
        )
    };
    result == 0
}
