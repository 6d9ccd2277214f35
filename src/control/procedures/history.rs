//! `history`: what was deployed when, why, and how that went.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::NodeContext;
use crate::git::Commit;
use crate::names::{AppName, CommitId};
use crate::rpc::RpcError;
use crate::rpc::procedures::{HistoryEntry, HistoryRequest};
use crate::status::time::rfc3339;
use crate::store::Deployment;

/// So many of all apps together are told: more than anybody reads, and surely within a frame.
const ENTRIES_MAX: usize = 1_000;
/// How long the clone is asked for authors; what it has not told by then stays unknown.
const AUTHORS_MAX: Duration = Duration::from_secs(3);

/// The actions that were carried out, or failed, newest first.
pub(crate) async fn history(
    node: &Arc<NodeContext>,
    request: HistoryRequest,
) -> Result<Vec<HistoryEntry>, RpcError> {
    let app: Option<AppName> = match &request.app {
        // It may be gone, and still have a history.
        Some(text) => Some(text.parse().or_else(|_| node.app(text))?),
        None => None,
    };
    let (store, of) = (node.store.clone(), app.clone());
    let read = tokio::task::spawn_blocking(move || store.deployments(of.as_ref(), ENTRIES_MAX));
    let found = read.await.unwrap_or_default();
    if let (Some(app), true) = (&app, found.is_empty()) {
        // Nothing was ever done to it: it may not be an app at all.
        node.app(app.as_str())?;
    }
    let commits = commits(node, &found).await;
    Ok(found
        .into_iter()
        .map(|deployment| entry(deployment, &commits))
        .collect())
}

/// What is known of the commits that asked.
async fn commits(node: &NodeContext, deployments: &[Deployment]) -> BTreeMap<CommitId, Commit> {
    let mut known = BTreeMap::new();
    let reading = async {
        let clone = node.clone.get().await.ok()?;
        for id in deployments
            .iter()
            .filter_map(|deployment| deployment.commit.as_ref())
        {
            // One that the clone has lost stays unknown.
            if !known.contains_key(id)
                && let Ok(commit) = clone.commit(id.clone()).await
            {
                known.insert(id.clone(), commit);
            }
        }
        Some(())
    };
    let _ = tokio::time::timeout(AUTHORS_MAX, reading).await;
    known
}

fn entry(deployment: Deployment, commits: &BTreeMap<CommitId, Commit>) -> HistoryEntry {
    let commit = deployment.commit.as_ref().and_then(|id| commits.get(id));
    HistoryEntry {
        at: rfc3339(deployment.at_ms),
        app: deployment.app,
        action: deployment.action.as_str().to_owned(),
        from_version: deployment.from,
        to_version: deployment.to,
        digest: deployment.digest,
        author: commit.map(|commit| commit.author.clone()),
        subject: commit.map(|commit| commit.subject.clone()),
        commit: deployment.commit,
        by: deployment.by,
        duration_ms: deployment.duration_ms,
        result: if deployment.error.is_some() { "error" } else { "ok" }.to_owned(),
        error: deployment.error,
    }
}
