//! Has a branch of a repository on this machine moved? Read from its files, without starting a process.
//!
//! Only an answer that leaves no doubt is given: an id in a plain reference file or in `packed-refs`. For everything
//! else (linked work trees, symbolic branches, reftables, whatever is no plain file) `git upload-pack` is asked.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::names::BranchName;

/// A reference file holds an id and a line feed.
const REF_BYTES_MAX: u64 = 256;

/// The largest `packed-refs` that is read: 100,000 references.
const PACKED_BYTES_MAX: u64 = 8 << 20;

/// The id that `branch` has in the repository at `path`, if that is plain to see.
pub(super) fn branch_head(path: &Path, branch: &BranchName) -> Option<gix::ObjectId> {
    let git_dir = git_dir(path)?;
    let name = format!("refs/heads/{branch}");
    match read_plain(&git_dir.join(&name), REF_BYTES_MAX) {
        Plain::Bytes(bytes) => gix::ObjectId::from_hex(bytes.trim_ascii()).ok(),
        Plain::Absent => match read_plain(&git_dir.join("packed-refs"), PACKED_BYTES_MAX) {
            Plain::Bytes(bytes) => packed(&bytes, name.as_bytes()),
            Plain::Absent | Plain::Unclear => None,
        },
        Plain::Unclear => None,
    }
}

fn git_dir(path: &Path) -> Option<PathBuf> {
    let inside = path.join(".git");
    let git_dir = if inside.is_dir() { inside } else { path.to_owned() };
    let is_simple = git_dir.join("HEAD").is_file()
        && git_dir.join("refs").is_dir()
        && !git_dir.join("reftable").exists()
        && !git_dir.join("commondir").exists();
    is_simple.then_some(git_dir)
}

enum Plain {
    Bytes(Vec<u8>),
    Absent,
    Unclear,
}

/// A plain file's bytes. A pipe in its place must not keep us waiting, a link not lead us away.
fn read_plain(path: &Path, bytes_max: u64) -> Plain {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
    }
    let file: File = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Plain::Absent,
        Err(_) => return Plain::Unclear,
    };
    let is_fit = file
        .metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= bytes_max);
    let mut bytes = Vec::new();
    if is_fit && file.take(bytes_max).read_to_end(&mut bytes).is_ok() {
        Plain::Bytes(bytes)
    } else {
        Plain::Unclear
    }
}

/// The id of `name` in the text of a `packed-refs` file.
fn packed(text: &[u8], name: &[u8]) -> Option<gix::ObjectId> {
    text.split(|&byte| byte == b'\n')
        .filter(|line| !line.starts_with(b"#") && !line.starts_with(b"^"))
        .find_map(|line| line.strip_suffix(name)?.strip_suffix(b" "))
        .and_then(|id| gix::ObjectId::from_hex(id).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789012345678901234567890123456789";

    fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
        let room = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(room.path().join("refs/heads")).unwrap();
        for (name, text) in [("HEAD", "ref: refs/heads/main\n")].iter().chain(files) {
            let path = room.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        room
    }

    fn head(room: &tempfile::TempDir) -> Option<String> {
        branch_head(room.path(), &"main".parse().unwrap()).map(|id| id.to_string())
    }

    #[test]
    fn a_plain_or_packed_branch_is_seen_and_the_plain_one_wins() {
        let line = format!("{ID}\n");
        let packed = format!(
            "# pack-refs with: peeled\n{} refs/heads/other/main\n{ID} refs/heads/main\n^{ID}\n",
            "1".repeat(40)
        );
        assert_eq!(
            head(&repository(&[("refs/heads/main", &line)])).as_deref(),
            Some(ID)
        );
        assert_eq!(
            head(&repository(&[("packed-refs", &packed)])).as_deref(),
            Some(ID)
        );
        let newer = format!("{}\n", "2".repeat(40));
        let both = repository(&[("refs/heads/main", &newer), ("packed-refs", &packed)]);
        assert_eq!(head(&both), Some("2".repeat(40)));
    }

    #[test]
    fn whatever_is_not_plain_is_left_to_git() {
        let line = format!("{ID}\n");
        assert_eq!(head(&repository(&[])), None);
        assert_eq!(
            head(&repository(&[("refs/heads/main", "ref: refs/heads/x\n")])),
            None
        );
        assert_eq!(head(&repository(&[("refs/heads/main", "")])), None);
        assert_eq!(
            head(&repository(&[
                ("refs/heads/main", &line),
                ("reftable/tables.list", "")
            ])),
            None
        );
        assert_eq!(
            head(&repository(&[("refs/heads/main", &line), ("commondir", "..")])),
            None
        );
        let room = repository(&[("elsewhere", &line)]);
        std::os::unix::fs::symlink("../../elsewhere", room.path().join("refs/heads/main")).unwrap();
        assert_eq!(head(&room), None);
        std::fs::remove_file(room.path().join("refs/heads/main")).unwrap();
        let pipe = room.path().join("refs/heads/main");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(head(&room), None);
    }
}
