//! The two redb files: opening them, telling an unreadable file from an unwell disk, and setting the former aside.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Builder, Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, TableError};

use super::batch::Slot;
use super::health::{SetAside, StoreProblem};
use crate::supervisor::panic_message;

/// Records of apps by name.
pub(super) const APPS: TableDefinition<&str, &[u8]> = TableDefinition::new("apps");
/// Records of the node by key.
pub(super) const NODE: TableDefinition<&str, &[u8]> = TableDefinition::new("node");
/// Events by counter.
pub(super) const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");
/// Deployments by app and counter.
pub(super) const DEPLOYMENTS: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("deployments");

/// redb's page cache, for each of the two files. Its own default is 1 GiB; a node has a few hundred small records.
const CACHE_BYTES: usize = 1 << 20;
/// How many unreadable files are kept for whoever wants to look.
const SET_ASIDE_MAX: usize = 3;
/// A state file larger than this was not written by a node, and is not read into memory.
const STATE_BYTES_MAX: u64 = 1 << 30;

/// One of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    State,
    Events,
}

impl Kind {
    fn file_name(self) -> &'static str {
        match self {
            Self::State => "state.redb",
            Self::Events => "events.redb",
        }
    }
}

/// What redb may answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is no file of ours any more. Waiting does not help.
    Unreadable(String),
    /// The disk. It may be well again later.
    Disk(StoreProblem),
}

/// Everything of `state.redb`.
pub(super) type Records = BTreeMap<Slot, Arc<[u8]>>;

/// What a start finds.
#[derive(Default)]
pub(super) struct Loaded {
    pub records: Records,
    pub set_aside: Option<SetAside>,
    /// The file is there and the disk does not give it away.
    pub problem: Option<StoreProblem>,
}

/// The files of one data directory, each opened when it is needed.
pub(super) struct Databases {
    /// None: everything is in memory.
    folder: Option<PathBuf>,
    state: Option<OpenFile>,
    events: Option<OpenFile>,
    is_closed: bool,
}

struct OpenFile {
    database: Arc<Database>,
    /// The file that is open: another one may lie in its place by now.
    inode: Option<Inode>,
}

/// Device and number.
type Inode = (u64, u64);

/// A database that is open.
pub(super) struct Opened {
    pub database: Arc<Database>,
    /// The file that lay in its place.
    pub set_aside: Option<SetAside>,
    /// It holds nothing yet.
    pub is_new: bool,
}

impl Databases {
    pub fn on_disk(folder: &Path) -> Self {
        Self {
            folder: Some(folder.to_owned()),
            state: None,
            events: None,
            is_closed: false,
        }
    }

    pub fn in_memory() -> Self {
        Self {
            folder: None,
            state: None,
            events: None,
            is_closed: false,
        }
    }

    /// Everything that `state.redb` holds. It is read through a copy in memory: repairs touch no disk, and a disk that is
    /// full or read-only hinders nothing. An unreadable file is set aside.
    pub fn load_records(&self) -> Loaded {
        let Some(path) = self.path(Kind::State) else {
            return Loaded::default();
        };
        match read_state(&path).and_then(|bytes| guarded(&path, || records_of(bytes))) {
            Ok(records) => Loaded {
                records,
                ..Loaded::default()
            },
            Err(Fault::Disk(problem)) => Loaded {
                problem: Some(problem),
                ..Loaded::default()
            },
            Err(Fault::Unreadable(reason)) => Loaded {
                set_aside: Some(set_aside(&path, reason)),
                ..Loaded::default()
            },
        }
    }

