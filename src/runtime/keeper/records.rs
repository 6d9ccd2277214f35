//! What the next keeper must know if this one dies: `keeper.records`, one JSON object a line.
//!
//! A start is recorded before its program runs, an end after its whole tree is gone, an acknowledgement so that an end
//! is not told for ever. There is no fsync: a killed process loses no page cache, and a power cut ends the processes
//! as well. The keeper is the only writer. The file is rewritten from memory (beside, then renamed over) when it has
//! grown well beyond what lives, and whenever it is found to be other than the keeper left it. Lines that cannot be
//! read are counted and skipped: they cost the memory of one app, not the start of the keeper.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::protocol::{Exit, LimitFault, LogLimits};
use crate::names::{AppName, InstanceId};

const FILE: &str = "keeper.records";
const FILE_NEW: &str = "keeper.records.new";
/// Below this the file is not worth a rewrite.
const COMPACT_FROM_BYTES: u64 = 256 * 1024;
/// It is rewritten when it is this much larger than right after the last rewrite.
const COMPACT_GROWTH: u64 = 4;
/// A longer file is not ours: 10,000 apps need some 10 MB.
const READ_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A process is about to run.
    Start(StartRecord),
    /// It has ended.
    End(Exit),
    /// The daemon knows of that end, or nobody needs to.
    Acknowledged {
        /// Whose end.
        instance: InstanceId,
    },
}

/// How a process is known again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartRecord {
    /// Whose.
    pub app: AppName,
    /// Its run.
    pub instance: InstanceId,
    /// Its process id.
    pub pid: i32,
    /// When the kernel started it: field 22 of `/proc/PID/stat`, in clock ticks since boot.
    pub start_ticks: u64,
    /// Which boot those ticks and that id belong to.
    pub boot_id: String,
    /// The user it was to run as.
    pub uid: u32,
    /// When, ms since the epoch.
    pub started_at_ms: u64,
    /// The signal that ends it when the keeper itself has to.
    pub stop_signal: i32,
    /// How long it then has.
    pub stop_grace_ms: u64,
    /// Its log's bounds.
    pub logs: LogLimits,
    /// What of its limits is not in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_in_force: Vec<LimitFault>,
    /// Its label.
    pub label: String,
    /// It is heard at its socket.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub notify: bool,
}

/// What a record file says is alive or not yet told.
#[derive(Debug, Default, PartialEq)]
pub struct Recovered {
    /// Starts without an end, in the order of their writing.
    pub starts: Vec<StartRecord>,
    /// Ends without acknowledgement, likewise.
    pub exits: Vec<Exit>,
    /// Lines that could not be read.
    pub torn_count: u32,
}

impl Recovered {
    /// Reads the lines of a record file, whatever state it is in.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut found = Self::default();
        let mut order = 0usize;
        let mut starts = BTreeMap::new();
        let mut exits = BTreeMap::new();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            order += 1;
            match serde_json::from_slice(line) {
                // An instance starts once: what has ended is not begun again by a line that stands twice.
                Ok(Record::Start(start)) if exits.contains_key(&start.instance) => {}
                Ok(Record::Start(start)) => {
                    starts.insert(start.instance.clone(), (order, start));
                }
                Ok(Record::End(exit)) => {
                    starts.remove(&exit.instance);
                    exits.insert(exit.instance.clone(), (order, exit));
                }
                Ok(Record::Acknowledged { instance }) => {
                    starts.remove(&instance);
                    exits.remove(&instance);
                }
                Err(_) => found.torn_count += 1,
            }
        }
        found.starts = in_order(starts);
        found.exits = in_order(exits);
        found
    }
}

fn in_order<T>(found: BTreeMap<InstanceId, (usize, T)>) -> Vec<T> {
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by_key(|(order, _)| *order);
    found.into_iter().map(|(_, value)| value).collect()
}

/// The open record file.
#[derive(Debug)]
pub struct Records {
    folder: OwnedFd,
    file: std::fs::File,
    /// How long this keeper left it.
    bytes: u64,
    /// How long it was after the last rewrite.
    compact_bytes: u64,
}

impl Records {
    /// Opens the file in the data directory `folder`, or makes it.
    ///
    /// # Errors
    /// When it can be neither read nor made.
    pub fn open(folder: BorrowedFd<'_>) -> Result<(Self, Recovered), Errno> {
        let folder = folder.try_clone_to_owned().map_err(|_| Errno::MFILE)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&folder, FILE, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = std::fs::File::from(fd);
        let mut content = Vec::new();
        (&mut file)
            .take(READ_BYTES_MAX)
            .read_to_end(&mut content)
            .map_err(|_| Errno::IO)?;
        let recovered = Recovered::from_bytes(&content);
        let bytes = content.len() as u64;
        let mut records = Self {
            folder,
            file,
            bytes,
            compact_bytes: bytes,
        };
        if content.last().is_some_and(|last| *last != b'\n') {
            // A torn end must not swallow the next line.
            records.write(b"\n")?;
        }
        Ok((records, recovered))
    }

    /// Appends `records` in one write. `live` is asked for the whole content if the file has to be written anew.
    ///
    /// # Errors
    /// When they could not be written; the file is then as it was.
    pub fn append(&mut self, records: &[Record], live: impl FnOnce() -> Vec<Record>) -> Result<(), Errno> {
        let due = self.bytes > COMPACT_FROM_BYTES && self.bytes > COMPACT_GROWTH * self.compact_bytes;
        if due || !self.is_as_left() {
            let mut all = live();
            all.extend_from_slice(records);
            return self.rewrite(&all);
        }
        self.write(&lines(records))
    }

    /// Whether nobody cut, removed or replaced the file meanwhile.
    fn is_as_left(&self) -> bool {
        rustix::fs::fstat(&self.file)
            .is_ok_and(|stat| u64::try_from(stat.st_size) == Ok(self.bytes) && stat.st_nlink > 0)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        match rustix::io::write(&self.file, bytes) {
            Ok(written) if written == bytes.len() => {
                self.bytes += bytes.len() as u64;
                Ok(())
            }
            outcome => {
                // A disk that is nearly full takes a part: a part of a line is worse than none.
                let _ = rustix::fs::ftruncate(&self.file, self.bytes);
                Err(outcome.err().unwrap_or(Errno::NOSPC))
            }
        }
    }

    /// Writes `records` as the whole content.
    ///
    /// # Errors
    /// When the new file could not be written; the old one stays.
    pub fn rewrite(&mut self, records: &[Record]) -> Result<(), Errno> {
        let content = lines(records);
        let flags = OFlags::RDWR
            | OFlags::CREATE
            | OFlags::TRUNC
            | OFlags::APPEND
            | OFlags::CLOEXEC
            | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&self.folder, FILE_NEW, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = std::fs::File::from(fd);
        if let Err(error) = file.write_all(&content) {
            let _ = rustix::fs::unlinkat(&self.folder, FILE_NEW, AtFlags::empty());
            return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
        }
        rustix::fs::renameat(&self.folder, FILE_NEW, &self.folder, FILE)?;
        self.file = file;
        self.bytes = content.len() as u64;
        self.compact_bytes = self.bytes;
        Ok(())
    }
}

fn lines(records: &[Record]) -> Vec<u8> {
    let mut content = Vec::with_capacity(records.len() * 256);
    for record in records {
        // Names and numbers: there is nothing in a record that JSON could not say.
        if serde_json::to_writer(&mut content, record).is_ok() {
            content.push(b'\n');
        }
    }
    content
}

#[cfg(test)]
mod tests;
