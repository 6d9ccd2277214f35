//! Our bare clone on the disk: where it lies, how it is opened, what a killed predecessor left behind, how it is
//! exchanged for a fresh one.
//!
//! ```text
//! FOLDER/            0700
//!   current/         the bare repository in use
//!   fresh/           one that is being filled; thrown away at the next open
//!   old/             the former one, between two renames of an exchange
//!   damaged/         the last one that was set aside, for whoever wants to know why
//!   accepted         the accepted commit's id, and a digest of the address and branch that it came from
//! ```
//! The repository is written by hand (four files) and opened isolated: no system or user configuration, no `GIT_*`
//! variables, no hooks.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gix::ThreadSafeRepository;
use gix::refs::transaction::{Change, LogChange, PreviousValue, RefEdit, RefLog};
use serde::{Deserialize, Serialize};

use super::error::GitError;
use super::foreign_text::chain_text;
use super::settings::GitSettings;
use crate::names::CommitId;

/// The branch's head as it was fetched last.
pub(super) const FETCHED_REF: &str = "refs/osier/fetched";
/// The commit that this node accepted last.
pub(super) const ACCEPTED_REF: &str = "refs/osier/accepted";

/// Packs and lines of `shallow` at which the clone is exchanged for a fresh one: each fetch with news adds one of both,
/// and every lookup of an absent object asks every pack.
pub(super) const PACKS_MAX: usize = 32;

/// The largest object that is ever unpacked: a hostile pack may claim any size.
const OBJECT_BYTES_MAX: u64 = 256 << 20;

/// What was accepted last, and where it came from. Kept beside the clone, and to be kept by the node as well: whoever
/// loses the whole clone must not take a rewritten history for the first one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedNote {
    /// The commit.
    pub commit: CommitId,
    /// A digest of the repository's URL and branch: another source has another history.
    pub source: String,
}

/// The folder that holds the clone and its predecessors.
#[derive(Debug, Clone)]
pub(super) struct CloneFolder(PathBuf);

impl CloneFolder {
    /// The folder at `path`, made if need be, with what a killed predecessor left behind put in order.
    pub(super) fn prepare(path: &Path) -> Result<Self, GitError> {
        make_private(path)?;
        let folder = Self(path.to_owned());
        remove_all(&folder.fresh())?;
        if !folder.current().exists() && folder.old().exists() {
            // Killed between the two renames of an exchange: the former clone is whole.
            rename(&folder.old(), &folder.current())?;
        }
        remove_all(&folder.old())?;
        Ok(folder)
    }

    pub(super) fn current(&self) -> PathBuf {
        self.0.join("current")
    }

    pub(super) fn fresh(&self) -> PathBuf {
        self.0.join("fresh")
    }

    fn old(&self) -> PathBuf {
        self.0.join("old")
    }

    fn damaged(&self) -> PathBuf {
        self.0.join("damaged")
    }

    /// Opens the clone; where there is none, or one that git would not recognise, an empty one takes its place.
    pub(super) fn open_or_create(&self) -> Result<ThreadSafeRepository, GitError> {
        let current = self.current();
        if !current.exists() {
            return create(&current, gix::hash::Kind::Sha1);
        }
        remove_leftovers(&current)?;
        let reason = match open(&current) {
            Ok(repository) => return Ok(repository),
            Err(reason) => reason,
        };
        tracing::warn!(path = %current.display(), reason, "the local clone is damaged and is set aside");
        self.set_aside()?;
        create(&current, gix::hash::Kind::Sha1)
    }

    /// The commit that was accepted last: by the clone's reference, or by the note beside it where the clone is damaged
    /// or new. (gix cannot fetch into a clone that has a reference to a commit that is not there.)
    pub(super) fn accepted(&self, clone: &gix::Repository) -> Option<gix::ObjectId> {
        let known = read_ref(clone, ACCEPTED_REF).ok().flatten();
        known.or_else(|| gix::ObjectId::from_hex(self.note()?.commit.as_str().as_bytes()).ok())
    }

    /// Notes what is accepted and where it came from.
    pub(super) fn note_accepted(
        &self,
        commit: &CommitId,
        settings: &GitSettings,
    ) -> Result<AcceptedNote, GitError> {
        let note = AcceptedNote {
            commit: commit.clone(),
            source: digest_of_source(settings),
        };
        if self.note().as_ref() != Some(&note) {
            self.write_note(&note)?;
        }
        Ok(note)
    }

