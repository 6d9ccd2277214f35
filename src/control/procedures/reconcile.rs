//! `reconcile` and `diff`: look at the repository now, and make the node what it says, or say what would be done.

use std::sync::Arc;

use ractor::rpc::CallResult;

use super::{NodeContext, unavailable};
use crate::actors::reconciler::{Order, Patience, ReconcilerMsg, Report};
use crate::actors::repo_watcher::WatcherMsg;
use crate::names::{AppName, CommitId};
use crate::plan::Diff;
use crate::rpc::procedures::{ActionReply, DiffRequest, ReconcileReply, ReconcileRequest};
use crate::rpc::{RpcError, RpcErrorCode};
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
    // The look's answer comes after its commit was handed to the reconciler, whose mailbox keeps the order.
    let looked = look(node).await?;
    if let Some(rev) = request.accept {
        accept(node, rev).await?;
    }
    if request.prune {
        settle(node, Patience::UntilTold).await?;
        super::manual::order(node, Order::AcceptPrune).await?;
    }
    let patience = if request.wait {
        Patience::UntilSettled
    } else {
        Patience::UntilTold
    };
    let report = settle(node, patience).await?;
    Ok(reply(node, report, app.as_ref(), looked.err()))
}

async fn look(node: &NodeContext) -> Result<Result<CommitId, String>, RpcError> {
    let watcher = node
        .directory
        .repo_watcher
        .get()
        .ok_or_else(|| unavailable("repo watcher"))?;
    match watcher.call(|reply| WatcherMsg::Look { reply }, None).await {
        Ok(CallResult::Success(looked)) => Ok(looked),
        _ => Err(unavailable("repo watcher")),
    }
}

async fn accept(node: &NodeContext, rev: String) -> Result<(), RpcError> {
    let watcher = node
        .directory
        .repo_watcher
        .get()
        .ok_or_else(|| unavailable("repo watcher"))?;
    match watcher
        .call(|reply| WatcherMsg::Accept { rev, reply }, None)
        .await
    {
        Ok(CallResult::Success(Ok(_commit))) => Ok(()),
        Ok(CallResult::Success(Err(why))) => Err(RpcError::new(RpcErrorCode::Refused, why)),
        _ => Err(unavailable("repo watcher")),
    }
}

/// What the reconciler did, when it has told every app, or when every app has settled .
pub(super) async fn settle(node: &NodeContext, patience: Patience) -> Result<Report, RpcError> {
    let reconciler = node
        .directory
        .reconciler
        .get()
        .ok_or_else(|| unavailable("reconciler"))?;
    match reconciler
        .call(|reply| ReconcilerMsg::Settle { patience, reply }, None)
        .await
    {
        Ok(CallResult::Success(report)) => Ok(report),
        _ => Err(unavailable("reconciler")),
    }
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
        Some(state) => match (&state.last_error, state.status, state.sync) {
            (Some(error), _, _) => ("error", Some(error.message.clone())),
            (None, RunState::Failed | RunState::Invalid, _) => ("error", None),
            (None, _, SyncState::Synced | SyncState::Suspended) if action != "remove" => ("ok", None),
            _ => ("pending", None),
        },
    };
    ActionReply {
        action: action.to_owned(),
        app: app.clone(),
        result: result.to_owned(),
        error,
    }
}

/// What a reconcile to a revision that the node has would do; by default to the branch's head.
pub(crate) async fn diff(node: &Arc<NodeContext>, request: DiffRequest) -> Result<Diff, RpcError> {
    let commit = match request.rev {
        Some(rev) => rev.parse().map_err(|error: crate::names::NameError| {
            RpcError::new(RpcErrorCode::NotFound, error.to_string())
                .help("give the whole id of a commit that the node has")
        })?,
        None => look(node).await?.map_err(|why| {
            RpcError::new(RpcErrorCode::Failed, why)
                .help("`osier status` says more; `--rev` compares with a commit that the node has")
        })?,
    };
    let reconciler = node
        .directory
        .reconciler
        .get()
        .ok_or_else(|| unavailable("reconciler"))?;
    match reconciler
        .call(|reply| ReconcilerMsg::Diff { commit, reply }, None)
        .await
    {
        Ok(CallResult::Success(Ok(diff))) => Ok(diff),
        Ok(CallResult::Success(Err(why))) => Err(RpcError::new(RpcErrorCode::NotFound, why)),
        _ => Err(unavailable("reconciler")),
    }
}