    /// The database, opened if it is not.
    pub fn get(&mut self, kind: Kind) -> Result<Opened, StoreProblem> {
        if self.is_closed {
            return Err(StoreProblem::Closed);
        }
        let path = self.path(kind);
        let inode = path.as_deref().and_then(inode_of);
        // What is written to a file that was deleted is lost without an error.
        if let Some(open) = self.slot(kind).take_if(|open| open.inode != inode) {
            drop(open);
        }
        if let Some(open) = self.slot(kind) {
            return Ok(Opened {
                database: Arc::clone(&open.database),
                set_aside: None,
                is_new: false,
            });
        }
        let opened = match &path {
            None => open_in_memory(kind)?,
            Some(path) => open_or_set_aside(path)?,
        };
        *self.slot(kind) = Some(OpenFile {
            database: Arc::clone(&opened.database),
            inode: path.as_deref().and_then(inode_of),
        });
        Ok(opened)
    }

    /// Closes the database after a fault: redb refuses everything after an I/O error until it is opened anew. An
    /// unreadable file is moved out of the way.
    pub fn discard(&mut self, kind: Kind, fault: Fault) -> (StoreProblem, Option<SetAside>) {
        *self.slot(kind) = None;
        let path = self.path(kind).unwrap_or_else(|| PathBuf::from(kind.file_name()));
        match fault {
            Fault::Disk(problem) => (problem, None),
            Fault::Unreadable(reason) => {
                let aside = set_aside(&path, reason.clone());
                (StoreProblem::Failing { path, reason }, Some(aside))
            }
        }
    }

    /// Closes both for good: from now on they are somebody else's.
    pub fn close(&mut self) {
        self.is_closed = true;
        (self.state, self.events) = (None, None);
    }

    pub fn path(&self, kind: Kind) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(kind.file_name()))
    }

    fn slot(&mut self, kind: Kind) -> &mut Option<OpenFile> {
        match kind {
            Kind::State => &mut self.state,
            Kind::Events => &mut self.events,
        }
    }
}

#[cfg(unix)]
fn inode_of(path: &Path) -> Option<Inode> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|facts| (facts.dev(), facts.ino()))
}

#[cfg(not(unix))]
fn inode_of(_path: &Path) -> Option<Inode> {
    None
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn open_in_memory(kind: Kind) -> Result<Opened, StoreProblem> {
    let path = Path::new(kind.file_name());
    let opened = guarded(
        path,
        || Ok(builder().create_with_backend(InMemoryBackend::new())?),
    );
    match opened {
        Ok(database) => Ok(Opened {
            database: Arc::new(database),
            set_aside: None,
            is_new: true,
        }),
        Err(fault) => Err(StoreProblem::Failing {
            path: path.to_owned(),
            reason: fault.to_string(),
        }),
    }
}

fn open_or_set_aside(path: &Path) -> Result<Opened, StoreProblem> {
    match open_file(path) {
        Ok((database, is_new)) => Ok(Opened {
            database: Arc::new(database),
            set_aside: None,
            is_new,
        }),
        Err(Fault::Disk(problem)) => Err(problem),
        Err(Fault::Unreadable(reason)) => {
            let aside = set_aside(path, reason);
            match open_file(path) {
                Ok((database, _)) => Ok(Opened {
                    database: Arc::new(database),
                    set_aside: Some(aside),
                    is_new: true,
                }),
                Err(Fault::Disk(problem)) => Err(problem),
                Err(Fault::Unreadable(reason)) => Err(StoreProblem::Failing {
                    path: path.to_owned(),
                    reason,
                }),
            }
        }
    }
}

/// The database in the file, and whether it is new.
fn open_file(path: &Path) -> Result<(Database, bool), Fault> {
    let is_new = !path.exists();
    let file = options().open(path).map_err(|error| disk_fault(path, &error))?;
    let length = file.metadata().map_err(|error| disk_fault(path, &error))?.len();
    if !is_new && length == 0 {
        return Err(Fault::Unreadable("it is empty".to_owned()));
    }
    let opened = guarded(path, || {
        Ok(builder().create_with_backend(FileBackend::new(file)?)?)
    });
    if opened.is_err() && is_new {
        // Half of a new database is no database: the next try begins anew.
        let _ = fs::remove_file(path);
    }
    opened.map(|database| (database, is_new))
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The bytes of the state file; none: there is none.
fn read_state(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    let length = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        facts => facts.map_err(|error| disk_fault(path, &error))?.len(),
    };
    match length {
        0 => Err(Fault::Unreadable("it is empty".to_owned())),
        1..=STATE_BYTES_MAX => fs::read(path).map(Some).map_err(|error| disk_fault(path, &error)),
        _ => Err(Fault::Unreadable(format!(
            "it has {length} bytes, which no node writes"
        ))),
    }
}

/// The records in the bytes of a state file, every page of which is checked.
fn records_of(bytes: Option<Vec<u8>>) -> Result<Records, redb::Error> {
    let Some(bytes) = bytes else {
        return Ok(Records::new());
    };
    let memory = InMemoryBackend::new();
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    memory
        .set_len(length)
        .and_then(|()| memory.write(0, &bytes))
        .map_err(|error| redb::Error::Corrupted(format!("it cannot be copied into memory: {error:?}")))?;
    drop(bytes);
    let database = builder()
        .set_check_integrity_on_open(true)
        .create_with_backend(memory)?;
    let read = database.begin_read()?;
    let mut records = Records::new();
    for (table, slot) in [(NODE, Slot::Node as fn(String) -> Slot), (APPS, Slot::App)] {
        let table = match read.open_table(table) {
            Err(TableError::TableDoesNotExist(_)) => continue,
            table => table?,
        };
        for entry in table.iter()? {
            let (name, value) = entry?;
            records.insert(slot(name.value().to_owned()), value.value().into());
        }
    }
    Ok(records)
}

/// Runs what redb does with bytes that may be anything: what it takes for a bug of its own and panics about is a bad
/// file to us.
pub(super) fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, Fault> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| fault(path, error)),
        Err(panic) => Err(Fault::Unreadable(format!(
            "reading it panicked: {}",
            panic_message(&*panic)
        ))),
    }
}

