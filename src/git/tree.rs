//! A commit's tree, read from the object database by id. Nothing is checked out, no link is followed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gix::bstr::ByteSlice as _;
use gix::objs::tree::EntryKind as GitKind;

use super::entry_name;
use super::error::GitError;
use super::foreign_text::chain_text;
use crate::names::ObjectId;
use crate::specs::tree::{Entry, EntryKind, Tree, TreeError};

/// The most entries of one folder: twice the most apps a repository may have.
pub const FOLDER_ENTRIES_MAX: usize = 20_000;

/// The largest tree object that is read: [`FOLDER_ENTRIES_MAX`] names of 200 bytes.
const TREE_BYTES_MAX: u64 = 4 << 20;

/// The deepest path that is looked up.
pub(super) const DEPTH_MAX: usize = 64;

/// The memory for unpacked objects that others build on (delta bases), in bytes.
const OBJECT_CACHE_BYTES: usize = 4 << 20;

/// The tree of one commit. It can be sent to another thread, but one thread reads at a time.
pub struct CommitTree {
    repository: gix::Repository,
    root: gix::ObjectId,
    /// Set where an object cannot be read, so that the clone is mended.
    on_damage: Option<Arc<AtomicBool>>,
}

impl CommitTree {
    pub(super) fn new(mut repository: gix::Repository, root: gix::ObjectId) -> Self {
        repository.object_cache_size_if_unset(OBJECT_CACHE_BYTES);
        Self {
            repository,
            root,
            on_damage: None,
        }
    }

    pub(super) fn telling(mut self, on_damage: Arc<AtomicBool>) -> Self {
        self.on_damage = Some(on_damage);
        self
    }

    /// The id of the root tree. Equal ids mean equal content.
    #[must_use]
    pub fn root_id(&self) -> Option<ObjectId> {
        self.root.to_string().parse().ok()
    }

    /// The entries of the tree object `id`, which lies at `path`.
    fn list(&self, id: gix::ObjectId, path: &str) -> Result<Vec<Entry>, TreeError> {
        let data = self.read(id, path, gix::objs::Kind::Tree, TREE_BYTES_MAX)?;
        let mut entries = Vec::new();
        for entry in gix::objs::TreeRefIter::from_bytes(&data, self.root.kind()) {
            let entry = entry.map_err(|error| unreadable(path, &error.to_string()))?;
            if entries.len() >= FOLDER_ENTRIES_MAX {
                return Err(TreeError::TooLarge {
                    path: path.to_owned(),
                    found: entries.len() as u64 + 1,
                    limit: FOLDER_ENTRIES_MAX as u64,
                    unit: "entries",
                });
            }
            let name =
                entry_name::checked(entry.filename.as_bytes()).ok_or_else(|| TreeError::Malformed {
                    path: path.to_owned(),
                    entry: crate::names::shown(&entry.filename.to_str_lossy()),
                })?;
            let kind = match entry.mode.kind() {
                GitKind::Tree => EntryKind::Folder,
                GitKind::Blob => EntryKind::File { is_executable: false },
                GitKind::BlobExecutable => EntryKind::File { is_executable: true },
                GitKind::Link => EntryKind::Symlink,
                GitKind::Commit => EntryKind::Submodule,
            };
            let id = entry.oid.to_hex().to_string();
            entries.push(Entry {
                name: name.into_owned(),
                kind,
                id: id
                    .parse()
                    .map_err(|_| unreadable(path, "an entry has no valid id"))?,
            });
        }
        // git sorts folders as if their names ended with a slash.
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(name) = entries.windows(2).find_map(|pair| match pair {
            [a, b] if a.name == b.name => Some(&a.name),
            _ => None,
        }) {
            return Err(TreeError::Malformed {
                path: path.to_owned(),
                entry: format!("{name} (twice)"),
            });
        }
        Ok(entries)
    }

    /// An object's bytes, its kind and size checked by its header first.
    fn read(
        &self,
        id: gix::ObjectId,
        path: &str,
        kind: gix::objs::Kind,
        bytes_max: u64,
    ) -> Result<Vec<u8>, TreeError> {
        let failed = |error: gix::Error| {
            if let Some(on_damage) = &self.on_damage {
                on_damage.store(true, Ordering::SeqCst);
            }
            unreadable(path, &chain_text(&error))
        };
        let header = self.repository.find_header(id).map_err(failed)?;
        if header.kind() != kind {
            return Err(unreadable(
                path,
                &format!("{id} is a {}, not a {kind}", header.kind()),
            ));
        }
        if header.size() > bytes_max {
            return Err(TreeError::TooLarge {
                path: path.to_owned(),
                found: header.size(),
                limit: bytes_max,
                unit: "bytes",
            });
        }
        let object = self.repository.find_object(id).map_err(failed)?;
        Ok(object.detach().data)
    }

