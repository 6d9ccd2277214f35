//! Confining an app to its own files: what of the means this machine gives, and what a child needs to enter.
//!
//! Two means, each of which closes what the other leaves open: mounts of the app's own, and Landlock (see
//! [`super::spawn`], and `docs/decisions/0043-sandbox.md` for what is promised). Whether mounts can be had depends on
//! user, kernel, settings and filters, so it is not guessed: a child goes the whole way and then leaves.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::launch::{self, make, nul, system};
use super::protocol::{
    Check, Confinement, Enforce, LimitFault, SandboxMeans, Spawn, SpawnFault, SpawnStep, User, VISIBLE_MAX,
};
use super::spawn::landlock::{self, Ruleset};
use super::spawn::{Mounts, Program, Sandbox, UserNamespace};
use super::state::Keeper;
use crate::names::AppName;
use crate::specs::app_spec::WRITABLE_MAX;

/// What an app gets empty and for itself, where it is there.
const PRIVATE: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
/// The devices that a program may expect to write to. They keep nothing and reach nobody.
const DEVICES: [&str; 6] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];
/// The rule that this is about, in the spec's words.
const RULE: &str = "sandbox.read_only";

/// How an app gets mounts of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountsBy {
    /// The keeper may mount.
    Privilege,
    /// In a user namespace of its own.
    UserNamespace,
}

/// What this machine gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    /// The version of Landlock; 0: none.
    landlock_abi: u32,
    /// How mounts can be had, or which step failed and why.
    mounts: Result<MountsBy, (SpawnStep, i32)>,
}

impl Means {
    fn has_landlock(&self) -> bool {
        self.landlock_abi >= landlock::ABI_MIN
    }

    /// How an app gets mounts of its own; none: it does not. Only who may mount can hand that over to another user.
    fn mounts(&self, is_other_user: bool) -> Option<MountsBy> {
        self.mounts
            .ok()
            .filter(|by| *by == MountsBy::Privilege || !is_other_user)
    }

    /// What therefore cannot be had.
    fn missing(&self, is_other_user: bool) -> Vec<LimitFault> {
        let mut missing = Vec::new();
        if !self.has_landlock() {
            let found = match self.landlock_abi {
                0 => "none".to_owned(),
                abi => format!("ABI {abi}"),
            };
            missing.push(LimitFault::new(
                RULE,
                format!(
                    "no fence around what its user may write by other ways: it needs Landlock ABI {} (Linux 6.2, \
                     `landlock` among the kernel's `lsm=`), found {found}",
                    landlock::ABI_MIN
                ),
            ));
        }
        if self.mounts(is_other_user).is_none() {
            let why = match self.mounts {
                Ok(_) => "only root can give them to another user's app".to_owned(),
                Err((step, errno @ (libc::EPERM | libc::EACCES))) => format!(
                    "{} (run the node as root, or allow user namespaces)",
                    step.reason(errno)
                ),
                Err((step, errno)) => step.reason(errno),
            };
            missing.push(LimitFault::new(
                RULE,
                format!("no private /tmp, and modes, owners and times are not guarded: no mounts of its own: {why}"),
            ));
        }
        missing
    }

    /// The same in words, for `doctor`.
    fn told(&self) -> SandboxMeans {
        SandboxMeans {
            landlock_abi: self.landlock_abi,
            mounts: self.mounts.ok().map(|by| match by {
                MountsBy::Privilege => "mount namespaces".to_owned(),
                MountsBy::UserNamespace => "mount namespaces, each in a user namespace".to_owned(),
            }),
            missing: self.missing(false),
        }
    }
}

/// Who is to be confined.
#[derive(Debug, Clone, Copy)]
pub struct Confined<'a> {
    app: &'a AppName,
    confinement: Option<&'a Confinement>,
    user: Option<&'a User>,
    enforce: Enforce,
}

impl<'a> From<&'a Spawn> for Confined<'a> {
    fn from(spawn: &'a Spawn) -> Self {
        Self {
            app: &spawn.app,
            confinement: spawn.confinement.as_ref(),
            user: spawn.user.as_ref(),
            enforce: spawn.enforce,
        }
    }
}

impl<'a> From<&'a Check> for Confined<'a> {
    fn from(check: &'a Check) -> Self {
        Self {
            app: &check.app,
            confinement: check.confinement.as_ref(),
            user: check.user.as_ref(),
            enforce: check.enforce,
        }
    }
}

