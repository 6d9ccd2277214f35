//! `reconcile` and `diff`: look at the repository now, and make the node what it says, or say what would be done.

use std::sync::Arc;
use std::time::Duration;

use super::NodeContext;
use crate::actors::reconciler::{Order, Patience, ReadError, ReconcilerMsg, Report};
use crate::actors::repo_watcher::WatcherMsg;
use crate::names::{AppName, CommitId};
use crate::plan::Diff;
use crate::rpc::procedures::{ActionReply, DiffRequest, ReconcileReply, ReconcileRequest};
use crate::rpc::{RpcError, RpcErrorCode};
use crate::specs::RepositoryError;
use crate::status::unfollowed::Unfollowed;
use crate::status::{AppState, RunState, SyncState};

/// Fetches, reconciles, and tells how it went. A repository that cannot be fetched is no error of the call: the node
/// is reconciled to what was accepted last, and the reply says why it is not in sync.
pub(crate) async fn reconcile(
    node: &Arc<NodeContext>,
    request: ReconcileRequest,
) -> Result<ReconcileReply, RpcError> {
    let app = match &request.app {
        Some(name) => Some(node.app(name.as_str())?),
        None => None,
    };
    // What an operator has seen. The look may find a newer commit that would remove something else.
    let meant = request.prune.then(|| refused_prune(node)).transpose()?;
    // The look's answer comes after its commit was handed to the reconciler, whose mailbox keeps the order.
    let mut looked = look(node).await?;
    if let Some(rev) = request.accept {
        // The commit that the look refused is the one that is reconciled to now.
        looked = Ok(accept(node, rev).await?);
    }
    if let Some(commit) = meant {
        settle(node, Patience::UntilHeard).await?;
        super::manual::order(node, Order::AcceptPrune { commit }).await?;
    }
    let patience = if request.wait {
        Patience::UntilAtRest(app.clone())
    } else {
        Patience::UntilHeard
    };
    let report = settle(node, patience).await?;
    Ok(reply(node, report, app.as_ref(), looked.err()))
}

/// How long the repository is waited for when somebody asks for the branch's head: less than the asking command waits.
const PEEK_MAX: Duration = Duration::from_secs(8);

async fn look(node: &NodeContext) -> Result<Result<CommitId, String>, RpcError> {
    node.ask_repo_watcher(|reply| WatcherMsg::Look { reply }).await
}

/// The branch's head, without a reconcile to it.
async fn peek(node: &NodeContext) -> Result<CommitId, RpcError> {
    let accepted = node.node_board.specs().accepted;
    let help = match accepted {
        Some(facts) => format!(
            "`osier diff --rev {}` compares with the accepted commit meanwhile",
            facts.id
        ),
        None => "`osier status` says more".to_owned(),
    };
    let refused = |code, why: String| RpcError::new(code, why).help(help);
    let seen = node.ask_repo_watcher(|reply| WatcherMsg::Peek { reply });
    match tokio::time::timeout(PEEK_MAX, seen).await {
        Ok(seen) => seen?.map_err(|why| refused(RpcErrorCode::Unavailable, why)),
        Err(_) => {
            let (url, seconds) = (&node.settings.repo.url, PEEK_MAX.as_secs());
            let why = format!("{url} has not answered within {seconds} s; the look goes on");
            Err(refused(RpcErrorCode::TimedOut, why))
        }
    }
}

/// The commit whose removals are held back, as everybody can read it in the node's status.
fn refused_prune(node: &NodeContext) -> Result<CommitId, RpcError> {
    let blocked = node.node_board.specs().blocked;
    let blocked = blocked.ok_or_else(|| {
        RpcError::new(RpcErrorCode::Refused, "no mass removal waits for a word")
            .help("`osier reconcile` looks for one; the word is for what was refused before")
    })?;
    Ok(blocked.commit)
}

async fn accept(node: &NodeContext, rev: String) -> Result<CommitId, RpcError> {
    let accepted = node
        .ask_repo_watcher(|reply| WatcherMsg::Accept { rev, reply })
        .await?;
    accepted.map_err(|why| RpcError::new(RpcErrorCode::Refused, why))
}

/// What the reconciler did, when `patience` has found its end.
pub(super) async fn settle(node: &NodeContext, patience: Patience) -> Result<Report, RpcError> {
    node.ask_reconciler(|reply| ReconcilerMsg::Settle { patience, reply })
        .await
}

