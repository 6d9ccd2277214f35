//! Source `release`: an archive or an executable by https or http, known by its sha256.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use reqwest::Url;

use super::download::{Download, DownloadError, Web};
use super::policy::SourcePolicy;
use super::store::{ArtefactStore, StoreError};
use super::transfer::Transfer;
use super::unpack::{UnpackError, UnpackLimits, unpack};
use super::{Crashed, beside};
use crate::config::SourcesConfig;
use crate::names::{AppName, ArtefactId};
use crate::specs::app_spec::{Packing, release};
use crate::status::Progress;

/// Files, folders and links of one artefact.
const ENTRIES_MAX: u64 = 20_000;
/// How many times larger than its archive an artefact may be. Programs pack to a third or a tenth; deflate reaches 1,032
/// with nothing but zeros.
const RATIO_MAX: u64 = 100;

/// Why a release cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// It does not come, or is not what was meant.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// It came and must not or cannot be unpacked.
    #[error("{url}: {error}")]
    Unpack {
        /// The address as it may be shown.
        url: String,
        /// Why.
        error: UnpackError,
    },
    /// There is no room for it.
    #[error(
        "artefacts take {taken} bytes and with this one would take more than {limit} (`[sources] disk_max`)"
    )]
    DiskBudget {
        /// What they take.
        taken: u64,
        /// What they may.
        limit: u64,
    },
    /// It cannot be put where artefacts are.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A bug.
    #[error(transparent)]
    Crashed(#[from] Crashed),
}

impl ReleaseError {
    /// A stable word for it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Download(DownloadError::Refused(_)) => "not_allowed",
            Self::Download(DownloadError::Digest { .. }) => "digest_mismatch",
            Self::Download(DownloadError::TooLarge { .. }) => "too_large",
            Self::Download(DownloadError::Io { .. }) | Self::Store(_) => "unwritable",
            Self::Download(DownloadError::BadUrl { .. }) => "bad_url",
            Self::Download(DownloadError::BadSetting(_)) => "bad_setting",
            Self::Unpack {
                error: UnpackError::Io { .. },
                ..
            } => "unwritable",
            Self::Unpack { .. } => "bad_archive",
            Self::DiskBudget { .. } => "disk_budget",
            Self::Download(DownloadError::Crashed(_)) | Self::Crashed(_) => "crashed",
            Self::Download(_) => "unreachable",
        }
    }
}

/// Gets releases into the store.
#[derive(Debug, Clone)]
pub struct Releases {
    store: ArtefactStore,
    settings: Arc<ReleaseSettings>,
    /// One transfer for each artefact, however many apps ask for it.
    turns: Arc<Mutex<BTreeMap<ArtefactId, Weak<Turn>>>>,
    /// The transfer that each app waits for.
    awaited: Arc<Mutex<BTreeMap<AppName, Weak<Turn>>>>,
}

/// Whose turn it is to transfer an artefact, and how far that has come.
#[derive(Debug, Default)]
struct Turn {
    lock: Arc<tokio::sync::Mutex<()>>,
    transfer: Arc<Transfer>,
}

/// What a node allows its releases.
#[derive(Debug, Clone)]
pub struct ReleaseSettings {
    /// How the web is asked.
    pub web: Web,
    /// The largest artefact, as it comes and as it lies there, in bytes.
    pub max_size: u64,
    /// What all artefacts together may take of the disk, in bytes.
    pub disk_max: u64,
}

impl Default for ReleaseSettings {
    /// As `osier.toml` has them: 2 GiB each, 10 GiB together.
    fn default() -> Self {
        Self {
            web: Web::default(),
            max_size: 2 << 30,
            disk_max: 10 << 30,
        }
    }
}

impl ReleaseSettings {
    /// Those of a configuration.
    #[must_use]
    pub fn of_config(sources: &SourcesConfig) -> Self {
        Self {
            web: Web {
                policy: SourcePolicy {
                    allow: sources.allow.clone(),
                    deny: sources.deny.clone(),
                },
                ca_file: sources.ca_file.as_ref().map(|path| path.as_path().to_owned()),
                proxy: sources.proxy.clone(),
            },
            max_size: sources.max_size.bytes(),
            disk_max: sources.disk_max.bytes(),
        }
    }
}

impl Releases {
    /// Those that are kept in `store`.
    #[must_use]
    pub fn new(store: ArtefactStore, settings: ReleaseSettings) -> Self {
        Self {
            store,
            settings: Arc::new(settings),
            turns: Arc::default(),
            awaited: Arc::default(),
        }
    }

