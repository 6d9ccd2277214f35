//! What is wrong with a node's memory, for status, log and `doctor`.

use std::path::PathBuf;
use std::sync::Arc;

/// How a store fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// Why nothing reaches the disk at present; none: all is well. The node goes on in memory.
    pub problem: Option<Arc<StoreProblem>>,
    /// Files that could not be read, and were set aside since the start.
    pub set_aside: Vec<SetAside>,
    /// Records that could not be read since the start, at most [`UNREADABLE_RECORDS_MAX`].
    pub unreadable_records: Vec<String>,
    /// Events that were given up because the disk failed for too long.
    pub dropped_events: u64,
}

/// The most unreadable records that are named.
pub const UNREADABLE_RECORDS_MAX: usize = 100;

/// A file that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Where it was.
    pub file: PathBuf,
    /// Where it lies now, for whoever wants to look; none: it could not be moved.
    pub kept_as: Option<PathBuf>,
    /// What is wrong with it.
    pub reason: String,
}

/// Why nothing reaches the disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreProblem {
    /// No space is left.
    #[error("{path} cannot be written, the disk is full: the node goes on in memory", path = path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The folder or its file system may not be written.
    #[error("{path} cannot be written, it is read-only: the node goes on in memory", path = path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// Another process has the file open.
    #[error("{path} is open in another process: the node goes on in memory", path = path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// Anything else that the disk may do.
    #[error("{path} fails: {reason}; the node goes on in memory", path = path.display())]
    Failing {
        /// The file.
        path: PathBuf,
        /// The operating system's or redb's words.
        reason: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreProblem {
    /// A stable code, for `doctor` and events.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::DiskFull { .. } => "osier::store::disk_full",
            Self::ReadOnly { .. } => "osier::store::read_only",
            Self::Busy { .. } => "osier::store::busy",
            Self::Failing { .. } => "osier::store::failing",
            Self::Closed => "osier::store::closed",
        }
    }
}