    fn find(&self, path: &str) -> Result<Option<Found>, TreeError> {
        let mut here = Found::Folder(self.root);
        let mut walked = String::new();
        for (depth, part) in path.split('/').filter(|part| !part.is_empty()).enumerate() {
            let Found::Folder(id) = here else {
                return Ok(None);
            };
            if depth >= DEPTH_MAX {
                return Ok(None);
            }
            let entries = self.list(id, &walked)?;
            let Ok(at) = entries.binary_search_by(|entry| entry.name.as_str().cmp(part)) else {
                return Ok(None);
            };
            let Some(entry) = entries.into_iter().nth(at) else {
                return Ok(None);
            };
            if !walked.is_empty() {
                walked.push('/');
            }
            walked.push_str(part);
            here = match entry.kind {
                EntryKind::Folder => Found::Folder(git_id(&entry.id, &walked)?),
                _ => Found::Other(entry),
            };
        }
        Ok(Some(here))
    }
}

enum Found {
    Folder(gix::ObjectId),
    Other(Entry),
}

impl Tree for CommitTree {
    fn folder(&self, path: &str) -> Result<Option<Vec<Entry>>, TreeError> {
        match self.find(path)? {
            Some(Found::Folder(id)) => self.list(id, path).map(Some),
            Some(Found::Other(_)) | None => Ok(None),
        }
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, TreeError> {
        let name = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
        Ok(match self.find(path)? {
            Some(Found::Other(entry)) => Some(entry),
            Some(Found::Folder(id)) => Some(Entry {
                name: name.to_owned(),
                kind: EntryKind::Folder,
                id: id
                    .to_string()
                    .parse()
                    .map_err(|_| unreadable(path, "its id is malformed"))?,
            }),
            None => None,
        })
    }

    fn file(&self, entry: &Entry, path: &str, bytes_max: u64) -> Result<Vec<u8>, TreeError> {
        match entry.kind {
            EntryKind::File { .. } => {
                self.read(git_id(&entry.id, path)?, path, gix::objs::Kind::Blob, bytes_max)
            }
            EntryKind::Folder | EntryKind::Symlink | EntryKind::Submodule => {
                Err(unreadable(path, "it is no file"))
            }
        }
    }

    fn folder_of(&self, entry: &Entry, path: &str) -> Result<Vec<Entry>, TreeError> {
        match entry.kind {
            EntryKind::Folder => self.list(git_id(&entry.id, path)?, path),
            EntryKind::File { .. } | EntryKind::Symlink | EntryKind::Submodule => {
                Err(unreadable(path, "it is no folder"))
            }
        }
    }
}

impl std::fmt::Debug for CommitTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommitTree")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

fn git_id(id: &ObjectId, path: &str) -> Result<gix::ObjectId, TreeError> {
    gix::ObjectId::from_hex(id.as_str().as_bytes()).map_err(|error| unreadable(path, &error.to_string()))
}

fn unreadable(path: &str, reason: &str) -> TreeError {
    TreeError::Unreadable {
        path: if path.is_empty() {
            "the root folder".to_owned()
        } else {
            path.to_owned()
        },
        reason: super::foreign_text::said(reason),
    }
}

/// The root tree of a commit; reading both proves that the clone holds them whole.
pub(super) fn root_of(
    repository: &gix::Repository,
    commit: gix::ObjectId,
) -> Result<gix::ObjectId, GitError> {
    let damaged = |error: gix::Error| GitError::Damaged {
        path: repository.path().to_owned(),
        reason: chain_text(&error),
    };
    let Some(object) = repository.try_find_object(commit).map_err(damaged)? else {
        return Err(GitError::NoSuchCommit {
            revision: commit.to_string(),
        });
    };
    let Ok(found) = object.try_into_commit() else {
        return Err(GitError::NoSuchCommit {
            revision: commit.to_string(),
        });
    };
    let root = found
        .tree_id()
        .map_err(|error| GitError::Damaged {
            path: repository.path().to_owned(),
            reason: error.to_string(),
        })?
        .detach();
    repository.find_tree(root).map_err(damaged)?;
    Ok(root)
}
