//! The node's own clone of its repository, for actors: every call is a future, the work is done on threads of our own.
//!
//! One network operation runs at a time. Dropping its future cancels it: whatever it waits for ends at once. A thread
//! that does not end even so (a hung disk or resolver) is given up; until it ends, other operations report
//! [`GitError::Stuck`] and begin nothing. So there is never more than one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::clone::AcceptedNote;
use super::commit::Commit;
use super::error::GitError;
use super::fetch::Update;
use super::keeping::Keeping;
use super::settings::GitSettings;
use super::tree::CommitTree;
use super::walk::Change;
use super::watch::Watch;
use crate::names::CommitId;

/// Reads of the local clone that run at the same time.
const LOCAL_READS_MAX: usize = 4;

/// How long a cancelled operation may take to end before its thread is given up.
const CANCEL_GRACE: Duration = Duration::from_secs(2);

/// The node's clone of one branch of one repository. Cheap to clone; all copies are the same.
#[derive(Clone)]
pub struct GitRepository(Arc<Shared>);

struct Shared {
    keeping: Keeping,
    network: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    /// One walk through history at a time, so that curiosity never takes the place of a reconcile.
    walks: Arc<Semaphore>,
    /// The network operation that runs was given up by whoever waited for it.
    is_abandoned: Arc<AtomicBool>,
}

impl GitRepository {
    /// Opens the clone in `folder`, or begins an empty one. What an interrupted fetch left behind is removed; a clone
    /// that cannot be opened is set aside. No network is used.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub async fn open(settings: GitSettings, folder: PathBuf) -> Result<Self, GitError> {
        on_thread("git-open", move || Self::open_blocking(settings, &folder)).await
    }

    fn open_blocking(settings: GitSettings, folder: &Path) -> Result<Self, GitError> {
        Ok(Self(Arc::new(Shared {
            keeping: Keeping::open(settings, folder)?,
            network: Arc::new(Semaphore::new(1)),
            reads: Arc::new(Semaphore::new(LOCAL_READS_MAX)),
            walks: Arc::new(Semaphore::new(1)),
            is_abandoned: Arc::default(),
        })))
    }

    /// The settings that it was opened with.
    #[must_use]
    pub fn settings(&self) -> &GitSettings {
        self.0.keeping.settings()
    }

    /// The branch's head on the server. Nothing is fetched.
    ///
    /// # Errors
    /// When the server cannot be asked, or has no such branch.
    pub async fn poll(&self) -> Result<CommitId, GitError> {
        self.network(Keeping::remote_head).await
    }

    /// Asks for the branch's head, fetches it if it is new, and makes sure that it descends from the accepted commit.
    ///
    /// A damaged clone is cloned anew on the way. One that many fetches have filled with packs is exchanged for a fresh
    /// one when an update finds nothing new.
    ///
    /// # Errors
    /// [`GitError::HistoryRewritten`] where it does not descend: it is fetched all the same, so that [`Self::accept`]
    /// can accept it. Else whatever kept it from being fetched; then nothing has changed here.
    pub async fn update(&self) -> Result<Update, GitError> {
        self.network(Keeping::update).await
    }

    /// The commit that was accepted last, if any.
    ///
    /// # Errors
    /// When the clone is damaged.
    pub async fn accepted(&self) -> Result<Option<CommitId>, GitError> {
        self.read(|keeping| Ok(keeping.accepted())).await
    }

    /// The branch's head as it was fetched last, if it ever was.
    ///
    /// # Errors
    /// When the clone is damaged.
    pub async fn fetched(&self) -> Result<Option<CommitId>, GitError> {
        self.read(Keeping::fetched).await
    }

    /// Takes `commit` as accepted: later heads have to descend from it. It is flushed to the disk behind the caller's
    /// back, some milliseconds later; a power cut before that is healed by the next update.
    ///
    /// # Errors
    /// When there is no such commit here, or the reference cannot be written.
    pub async fn accept(&self, commit: CommitId) -> Result<AcceptedNote, GitError> {
        let note = self.read(move |keeping| keeping.accept(&commit)).await?;
        let (permit, shared) = (self.0.reads.clone().try_acquire_owned(), self.0.clone());
        // Where all readers are busy, the next acceptance flushes this one too.
        if let Ok(permit) = permit {
            drop(spawn("git-sync", move || {
                let _permit = permit;
                let done = shared.keeping.sync();
                if let Err(error) = &done {
                    tracing::warn!(%error, "what was accepted cannot be flushed to the disk");
                }
                done
            })?);
        }
        Ok(note)
    }

    /// Takes over what was noted as accepted, unless this clone knows by itself. To be called before the first update.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn remember(&self, note: AcceptedNote) -> Result<(), GitError> {
        self.read(move |keeping| keeping.remember(&note)).await
    }

    /// The facts of a commit.
    ///
    /// # Errors
    /// When there is no such commit here.
    pub async fn commit(&self, commit: CommitId) -> Result<Commit, GitError> {
        self.read(move |keeping| keeping.commit(&commit)).await
    }

    /// The tree of a commit, to be read on a thread that may block.
    ///
    /// # Errors
    /// When there is no such commit here.
    pub async fn tree(&self, commit: CommitId) -> Result<CommitTree, GitError> {
        self.read(move |keeping| keeping.tree(&commit)).await
    }

    /// The commits that changed what stands at `path` (a folder or a file) in `commit`'s history, newest first, along
    /// first parents. Reconciles go on meanwhile.
    ///
    /// # Errors
    /// When there is no such commit here, or the clone is damaged.
    pub async fn changes(
        &self,
        commit: CommitId,
        path: String,
        count_max: usize,
    ) -> Result<Vec<Change>, GitError> {
        self.walk(move |keeping| keeping.changes(&commit, &path, count_max))
            .await
    }

    /// The commit that gave line `line` (counted from 1) of the file at `path` the form it has in `commit`; `None` where
    /// there is no such line.
    ///
    /// # Errors
    /// As [`Self::changes`].
    pub async fn change_of_line(
        &self,
        commit: CommitId,
        path: String,
        line: usize,
    ) -> Result<Option<Change>, GitError> {
        self.walk(move |keeping| keeping.change_of_line(&commit, &path, line))
            .await
    }

    /// Is there a network operation that was given up and still holds its thread?
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.0.is_abandoned.load(Ordering::SeqCst)
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Keeping) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        self.local("git-read", &self.0.reads, work).await
    }

    async fn walk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Keeping) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        self.local("git-walk", &self.0.walks, work).await
    }

    async fn local<T: Send + 'static>(
        &self,
        name: &'static str,
        turns: &Arc<Semaphore>,
        work: impl FnOnce(&Keeping) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let permit = turns.clone().acquire_owned().await;
        let shared = self.0.clone();
        on_thread(name, move || {
            let _permit = permit;
            work(&shared.keeping)
        })
        .await
    }

    async fn network<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Keeping, &Arc<Watch>) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let permit = self.network_permit().await?;
        let shared = self.0.clone();
        let watch = Arc::new(Watch::start(shared.keeping.settings())?);
        let mut waiting = Waiting {
            watch: watch.clone(),
            is_abandoned: shared.is_abandoned.clone(),
            is_over: false,
        };
        let watched = watch.clone();
        let mut running = spawn("git-network", move || {
            let _presence = Presence {
                _permit: permit,
                is_abandoned: shared.is_abandoned.clone(),
            };
            work(&shared.keeping, &watched)
        })?;
        let done = tokio::select! {
            done = &mut running => Some(done),
            () = tokio::time::sleep(watch.total()) => None,
        };
        if let Some(done) = done {
            waiting.is_over = true;
            return done.unwrap_or(Err(GitError::Cancelled));
        }
        watch.total_passed();
        // Whatever the thread still says, the deadline is what ended it.
        waiting.is_over = tokio::time::timeout(CANCEL_GRACE, running).await.is_ok();
        Err(watch.failure().unwrap_or(GitError::Cancelled))
    }

    /// Waits for its turn; not for a thread that was given up.
    async fn network_permit(&self) -> Result<OwnedSemaphorePermit, GitError> {
        let acquired = self.0.network.clone().acquire_owned();
        let permit = if self.is_stuck() {
            tokio::time::timeout(CANCEL_GRACE, acquired)
                .await
                .map_err(|_| GitError::Stuck {
                    url: self.settings().url.clone(),
                })?
        } else {
            acquired.await
        };
        permit.map_err(|_| GitError::Cancelled)
    }
}