fn reply(
    node: &NodeContext,
    report: Report,
    app: Option<&AppName>,
    fetch_error: Option<String>,
) -> ReconcileReply {
    let headline = node.headline();
    let is_asked = |name: &AppName| app.is_none_or(|app| app == name);
    let actions = report.actions.into_iter().filter(|(_, name)| is_asked(name));
    let actions = actions
        .map(|(action, name)| outcome(action, &name, node.board.get(&name).as_deref()))
        .collect();
    let (result, reason) = match app.and_then(|name| node.board.get(name)) {
        Some(state) => (
            state.sync.as_str(),
            state.last_error.as_ref().map(|error| error.message.clone()),
        ),
        None => (headline.status.as_str(), headline.reason),
    };
    ReconcileReply {
        commit: report.commit,
        result: result.to_owned(),
        reason: fetch_error.or(reason),
        actions,
    }
}

/// How an action stands by the app's own word.
pub(super) fn outcome(action: &str, app: &AppName, state: Option<&AppState>) -> ActionReply {
    let (result, error) = match state {
        None if action == "remove" => ("ok", None),
        None => ("pending", None),
        Some(state) if has_failed(state) => {
            let error = state.last_error.as_ref();
            ("error", error.map(|error| error.message.clone()))
        }
        Some(state) => match state.sync {
            SyncState::Synced | SyncState::Suspended if action != "remove" => ("ok", None),
            _ => ("pending", None),
        },
    };
    ActionReply {
        note: None,
        action: action.to_owned(),
        app: app.clone(),
        result: result.to_owned(),
        error,
    }
}

/// Has what was asked for failed, whether or not it is tried again, or something older runs on?
fn has_failed(state: &AppState) -> bool {
    match (state.status, state.sync) {
        (RunState::Failed | RunState::Invalid | RunState::Backoff, _) | (_, SyncState::Error) => true,
        (RunState::Running, SyncState::Pending) => state.last_error.is_some(),
        _ => false,
    }
}

/// What a reconcile to a revision that the node has would do; by default to the branch's head.
pub(crate) async fn diff(node: &Arc<NodeContext>, request: DiffRequest) -> Result<Diff, RpcError> {
    let commit = match request.rev {
        Some(rev) => rev.parse().map_err(|error: crate::names::NameError| {
            RpcError::new(RpcErrorCode::NotFound, error.to_string())
                .help("give the whole id of a commit that the node has")
        })?,
        None => peek(node).await?,
    };
    let compared = node
        .ask_reconciler(|reply| ReconcilerMsg::Diff {
            commit: commit.clone(),
            reply,
        })
        .await?;
    let mut diff = compared.map_err(|error| unusable(node, &commit, error))?;
    let accepted = node.node_board.specs().accepted;
    if accepted.is_some_and(|accepted| accepted.id == commit) {
        for action in &mut diff.actions {
            let state = node.board.get(&action.app);
            let given_up =
                state.filter(|state| state.status == RunState::Failed || state.is_kept_from_upgrade());
            let error = given_up.and_then(|state| state.last_error.clone());
            action.given_up = error.map(|error| error.message);
        }
    }
    Ok(diff)
}

/// A commit that cannot be compared with, because nothing of it can be used or because it is not here.
fn unusable(node: &NodeContext, commit: &CommitId, error: ReadError) -> RpcError {
    let refused = node.node_board.specs().refused;
    let refused = refused.filter(|refused| refused.facts.id == *commit);
    match error {
        ReadError::Repository(RepositoryError::Settings(mistakes)) => {
            let title = refused.and_then(|refused| Unfollowed::unreadable(&refused.facts, "").title);
            let title = title.map_or_else(String::new, |title| format!(" {title}"));
            let message = format!("{}{title} cannot be used", commit.short());
            let help = "mend it and commit; what runs goes on meanwhile";
            RpcError::new(RpcErrorCode::Refused, message)
                .mistakes(mistakes)
                .help(help)
        }
        ReadError::Repository(error) => {
            let message = format!("{} cannot be used: {error}", commit.short());
            RpcError::new(RpcErrorCode::Refused, message)
        }
        ReadError::Git(why) => RpcError::new(RpcErrorCode::NotFound, why),
    }
}