    /// Takes over a note that was kept elsewhere, unless there is one here.
    pub(super) fn remember(&self, note: &AcceptedNote) -> Result<(), GitError> {
        if self.note().is_some() {
            return Ok(());
        }
        self.write_note(note)
    }

    fn write_note(&self, note: &AcceptedNote) -> Result<(), GitError> {
        let temporary = self.0.join("accepted.tmp");
        write(&temporary, &format!("{} {}\n", note.commit, note.source))?;
        rename(&temporary, &self.note_path())
    }

    /// Makes the note of what is accepted outlive a power cut.
    pub(super) fn sync_note(&self) -> Result<(), GitError> {
        sync(&self.note_path())?;
        // And which of the folders in it is the clone.
        sync(&self.0)
    }

    /// Did the accepted commit come from here? Where that cannot be told, yes: a rewrite is then refused.
    pub(super) fn is_source_of_accepted(&self, settings: &GitSettings) -> bool {
        self.note()
            .is_none_or(|note| note.source == digest_of_source(settings))
    }

    fn note(&self) -> Option<AcceptedNote> {
        let text = fs::read_to_string(self.note_path()).ok()?;
        let (commit, source) = text.trim_end().split_once(' ')?;
        Some(AcceptedNote {
            commit: commit.parse().ok()?,
            source: source.to_owned(),
        })
    }

    fn note_path(&self) -> PathBuf {
        self.0.join("accepted")
    }

    /// Puts a damaged clone out of the way, if anything is left of it; only the last one is kept.
    pub(super) fn set_aside(&self) -> Result<(), GitError> {
        if !self.current().exists() {
            return Ok(());
        }
        remove_all(&self.damaged())?;
        rename(&self.current(), &self.damaged())
    }

    /// An empty repository to be filled, in `fresh/`.
    pub(super) fn create_fresh(&self, hash: gix::hash::Kind) -> Result<ThreadSafeRepository, GitError> {
        remove_all(&self.fresh())?;
        create(&self.fresh(), hash)
    }

    /// Puts `fresh/` in the place of `current/` by renaming. A kill at any moment leaves one whole clone.
    pub(super) fn exchange(&self) -> Result<ThreadSafeRepository, GitError> {
        let current = self.current();
        remove_all(&self.old())?;
        if current.exists() {
            rename(&current, &self.old())?;
        }
        rename(&self.fresh(), &current)?;
        remove_all(&self.old())?;
        open(&current).map_err(|reason| GitError::Damaged {
            path: current,
            reason,
        })
    }
}

/// Opens the bare repository at `path`, isolated from the machine's configuration.
pub(super) fn open(path: &Path) -> Result<ThreadSafeRepository, String> {
    gix::open::Options::isolated()
        .open_path_as_is(true)
        .with(gix::sec::Trust::Full)
        .config_overrides([
            "core.logAllRefUpdates=false".to_owned(),
            "gc.auto=0".to_owned(),
            format!("gitoxide.objects.allocLimit={OBJECT_BYTES_MAX}"),
        ])
        .open(path)
        .map_err(|error| chain_text(&error))
}

fn create(path: &Path, hash: gix::hash::Kind) -> Result<ThreadSafeRepository, GitError> {
    make_private(path)?;
    for folder in ["objects/pack", "objects/info", "refs/osier"] {
        let folder = path.join(folder);
        fs::create_dir_all(&folder).map_err(|error| GitError::io("create", &folder, &error))?;
    }
    let config = match hash {
        gix::hash::Kind::Sha256 => {
            "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = sha256\n"
        }
        _ => "[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
    };
    write(&path.join("config"), config)?;
    write(&path.join("HEAD"), "ref: refs/osier/fetched\n")?;
    open(path).map_err(|reason| GitError::Damaged {
        path: path.to_owned(),
        reason,
    })
}

/// The commit that `name` points to.
pub(super) fn read_ref(repository: &gix::Repository, name: &str) -> Result<Option<gix::ObjectId>, GitError> {
    let damaged = |error: gix::Error| GitError::Damaged {
        path: repository.path().to_owned(),
        reason: chain_text(&error),
    };
    let Some(reference) = repository.try_find_reference(name).map_err(damaged)? else {
        return Ok(None);
    };
    Ok(reference.target().try_id().map(ToOwned::to_owned))
}

