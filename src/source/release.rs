//! Source `release`: an archive or an executable by https or http, known by its sha256.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use reqwest::Url;

use super::download::{Download, DownloadError, Web};
use super::policy::SourcePolicy;
use super::store::{ArtefactStore, StoreError};
use super::unpack::{UnpackError, UnpackLimits, unpack};
use crate::config::SourcesConfig;
use crate::names::ArtefactId;
use crate::specs::app_spec::{Packing, release};

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
        "artefacts take {taken} bytes and with this one might take more than {limit} (`[sources] disk_max`)"
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
    /// The thread that unpacked it crashed.
    #[error("unpacking crashed: {0}")]
    Crashed(String),
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
            Self::Download(_) => "unreachable",
            Self::Unpack {
                error: UnpackError::Io { .. },
                ..
            } => "unwritable",
            Self::Unpack { .. } => "bad_archive",
            Self::DiskBudget { .. } => "disk_budget",
            Self::Crashed(_) => "crashed",
        }
    }
}

/// Gets releases into the store.
#[derive(Debug, Clone)]
pub struct Releases {
    store: ArtefactStore,
    settings: Arc<ReleaseSettings>,
    /// One transfer for each artefact, however many apps ask for it.
    turns: Arc<Mutex<BTreeMap<ArtefactId, Weak<tokio::sync::Mutex<()>>>>>,
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
        }
    }

    /// The folder of the release behind `url` with the digest `sha256`. Cancel-safe; what came so far is kept.
    ///
    /// # Errors
    /// See [`ReleaseError`]. The store is as it was before then.
    pub async fn get(&self, url: &str, sha256: &str, id: &ArtefactId) -> Result<PathBuf, ReleaseError> {
        let turn = self.turn(id);
        let _turn = turn.lock().await;
        if let Some(place) = self.find(id).await? {
            return Ok(place);
        }
        let parsed: Url = url.parse().map_err(|error| DownloadError::BadUrl {
            url: crate::names::shown(url),
            reason: format!("{error}"),
        })?;
        let (file, _claim) = self.store.partial(id)?;
        self.check_budget().await?;
        let download = Download {
            url: parsed,
            sha256: sha256.to_owned(),
            file,
            bytes_max: self.settings.max_size,
        };
        download.run(&self.settings.web).await?;
        self.unpack(download, url, id).await
    }

    fn turn(&self, id: &ArtefactId) -> Arc<tokio::sync::Mutex<()>> {
        // Nothing panics while it is held.
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(id).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(id.clone(), Arc::downgrade(&turn));
        turn
    }

    async fn find(&self, id: &ArtefactId) -> Result<Option<PathBuf>, ReleaseError> {
        let (store, id) = (self.store.clone(), id.clone());
        beside(move || store.find(&id)).await
    }

    /// Everything that nobody needs has been swept away already: what is there now stays.
    async fn check_budget(&self) -> Result<(), ReleaseError> {
        let store = self.store.clone();
        let taken = beside(move || store.bytes()).await?;
        let limit = self.settings.disk_max;
        if taken >= limit {
            return Err(ReleaseError::DiskBudget { taken, limit });
        }
        Ok(())
    }

    async fn unpack(&self, download: Download, url: &str, id: &ArtefactId) -> Result<PathBuf, ReleaseError> {
        let (store, id) = (self.store.clone(), id.clone());
        let name = release::file_name(url).to_owned();
        let limits = UnpackLimits {
            bytes: self.settings.max_size,
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

/// Runs what may block on a thread of its own.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ReleaseError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|crash| ReleaseError::Crashed(crash.to_string()))
}

#[cfg(test)]
mod tests;
