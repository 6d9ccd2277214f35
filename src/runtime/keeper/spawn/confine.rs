//! The child's way into its sandbox: mounts of its own, fewer capabilities, Landlock.
//!
//! Each of the two means closes what the other leaves open. Mounts of its own give it a private `/tmp` and refuse every
//! change on what is read-only, modes, owners and times included, which Landlock does not rule; Landlock keeps it from
//! mounting anew and from reaching files through processes outside. As in `child`, nothing is called but the kernel, and
//! every string was made before.
//!
//! Order: what shall stay writable is opened while it still is; then all mounts become read-only; then what is the app's
//! own is put on top.

use std::ffi::CString;
use std::os::fd::RawFd;

use super::child::{Failed, call, try_call};
use super::landlock::{self, Ruleset};
use crate::runtime::keeper::protocol::{SpawnStep, VISIBLE_MAX};
use crate::specs::app_spec::WRITABLE_MAX;

/// How a program is confined to files of its own.
#[derive(Debug, Default)]
pub struct Sandbox {
    /// Mounts of its own; none: it shares the keeper's.
    pub mounts: Option<Mounts>,
    /// What it may write; none: what its user may.
    pub ruleset: Option<Ruleset>,
}

/// Mounts of a program's own. All paths are absolute and without links but for what an app itself may have put below its
/// folder; that is looked for again in the child.
#[derive(Debug)]
pub struct Mounts {
    /// Needed by whoever may not mount; none: this process may.
    pub user_namespace: Option<UserNamespace>,
    /// Folders that it may write, at most [`WRITABLE_MAX`].
    pub writable: Vec<CString>,
    /// Folders that become empty and its own.
    pub private: Vec<CString>,
    /// Folders to make in those, in order.
    pub made: Vec<CString>,
    /// Folders to show again in those, at most [`VISIBLE_MAX`].
    pub visible: Vec<CString>,
}

/// In a user namespace of its own a process stays who it is; everybody else is nobody.
#[derive(Debug)]
pub struct UserNamespace {
    /// A line of `uid_map`.
    pub uid_map: CString,
    /// A line of `gid_map`.
    pub gid_map: CString,
}

/// How a private folder is mounted. It lies in memory, which counts as the app's where its memory is limited; a quarter
/// of the machine's at most, else it could take all of it.
const PRIVATE: &std::ffi::CStr = c"mode=1777,size=25%";

/// By these one who is root could undo it all, or go around it: mount, load into the kernel, write disks and memory.
const DROPPED: [usize; 7] = [
    16, // CAP_SYS_MODULE
    17, // CAP_SYS_RAWIO
    21, // CAP_SYS_ADMIN
    22, // CAP_SYS_BOOT: kexec
    27, // CAP_MKNOD
    38, // CAP_PERFMON
    39, // CAP_BPF
];

const OPEN_TREE_CLONE: usize = 1;
const MOVE_FROM_FD: usize = 0x04;
const MOVE_TO_FD: usize = 0x40;
const RESOLVE_NO_LINKS: u64 = 0x02 | 0x04;
const ATTR_RDONLY: u64 = 1;
const ATTR_NODEV: u64 = 4;
const AT_FDCWD: usize = libc::AT_FDCWD as usize;
const AT_RECURSIVE: usize = 0x8000;

/// `struct mount_attr`.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// `struct open_how`.
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// Enters the sandbox.
///
/// # Safety
/// The calling process must be a child on its way, `sandbox` what it was born with, `ruleset` the place of its ruleset.
pub unsafe fn enter(sandbox: &Sandbox, ruleset: Option<RawFd>) -> Result<(), Failed> {
    // SAFETY: plain calls about this process, on memory that outlives them.
    unsafe {
        if let Some(mounts) = &sandbox.mounts {
            // Folders made on the way are for the app's user to pass; its own mask comes after.
            call(libc::SYS_umask, [0o022, 0, 0, 0, 0]);
            own_namespaces(mounts.user_namespace.as_ref())?;
            own_mounts(mounts, ruleset)?;
            drop_capabilities()?;
        }
        if let Some(ruleset) = ruleset {
            said(SpawnStep::Landlock, landlock::restrict_self(ruleset))?;
        }
    }
    Ok(())
}