/// Held by whoever waits for a network operation: if it goes before the operation is over, it cancels it.
struct Waiting {
    watch: Arc<Watch>,
    is_abandoned: Arc<AtomicBool>,
    is_over: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_over {
            self.is_abandoned.store(true, Ordering::SeqCst);
            self.watch.cancel(GitError::Cancelled);
        }
    }
}

/// Held by the thread of a network operation: its end makes room for the next one.
struct Presence {
    _permit: OwnedSemaphorePermit,
    is_abandoned: Arc<AtomicBool>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.is_abandoned.store(false, Ordering::SeqCst);
    }
}

async fn on_thread<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> Result<T, GitError> + Send + 'static,
) -> Result<T, GitError> {
    spawn(name, work)?.await.unwrap_or(Err(GitError::Cancelled))
}

/// A thread of our own and not of the runtime's pool: a hung one must not keep the runtime from ending.
fn spawn<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> Result<T, GitError> + Send + 'static,
) -> Result<oneshot::Receiver<Result<T, GitError>>, GitError> {
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Nobody may wait any more.
            let _ = sender.send(work());
        })
        .map_err(|error| GitError::io("start a thread for", Path::new(name), &error))?;
    Ok(receiver)
}

impl std::fmt::Debug for GitRepository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GitRepository")
            .field("url", &self.settings().url)
            .finish_non_exhaustive()
    }
}
