//! The folder in which everything lies that a node keeps: one holder at a time, closed to others, with an id of its own.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::small_file;

/// A data directory in use by this process. Others are kept out until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    id: DataDirId,
    is_new: bool,
    /// Why the id could not be kept, or leftovers not be removed: the disk is full or read-only.
    problem: Option<String>,
    /// The lock goes with it.
    _lock: File,
}

/// What tells a data directory from every other: 16 hex digits, made once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DataDirId(String);

/// Why a folder cannot be used as data directory.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another daemon has it.
    #[error("{path} is in use by {}", match holder { Some(pid) => format!("process {pid}"), None => "another process".to_owned() })]
    Held {
        /// The folder.
        path: PathBuf,
        /// Who has it.
        holder: Option<u32>,
    },
    /// Others could put files into it, which the node would believe.
    #[error("{path} can be written by others (mode {mode:04o}): chmod go-w {path}", path = path.display())]
    WritableByOthers {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to somebody else, who could change it.
    #[error("{path} belongs to user {owner}, not to user {user} who runs the daemon", path = path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who runs the daemon.
        user: u32,
    },
    /// There is something else.
    #[error("{path} is no folder", path = path.display())]
    NotAFolder {
        /// What was to be a folder.
        path: PathBuf,
    },
    /// The operating system refuses.
    #[error("cannot use {path} as data directory: {source}", path = path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The file that is locked, and names its holder.
const LOCK_FILE: &str = "lock";
/// The file that holds the id.
const ID_FILE: &str = "id";
/// How often a holder that has just taken the lock is given a moment to write its pid.
const HOLDER_READS_MAX: u32 = 10;

impl DataDir {
    /// Takes `path` as data directory: made (mode 0700) where it is not there, locked, leftovers removed.
    ///
    /// # Errors
    /// When another process has it, when others may write into it, or when it cannot be made.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let io = |source| DataDirError::Io {
            path: path.to_owned(),
            source,
        };
        make(path).map_err(io)?;
        check(path)?;
        let lock = take_lock(path)?;
        let (id, is_new, unkept) = read_or_make_id(path);
        let unclean = small_file::remove_leftovers(path).err();
        let problem = unkept
            .or(unclean)
            .map(|error| format!("{}: {error}", path.display()));
        Ok(Self {
            path: path.to_owned(),
            id,
            is_new,
            problem,
            _lock: lock,
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &DataDirId {
        &self.id
    }

    /// Was its id made just now? Then no event has it yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// What could not be written into it.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}

impl DataDirId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("{:016x}", fastrand::u64(..)))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(text: &str) -> Option<Self> {
        let is_id = text.len() == 16
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        is_id.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for DataDirId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn make(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut builder = fs::DirBuilder::new();
    // An app that runs as another user has to pass through to its own folder; all else in here is closed by itself.
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o711);
    match builder.create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

#[cfg(unix)]
fn check(path: &Path) -> Result<(), DataDirError> {
    use std::os::unix::fs::MetadataExt;
    let io = |source| DataDirError::Io {
        path: path.to_owned(),
        source,
    };
    let facts = fs::metadata(path).map_err(io)?;
    if !facts.is_dir() {
        return Err(DataDirError::NotAFolder {
            path: path.to_owned(),
        });
    }
    let user = rustix::process::geteuid().as_raw();
    if facts.uid() != user && user != 0 {
        return Err(DataDirError::Foreign {
            path: path.to_owned(),
            owner: facts.uid(),
            user,
        });
    }
    let mode = facts.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(DataDirError::WritableByOthers {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check(path: &Path) -> Result<(), DataDirError> {
    if path.is_dir() {
        Ok(())
    } else {
        Err(DataDirError::NotAFolder {
            path: path.to_owned(),
        })
    }
}

/// Locks the folder for this process and writes its pid where the next one looks for it.
fn take_lock(path: &Path) -> Result<File, DataDirError> {
    let io = |source| DataDirError::Io {
        path: path.to_owned(),
        source,
    };
    let file = open_lock(path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            return Err(DataDirError::Held {
                path: path.to_owned(),
                holder: holder(path),
            });
        }
        Err(fs::TryLockError::Error(source)) => return Err(io(source)),
    }
    // On a full or read-only disk the lock holds all the same; only its holder's name is missing.
    let _ = file
        .set_len(0)
        .and_then(|()| (&file).write_all(format!("{}\n", std::process::id()).as_bytes()));
    Ok(file)
}

/// The file to lock. Where it cannot be made, nobody has made it: then the folder itself is locked.
fn open_lock(path: &Path) -> io::Result<File> {
    let file = path.join(LOCK_FILE);
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(&file) {
        Ok(file) => Ok(file),
        Err(error) => File::open(&file).or_else(|_| File::open(path)).map_err(|_| error),
    }
}

/// The pid in the lock file.
fn holder(path: &Path) -> Option<u32> {
    for _ in 0..HOLDER_READS_MAX {
        let mut text = String::new();
        let read = File::open(path.join(LOCK_FILE)).and_then(|file| file.take(32).read_to_string(&mut text));
        if read.is_ok()
            && let Ok(pid) = text.trim().parse()
        {
            return Some(pid);
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    None
}

/// The id, whether it is new, and why it could not be kept then. A torn one is replaced: nothing but events refer to it.
fn read_or_make_id(path: &Path) -> (DataDirId, bool, Option<io::Error>) {
    let file = path.join(ID_FILE);
    let kept = fs::read_to_string(&file)
        .ok()
        .and_then(|text| DataDirId::parse(text.trim()));
    if let Some(id) = kept {
        return (id, false, None);
    }
    let id = DataDirId::random();
    let written = small_file::write_whole(&file, format!("{id}\n").as_bytes());
    (id, true, written.err())
}
