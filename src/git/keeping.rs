//! Keeping a clone true, blocking: update it, judge its history; [`renewal`] replaces it when it is damaged or has grown.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use gix::ThreadSafeRepository;

use super::clone::{
    ACCEPTED_REF, AcceptedNote, CloneFolder, FETCHED_REF, SyncedPacks, commit_id, pack_count, read_ref,
    sync_to_disk, write_ref,
};
use super::commit::Commit;
use super::error::GitError;
use super::fetch::{Contact, Reach, Step, Update};
use super::history::{Relation, relation};
use super::settings::GitSettings;
use super::transport::HttpClient;
use super::tree::{CommitTree, root_of};
use super::walk::{Change, Walk};
use super::watch::Watch;
use crate::names::CommitId;

/// Each look further back for the accepted commit reaches so many times as far; after some of them, for all of history.
const DEEPEN_FACTOR: NonZeroU32 = NonZeroU32::MIN.saturating_add(7);
const DEEPEN_STEPS_MAX: u32 = 3;

/// The memory for trees that a walk through history meets again and again, in bytes.
const WALK_CACHE_BYTES: usize = 8 << 20;

mod renewal;

/// A clone and what is to be kept in it.
pub(super) struct Keeping {
    settings: GitSettings,
    folder: CloneFolder,
    clone: Mutex<ThreadSafeRepository>,
    http: HttpClient,
    /// The last judgement about two commits, so that an unchanged branch is not walked again.
    judged: Mutex<Option<(gix::ObjectId, gix::ObjectId, Relation)>>,
    /// A reader met an object that cannot be read.
    is_suspect: Arc<AtomicBool>,
    mended_at: Mutex<Vec<Instant>>,
    tidied_at: Mutex<Option<Instant>>,
    /// Packs that are known to be on the disk.
    synced: Mutex<SyncedPacks>,
}

impl Keeping {
    pub(super) fn open(settings: GitSettings, folder: &Path) -> Result<Self, GitError> {
        let folder = CloneFolder::prepare(folder)?;
        let clone = folder.open_or_create()?;
        Ok(Self {
            settings,
            folder,
            clone: Mutex::new(clone),
            http: HttpClient::default(),
            judged: Mutex::default(),
            is_suspect: Arc::default(),
            mended_at: Mutex::default(),
            tidied_at: Mutex::default(),
            synced: Mutex::default(),
        })
    }

    pub(super) fn settings(&self) -> &GitSettings {
        &self.settings
    }

    /// A handle of its own for the calling thread.
    fn handle(&self) -> gix::Repository {
        lock(&self.clone).to_thread_local()
    }

    /// The branch's head as it was fetched last.
    pub(super) fn fetched(&self) -> Result<Option<CommitId>, GitError> {
        Ok(read_ref(&self.handle(), FETCHED_REF)?.and_then(commit_id))
    }

    /// The commit that was accepted last.
    pub(super) fn accepted(&self) -> Option<CommitId> {
        self.folder.accepted(&self.handle()).and_then(commit_id)
    }

    pub(super) fn commit(&self, commit: &CommitId) -> Result<Commit, GitError> {
        Commit::read(&self.handle(), git_id(commit)?)
    }

    pub(super) fn tree(&self, commit: &CommitId) -> Result<CommitTree, GitError> {
        let repository = self.handle();
        let root = self.noticing(root_of(&repository, git_id(commit)?))?;
        Ok(CommitTree::new(repository, root).telling(self.is_suspect.clone()))
    }

    pub(super) fn changes(
        &self,
        commit: &CommitId,
        path: &str,
        count_max: usize,
    ) -> Result<Vec<Change>, GitError> {
        self.walk(commit, path, |walk, start| walk.changes(start, count_max))
    }

    pub(super) fn change_of_line(
        &self,
        commit: &CommitId,
        path: &str,
        line: usize,
    ) -> Result<Option<Change>, GitError> {
        self.walk(commit, path, |walk, start| walk.change_of_line(start, line))
    }