fn said(step: SpawnStep, result: isize) -> Result<usize, Failed> {
    if result < 0 {
        Err((step, -result as i32))
    } else {
        Ok(result as usize)
    }
}

unsafe fn own_namespaces(user: Option<&UserNamespace>) -> Result<(), Failed> {
    let mounts = libc::CLONE_NEWNS as usize;
    // SAFETY: as in `enter`.
    unsafe {
        if let Some(user) = user {
            let step = SpawnStep::UserNamespace;
            try_call(
                step,
                libc::SYS_unshare,
                [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0],
            )?;
            // An ordinary user may map its group only once it cannot leave groups any more.
            write(step, c"/proc/self/setgroups", c"deny")?;
            write(step, c"/proc/self/uid_map", &user.uid_map)?;
            write(step, c"/proc/self/gid_map", &user.gid_map)?;
        }
        try_call(SpawnStep::MountNamespace, libc::SYS_unshare, [mounts, 0, 0, 0, 0])?;
        // Nothing passes between these mounts and those outside: what is mounted there later is not writable here.
        let flags = (libc::MS_REC | libc::MS_PRIVATE) as usize;
        let root = c"/".as_ptr() as usize;
        try_call(SpawnStep::MountNamespace, libc::SYS_mount, [0, root, 0, flags, 0])?;
    }
    Ok(())
}

unsafe fn write(step: SpawnStep, file: &std::ffi::CStr, text: &std::ffi::CStr) -> Result<(), Failed> {
    let flags = (libc::O_WRONLY | libc::O_CLOEXEC) as usize;
    // SAFETY: as in `enter`.
    unsafe {
        let fd = try_call(
            step,
            libc::SYS_openat,
            [AT_FDCWD, file.as_ptr() as usize, flags, 0, 0],
        )?;
        let written = try_call(
            step,
            libc::SYS_write,
            [fd, text.as_ptr() as usize, text.count_bytes(), 0, 0],
        );
        call(libc::SYS_close, [fd, 0, 0, 0, 0]);
        written.map(drop)
    }
}

unsafe fn own_mounts(mounts: &Mounts, ruleset: Option<RawFd>) -> Result<(), Failed> {
    let mut writable = [0; WRITABLE_MAX];
    let mut visible = [0; VISIBLE_MAX];
    // SAFETY: as in `enter`.
    unsafe {
        for (path, tree) in mounts.writable.iter().zip(&mut writable) {
            *tree = open_tree(SpawnStep::WritableMounts, path)?;
            // A device that somebody put there is none here.
            set(
                SpawnStep::WritableMounts,
                (*tree, c"", libc::AT_EMPTY_PATH as usize),
                ATTR_NODEV,
            )?;
        }
        set(SpawnStep::ReadOnlyMounts, (AT_FDCWD, c"/", 0), ATTR_RDONLY)?;
        for (path, tree) in mounts.visible.iter().zip(&mut visible) {
            *tree = open_tree(SpawnStep::PrivateFolders, path)?;
        }
        for path in &mounts.private {
            own_folder(path, ruleset)?;
        }
        for path in &mounts.made {
            make(path)?;
        }
        for (path, tree) in mounts.visible.iter().zip(visible) {
            put(SpawnStep::PrivateFolders, tree, path)?;
        }
        for (path, tree) in mounts.writable.iter().zip(writable) {
            put(SpawnStep::WritableMounts, tree, path)?;
        }
    }
    Ok(())
}

