//! A plain folder as a tree: what `osier validate PATH` reads before anything is committed.
//!
//! It looks as git would see it: `.git` is left out, a nested repository is a submodule, links are links and never
//! followed. Ids are those that git would give, so that a config file's id is the same before and after the commit.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use gix::hash::Kind;
use gix::objs::Kind as ObjectKind;

use super::entry_name;
use super::tree::{DEPTH_MAX, FOLDER_ENTRIES_MAX};
use crate::names::{ObjectId, shown};
use crate::specs::tree::{Entry, EntryKind, Tree, TreeError};

/// The largest file whose content is hashed; a larger one gets an id of its size and time. No spec is that large.
const HASHED_BYTES_MAX: u64 = 64 << 20;

/// A folder of the file system, read when asked for. What changes meanwhile may be seen half-way.
#[derive(Debug)]
pub struct FolderTree {
    root: PathBuf,
    /// Ids of folders that were walked, by path.
    known: Mutex<HashMap<String, ObjectId>>,
}

impl FolderTree {
    /// The tree below `root`.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            known: Mutex::default(),
        }
    }

    /// The file system's path, unless a part of it is absent, a link or no folder.
    fn resolve(&self, path: &str) -> Option<(PathBuf, fs::Metadata)> {
        let mut here = self.root.clone();
        // The root itself may be a link: it was named by whoever asks.
        let mut metadata = fs::metadata(&here).ok()?;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !metadata.is_dir() || entry_name::checked(part.as_bytes()).is_none() {
                return None;
            }
            here.push(part);
            metadata = fs::symlink_metadata(&here).ok()?;
        }
        Some((here, metadata))
    }

    fn list(&self, path: &str, depth: usize) -> Result<Option<Vec<Entry>>, TreeError> {
        let Some((folder, metadata)) = self.resolve(path) else {
            return Ok(None);
        };
        if !metadata.is_dir() {
            return Ok(None);
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(&folder).map_err(|error| unreadable(path, &error))? {
            let entry = entry.map_err(|error| unreadable(path, &error))?;
            if entry.file_name() == ".git" {
                continue;
            }
            if entries.len() >= FOLDER_ENTRIES_MAX {
                return Err(TreeError::TooLarge {
                    path: path.to_owned(),
                    found: entries.len() as u64 + 1,
                    limit: FOLDER_ENTRIES_MAX as u64,
                    unit: "entries",
                });
            }
            let name = entry.file_name();
            let Some(name) = entry_name::checked(name.as_encoded_bytes()) else {
                return Err(TreeError::Malformed {
                    path: path.to_owned(),
                    entry: shown(&name.to_string_lossy()),
                });
            };
            entries.extend(self.describe(&entry.path(), &name, &join(path, &name), depth)?);
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(entries))
    }

    /// `None` for what git cannot hold: pipes, sockets, devices.
    fn describe(&self, at: &Path, name: &str, path: &str, depth: usize) -> Result<Option<Entry>, TreeError> {
        let metadata = fs::symlink_metadata(at).map_err(|error| unreadable(path, &error))?;
        let (kind, id) = if metadata.is_symlink() {
            let target = fs::read_link(at).map_err(|error| unreadable(path, &error))?;
            (
                EntryKind::Symlink,
                blob_id(target.as_os_str().as_encoded_bytes(), path)?,
            )
        } else if metadata.is_file() {
            let kind = EntryKind::File {
                is_executable: is_executable(&metadata),
            };
            (kind, file_id(at, &metadata, path)?)
        } else if metadata.is_dir() && fs::symlink_metadata(at.join(".git")).is_ok() {
            (EntryKind::Submodule, blob_id(path.as_bytes(), path)?)
        } else if metadata.is_dir() {
            (EntryKind::Folder, self.folder_id(path, depth)?)
        } else {
            return Ok(None);
        };
        let name = name.to_owned();
        Ok(Some(Entry { name, kind, id }))
    }

    /// The id that git would give to the folder's tree.
    fn folder_id(&self, path: &str, depth: usize) -> Result<ObjectId, TreeError> {
        if let Some(id) = self.lock().get(path) {
            return Ok(id.clone());
        }
        if depth >= DEPTH_MAX {
            return Err(TreeError::TooLarge {
                path: path.to_owned(),
                found: depth as u64 + 1,
                limit: DEPTH_MAX as u64,
                unit: "levels",
            });
        }
        let mut entries = self.list(path, depth + 1)?.unwrap_or_default();
        entries.sort_by_key(|entry| match entry.kind {
            EntryKind::Folder => format!("{}/", entry.name),
            _ => entry.name.clone(),
        });
        let mut tree = Vec::new();
        for entry in &entries {
            let mode = match entry.kind {
                EntryKind::File { is_executable: false } => "100644",
                EntryKind::File { is_executable: true } => "100755",
                EntryKind::Folder => "40000",
                EntryKind::Symlink => "120000",
                EntryKind::Submodule => "160000",
            };
            tree.extend_from_slice(format!("{mode} {}\0", entry.name).as_bytes());
            let id = gix::ObjectId::from_hex(entry.id.as_str().as_bytes())
                .map_err(|error| unreadable(path, &error))?;
            tree.extend_from_slice(id.as_slice());
        }
        let id = object_id(ObjectKind::Tree, &tree, path)?;
        self.lock().insert(path.to_owned(), id.clone());
        Ok(id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, ObjectId>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tree for FolderTree {
    fn folder(&self, path: &str) -> Result<Option<Vec<Entry>>, TreeError> {
        self.list(path, 0)
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, TreeError> {
        let Some((at, _)) = self.resolve(path) else {
            return Ok(None);
        };
        let name = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
        self.describe(&at, name, path, 0)
    }

    fn file(&self, entry: &Entry, path: &str, bytes_max: u64) -> Result<Vec<u8>, TreeError> {
        let (EntryKind::File { .. }, Some((at, metadata))) = (entry.kind, self.resolve(path)) else {
            return Err(unreadable(path, &"it is no file"));
        };
        if !metadata.is_file() {
            return Err(unreadable(path, &"it is no file"));
        }
        let too_large = |found: u64| TreeError::TooLarge {
            path: path.to_owned(),
            found,
            limit: bytes_max,
            unit: "bytes",
        };
        if metadata.len() > bytes_max {
            return Err(too_large(metadata.len()));
        }
        let file = fs::File::open(at).map_err(|error| unreadable(path, &error))?;
        let mut bytes = Vec::new();
        file.take(bytes_max.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(path, &error))?;
        if bytes.len() as u64 > bytes_max {
            return Err(too_large(bytes.len() as u64));
        }
        Ok(bytes)
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{}/{name}", folder.trim_end_matches('/'))
    }
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_metadata: &fs::Metadata) -> bool {
    false
}

fn file_id(at: &Path, metadata: &fs::Metadata, path: &str) -> Result<ObjectId, TreeError> {
    if metadata.len() > HASHED_BYTES_MAX {
        let stamp = format!("{path} {} {:?}", metadata.len(), metadata.modified().ok());
        return blob_id(stamp.as_bytes(), path);
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(at).map_err(|error| unreadable(path, &error))?;
    file.take(HASHED_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, &error))?;
    blob_id(&bytes, path)
}

fn blob_id(bytes: &[u8], path: &str) -> Result<ObjectId, TreeError> {
    object_id(ObjectKind::Blob, bytes, path)
}

fn object_id(kind: ObjectKind, bytes: &[u8], path: &str) -> Result<ObjectId, TreeError> {
    let id = gix::objs::compute_hash(Kind::Sha1, kind, bytes).map_err(|error| unreadable(path, &error))?;
    id.to_string().parse().map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &str, reason: &dyn std::fmt::Display) -> TreeError {
    TreeError::Unreadable {
        path: if path.is_empty() {
            ".".to_owned()
        } else {
            path.to_owned()
        },
        reason: reason.to_string(),
    }
}
