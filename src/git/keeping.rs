//! Keeping a clone true, blocking: update it, judge its history, mend it, keep it small.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gix::ThreadSafeRepository;

use super::clone::{ACCEPTED_REF, CloneFolder, FETCHED_REF, commit_id, read_ref, write_ref};
use super::commit::Commit;
use super::error::{GitError, chain_text};
use super::fetch::{Contact, Reach, Step, Update};
use super::history::{Relation, relation};
use super::settings::GitSettings;
use super::transport::HttpClient;
use super::tree::CommitTree;
use super::watch::Watch;
use crate::names::CommitId;

/// Each look further back for the accepted commit reaches so many times as far; after some of them, for all of history.
const DEEPEN_FACTOR: u32 = 8;
const DEEPEN_STEPS_MAX: u32 = 3;

/// A clone and what is to be kept in it.
pub(super) struct Keeping {
    settings: GitSettings,
    folder: CloneFolder,
    clone: Mutex<ThreadSafeRepository>,
    http: HttpClient,
    /// The last judgement about two commits, so that an unchanged branch is not walked again.
    judged: Mutex<Option<(gix::ObjectId, gix::ObjectId, Relation)>>,
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
            judged: Mutex::new(None),
        })
    }

    pub(super) fn settings(&self) -> &GitSettings {
        &self.settings
    }

    /// A handle of its own for the calling thread.
    fn handle(&self) -> gix::Repository {
        lock(&self.clone).to_thread_local()
    }

    pub(super) fn reference(&self, name: &str) -> Result<Option<gix::ObjectId>, GitError> {
        read_ref(&self.handle(), name)
    }

    pub(super) fn commit(&self, commit: &CommitId) -> Result<Commit, GitError> {
        Commit::read(&self.handle(), git_id(commit)?)
    }

    pub(super) fn accept(&self, commit: &CommitId) -> Result<(), GitError> {
        let repository = self.handle();
        let id = git_id(commit)?;
        Commit::read(&repository, id)?;
        write_ref(&repository, ACCEPTED_REF, id)
    }

    pub(super) fn tree(&self, commit: &CommitId) -> Result<CommitTree, GitError> {
        let repository = self.handle();
        let root = root_of(&repository, git_id(commit)?)?;
        Ok(CommitTree::new(repository, root))
    }

    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method itself is not general over the contact's lifetime"
    )]
    pub(super) fn remote_head(&self, watch: &Arc<Watch>) -> Result<CommitId, GitError> {
        self.contact(watch, |contact| contact.remote_head())
    }

    fn contact<T>(
        &self,
        watch: &Arc<Watch>,
        talk: impl FnOnce(&Contact<'_>) -> Result<T, GitError>,
    ) -> Result<T, GitError> {
        let done = talk(&Contact {
            repository: &self.handle(),
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

    /// Brings the clone up to date. A damaged one is set aside and cloned anew, once.
    pub(super) fn update(&self, watch: &Arc<Watch>) -> Result<Update, GitError> {
        match self.update_as_it_is(watch) {
            Err(GitError::Damaged { path, reason }) => {
                tracing::warn!(path = %path.display(), reason, "the local clone is damaged; cloning it again");
                self.start_afresh(gix::hash::Kind::Sha1)?;
                self.update_as_it_is(watch)
            }
            done => done,
        }
    }

    fn update_as_it_is(&self, watch: &Arc<Watch>) -> Result<Update, GitError> {
        let previous = self.reference(FETCHED_REF)?;
        let mut step = self.contact(watch, |contact| contact.fetch(Reach::New(self.settings.depth)))?;
        if let Step::OtherHash(hash) = step {
            self.start_afresh(hash)?;
            step = self.contact(watch, |contact| contact.fetch(Reach::New(self.settings.depth)))?;
        }
        let (head, is_new) = match step {
            Step::Unchanged(head) => (head, false),
            Step::Fetched(head) => (head, true),
            Step::OtherHash(hash) => {
                return Err(GitError::Broken {
                    url: self.settings.url.clone(),
                    reason: format!("it cannot decide for a hash: now {hash}"),
                });
            }
        };
        let repository = self.handle();
        let head_id = commit_id(head).ok_or_else(|| GitError::NoSuchCommit {
            revision: head.to_string(),
        })?;
        root_of(&repository, head)?;
        self.judge(head, &head_id, watch)?;
        Ok(if is_new {
            Update::Fetched {
                head: head_id,
                previous: previous.and_then(commit_id),
            }
        } else {
            Update::Unchanged { head: head_id }
        })
    }

    /// Refuses a head that does not descend from the accepted commit.
    fn judge(&self, head: gix::ObjectId, head_id: &CommitId, watch: &Arc<Watch>) -> Result<(), GitError> {
        let Some(accepted) = self.reference(ACCEPTED_REF)? else {
            return Ok(());
        };
        let known = lock(&self.judged).filter(|(old, new, _)| (*old, *new) == (accepted, head));
        let verdict = match known {
            Some((_, _, verdict)) => verdict,
            None => self.relation_with_deepening(accepted, head, watch)?,
        };
        *lock(&self.judged) = Some((accepted, head, verdict));
        match (verdict, commit_id(accepted)) {
            (Relation::Descends, _) => Ok(()),
            (Relation::Rewritten | Relation::BeyondTheClone, Some(old)) => Err(GitError::HistoryRewritten {
                old,
                new: head_id.clone(),
            }),
            (Relation::Rewritten | Relation::BeyondTheClone, None) => Ok(()),
        }
    }

    fn relation_with_deepening(
        &self,
        accepted: gix::ObjectId,
        head: gix::ObjectId,
        watch: &Arc<Watch>,
    ) -> Result<Relation, GitError> {
        let mut verdict = relation(&self.handle(), accepted, head)?;
        let mut depth = self.settings.depth;
        for step in 0..=DEEPEN_STEPS_MAX {
            if verdict != Relation::BeyondTheClone {
                break;
            }
            depth =
                depth.map(|depth| depth.saturating_mul(NonZeroU32::MIN.saturating_add(DEEPEN_FACTOR - 1)));
            let reach = match depth {
                Some(depth) if step < DEEPEN_STEPS_MAX => Reach::Deepen(depth),
                Some(_) | None => Reach::Everything,
            };
            self.contact(watch, |contact| contact.fetch(reach))?;
            verdict = relation(&self.handle(), accepted, head)?;
        }
        Ok(verdict)
    }

    /// Sets the clone aside and begins an empty one that knows only what was accepted.
    fn start_afresh(&self, hash: gix::hash::Kind) -> Result<(), GitError> {
        let accepted = self.reference(ACCEPTED_REF).ok().flatten();
        let fresh = self.folder.create_fresh(hash)?;
        if let Some(accepted) = accepted.filter(|accepted| accepted.kind() == hash) {
            write_ref(&fresh.to_thread_local(), ACCEPTED_REF, accepted)?;
        }
        drop(fresh);
        let mut clone = lock(&self.clone);
        self.folder.set_aside()?;
        *clone = self.folder.exchange()?;
        Ok(())
    }
}

fn git_id(commit: &CommitId) -> Result<gix::ObjectId, GitError> {
    gix::ObjectId::from_hex(commit.as_str().as_bytes()).map_err(|_| GitError::NoSuchCommit {
        revision: commit.to_string(),
    })
}

/// The root tree of a commit; reading both proves that the clone holds them whole.
fn root_of(repository: &gix::Repository, commit: gix::ObjectId) -> Result<gix::ObjectId, GitError> {
    let damaged = |error: gix::Error| GitError::Damaged {
        path: repository.path().to_owned(),
        reason: chain_text(&error),
    };
    let Some(object) = repository.try_find_object(commit).map_err(damaged)? else {
        return Err(GitError::NoSuchCommit {
            revision: commit.to_string(),
        });
    };
    let Ok(found) = object.try_into_commit() else {
        return Err(GitError::NoSuchCommit {
            revision: commit.to_string(),
        });
    };
    let root = found
        .tree_id()
        .map_err(|error| GitError::Damaged {
            path: repository.path().to_owned(),
            reason: error.to_string(),
        })?
        .detach();
    repository.find_tree(root).map_err(damaged)?;
    Ok(root)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
