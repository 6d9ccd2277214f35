//! An app's log files: `apps/NAME/logs/output.log` and, older, `output.log.1`, `.2`, …
//!
//! The file is opened for each write: no descriptor is held an app, and a log folder that somebody removed is made
//! again with the next line.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::output::PIECE_BYTES_MAX;
use super::protocol::LogLimits;
use crate::names::AppName;
use crate::runtime::logs::{CURRENT, FILES_MAX};

/// A file holds at least some lines of the greatest length.
const FILE_BYTES_MIN: u64 = 4 * PIECE_BYTES_MAX as u64;

/// Where one app's log goes.
#[derive(Debug)]
pub struct LogFile {
    logs: String,
    current: String,
    limits: LogLimits,
    /// How long the current file is: asked of the kernel once, then counted.
    bytes: Option<u64>,
    /// The last write was cut short: the next begins on a line of its own.
    is_torn: bool,
}

impl LogFile {
    /// The log of `app`.
    #[must_use]
    pub fn new(app: &AppName, limits: LogLimits) -> Self {
        let logs = format!("{app}/logs");
        let mut log = Self {
            current: format!("{logs}/{CURRENT}"),
            logs,
            limits,
            bytes: None,
            is_torn: false,
        };
        log.set_limits(limits);
        log
    }

    /// Other bounds from now on.
    pub fn set_limits(&mut self, limits: LogLimits) {
        self.limits = LogLimits {
            file_bytes_max: limits.file_bytes_max.max(FILE_BYTES_MIN),
            files_max: limits.files_max.clamp(1, FILES_MAX),
        };
    }

    /// How much the current file may still take.
    pub fn room(&mut self, apps: BorrowedFd<'_>) -> u64 {
        let bytes = *self.bytes.get_or_insert_with(|| {
            rustix::fs::statat(apps, self.current.as_str(), AtFlags::SYMLINK_NOFOLLOW)
                .ok()
                .and_then(|stat| u64::try_from(stat.st_size).ok())
                .unwrap_or(0)
        });
        self.limits.file_bytes_max.saturating_sub(bytes)
    }

    /// Adds `bytes`; false when the disk did not take them.
    pub fn append(&mut self, apps: BorrowedFd<'_>, bytes: &[u8]) -> bool {
        let written = self.open(apps).and_then(|file| {
            if self.is_torn {
                rustix::io::write(&file, b"\n")?;
            }
            rustix::io::write(&file, bytes)
        });
        self.is_torn =
            matches!(written, Ok(count) if count < bytes.len()) || (self.is_torn && written.is_err());
        match written {
            Ok(count) => {
                self.bytes = self.bytes.map(|known| known + count as u64);
                count == bytes.len()
            }
            Err(_) => {
                self.bytes = None;
                false
            }
        }
    }

    fn open(&mut self, apps: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        let existing = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::openat(apps, self.current.as_str(), existing, Mode::empty()) {
            Err(Errno::NOENT) => {}
            done => return done,
        }
        self.bytes = Some(0);
        match rustix::fs::mkdirat(apps, self.logs.as_str(), Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        rustix::fs::openat(
            apps,
            self.current.as_str(),
            existing | OFlags::CREATE,
            Mode::RUSR | Mode::WUSR,
        )
    }

    /// Moves every file one place back; the oldest goes.
    pub fn rotate(&mut self, apps: BorrowedFd<'_>) {
        self.bytes = Some(0);
        let name = |age: u32| match age {
            0 => self.current.clone(),
            age => format!("{}.{age}", self.current),
        };
        let oldest = self.limits.files_max - 1;
        // Files beyond a bound that was lowered meanwhile.
        for age in oldest.max(1)..FILES_MAX {
            if rustix::fs::unlinkat(apps, name(age), AtFlags::empty()).is_err() && age > oldest {
                break;
            }
        }
        if oldest == 0 {
            let _ = rustix::fs::unlinkat(apps, name(0), AtFlags::empty());
        }
        for age in (0..oldest).rev() {
            // A missing one is no loss.
            let _ = rustix::fs::renameat(apps, name(age), apps, name(age + 1));
        }
    }
}
