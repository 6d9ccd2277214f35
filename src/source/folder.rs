//! Source `path`: a folder of the repository is written out from the commit's tree, read-only, under its object id.
//!
//! Written beside and renamed: a folder under its id is always whole, so a crash leaves only a `.new-…` that the next
//! sweep removes. One folder serves every app and restart that names the same id. Whoever sweeps leaves alone what is
//! being written, and what was handed out since it was said what is to be kept.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::names::ObjectId;
use crate::specs::tree::{Entry, EntryKind, Tree, TreeError};

/// The most that one folder may hold.
const TOTAL_BYTES_MAX: u64 = 512 << 20;
/// The most files and folders in one.
const ENTRIES_MAX: usize = 20_000;
/// How deep it may nest.
const DEPTH_MAX: usize = 32;
/// What is being written has this before its name.
const UNFINISHED: &str = ".new-";
/// What is being removed, this.
const DISCARDED: &str = ".old-";

/// Why a folder could not be written out. Nothing of it is used then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The repository cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// It holds something that is neither file nor folder.
    #[error("{path} is a {kind}; only files and folders can be part of a path source")]
    NotPlain {
        /// Relative to the folder.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// A name in it would be another one on the disk.
    #[error("the name of {path} is not UTF-8")]
    BadName {
        /// Relative to the folder.
        path: String,
    },
    /// It is larger than allowed.
    #[error("the folder has more than {limit} {unit}")]
    TooLarge {
        /// What is allowed.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// The disk says no.
    #[error("cannot write {path}: {error}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// The artefacts of a node that were written out of its repository.
#[derive(Debug, Clone)]
pub struct Folders {
    root: PathBuf,
    use_of: Arc<Mutex<Use>>,
}

/// Which folders somebody needs.
#[derive(Debug, Default)]
struct Use {
    /// By the newest word.
    keep: BTreeSet<ObjectId>,
    /// Since that word.
    handed_out: BTreeSet<ObjectId>,
    /// Being written.
    unfinished: BTreeSet<String>,
}

impl Use {
    fn needs(&self, name: &str) -> bool {
        self.keep.contains(name) || self.handed_out.contains(name) || self.unfinished.contains(name)
    }
}

impl Folders {
    /// Those below `root`.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        let use_of = Arc::default();
        Self { root, use_of }
    }

    fn uses(&self) -> MutexGuard<'_, Use> {
        // Nothing panics while it is held.
        self.use_of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, id: &ObjectId) -> PathBuf {
        self.root.join(id.as_str())
    }

    /// The folder with this id, if it was written out before. Blocking.
    #[must_use]
    pub fn find(&self, id: &ObjectId) -> Option<PathBuf> {
        let place = self.place(id);
        let mut uses = self.uses();
        place.is_dir().then(|| {
            uses.handed_out.insert(id.clone());
            place
        })
    }

    /// Writes out the folder with this id, unless it is there. Blocking.
    ///
    /// # Errors
    /// When the tree cannot be read, holds more than files and folders, is too large, or cannot be written.
    pub fn write_out(&self, tree: &dyn Tree, id: &ObjectId) -> Result<PathBuf, FolderError> {
        if let Some(place) = self.find(id) {
            return Ok(place);
        }
        let place = self.place(id);
        let name = format!("{UNFINISHED}{:016x}", fastrand::u64(..));
        let unfinished = self.root.join(&name);
        self.uses().unfinished.insert(name.clone());
        let written = self.fill(tree, id, &unfinished).and_then(|()| flush(&unfinished));
        let mut uses = self.uses();
        let published = written.and_then(|()| publish(&unfinished, &place));
        uses.unfinished.remove(&name);
        if published.is_ok() {
            uses.handed_out.insert(id.clone());
        }
        drop(uses);
        if published.is_err() {
            remove_tree(&unfinished);
        }
        published.map(|()| place)
    }

    fn fill(&self, tree: &dyn Tree, id: &ObjectId, unfinished: &Path) -> Result<(), FolderError> {
        fs::create_dir_all(&self.root).map_err(|error| io(&self.root, error))?;
        let top = Entry {
            name: String::new(),
            kind: EntryKind::Folder,
            id: id.clone(),
        };
        let mut room = Room {
            bytes: TOTAL_BYTES_MAX,
            entries: ENTRIES_MAX,
        };
        write_folder(tree, &top, "", unfinished, &mut room, DEPTH_MAX)
    }

    /// Says which folders are needed from now on; to be followed by a [`Folders::sweep`].
    pub fn keep(&self, ids: BTreeSet<ObjectId>) {
        let mut uses = self.uses();
        uses.keep = ids;
        uses.handed_out.clear();
    }

    /// Removes every folder that nobody needs, and what a crash left half-written. Blocking. Best effort: what stays is
    /// tried again.
    pub fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.root) else {
            return;
        };
        for entry in entries.flatten() {
            let discarded = self.root.join(format!("{DISCARDED}{:016x}", fastrand::u64(..)));
            let uses = self.uses();
            let is_needed = entry.file_name().to_str().is_some_and(|name| uses.needs(name));
            if is_needed {
                continue;
            }
            // Out of the way in one step: nobody finds half of it under its id.
            let place = match fs::rename(entry.path(), &discarded) {
                Ok(()) => discarded,
                Err(_) => continue,
            };
            drop(uses);
            remove_tree(&place);
        }
    }
}

