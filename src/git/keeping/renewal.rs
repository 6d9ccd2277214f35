//! A fresh clone in the place of one that is damaged or has gathered too many packs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Keeping, lock};
use crate::git::clone::{ACCEPTED_REF, PACKS_MAX, SyncedPacks, pack_count, sync_to_disk, write_ref};
use crate::git::error::GitError;
use crate::git::fetch::{Reach, Step};
use crate::git::snapshot;
use crate::git::watch::Watch;

/// Damaged clones that are cloned anew by themselves within [`MENDS_PERIOD`]: a disk that damages more of them, or a
/// server whose repository is broken, needs a person.
const MENDS_MAX: usize = 3;
const MENDS_PERIOD: Duration = Duration::from_secs(3600);

/// How long to wait after a fresh clone did not come about, before the next is tried.
const TIDY_PAUSE: Duration = Duration::from_secs(600);

impl Keeping {
    /// Clones a damaged repository anew; what could be read of it stays beside.
    pub(super) fn mend(&self, watch: &Arc<Watch>) -> Result<(), GitError> {
        self.renew(self.handle().object_hash(), Former::SetAside, watch)?;
        lock(&self.mended_at).push(Instant::now());
        self.is_suspect.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Is there still trust in mending?
    pub(super) fn may_mend(&self) -> bool {
        let mut mended_at = lock(&self.mended_at);
        mended_at.retain(|at| at.elapsed() < MENDS_PERIOD);
        mended_at.len() < MENDS_MAX
    }

    /// The server names objects by another hash: to be expected of a new repository, never of the one that is followed.
    pub(super) fn change_hash(
        &self,
        hash: gix::hash::Kind,
        watch: &Arc<Watch>,
    ) -> Result<gix::ObjectId, GitError> {
        let is_followed = self.folder.accepted(&self.handle()).is_some();
        if is_followed && self.folder.is_source_of_accepted(&self.settings) {
            return Err(GitError::HashChanged {
                url: self.settings.url.clone(),
                hash: hash.to_string(),
                path: self.folder.current(),
            });
        }
        self.renew(hash, Former::Drop, watch)
    }

    /// Exchanges a clone that has gathered many packs for a fresh one. Where that failed, it waits before it tries again.
    pub(super) fn tidy(&self, watch: &Arc<Watch>) -> Result<(), GitError> {
        let repository = self.handle();
        if pack_count(&repository) < PACKS_MAX {
            return Ok(());
        }
        let mut tried_at = lock(&self.tidied_at);
        if tried_at.is_some_and(|at| at.elapsed() < TIDY_PAUSE) {
            return Ok(());
        }
        let done = self
            .renew(repository.object_hash(), Former::Drop, watch)
            .map(|_| ());
        *tried_at = done.is_err().then(Instant::now);
        done
    }

    /// Clones anew beside the current clone and, if it came whole, puts it in its place. What was accepted goes along.
    fn renew(
        &self,
        hash: gix::hash::Kind,
        former: Former,
        watch: &Arc<Watch>,
    ) -> Result<gix::ObjectId, GitError> {
        let current = self.handle();
        let fresh = self.folder.create_fresh(hash)?.to_thread_local();
        let reach = Reach::New(self.settings.depth);
        let head = match self.contact(&fresh, watch, |contact| contact.fetch(reach))? {
            Step::Fetched(head) | Step::Unchanged(head) => head,
            Step::OtherHash(hash) => {
                return Err(GitError::Broken {
                    url: self.settings.url.clone(),
                    reason: format!("it cannot decide for a hash: now {hash}"),
                });
            }
        };
        self.usable(&fresh, head).map_err(|error| match error {
            GitError::Damaged { reason, .. } => GitError::Broken {
                url: self.settings.url.clone(),
                reason: format!("a fresh clone of it is incomplete: {reason}"),
            },
            error => error,
        })?;
        if let Some(accepted) = self
            .folder
            .accepted(&current)
            .filter(|accepted| accepted.kind() == hash)
        {
            carry_over(&current, &fresh, accepted)?;
        }
        sync_to_disk(fresh.path(), &mut SyncedPacks::default())?;
        drop((fresh, current));
        let mut clone = lock(&self.clone);
        if let Former::SetAside = former {
            self.folder.set_aside()?;
        }
        *clone = self.folder.exchange()?;
        Ok(head)
    }
}

/// What becomes of the clone that is replaced.
#[derive(Debug, Clone, Copy)]
enum Former {
    SetAside,
    Drop,
}

/// Makes the accepted commit known to a fresh clone, copying it if the server no longer had it. One that is nowhere to
/// be had is not lost: it stays noted beside the clones.
fn carry_over(
    current: &gix::Repository,
    fresh: &gix::Repository,
    accepted: gix::ObjectId,
) -> Result<(), GitError> {
    if !fresh.has_object(accepted)
        && let Err(error) = snapshot::carry_over(current, fresh, accepted)
    {
        tracing::warn!(%error, commit = %accepted, "the accepted commit cannot be carried over to the fresh clone");
        return Ok(());
    }
    write_ref(fresh, ACCEPTED_REF, accepted)
}