/// Points `name` to `commit`, whatever it pointed to before.
pub(super) fn write_ref(
    repository: &gix::Repository,
    name: &str,
    commit: gix::ObjectId,
) -> Result<(), GitError> {
    let path = repository.path().join(name);
    let full_name = name
        .try_into()
        .map_err(|error: gix::validate::reference::name::Error| GitError::Io {
            action: "name",
            path: path.clone(),
            reason: error.to_string(),
        })?;
    let edit = RefEdit {
        change: Change::Update {
            log: LogChange {
                mode: RefLog::AndReference,
                force_create_reflog: false,
                message: Default::default(),
            },
            expected: PreviousValue::Any,
            new: gix::refs::Target::Object(commit),
        },
        name: full_name,
        deref: false,
    };
    repository
        .edit_reference(edit)
        .map(|_| ())
        .map_err(|error| GitError::Io {
            action: "write",
            path,
            reason: chain_text(&error),
        })
}

/// The address without credentials, and the branch: rotating a token is no other source.
fn digest_of_source(settings: &GitSettings) -> String {
    let source = format!("{}\0{}", settings.url.without_credentials(), settings.branch);
    blake3::hash(source.as_bytes()).to_hex().to_string()
}

/// Names of packs (which never change) that are known to be on the disk.
pub(super) type SyncedPacks = HashSet<OsString>;

/// Makes the clone's packs, boundary and references outlive a power cut: gix leaves them to the page cache.
pub(super) fn sync_to_disk(repository: &Path, synced: &mut SyncedPacks) -> Result<(), GitError> {
    let mut still_there = SyncedPacks::new();
    for folder in ["objects/pack", "refs/osier", ""] {
        let is_packs = folder == "objects/pack";
        let folder = repository.join(folder);
        let entries = fs::read_dir(&folder).map_err(|error| GitError::io("list", &folder, &error))?;
        for entry in entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        {
            if !(is_packs && synced.contains(&entry.file_name())) {
                sync(&entry.path())?;
            }
            if is_packs {
                still_there.insert(entry.file_name());
            }
        }
        sync(&folder)?;
    }
    *synced = still_there;
    Ok(())
}

fn sync(path: &Path) -> Result<(), GitError> {
    let synced = fs::File::open(path).and_then(|file| file.sync_all());
    match synced {
        // Another thread may have renamed it meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(|error| GitError::io("sync", path, &error)),
    }
}

/// How many packs there are.
pub(super) fn pack_count(repository: &gix::Repository) -> usize {
    let Ok(entries) = fs::read_dir(repository.path().join("objects/pack")) else {
        return 0;
    };
    entries
        .flatten()
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "pack")
        })
        .count()
}

/// The id as the rest of the house writes it.
pub(super) fn commit_id(id: gix::ObjectId) -> Option<CommitId> {
    id.to_string().parse().ok()
}

/// Takes away what a killed fetch left: locks, temporary packs, packs without an index. Nobody else works in here: the
/// data directory has one daemon.
fn remove_leftovers(repository: &Path) -> Result<(), GitError> {
    for folder in ["", "refs", "refs/heads", "refs/osier", "objects", "objects/pack"] {
        let folder = repository.join(folder);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(GitError::io("list", &folder, &error)),
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if is_leftover(&path) && entry.file_type().is_ok_and(|kind| !kind.is_dir()) {
                tracing::debug!(path = %path.display(), "removing what an interrupted fetch left");
                fs::remove_file(&path).map_err(|error| GitError::io("remove", &path, &error))?;
            }
        }
    }
    Ok(())
}

fn is_leftover(path: &Path) -> bool {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_orphan = |other: &str| !path.with_extension(other).exists();
    match extension {
        Some("lock" | "keep") => true,
        Some("pack") => is_orphan("idx"),
        Some("idx") => is_orphan("pack"),
        _ => name.starts_with("tmp_") || name.starts_with(".tmp"),
    }
}

fn make_private(path: &Path) -> Result<(), GitError> {
    fs::create_dir_all(path).map_err(|error| GitError::io("create", path, &error))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .map_err(|error| GitError::io("restrict", path, &error))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), GitError> {
    fs::write(path, text).map_err(|error| GitError::io("write", path, &error))
}

fn rename(from: &Path, to: &Path) -> Result<(), GitError> {
    fs::rename(from, to).map_err(|error| GitError::io("rename", from, &error))
}

fn remove_all(path: &Path) -> Result<(), GitError> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(GitError::io("remove", path, &error)),
    }
}
