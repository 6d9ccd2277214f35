//! The folders of apps on the disk, and how one is removed for good.
//!
//! Their content belongs to apps, which may be hostile: it is reached through directory descriptors alone, no link is
//! followed, nothing is recursive, and what is a mount point stays as it is. A folder is first moved out of the way in one
//! step, so that an app that comes back finds either all of its data or none. Then it is emptied in bounded steps: each
//! folder in it is moved up to the top and emptied from there, so depth does not matter. A crash between any two calls
//! leaves nothing but work that the next step goes on with.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::names::AppName;

/// The folder of all apps, in the data directory.
const APPS: &str = "apps";
/// What is to be removed has this before a random number. No app's name begins so.
const REMOVED: &str = ".removed-";
/// Removals of one step: some hundred milliseconds.
pub const STEP_ENTRIES_MAX: usize = 10_000;

/// What a step of emptying came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is left.
    Done,
    /// There is more.
    More,
    /// Something cannot be removed: a mount point, an immutable file, a disk that fails. It is tried again.
    Stuck {
        /// Where.
        place: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The folders of a node's apps.
#[derive(Debug, Clone)]
pub struct AppFolders {
    path: PathBuf,
}

impl AppFolders {
    /// Those of the data directory `data_dir`.
    #[must_use]
    pub fn of(data_dir: &Path) -> Self {
        Self {
            path: data_dir.join(APPS),
        }
    }

    /// The apps that have a folder here. None at all where no app ever ran.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn names(&self) -> io::Result<Vec<AppName>> {
        let Some(apps) = self.open()? else {
            return Ok(Vec::new());
        };
        let mut names: Vec<AppName> = entries(apps.as_fd())?
            .filter_map(|name| name.ok()?.to_str().ok()?.parse().ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// Moves the folder of `app` out of the way, to be emptied by [`Self::empty`]. The caller sees to it that nothing of
    /// the app runs or starts meanwhile.
    ///
    /// # Errors
    /// When the disk refuses; the folder is as it was then.
    pub fn bury(&self, app: &AppName) -> io::Result<()> {
        let Some(apps) = self.open()? else {
            return Ok(());
        };
        match rustix::fs::renameat(&apps, app.as_str(), &apps, fresh()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes up to `entries_max` entries of what was buried.
    #[must_use]
    pub fn empty(&self, entries_max: usize) -> Step {
        match self.open() {
            Ok(None) => Step::Done,
            Ok(Some(apps)) => Emptying {
                root: &self.path,
                left: entries_max,
                moved: 0,
                stuck: None,
            }
            .all(apps.as_fd()),
            Err(error) => Step::Stuck {
                place: self.path.clone(),
                reason: error.to_string(),
            },
        }
    }

    fn open(&self) -> io::Result<Option<OwnedFd>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(&self.path, flags, Mode::empty()) {
            Ok(apps) => Ok(Some(apps)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn fresh() -> String {
    format!("{REMOVED}{:016x}", fastrand::u64(..))
}

type Name = std::ffi::CString;

/// The names in a folder, without the two that are in each.
fn entries(folder: BorrowedFd<'_>) -> Result<impl Iterator<Item = Result<Name, Errno>> + use<>, Errno> {
    let entries = Dir::read_from(folder)?.map(|entry| entry.map(|entry| entry.file_name().to_owned()));
    Ok(entries.filter(|name| {
        name.as_ref()
            .map_or(true, |name| !matches!(name.to_bytes(), b"." | b".."))
    }))
}

/// A step under way.
struct Emptying<'a> {
    root: &'a Path,
    /// How many more entries it may try.
    left: usize,
    /// How many it removed or brought up.
    moved: usize,
    /// The newest thing that could not be removed.
    stuck: Option<Step>,
}

/// The step's budget is used up.
struct Tired;

impl Emptying<'_> {
    fn all(mut self, apps: BorrowedFd<'_>) -> Step {
        loop {
            let before = self.moved;
            self.stuck = None;
            let is_tired = self.round(apps).is_err();
            if is_tired {
                // Nothing but what refuses: to go on at once would be in vain.
                let is_in_vain = self.moved == 0;
                return self.stuck.filter(|_| is_in_vain).unwrap_or(Step::More);
            }
            if self.moved == before {
                return self.stuck.unwrap_or(Step::Done);
            }
        }
    }

    /// Empties what is buried now. That may bring up more.
    fn round(&mut self, apps: BorrowedFd<'_>) -> Result<(), Tired> {
        let buried = entries(apps).map(|names| {
            let buried = names
                .filter_map(Result::ok)
                .filter(|name| name.to_bytes().starts_with(REMOVED.as_bytes()));
            buried.take(self.left.max(1)).collect::<Vec<_>>()
        });
        match buried {
            Ok(names) => names.iter().try_for_each(|name| self.one(apps, name)),
            Err(error) => {
                self.is_stuck(&Name::default(), error);
                Ok(())
            }
        }
    }

    /// Removes one buried entry; the folders in it come up beside it.
    fn one(&mut self, apps: BorrowedFd<'_>, name: &Name) -> Result<(), Tired> {
        if self.remove(apps, name)? {
            return Ok(());
        }
        let opened = open_below(apps, name).and_then(|folder| Ok((entries(folder.as_fd())?, folder)));
        let (names, folder) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.is_stuck(name, error);
                return Ok(());
            }
        };
        for inner in names.filter_map(Result::ok) {
            if self.remove(folder.as_fd(), &inner)? {
                continue;
            }
            match bring_up(folder.as_fd(), &inner, apps) {
                Ok(()) => self.moved += 1,
                Err(error) => self.is_stuck(&inner, error),
            }
        }
        match rustix::fs::unlinkat(apps, name, AtFlags::REMOVEDIR) {
            Ok(()) => self.moved += 1,
            // What is left in it was told, or was passed over because the folder shrank under the reading.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(error) => self.is_stuck(name, error),
        }
        Ok(())
    }

    /// Removes what is no folder, or an empty one; `false`: it is a folder with something in it.
    fn remove(&mut self, folder: BorrowedFd<'_>, name: &Name) -> Result<bool, Tired> {
        self.left = self.left.checked_sub(1).ok_or(Tired)?;
        let refused = match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {
                self.moved += 1;
                return Ok(true);
            }
            Err(error) => error,
        };
        match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => self.moved += 1,
            Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(false),
            // No folder: the first answer was about it.
            Err(Errno::NOTDIR) => self.is_stuck(name, refused),
            Err(error) => self.is_stuck(name, error),
        }
        Ok(true)
    }

    fn is_stuck(&mut self, name: &Name, error: Errno) {
        let name = String::from_utf8_lossy(name.to_bytes()).into_owned();
        self.stuck = Some(Step::Stuck {
            place: self.root.join(crate::names::shown(&name)),
            reason: error.to_string(),
        });
    }
}

/// Moves a folder up to the others that are to be emptied. A mount point refuses: what is mounted there is not the app's.
fn bring_up(from: BorrowedFd<'_>, name: &Name, apps: BorrowedFd<'_>) -> Result<(), Errno> {
    match rustix::fs::renameat(from, name, apps, fresh()) {
        // A folder that moves is written to (its `..`), which an app may have forbidden to its own user.
        Err(Errno::ACCESS) => {
            open_up(from, name)?;
            rustix::fs::renameat(from, name, apps, fresh())
        }
        moved => moved,
    }
}

/// Opens a folder to empty it, whatever its permissions are, and never what a link leads to.
fn open_below(apps: BorrowedFd<'_>, name: &Name) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open_up(apps, name)?;
    rustix::fs::openat(apps, name, flags, Mode::empty())
}

/// Lets this user read and write a folder that is theirs. Root need not.
fn open_up(from: BorrowedFd<'_>, name: &Name) -> Result<(), Errno> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(from, name, flags, Mode::empty())?;
    // By its descriptor: between a look and a change by name somebody could put a link in its place.
    rustix::fs::chmod(format!("/proc/self/fd/{}", folder.as_raw_fd()), Mode::RWXU)
}

#[cfg(test)]
mod tests;
