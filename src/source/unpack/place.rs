//! The folder that an archive is unpacked into, and the only hand that writes there.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Room, UnpackError};

/// How deep an archive may nest.
const DEPTH_MAX: usize = 32;
/// The longest name of an entry, in bytes.
const NAME_BYTES_MAX: usize = 1024;
/// How much is copied at once.
const COPY_BYTES: usize = 64 << 10;

/// A folder that is being filled. All that is in it was put there by this value, so what it knows is what is there.
pub(super) struct Place {
    root: PathBuf,
    room: Room,
    /// By the path below `root`, without any link in it.
    known: BTreeMap<PathBuf, Kind>,
    has_file: bool,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    Link,
}

impl Place {
    pub fn new(root: &Path, room: Room) -> Result<Self, UnpackError> {
        fs::create_dir(root).map_err(|error| io(root, error))?;
        Ok(Self {
            root: root.to_owned(),
            room,
            known: BTreeMap::new(),
            has_file: false,
            buffer: vec![0; COPY_BYTES],
        })
    }

    /// A folder. The same one twice is no harm.
    pub fn folder(&mut self, name: &[u8]) -> Result<(), UnpackError> {
        self.room.take_entry()?;
        let path = checked(name)?;
        match self.known.get(&path) {
            _ if path.as_os_str().is_empty() => Ok(()),
            Some(Kind::Folder) => Ok(()),
            Some(Kind::File | Kind::Link) => Err(refused(name, "is a folder where there is something else")),
            None => {
                self.make_parents(name, &path)?;
                self.make_folder(path)
            }
        }
    }

    /// A file, written out from `content`.
    pub fn file(&mut self, name: &[u8], is_executable: bool, content: impl Read) -> Result<(), UnpackError> {
        let path = self.new_entry(name)?;
        let place = self.root.join(&path);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&place)
            .map_err(|error| io(&place, error))?;
        self.copy(content, &mut file, &place)?;
        let mode = if is_executable { 0o555 } else { 0o444 };
        file.set_permissions(fs::Permissions::from_mode(mode))
            .map_err(|error| io(&place, error))?;
        self.known.insert(path, Kind::File);
        self.has_file = true;
        Ok(())
    }

    /// A symbolic link. Where it leads is looked at when all is there.
    pub fn link(&mut self, name: &[u8], target: &[u8]) -> Result<(), UnpackError> {
        let path = self.new_entry(name)?;
        let target = std::str::from_utf8(target)
            .ok()
            .filter(|target| is_plain(target) && !target.starts_with('/') && target.len() <= NAME_BYTES_MAX);
        let target =
            target.ok_or_else(|| refused(name, "is a link whose target is absolute or unreadable"))?;
        let place = self.root.join(&path);
        std::os::unix::fs::symlink(target, &place).map_err(|error| io(&place, error))?;
        self.known.insert(path, Kind::Link);
        Ok(())
    }

    /// A hard link to a file of the same archive.
    pub fn hard_link(&mut self, name: &[u8], target: &[u8]) -> Result<(), UnpackError> {
        let path = self.new_entry(name)?;
        let original = checked(target)
            .ok()
            .filter(|target| self.known.get(target) == Some(&Kind::File));
        let original =
            original.ok_or_else(|| refused(name, "is a hard link to something that is no file before it"))?;
        let place = self.root.join(&path);
        fs::hard_link(self.root.join(original), &place).map_err(|error| io(&place, error))?;
        self.known.insert(path, Kind::File);
        Ok(())
    }

    /// Everything is there: no link leads out or nowhere, and there is something at all.
    pub fn finish(self) -> Result<(), UnpackError> {
        let real = fs::canonicalize(&self.root).map_err(|error| io(&self.root, error))?;
        let links = self.known.iter().filter(|(_, kind)| **kind == Kind::Link);
        for (path, _) in links {
            let name = path.as_os_str().as_encoded_bytes();
            match fs::canonicalize(self.root.join(path)) {
                Ok(end) if end.starts_with(&real) => {}
                Ok(_) => return Err(refused(name, "is a link that leads out of the archive")),
                Err(_) => return Err(refused(name, "is a link that leads nowhere")),
            }
        }
        if self.has_file {
            Ok(())
        } else {
            Err(UnpackError::Empty)
        }
    }

    /// The checked path of an entry that must not be there yet, with the folders above it.
    fn new_entry(&mut self, name: &[u8]) -> Result<PathBuf, UnpackError> {
        self.room.take_entry()?;
        let path = checked(name)?;
        if path.as_os_str().is_empty() {
            return Err(refused(name, "has no name"));
        }
        if self.known.contains_key(&path) {
            return Err(refused(name, "stands there twice"));
        }
        self.make_parents(name, &path)?;
        Ok(path)
    }

    /// Archives need not name a folder before what is in it.
    fn make_parents(&mut self, name: &[u8], path: &Path) -> Result<(), UnpackError> {
        let mut parents: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_owned).collect();
        parents.retain(|parent| !parent.as_os_str().is_empty());
        for parent in parents.into_iter().rev() {
            match self.known.get(&parent) {
                Some(Kind::Folder) => {}
                Some(Kind::File) => return Err(refused(name, "lies below a file")),
                Some(Kind::Link) => return Err(refused(name, "lies behind a link")),
                None => self.make_folder(parent)?,
            }
        }
        Ok(())
    }

    fn make_folder(&mut self, path: PathBuf) -> Result<(), UnpackError> {
        let place = self.root.join(&path);
        let made = fs::create_dir(&place)
            .and_then(|()| fs::set_permissions(&place, fs::Permissions::from_mode(0o755)));
        made.map_err(|error| io(&place, error))?;
        self.known.insert(path, Kind::Folder);
        Ok(())
    }

    fn copy(&mut self, mut content: impl Read, file: &mut fs::File, place: &Path) -> Result<(), UnpackError> {
        loop {
            let read = match content.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(UnpackError::Cut {
                        error: crate::names::shown(&error.to_string()),
                    });
                }
            };
            self.room.take_bytes(read as u64)?;
            let bytes = self.buffer.get(..read).unwrap_or_default();
            file.write_all(bytes).map_err(|error| io(place, error))?;
        }
    }
}

/// The path below the folder that an entry's name means: relative, without `..`, readable, not too deep.
fn checked(name: &[u8]) -> Result<PathBuf, UnpackError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(refused(name, "has too long a name"));
    }
    let text = std::str::from_utf8(name)
        .ok()
        .filter(|text| is_plain(text))
        .ok_or_else(|| refused(name, "has bytes in its name that no file name should have"))?;
    if text.starts_with('/') {
        return Err(refused(name, "has an absolute name"));
    }
    let steps: Vec<&str> = text
        .split('/')
        .filter(|step| !step.is_empty() && *step != ".")
        .collect();
    if steps.contains(&"..") {
        return Err(refused(name, "has `..` in its name"));
    }
    if steps.len() > DEPTH_MAX {
        return Err(refused(name, "lies too deep"));
    }
    Ok(steps.into_iter().collect())
}

fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() || c == '\\')
}

/// An entry that is refused. Its name is cut and escaped: it goes to terminals.
pub(super) fn refused(name: &[u8], why: impl Into<String>) -> UnpackError {
    const SHOWN: usize = 80;
    let text = String::from_utf8_lossy(name);
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_default).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    UnpackError::Entry {
        entry: shown,
        why: why.into(),
    }
}

fn io(path: &Path, error: std::io::Error) -> UnpackError {
    UnpackError::Io {
        path: path.to_owned(),
        error,
    }
}