struct Room {
    bytes: u64,
    entries: usize,
}

impl Room {
    fn take_entry(&mut self) -> Result<(), FolderError> {
        let too_large = FolderError::TooLarge {
            limit: ENTRIES_MAX as u64,
            unit: "entries",
        };
        self.entries = self.entries.checked_sub(1).ok_or(too_large)?;
        Ok(())
    }

    fn take_bytes(&mut self, bytes: u64) -> Result<(), FolderError> {
        let too_large = FolderError::TooLarge {
            limit: TOTAL_BYTES_MAX,
            unit: "bytes",
        };
        self.bytes = self.bytes.checked_sub(bytes).ok_or(too_large)?;
        Ok(())
    }
}

fn write_folder(
    tree: &dyn Tree,
    folder: &Entry,
    path: &str,
    place: &Path,
    room: &mut Room,
    depth: usize,
) -> Result<(), FolderError> {
    let depth = depth.checked_sub(1).ok_or(FolderError::TooLarge {
        limit: DEPTH_MAX as u64,
        unit: "levels",
    })?;
    fs::create_dir(place).map_err(|error| io(place, error))?;
    for entry in tree.folder_of(folder, path)? {
        room.take_entry()?;
        if entry.name.contains(char::REPLACEMENT_CHARACTER) {
            let path = format!("{path}/{}", entry.name);
            return Err(FolderError::BadName { path });
        }
        let path = if path.is_empty() {
            entry.name.clone()
        } else {
            format!("{path}/{}", entry.name)
        };
        let place = place.join(&entry.name);
        match entry.kind {
            EntryKind::Folder => write_folder(tree, &entry, &path, &place, room, depth)?,
            EntryKind::File { is_executable } => {
                let bytes = tree.file(&entry, &path, room.bytes)?;
                room.take_bytes(bytes.len() as u64)?;
                write_file(&place, &bytes, is_executable)?;
            }
            EntryKind::Symlink => {
                return Err(FolderError::NotPlain {
                    path,
                    kind: "symbolic link",
                });
            }
            EntryKind::Submodule => {
                return Err(FolderError::NotPlain {
                    path,
                    kind: "submodule",
                });
            }
        }
    }
    fs::set_permissions(place, fs::Permissions::from_mode(0o755)).map_err(|error| io(place, error))
}

fn write_file(place: &Path, bytes: &[u8], is_executable: bool) -> Result<(), FolderError> {
    let mode = if is_executable { 0o555 } else { 0o444 };
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(place)?;
        file.write_all(bytes)?;
        file.set_permissions(fs::Permissions::from_mode(mode))
    };
    write().map_err(|error| io(place, error))
}

/// A power cut may lose the folder, never leave half of it under its final name.
fn flush(unfinished: &Path) -> Result<(), FolderError> {
    fs::File::open(unfinished)
        .and_then(|folder| rustix::fs::syncfs(&folder).map_err(std::io::Error::from))
        .map_err(|error| io(unfinished, error))
}

/// Gives the whole folder its final name.
fn publish(unfinished: &Path, place: &Path) -> Result<(), FolderError> {
    match fs::rename(unfinished, place) {
        // Somebody else was faster: the content is the same by its id.
        Err(_) if place.is_dir() => {
            remove_tree(unfinished);
            Ok(())
        }
        other => other.map_err(|error| io(place, error)),
    }
}

fn remove_tree(place: &Path) {
    let removed = if place.is_dir() && !place.is_symlink() {
        fs::remove_dir_all(place)
    } else {
        fs::remove_file(place)
    };
    if let Err(error) = removed
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::debug!(place = %place.display(), %error, "an artefact cannot be removed yet");
    }
}

fn io(path: &Path, error: std::io::Error) -> FolderError {
    FolderError::Io {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests;