/// Sets attributes of a mount, named by descriptor, path and flags, and of all below it.
unsafe fn set(
    step: SpawnStep,
    (at, path, flags): (usize, &std::ffi::CStr, usize),
    attributes: u64,
) -> Result<(), Failed> {
    let attr = MountAttr {
        set: attributes,
        clear: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let arguments = [
        at,
        path.as_ptr() as usize,
        AT_RECURSIVE | flags,
        (&raw const attr) as usize,
        size_of::<MountAttr>(),
    ];
    // SAFETY: as in `enter`.
    unsafe { try_call(step, libc::SYS_mount_setattr, arguments) }.map(drop)
}

/// Opens a folder without following a link: what lies below its folder an app may have changed at any moment.
unsafe fn open_folder(step: SpawnStep, path: &std::ffi::CStr) -> Result<usize, Failed> {
    let how = OpenHow {
        flags: (libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: RESOLVE_NO_LINKS,
    };
    let arguments = [
        AT_FDCWD,
        path.as_ptr() as usize,
        (&raw const how) as usize,
        size_of::<OpenHow>(),
        0,
    ];
    // SAFETY: as in `enter`.
    unsafe { try_call(step, libc::SYS_openat2, arguments) }
}

/// No path: the descriptor beside it is meant itself.
fn empty() -> usize {
    c"".as_ptr() as usize
}

/// A mount of this folder and what is mounted below it, as writable as it is now, that is nowhere yet.
unsafe fn open_tree(step: SpawnStep, path: &std::ffi::CStr) -> Result<usize, Failed> {
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as usize | libc::AT_EMPTY_PATH as usize | AT_RECURSIVE;
    // SAFETY: as in `enter`.
    unsafe {
        let folder = open_folder(step, path)?;
        let tree = try_call(step, libc::SYS_open_tree, [folder, empty(), flags, 0, 0]);
        call(libc::SYS_close, [folder, 0, 0, 0, 0]);
        tree
    }
}

/// Puts such a mount onto `path`.
unsafe fn put(step: SpawnStep, tree: usize, path: &std::ffi::CStr) -> Result<(), Failed> {
    // SAFETY: as in `enter`.
    unsafe {
        let folder = open_folder(step, path)?;
        let flags = MOVE_FROM_FD | MOVE_TO_FD;
        let moved = try_call(
            step,
            libc::SYS_move_mount,
            [tree, empty(), folder, empty(), flags],
        );
        call(libc::SYS_close, [folder, 0, 0, 0, 0]);
        call(libc::SYS_close, [tree, 0, 0, 0, 0]);
        moved.map(drop)
    }
}

/// Mounts an empty folder onto `path`. It goes with the last process that sees it.
unsafe fn own_folder(path: &std::ffi::CStr, ruleset: Option<RawFd>) -> Result<(), Failed> {
    let step = SpawnStep::PrivateFolders;
    let kind = c"tmpfs".as_ptr() as usize;
    let flags = (libc::MS_NOSUID | libc::MS_NODEV) as usize;
    let options = PRIVATE.as_ptr() as usize;
    // SAFETY: as in `enter`.
    unsafe {
        try_call(
            step,
            libc::SYS_mount,
            [kind, path.as_ptr() as usize, kind, flags, options],
        )?;
        if let Some(ruleset) = ruleset {
            let folder = open_folder(step, path)?;
            let allowed = said(
                SpawnStep::Landlock,
                landlock::allow_folder(ruleset, folder as RawFd),
            );
            call(libc::SYS_close, [folder, 0, 0, 0, 0]);
            allowed?;
        }
    }
    Ok(())
}

unsafe fn make(path: &std::ffi::CStr) -> Result<(), Failed> {
    let arguments = [AT_FDCWD, path.as_ptr() as usize, 0o755, 0, 0];
    // SAFETY: as in `enter`.
    match unsafe { try_call(SpawnStep::PrivateFolders, libc::SYS_mkdirat, arguments) } {
        Err((_, libc::EEXIST)) | Ok(_) => Ok(()),
        Err(failed) => Err(failed),
    }
}

/// What it is run with, and every program that it runs, has none of them. (Whoever mounts may drop them.)
unsafe fn drop_capabilities() -> Result<(), Failed> {
    for capability in DROPPED {
        let arguments = [libc::PR_CAPBSET_DROP as usize, capability, 0, 0, 0];
        // SAFETY: as in `enter`.
        match unsafe { try_call(SpawnStep::Privileges, libc::SYS_prctl, arguments) } {
            // An older kernel does not know it.
            Err((_, libc::EINVAL)) | Ok(_) => {}
            Err(failed) => return Err(failed),
        }
    }
    Ok(())
}