    fn walk<T>(
        &self,
        commit: &CommitId,
        path: &str,
        read: impl FnOnce(&Walk<'_>, gix::ObjectId) -> Result<T, GitError>,
    ) -> Result<T, GitError> {
        let mut repository = self.handle();
        repository.object_cache_size_if_unset(WALK_CACHE_BYTES);
        let walk = Walk::over(&repository, path);
        self.noticing(read(&walk, git_id(commit)?))
    }

    /// Damage that a reader meets is mended by the next update.
    fn noticing<T>(&self, done: Result<T, GitError>) -> Result<T, GitError> {
        if let Err(GitError::Damaged { .. }) = done {
            self.is_suspect.store(true, Ordering::SeqCst);
        }
        done
    }

    /// Takes a commit as accepted.
    pub(super) fn accept(&self, commit: &CommitId) -> Result<AcceptedNote, GitError> {
        let repository = self.handle();
        let id = git_id(commit)?;
        Commit::read(&repository, id)?;
        if read_ref(&repository, ACCEPTED_REF)? != Some(id) {
            write_ref(&repository, ACCEPTED_REF, id)?;
        }
        self.folder.note_accepted(commit, &self.settings)
    }

    /// Takes over what was noted as accepted, unless this clone knows by itself.
    pub(super) fn remember(&self, note: &AcceptedNote) -> Result<(), GitError> {
        self.folder.remember(note)
    }

    /// Makes what was accepted, with its objects, outlive a power cut.
    pub(super) fn sync(&self) -> Result<(), GitError> {
        let path = self.handle().path().to_owned();
        sync_to_disk(&path, &mut lock(&self.synced))?;
        self.folder.sync_note()
    }

    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method itself is not general over the contact's lifetime"
    )]
    pub(super) fn remote_head(&self, watch: &Arc<Watch>) -> Result<CommitId, GitError> {
        self.contact(&self.handle(), watch, |contact| contact.remote_head())
    }

    fn contact<T>(
        &self,
        repository: &gix::Repository,
        watch: &Arc<Watch>,
        talk: impl FnOnce(&Contact<'_>) -> Result<T, GitError>,
    ) -> Result<T, GitError> {
        let done = talk(&Contact {
            repository,
            settings: &self.settings,
            http: &self.http,
            watch,
        });
        if let Err(GitError::Certificate { .. }) = done {
            // Perhaps the file of certificates has been put right since it was read.
            self.http.forget();
        }
        done
    }

    /// Brings the clone up to date. One that turns out to be damaged is cloned anew, one that has grown is exchanged when
    /// nobody waits for news.
    pub(super) fn update(&self, watch: &Arc<Watch>) -> Result<Update, GitError> {
        let done = self.update_mending(watch);
        if let Ok(Update::Unchanged { .. }) | Err(GitError::HistoryRewritten { .. }) = done
            && let Err(error) = self.tidy(watch)
        {
            tracing::warn!(%error, "the clone has grown and cannot be exchanged for a fresh one");
        }
        done
    }

    fn update_mending(&self, watch: &Arc<Watch>) -> Result<Update, GitError> {
        let done = if self.is_suspect.load(Ordering::SeqCst) {
            Err(GitError::Damaged {
                path: self.folder.current(),
                reason: "an object in it could not be read".to_owned(),
            })
        } else {
            self.update_as_it_is(watch)
        };
        let is_ours = match &done {
            Err(GitError::Damaged { .. }) => true,
            // Nothing went wrong on the way, and still gix stumbled: the pack that came, or one of ours, or nothing is left
            // of the clone.
            Err(GitError::Broken { .. }) => {
                let is_gone = !self.folder.current().join("objects/pack").is_dir();
                watch.failure().is_none() && (is_gone || pack_count(&self.handle()) > 0)
            }
            _ => false,
        };
        match done {
            Err(error) if is_ours && self.may_mend() => {
                tracing::warn!(%error, "cloning the repository anew");
                self.mend(watch)?;
                self.update_as_it_is(watch)
            }
            done => done,
        }
    }

    fn update_as_it_is(&self, watch: &Arc<Watch>) -> Result<Update, GitError> {
        let repository = self.handle();
        let previous = read_ref(&repository, FETCHED_REF)?.and_then(commit_id);
        let reach = Reach::New(self.settings.depth);
        let (head, is_new) = match self.contact(&repository, watch, |contact| contact.fetch(reach))? {
            Step::Unchanged(head) => (head, false),
            Step::Fetched(head) => (head, true),
            Step::OtherHash(hash) => (self.change_hash(hash, watch)?, true),
        };
        let repository = self.handle();
        let head_id = self.usable(&repository, head)?;
        self.judge(&repository, head, &head_id, watch)?;
        Ok(if is_new {
            Update::Fetched {
                head: head_id,
                previous,
            }
        } else {
            Update::Unchanged { head: head_id }
        })
    }

    /// The head's id, if it is a commit whose root tree is here.
    fn usable(&self, repository: &gix::Repository, head: gix::ObjectId) -> Result<CommitId, GitError> {
        let id = commit_id(head).ok_or_else(|| GitError::NoSuchCommit {
            revision: head.to_string(),
        })?;
        match root_of(repository, head) {
            Ok(_) => Ok(id),
            Err(GitError::NoSuchCommit { .. }) if !repository.has_object(head) => Err(GitError::Damaged {
                path: repository.path().to_owned(),
                reason: format!("{head} is missing after it was fetched"),
            }),
            Err(GitError::NoSuchCommit { .. }) => Err(GitError::BadCommit {
                url: self.settings.url.clone(),
                commit: id,
                reason: "the branch points to something that is no commit".to_owned(),
            }),
            Err(error) => Err(error),
        }
    }

    /// Refuses a head that does not descend from the accepted commit.
    fn judge(
        &self,
        repository: &gix::Repository,
        head: gix::ObjectId,
        head_id: &CommitId,
        watch: &Arc<Watch>,
    ) -> Result<(), GitError> {
        let Some(accepted) = self.folder.accepted(repository) else {
            return Ok(());
        };
        let known = lock(&self.judged).filter(|(old, new, _)| (*old, *new) == (accepted, head));
        let verdict = match known {
            Some((_, _, verdict)) => verdict,
            None => self.relation_with_deepening(repository, accepted, head, watch)?,
        };
        *lock(&self.judged) = Some((accepted, head, verdict));
        match (verdict, commit_id(accepted)) {
            (Relation::Descends, _) if read_ref(repository, ACCEPTED_REF)?.is_none() => {
                // A fresh clone has found it again.
                write_ref(repository, ACCEPTED_REF, accepted)
            }
            (Relation::Descends, _) | (_, None) => Ok(()),
            // Whoever changed the address or the branch in the configuration has given their word.
            (Relation::Rewritten | Relation::BeyondTheClone, _)
                if !self.folder.is_source_of_accepted(&self.settings) =>
            {
                Ok(())
            }
            (Relation::Rewritten | Relation::BeyondTheClone, Some(old)) => Err(GitError::HistoryRewritten {
                old,
                new: head_id.clone(),
            }),
        }
    }

    fn relation_with_deepening(
        &self,
        repository: &gix::Repository,
        accepted: gix::ObjectId,
        head: gix::ObjectId,
        watch: &Arc<Watch>,
    ) -> Result<Relation, GitError> {
        let mut verdict = relation(repository, accepted, head)?;
        let mut depth = self.settings.depth;
        for step in 0..=DEEPEN_STEPS_MAX {
            if verdict != Relation::BeyondTheClone {
                break;
            }
            depth = depth
                .map(|depth| depth.saturating_mul(DEEPEN_FACTOR))
                .filter(|_| step < DEEPEN_STEPS_MAX);
            let reach = depth.map_or(Reach::Everything, Reach::Deepen);
            self.contact(repository, watch, |contact| contact.fetch(reach))?;
            verdict = relation(repository, accepted, head)?;
            if reach == Reach::Everything {
                break;
            }
        }
        Ok(verdict)
    }
}

fn git_id(commit: &CommitId) -> Result<gix::ObjectId, GitError> {
    gix::ObjectId::from_hex(commit.as_str().as_bytes()).map_err(|_| GitError::NoSuchCommit {
        revision: commit.to_string(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