impl Keeper {
    /// What this machine gives, for a caller who wants to know.
    pub(super) fn sandbox_means(&mut self) -> SandboxMeans {
        self.means().told()
    }

    /// What was found before, unless something was missing: somebody may have mended it since.
    fn means(&mut self) -> Means {
        let known = self
            .sandbox_means
            .filter(|means| means.mounts.is_ok() && means.has_landlock());
        let means = known.unwrap_or_else(|| Means {
            landlock_abi: landlock::abi(),
            mounts: self.try_mounts(),
        });
        self.sandbox_means = Some(means);
        means
    }

    fn try_mounts(&mut self) -> Result<MountsBy, (SpawnStep, i32)> {
        match self.try_mounts_by(MountsBy::Privilege) {
            Ok(()) => Ok(MountsBy::Privilege),
            // Only who may not mount at all needs the other way, whose refusal then tells more.
            Err((_, libc::EPERM | libc::EACCES)) => self
                .try_mounts_by(MountsBy::UserNamespace)
                .map(|()| MountsBy::UserNamespace),
            Err(failed) => Err(failed),
        }
    }

    fn try_mounts_by(&mut self, by: MountsBy) -> Result<(), (SpawnStep, i32)> {
        let sandbox = Sandbox {
            mounts: Some(self.mounts(by, &Confinement::default(), Vec::new())),
            ruleset: None,
        };
        self.handover.try_out(Program {
            paths: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            working_dir: c"/".to_owned(),
            output: c"/dev/null".to_owned(),
            open_files: self.open_files,
            user: None,
            umask: 0o022,
            no_new_privileges: true,
            sandbox: Some(sandbox),
            dies_with_keeper: true,
            resets_signals: self.is_thread(),
        })
    }

    /// What `who` is to be confined by, and what of it is not in force.
    pub(super) fn confine<'a>(
        &mut self,
        who: impl Into<Confined<'a>>,
    ) -> Result<(Option<Sandbox>, Vec<LimitFault>), SpawnFault> {
        let who = who.into();
        let Some(confinement) = who.confinement else {
            return Ok((None, Vec::new()));
        };
        if confinement.writable.len() > WRITABLE_MAX || confinement.visible.len() > VISIBLE_MAX {
            return Err(SpawnFault::Malformed {
                why: format!("it may write {WRITABLE_MAX} folders at most"),
            });
        }
        let own = rustix::process::geteuid().as_raw();
        let is_other_user = who.user.is_some_and(|user| user.uid != own);
        let means = self.means();
        let faults = means.missing(is_other_user);
        if who.enforce == Enforce::Strict && !faults.is_empty() {
            return Err(SpawnFault::Limits { faults });
        }
        let folders = self.writable_folders(who, confinement)?;
        let ruleset = if means.has_landlock() {
            Some(self.ruleset(means.landlock_abi, who.app, &folders)?)
        } else {
            None
        };
        let mounts = match means.mounts(is_other_user) {
            Some(by) => Some(self.mounts(by, confinement, self.paths_of(who.app, confinement)?)),
            None => None,
        };
        Ok((Some(Sandbox { mounts, ruleset }), faults))
    }

    /// Opens the folders that it may write, made where they are missing.
    fn writable_folders(
        &self,
        who: Confined<'_>,
        confinement: &Confinement,
    ) -> Result<Vec<OwnedFd>, SpawnFault> {
        let owner = who.user.map(|user| (user.uid, user.gid));
        let apps = self.handover.apps_folder();
        let opened = confinement.writable.iter().map(|path| {
            open_writable(apps, who.app, path, owner)
                .map_err(|error| system(SpawnStep::Writable, &format!("apps/{}/{path}", who.app), error))
        });
        opened.collect()
    }

    fn paths_of(&self, app: &AppName, confinement: &Confinement) -> Result<Vec<CString>, SpawnFault> {
        let folder = self.data_dir.join("apps").join(app.as_str());
        let paths = confinement.writable.iter().map(|path| {
            let path = parts(path).fold(folder.clone(), |path, part| path.join(part));
            c_path(&path).ok_or_else(nul)
        });
        paths.collect()
    }

    fn ruleset(&self, abi: u32, app: &AppName, folders: &[OwnedFd]) -> Result<Ruleset, SpawnFault> {
        let refused = |error| system(SpawnStep::Landlock, app.as_str(), error);
        let rules = || {
            let ruleset = Ruleset::new(abi)?;
            for folder in folders {
                ruleset.allow_folder(folder.as_fd())?;
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            for device in DEVICES {
                // One that is not here, or is something else, is not written to.
                let Ok(device) = rustix::fs::open(device, flags, Mode::empty()) else {
                    continue;
                };
                if kind_of(device.as_fd())? == FileType::CharacterDevice {
                    ruleset.allow_file(device.as_fd())?;
                }
            }
            // So that it can open /dev/stdout, which leads here.
            let pipe = launch::pipe_path(app);
            let pipe = rustix::fs::openat(self.handover.apps_folder(), pipe, flags, Mode::empty())?;
            ruleset.allow_file(pipe.as_fd())?;
            Ok(ruleset)
        };
        rules().map_err(refused)
    }

    fn mounts(&self, by: MountsBy, confinement: &Confinement, writable: Vec<CString>) -> Mounts {
        let private = private_folders();
        let seen =
            std::iter::once(self.data_dir.clone()).chain(confinement.visible.iter().map(PathBuf::from));
        let (made, visible) = shown_again(&private, seen);
        let c_paths = |paths: Vec<PathBuf>| paths.iter().filter_map(|path| c_path(path)).collect();
        Mounts {
            user_namespace: (by == MountsBy::UserNamespace).then(own_user),
            writable,
            private: c_paths(private),
            made: c_paths(made),
            visible: c_paths(visible),
        }
    }
}

