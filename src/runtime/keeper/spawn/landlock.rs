//! Landlock: which files a process and its children may change, whoever they are.
//!
//! A rule stands on a file or a folder itself, not on its path: no link, rename or other mount leads around it. Reading
//! and running are left to the user's rights. Who is confined may neither mount, nor look into processes outside
//! (`/proc/PID/root` of them included).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use super::raw;

/// The oldest version that suffices: it rules truncating (Linux 6.2).
pub const ABI_MIN: u32 = 3;
/// The oldest version that rules commands to devices (Linux 6.10).
const ABI_WITH_IOCTL: u32 = 5;

/// `LANDLOCK_CREATE_RULESET_VERSION`.
const VERSION: usize = 1;
/// `LANDLOCK_RULE_PATH_BENEATH`.
const PATH_BENEATH: usize = 1;

const WRITE_FILE: u64 = 1 << 1;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SOCK: u64 = 1 << 9;
const MAKE_FIFO: u64 = 1 << 10;
const MAKE_BLOCK: u64 = 1 << 11;
const MAKE_SYM: u64 = 1 << 12;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;

/// What an app may do in a folder that it may write. Never making devices: one that is root could write a disk so.
const IN_FOLDER: u64 = WRITE_FILE
    | TRUNCATE
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | MAKE_FIFO
    | MAKE_SYM
    | REFER;
/// Everything that is denied where no rule allows it.
const HANDLED: u64 = IN_FOLDER | MAKE_CHAR | MAKE_BLOCK;

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

/// The kernel's version of Landlock; 0: it has none.
#[must_use]
pub fn abi() -> u32 {
    // SAFETY: asks for a number; no memory is passed.
    let version = unsafe { raw::call(libc::SYS_landlock_create_ruleset, [0, 0, VERSION, 0, 0]) };
    u32::try_from(version).unwrap_or(0)
}

/// Rules that allow what they name and deny every other change of a file.
#[derive(Debug)]
pub struct Ruleset {
    fd: OwnedFd,
    handled: u64,
}

impl Ruleset {
    /// One that allows nothing yet, for a kernel of this version.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn new(abi: u32) -> Result<Self, Errno> {
        let ioctl = if abi >= ABI_WITH_IOCTL { IOCTL_DEV } else { 0 };
        let handled = HANDLED | ioctl;
        let arguments = [(&raw const handled) as usize, size_of::<u64>(), 0, 0, 0];
        // SAFETY: the first member of `landlock_ruleset_attr` lives through the call, and its length says that it is alone.
        let fd = unsafe { raw::call(libc::SYS_landlock_create_ruleset, arguments) };
        let fd = number(fd)?;
        Ok(Self {
            // SAFETY: the kernel made a descriptor that nobody else owns.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
            handled,
        })
    }

    /// Allows to write everything in this folder.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn allow_folder(&self, folder: BorrowedFd<'_>) -> Result<(), Errno> {
        self.allow(folder, IN_FOLDER)
    }

    /// Allows to write this file, pipe or device.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn allow_file(&self, file: BorrowedFd<'_>) -> Result<(), Errno> {
        self.allow(file, (WRITE_FILE | TRUNCATE | IOCTL_DEV) & self.handled)
    }

    fn allow(&self, at: BorrowedFd<'_>, allowed: u64) -> Result<(), Errno> {
        // SAFETY: about a ruleset that is this value's own; the rule lives through the call.
        number(unsafe { add_rule(self.fd.as_raw_fd(), at.as_raw_fd(), allowed) }).map(drop)
    }
}

impl AsFd for Ruleset {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// In the child: allows to write everything in `folder`.
///
/// # Safety
/// `ruleset` must be one.
pub unsafe fn allow_folder(ruleset: RawFd, folder: RawFd) -> isize {
    // SAFETY: handed on to the caller.
    unsafe { add_rule(ruleset, folder, IN_FOLDER) }
}

/// In the child: puts the rules in force, for good. It must have given up new privileges, or be able to mount.
///
/// # Safety
/// `ruleset` must be one.
pub unsafe fn restrict_self(ruleset: RawFd) -> isize {
    // SAFETY: about this process alone.
    unsafe { raw::call(libc::SYS_landlock_restrict_self, [ruleset as usize, 0, 0, 0, 0]) }
}

/// # Safety
/// `ruleset` must be one.
unsafe fn add_rule(ruleset: RawFd, parent: RawFd, allowed: u64) -> isize {
    let rule = PathBeneath { allowed, parent };
    let arguments = [ruleset as usize, PATH_BENEATH, (&raw const rule) as usize, 0, 0];
    // SAFETY: the rule lives through the call.
    unsafe { raw::call(libc::SYS_landlock_add_rule, arguments) }
}

/// What the kernel returned: a number, or an error.
fn number(result: isize) -> Result<RawFd, Errno> {
    match RawFd::try_from(result) {
        Ok(number) if number >= 0 => Ok(number),
        Ok(errno) => Err(Errno::from_raw_os_error(-errno)),
        Err(_) => Err(Errno::IO),
    }
}
