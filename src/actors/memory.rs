//! Between the actors and what outlives them: the store for records, the clone for specs and path sources.

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use tracing::warn;

use super::reconciler::{ReadError, SpecReader};
use super::repo_watcher::SharedClone;
use crate::git::{CommitTree, GitError, GitRepository};
use crate::names::CommitId;
use crate::source::folder::Folders;
use crate::source::{ArtefactError, Artefacts, FetchFuture};
use crate::specs::app_spec::Source;
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
            let noted = async { clone.get().await?.accept(commit).await };
            let noted = noted.await;
            if let Err(error) = &noted {
                warn!(%error, "the accepted commit cannot be noted; a restart would look it up again");
            }
            noted.is_ok()
        })
    }
}

/// Brings artefacts onto the node: today, folders of the specs repository and folders that the node allows.
pub(crate) struct CloneArtefacts {
    pub clone: SharedClone,
    pub folders: Folders,
    /// Absolute folders that source `path` may name.
    pub allowed: Vec<PathBuf>,
}

impl Artefacts for CloneArtefacts {
    fn fetch(&self, app: Arc<DesiredApp>) -> FetchFuture {
        let Some(Source::Path { path }) = &app.spec.source else {
            return Box::pin(std::future::ready(Err(failed(
                "unsupported",
                "this release fetches path sources only".into(),
            ))));
        };
        if path.starts_with('/') {
            return Box::pin(std::future::ready(allowed_folder(path, &self.allowed)));
        }
        let Some(id) = app.artefact.clone() else {
            let why = format!(
                "{}: source path `{path}` has no folder in the repository",
                app.file
            );
            return Box::pin(std::future::ready(Err(failed("not_found", why))));
        };
        let place = self.folders.place(&id);
        if place.is_dir() {
            return Box::pin(std::future::ready(Ok(place)));
        }
        let (clone, folders) = (self.clone.clone(), self.folders.clone());
        Box::pin(async move {
            let clone = clone
                .get()
                .await
                .map_err(|error| failed("repository", error.to_string()))?;
            let tree = any_tree(&clone)
                .await
                .map_err(|error| failed("repository", error.to_string()))?;
            let written = tokio::task::spawn_blocking(move || folders.write_out(&tree, &id));
            let written = written
                .await
                .map_err(|crash| failed("crashed", crash.to_string()))?;
            written.map_err(|error| failed("unwritable", error.to_string()))
        })
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
