//! A tree of files as specs are read from: a commit's, a folder's, or one in memory. The trait only; see `git/` for the real ones.

use crate::names::ObjectId;

/// What a tree entry is. Only [`EntryKind::File`] and [`EntryKind::Folder`] are ever read; the rest is named in errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum EntryKind {
    File { is_executable: bool },
    Folder,
    Symlink,
    Submodule,
}

/// One entry of a folder. Its name is UTF-8 (what was not is replaced by U+FFFD), no `.`, `..` or `.git` in any spelling, and holds no slash or NUL:
/// the implementation refuses the whole tree otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The entry's own name, without a path.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Its content's id. Equal ids mean equal content, subfolders included.
    pub id: ObjectId,
}

/// Why a tree could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TreeError {
    /// The tree holds an entry that git itself would refuse (`..`, `.git`, a slash): nothing of the commit is used.
    #[error("malformed tree: `{path}` has an entry named `{entry}`")]
    Malformed {
        /// The folder, relative to the root.
        path: String,
        /// The entry's name, escaped.
        entry: String,
    },
    /// A blob or folder is larger than the limit. Known from its header: nothing was read.
    #[error("{path} has {found} {unit}, more than the {limit} that are allowed")]
    TooLarge {
        /// Path or id.
        path: String,
        /// What it has.
        found: u64,
        /// What is allowed.
        limit: u64,
        /// "bytes" or "entries".
        unit: &'static str,
    },
    /// The object database is damaged or the folder cannot be read.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// Path or id.
        path: String,
        /// The underlying error's text, without credentials.
        reason: String,
    },
}

/// Read access to one immutable tree of files. Blocking; implementations bound what they return.
pub trait Tree {
    /// The entries of the folder at `path` ("" is the root, parts joined by `/`), sorted by name; `None` where there is no folder.
    ///
    /// # Errors
    /// When the tree is malformed, too large or unreadable.
    fn folder(&self, path: &str) -> Result<Option<Vec<Entry>>, TreeError>;

    /// The entry at `path`, if there is one.
    ///
    /// # Errors
    /// As [`Tree::folder`].
    fn entry(&self, path: &str) -> Result<Option<Entry>, TreeError>;

    /// The bytes of a file, refused if it has more than `bytes_max`.
    ///
    /// # Errors
    /// As [`Tree::folder`].
    fn file(&self, entry: &Entry, path: &str, bytes_max: u64) -> Result<Vec<u8>, TreeError>;

    /// The entries of a folder that was listed by its parent: cheaper than by path where ids lead to content.
    ///
    /// # Errors
    /// As [`Tree::folder`].
    fn folder_of(&self, entry: &Entry, path: &str) -> Result<Vec<Entry>, TreeError> {
        let _ = entry;
        Ok(self.folder(path)?.unwrap_or_default())
    }
}