    /// For `app`, the folder of the release behind `url` with the digest `sha256`. Cancel-safe; what came so far is kept.
    ///
    /// # Errors
    /// See [`ReleaseError`]. The store is as it was before then.
    pub async fn get(
        &self,
        app: &AppName,
        url: &str,
        sha256: &str,
        id: &ArtefactId,
    ) -> Result<PathBuf, ReleaseError> {
        let turn = self.turn(app, id);
        let lock = Arc::clone(&turn.lock).lock_owned().await;
        if let Some(place) = self.find(id).await? {
            return Ok(place);
        }
        let parsed: Url = url.parse().map_err(|error| DownloadError::BadUrl {
            url: crate::names::shown(url),
            reason: format!("{error}"),
        })?;
        let (store, partial) = (self.store.clone(), id.clone());
        let (file, claim) = beside(move || store.partial(&partial)).await??;
        let budget = self.budget(file.clone()).await?;
        let download = Download {
            url: parsed,
            sha256: sha256.to_owned(),
            file,
            bytes_max: budget.bytes_max,
            transfer: Arc::clone(&turn.transfer),
            held: Arc::new((lock, turn, claim)),
        };
        let downloaded = download.run(&self.settings.web).await;
        downloaded.map_err(|error| budget.judge(error.into()))?;
        let unpacked = self.unpack(download, url, id, budget.bytes_max).await;
        unpacked.map_err(|error| budget.judge(error))
    }

    /// How far the transfer has come that `app` waits for; none: it waits for none.
    #[must_use]
    pub fn progress(&self, app: &AppName) -> Option<Progress> {
        let turn = lock(&self.awaited).get(app)?.upgrade()?;
        Some(turn.transfer.progress())
    }

    fn turn(&self, app: &AppName, id: &ArtefactId) -> Arc<Turn> {
        let turn = known_or_new(&mut lock(&self.turns), id);
        let mut awaited = lock(&self.awaited);
        awaited.retain(|_, turn| turn.strong_count() > 0);
        awaited.insert(app.clone(), Arc::downgrade(&turn));
        turn
    }

    async fn find(&self, id: &ArtefactId) -> Result<Option<PathBuf>, ReleaseError> {
        let (store, id) = (self.store.clone(), id.clone());
        Ok(beside(move || store.find(&id)).await?)
    }

    /// What one more artefact may take. Everything that nobody needs has been swept away already: what is there stays.
    async fn budget(&self, partial: PathBuf) -> Result<Budget, ReleaseError> {
        let store = self.store.clone();
        let taken = beside(move || {
            let partial = std::fs::metadata(partial).map_or(0, |file| file.len());
            store.bytes().saturating_sub(partial)
        });
        let (taken, limit) = (taken.await?, self.settings.disk_max);
        let room = limit.saturating_sub(taken);
        if room == 0 {
            return Err(ReleaseError::DiskBudget { taken, limit });
        }
        Ok(Budget {
            taken,
            limit,
            is_narrow: room < self.settings.max_size,
            bytes_max: room.min(self.settings.max_size),
        })
    }

    async fn unpack(
        &self,
        download: Download,
        url: &str,
        id: &ArtefactId,
        bytes: u64,
    ) -> Result<PathBuf, ReleaseError> {
        let (store, id) = (self.store.clone(), id.clone());
        let name = release::file_name(url).to_owned();
        let limits = UnpackLimits {
            bytes,
            entries: ENTRIES_MAX,
            ratio: RATIO_MAX,
        };
        beside(move || {
            let shown = super::policy::shown(&download.url);
            let placed = store.put(&id, |folder| {
                unpack(&download.file, Packing::of(&name), &name, folder, limits)
                    .map_err(|error| ReleaseError::Unpack { url: shown, error })
            });
            // Unpacked it is not needed, and refused it is not wanted again. A full disk may be another one tomorrow.
            download.discard();
            placed
        })
        .await?
    }
}

fn known_or_new(turns: &mut BTreeMap<ArtefactId, Weak<Turn>>, id: &ArtefactId) -> Arc<Turn> {
    turns.retain(|_, turn| turn.strong_count() > 0);
    if let Some(turn) = turns.get(id).and_then(Weak::upgrade) {
        return turn;
    }
    let turn = Arc::default();
    turns.insert(id.clone(), Arc::downgrade(&turn));
    turn
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How large one artefact may become.
struct Budget {
    taken: u64,
    limit: u64,
    /// It is the disk's budget that limits it, not the size of a single artefact.
    is_narrow: bool,
    bytes_max: u64,
}

impl Budget {
    /// What was too large for the room that was left is told as that.
    fn judge(&self, error: ReleaseError) -> ReleaseError {
        let is_too_large = matches!(
            error,
            ReleaseError::Download(DownloadError::TooLarge { .. })
                | ReleaseError::Unpack {
                    error: UnpackError::TooLarge { unit: "bytes", .. },
                    ..
                }
        );
        if is_too_large && self.is_narrow {
            return ReleaseError::DiskBudget {
                taken: self.taken,
                limit: self.limit,
            };
        }
        error
    }
}

#[cfg(test)]
mod tests;
