//! Where artefacts lie: one read-only folder each, under an id that says what is in it.
//!
//! Written beside and renamed: a folder under its id is always whole, so a crash leaves only a `.new-…` that the next
//! sweep removes. One folder serves every app and restart that names the same id. Whoever sweeps leaves alone what is
//! being written, and what was handed out since it was said what is to be kept.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::names::ArtefactId;

/// What is being written has this before its name.
const UNFINISHED: &str = ".new-";
/// What is being removed, this.
const DISCARDED: &str = ".old-";
/// What has come of a download, this; the rest of the name is the artefact that it becomes.
const PARTIAL: &str = ".part-";

/// Why an artefact could not be put where artefacts are. Nothing of it is used then.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {error}")]
pub struct StoreError {
    /// Where.
    pub path: PathBuf,
    /// Why.
    pub error: std::io::Error,
}

/// The artefacts of a node.
#[derive(Debug, Clone)]
pub struct ArtefactStore {
    root: PathBuf,
    use_of: Arc<Mutex<Use>>,
}

/// Which folders somebody needs.
#[derive(Debug, Default)]
struct Use {
    /// By the newest word.
    keep: BTreeSet<ArtefactId>,
    /// Since that word.
    handed_out: BTreeSet<ArtefactId>,
    /// Being written.
    unfinished: BTreeSet<String>,
}

impl Use {
    fn needs(&self, name: &str) -> bool {
        let artefact = name.strip_prefix(PARTIAL).unwrap_or(name);
        self.keep.contains(artefact) || self.handed_out.contains(name) || self.unfinished.contains(name)
    }
}

/// While it is held, no sweep removes what it names.
#[derive(Debug)]
pub(super) struct Claim {
    use_of: Arc<Mutex<Use>>,
    name: String,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Nothing panics while it is held.
        let mut uses = self.use_of.lock().unwrap_or_else(PoisonError::into_inner);
        uses.unfinished.remove(&self.name);
    }
}

impl ArtefactStore {
    /// Those below `root`.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        let use_of = Arc::default();
        Self { root, use_of }
    }

    fn uses(&self) -> MutexGuard<'_, Use> {
        // Nothing panics while it is held.
        self.use_of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, id: &ArtefactId) -> PathBuf {
        self.root.join(id.as_str())
    }

    /// The folder with this id, if it was written out before. Blocking.
    #[must_use]
    pub fn find(&self, id: &ArtefactId) -> Option<PathBuf> {
        let place = self.place(id);
        let mut uses = self.uses();
        place.is_dir().then(|| {
            uses.handed_out.insert(id.clone());
            place
        })
    }

    /// Has `fill` make the folder with this id, unless it is there. Blocking.
    ///
    /// # Errors
    /// What `fill` says, or the disk.
    pub fn put<E: From<StoreError>>(
        &self,
        id: &ArtefactId,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        if let Some(place) = self.find(id) {
            return Ok(place);
        }
        self.make_root()?;
        let place = self.place(id);
        let name = format!("{UNFINISHED}{:016x}", fastrand::u64(..));
        let unfinished = self.root.join(&name);
        let claim = self.claim(name);
        let written = fill(&unfinished).and_then(|()| Ok(flush(&unfinished)?));
        let mut uses = self.uses();
        let published = written.and_then(|()| Ok(publish(&unfinished, &place)?));
        if published.is_ok() {
            uses.handed_out.insert(id.clone());
        }
        drop(uses);
        drop(claim);
        if published.is_err() {
            remove_tree(&unfinished);
        }
        published.map(|()| place)
    }

    /// The file in which a download for this artefact lies until it is whole. It is kept for the next try as long as the
    /// artefact is wanted, and while the claim is held.
    ///
    /// # Errors
    /// The folder of artefacts cannot be made.
    pub(super) fn partial(&self, id: &ArtefactId) -> Result<(PathBuf, Claim), StoreError> {
        self.make_root()?;
        let name = format!("{PARTIAL}{id}");
        Ok((self.root.join(&name), self.claim(name)))
    }

    /// How much of the disk all artefacts take, in bytes. Blocking.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        disk_bytes(&self.root)
    }

    fn make_root(&self) -> Result<(), StoreError> {
        fs::create_dir_all(&self.root).map_err(|error| io(&self.root, error))
    }

    fn claim(&self, name: String) -> Claim {
        self.uses().unfinished.insert(name.clone());
        Claim {
            use_of: Arc::clone(&self.use_of),
            name,
        }
    }

    /// Says which folders are needed from now on; to be followed by a [`ArtefactStore::sweep`].
    pub fn keep(&self, ids: BTreeSet<ArtefactId>) {
        let mut uses = self.uses();
        uses.keep = ids;
        uses.handed_out.clear();
    }

    /// Removes every folder that nobody needs, and what a crash left half-written. Blocking. Best effort: what stays is
    /// tried again.
    pub fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.root) else {
            return;
        };
        for entry in entries.flatten() {
            let discarded = self.root.join(format!("{DISCARDED}{:016x}", fastrand::u64(..)));
            let uses = self.uses();
            let is_needed = entry.file_name().to_str().is_some_and(|name| uses.needs(name));
            if is_needed {
                continue;
            }
            // Out of the way in one step: nobody finds half of it under its id.
            let place = match fs::rename(entry.path(), &discarded) {
                Ok(()) => discarded,
                Err(_) => continue,
            };
            drop(uses);
            remove_tree(&place);
        }
    }
}

/// A power cut may lose the folder, never leave half of it under its final name.
fn flush(unfinished: &Path) -> Result<(), StoreError> {
    fs::File::open(unfinished)
        .and_then(|folder| rustix::fs::syncfs(&folder).map_err(std::io::Error::from))
        .map_err(|error| io(unfinished, error))
}

/// Gives the whole folder its final name.
fn publish(unfinished: &Path, place: &Path) -> Result<(), StoreError> {
    match fs::rename(unfinished, place) {
        // Somebody else was faster: the content is the same by its id.
        Err(_) if place.is_dir() => {
            remove_tree(unfinished);
            Ok(())
        }
        other => other.map_err(|error| io(place, error)),
    }
}

fn remove_tree(place: &Path) {
    let removed = if place.is_dir() && !place.is_symlink() {
        fs::remove_dir_all(place)
    } else {
        fs::remove_file(place)
    };
    if let Err(error) = removed
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::debug!(place = %place.display(), %error, "an artefact cannot be removed yet");
    }
}

/// What lies below `place`, each file once however many names it has here.
fn disk_bytes(place: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    let mut folders = vec![place.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(found) => bytes += found.blocks() * 512 / found.nlink().max(1),
                Err(_) => {}
            }
        }
    }
    bytes
}

fn io(path: &Path, error: std::io::Error) -> StoreError {
    StoreError {
        path: path.to_owned(),
        error,
    }
}