/// The folders that become an app's own: those of [`PRIVATE`] that are there, without links, each once.
fn private_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in PRIVATE {
        let Ok(folder) = Path::new(folder).canonicalize() else {
            continue;
        };
        let is_new = folder.parent().is_some() && !folders.iter().any(|known| folder.starts_with(known));
        if is_new && folder.is_dir() {
            folders.push(folder);
        }
    }
    folders
}

/// What of `seen` lies below one of `private` and would vanish: the folders to make there, and those to show again.
fn shown_again(private: &[PathBuf], seen: impl Iterator<Item = PathBuf>) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let mut made = Vec::new();
    let mut visible: Vec<PathBuf> = Vec::new();
    for folder in seen {
        let Some(hidden_by) = private.iter().find(|private| folder.starts_with(private)) else {
            continue;
        };
        if visible.iter().any(|shown| folder.starts_with(shown)) {
            continue;
        }
        let above = folder
            .ancestors()
            .take_while(|above| *above != hidden_by.as_path());
        let mut above: Vec<PathBuf> = above.map(Path::to_owned).collect();
        above.reverse();
        made.extend(above);
        visible.push(folder);
    }
    (made, visible)
}

/// The keeper's own user and group, unchanged inside.
fn own_user() -> UserNamespace {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    let line = |id: u32| CString::new(format!("{id} {id} 1")).unwrap_or_default();
    UserNamespace {
        uid_map: line(uid),
        gid_map: line(gid),
    }
}

/// The parts of a relative path that name something.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

/// Opens a folder below an app's, part by part and without following a link: the app may have put one there. What is
/// missing is made, for the app's user.
fn open_writable(
    apps: BorrowedFd<'_>,
    app: &AppName,
    path: &str,
    owner: Option<(u32, u32)>,
) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder = rustix::fs::openat(apps, app.as_str(), flags, Mode::empty())?;
    for part in parts(path) {
        if part == ".." {
            return Err(Errno::INVAL);
        }
        let made = rustix::fs::mkdirat(&folder, part, Mode::RWXU);
        let is_new = made.is_ok();
        make(made)?;
        let inner = rustix::fs::openat(&folder, part, flags, Mode::empty()).map_err(|error| {
            if is_link(&folder, part) {
                Errno::LOOP
            } else {
                error
            }
        })?;
        if let Some((uid, gid)) = owner.filter(|_| is_new) {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::chownat(&inner, "", uid, gid, AtFlags::EMPTY_PATH)?;
        }
        folder = inner;
    }
    Ok(folder)
}

/// The kernel says of a link only that it is no folder.
fn is_link(folder: &OwnedFd, part: &str) -> bool {
    rustix::fs::statat(folder, part, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

fn kind_of(file: BorrowedFd<'_>) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(file)?.st_mode))
}

fn c_path(path: &Path) -> Option<CString> {
    CString::new(path.as_os_str().as_encoded_bytes()).ok()
}

#[cfg(test)]
mod tests;
