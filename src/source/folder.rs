//! Source `path`: a folder of the repository is written out from the commit's tree, read-only, under its object id.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::store::ArtefactStore;
use crate::names::{ArtefactId, ObjectId};
use crate::specs::tree::{Entry, EntryKind, Tree, TreeError};

/// The most that one folder may hold.
const TOTAL_BYTES_MAX: u64 = 512 << 20;
/// The most files and folders in one.
const ENTRIES_MAX: usize = 20_000;
/// How deep it may nest.
const DEPTH_MAX: usize = 32;

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
    /// It cannot be put where artefacts are.
    #[error(transparent)]
    Store(#[from] super::store::StoreError),
}

impl ArtefactStore {
    /// Writes out the folder with this id, unless it is there. Blocking.
    ///
    /// # Errors
    /// When the tree cannot be read, holds more than files and folders, is too large, or cannot be written.
    pub fn write_out(&self, tree: &dyn Tree, id: &ObjectId) -> Result<PathBuf, FolderError> {
        self.put(&ArtefactId::from(id), |unfinished| fill(tree, id, unfinished))
    }
}

fn fill(tree: &dyn Tree, id: &ObjectId, unfinished: &Path) -> Result<(), FolderError> {
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

fn io(path: &Path, error: std::io::Error) -> FolderError {
    FolderError::Io {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests;
