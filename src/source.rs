//! How an app's artefact comes to the node: a folder of the specs repository, or a release from the web.

mod download;
pub mod folder;
pub mod policy;
pub mod release;
pub mod store;
pub mod transfer;
pub mod unpack;

pub use self::download::{DownloadError, Web};

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use crate::specs::DesiredApp;

/// A thread that did something of it panicked.
#[derive(Debug, thiserror::Error)]
#[error("it crashed: {0}")]
pub struct Crashed(String);

/// Runs what may block on a thread of its own.
pub(crate) async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Crashed> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|crash| Crashed(crash.to_string()))
}

/// Why an artefact cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ArtefactError {
    /// A stable code such as `osier::source::not_found`.
    pub code: String,
    /// What, where and why, for a person.
    pub message: String,
}

impl From<Crashed> for ArtefactError {
    fn from(crash: Crashed) -> Self {
        Self {
            code: "osier::source::crashed".to_owned(),
            message: crash.to_string(),
        }
    }
}

/// The future of [`Artefacts::fetch`].
pub type FetchFuture = Pin<Box<dyn Future<Output = Result<PathBuf, ArtefactError>> + Send>>;

/// Brings an app's artefact onto the node and says where it lies. Asked only for sources other than `none`.
///
/// Asking again for the same digest is cheap and gives the same folder. The future is cancel-safe.
pub trait Artefacts: Send + Sync + 'static {
    /// The folder of `app`'s artefact.
    fn fetch(&self, app: Arc<DesiredApp>) -> FetchFuture;
}
