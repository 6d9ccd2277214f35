//! Small files that are either whole or not there: written beside, synced, renamed over.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What stands between a file's name and the random end of the file that is written beside it.
const TEMPORARY_MARK: &str = ".tmp-";

/// Puts `bytes` into the file `path`, readable by its owner alone. After a crash or a power cut the file has either its
/// old or its new content.
///
/// # Errors
/// When the folder or the disk refuses; the old file is untouched then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let beside = beside(path)?;
    let written = write_new(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if let Err(error) = written {
        // The first error is the one to tell; a leftover is removed at the next start.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    // The rename itself must survive a power cut.
    File::open(folder)?.sync_all()
}

/// Removes what a crash left of files that were being written into `folder`. Returns how many there were.
///
/// # Errors
/// When the folder cannot be listed.
pub fn remove_leftovers(folder: &Path) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_temporary(&entry.file_name()) && fs::remove_file(entry.path()).is_ok() {
            count += 1;
        }
    }
    Ok(count)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("the path has no file name"))?;
    let mut beside = OsStr::new(".").to_owned();
    beside.push(name);
    beside.push(format!("{TEMPORARY_MARK}{:016x}", fastrand::u64(..)));
    Ok(path.with_file_name(beside))
}

fn is_temporary(name: &OsStr) -> bool {
    let end = name
        .to_str()
        .filter(|name| name.starts_with('.'))
        .and_then(|name| name.rsplit_once(TEMPORARY_MARK));
    end.is_some_and(|(_, end)| end.len() == 16 && end.bytes().all(|b| b.is_ascii_hexdigit()))
}
