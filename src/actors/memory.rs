//! Between the actors and what outlives them: the store for records, the clone for specs and path sources.

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use tracing::warn;

use super::reconciler::{ReadError, SpecReader};
use super::repo_watcher::SharedClone;
use crate::git::{CommitTree, GitError, GitRepository};
use crate::names::{ArtefactId, CommitId};
use crate::source::release::Releases;
use crate::source::store::ArtefactStore;
use crate::source::{ArtefactError, Artefacts, FetchFuture, beside};
use crate::specs::app_spec::{Sha256, Source};
use crate::specs::{Desired, DesiredApp, NodeFacts, SpecCache, load};

/// Reads specs from the node's clone.
pub(crate) struct CloneReader {
    pub clone: SharedClone,
    pub apps_dir: String,
    pub facts: Arc<NodeFacts>,
}

impl SpecReader for CloneReader {
    fn read(
        &self,
        commit: CommitId,
        mut cache: SpecCache,
    ) -> BoxFuture<'static, (Result<Arc<Desired>, ReadError>, SpecCache)> {
        let (clone, apps_dir, facts) = (self.clone.clone(), self.apps_dir.clone(), self.facts.clone());
        Box::pin(async move {
            let opened = async { clone.get().await?.tree(commit).await };
            let tree = match opened.await {
                Ok(tree) => tree,
                Err(error) => return (Err(ReadError::Git(error.to_string())), cache),
            };
            let read = tokio::task::spawn_blocking(move || {
                let result = load(&tree, &apps_dir, &facts, &mut cache);
                (result.map_err(ReadError::from), cache)
            });
            // A panic in a parser is a bug, and still no reason to stop: nothing of the commit is used.
            read.await.unwrap_or_else(|crash| {
                (
                    Err(ReadError::Git(format!("reading the specs crashed: {crash}"))),
                    SpecCache::default(),
                )
            })
        })
    }

    fn accept(&self, commit: CommitId) -> BoxFuture<'static, bool> {
        let clone = self.clone.clone();
        Box::pin(async move {
            let noted = clone.accept(commit).await;
            if let Err(error) = &noted {
                warn!(%error, "the accepted commit cannot be noted; a restart would look it up again");
            }
            noted.is_ok()
        })
    }
}

/// Brings artefacts onto the node: folders of the specs repository, folders that the node allows, and releases.
#[derive(Clone)]
pub(crate) struct CloneArtefacts {
    pub clone: SharedClone,
    pub artefact_store: ArtefactStore,
    pub releases: Releases,
    /// Absolute folders that source `path` may name.
    pub allowed: Vec<PathBuf>,
}

impl Artefacts for CloneArtefacts {
    fn fetch(&self, app: Arc<DesiredApp>) -> FetchFuture {
        let this = self.clone();
        Box::pin(async move { this.bring(&app).await })
    }
}

impl CloneArtefacts {
    /// All that touches the disk is done beside: a mount that hangs holds up this app and nobody else.
    async fn bring(self, app: &DesiredApp) -> Result<PathBuf, ArtefactError> {
        let path = match &app.spec.source {
            Some(Source::Path { path }) => path,
            Some(Source::Release {
                url,
                sha256: Sha256::One(sha256),
            }) => return self.bring_release(app, url, sha256).await,
            _ => {
                return Err(failed(
                    "unsupported",
                    "this release cannot fetch its source".into(),
                ));
            }
        };
        if path.starts_with('/') {
            let (path, allowed) = (path.clone(), self.allowed.clone());
            return beside(move || allowed_folder(&path, &allowed)).await?;
        }
        let Some(id) = app.artefact.clone() else {
            let file = &app.file;
            let why = format!("{file}: source path `{path}` has no folder in the repository");
            return Err(failed("not_found", why));
        };
        let (store, wanted) = (self.artefact_store.clone(), ArtefactId::from(&id));
        if let Some(place) = beside(move || store.find(&wanted)).await? {
            return Ok(place);
        }
        let unreadable = |error: GitError| failed("repository", error.to_string());
        let clone = self.clone.get().await.map_err(unreadable)?;
        let tree = any_tree(&clone).await.map_err(unreadable)?;
        let store = self.artefact_store;
        let written = beside(move || store.write_out(&tree, &id)).await?;
        written.map_err(|error| failed("unwritable", error.to_string()))
    }

    async fn bring_release(
        &self,
        app: &DesiredApp,
        url: &str,
        sha256: &str,
    ) -> Result<PathBuf, ArtefactError> {
        let id = app.artefact_id();
        let id = id.ok_or_else(|| failed("unsupported", format!("`{sha256}` is no sha256")))?;
        let got = self.releases.get(&app.spec.name, url, sha256, &id).await;
        got.map_err(|error| failed(error.code(), error.to_string()))
    }
}

/// A way into the clone's objects; which commit it begins at does not matter to who reads by id.
async fn any_tree(clone: &GitRepository) -> Result<CommitTree, GitError> {
    let commit = match clone.fetched().await? {
        Some(commit) => Some(commit),
        None => clone.accepted().await?,
    };
    clone.tree(commit.ok_or(GitError::Cancelled)?).await
}

/// An absolute folder, if the node's configuration allows it. Links are resolved first, so that none leads out.
fn allowed_folder(path: &str, allowed: &[PathBuf]) -> Result<PathBuf, ArtefactError> {
    let real =
        std::fs::canonicalize(path).map_err(|error| failed("not_found", format!("{path}: {error}")))?;
    let is_allowed = allowed
        .iter()
        .filter_map(|root| std::fs::canonicalize(root).ok())
        .any(|root| real.starts_with(root));
    if !is_allowed {
        let why = format!("{path} is not below a folder that `[sources] paths` allows");
        return Err(failed("not_allowed", why));
    }
    if real.is_dir() {
        Ok(real)
    } else {
        Err(failed("not_found", format!("{path} is no folder")))
    }
}

fn failed(code: &str, message: String) -> ArtefactError {
    ArtefactError {
        code: format!("osier::source::{code}"),
        message,
    }
}