fn fault(path: &Path, error: redb::Error) -> Fault {
    match error {
        // redb reports a file that is too short, or no database, by these kinds.
        redb::Error::Io(error)
            if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
        {
            Fault::Unreadable(error.to_string())
        }
        redb::Error::Io(error) => disk_fault(path, &error),
        redb::Error::PreviousIo => Fault::Disk(StoreProblem::Failing {
            path: path.to_owned(),
            reason: "an earlier write failed".to_owned(),
        }),
        redb::Error::DatabaseAlreadyOpen => Fault::Disk(StoreProblem::Busy {
            path: path.to_owned(),
        }),
        other => Fault::Unreadable(other.to_string()),
    }
}

fn disk_fault(path: &Path, error: &io::Error) -> Fault {
    let path = path.to_owned();
    Fault::Disk(match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            StoreProblem::DiskFull { path }
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreProblem::ReadOnly { path },
        _ => StoreProblem::Failing {
            path,
            reason: error.to_string(),
        },
    })
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(reason) => f.write_str(reason),
            Self::Disk(problem) => problem.fmt(f),
        }
    }
}

/// Moves an unreadable file out of the way, and the oldest of its kind off the disk.
fn set_aside(path: &Path, reason: String) -> SetAside {
    let mut numbers = numbers_of_set_aside(path);
    numbers.sort_unstable();
    let next = numbers.last().map_or(1, |last| last.saturating_add(1));
    let kept_as = numbered(path, next);
    // On a disk that refuses, the file stays where it is; opening it anew fails then, and the node goes on in memory.
    let is_moved = fs::rename(path, &kept_as).is_ok();
    let too_many = (numbers.len() + 1).saturating_sub(SET_ASIDE_MAX);
    for number in numbers.into_iter().take(too_many) {
        let _ = fs::remove_file(numbered(path, number));
    }
    SetAside {
        file: path.to_owned(),
        kept_as: is_moved.then_some(kept_as),
        reason,
    }
}

fn numbered(path: &Path, number: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".unreadable-{number}"));
    PathBuf::from(name)
}

fn numbers_of_set_aside(path: &Path) -> Vec<u64> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let start = format!("{name}.unreadable-");
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix(&start)?.parse().ok();
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(number)
        .collect()
}
