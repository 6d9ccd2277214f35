//! What operators do by hand: deploy, upgrade and remove beside git; restart, stop and start; suspend and resume.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{NodeContext, removed, unavailable};
use crate::actors::reconciler::{ManualOrder, Order, OrderReply, Patience, ReconcilerMsg};
use crate::clock::now_ms;
use crate::names::{AppName, shown};
use crate::rpc::procedures::{
    ActionReply, DeployRequest, OperateRequest, Operation, RemoveRequest, RollbackRequest, SuspendReply,
    SuspendRequest, UpgradeRequest,
};
use crate::rpc::{RpcError, RpcErrorCode};
use crate::specs::app_file::read_app;
use crate::specs::app_spec::{Source, is_sha256};
use crate::specs::{DesiredApp, SpecError};
use crate::status::hold::{Hold, Until};
use crate::status::{HealthState, RunState};

/// Hands an operator's word to the reconciler.
pub(super) async fn order(node: &NodeContext, order: Order) -> Result<OrderReply, RpcError> {
    let answer = node
        .ask_reconciler(|reply| ReconcilerMsg::Order { order, reply })
        .await?;
    answer.map_err(|error| RpcError::new(RpcErrorCode::Refused, error.to_string()))
}

/// Returns when what was decided is on the disk: an operator's word outlives the daemon, or its answer says that it would not.
async fn must_last(node: &NodeContext) -> Result<(), RpcError> {
    let why = match tokio::time::timeout(KEEP_MAX, node.store.flush()).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(problem)) => problem.to_string(),
        Err(_) => "the disk does not answer".to_owned(),
    };
    let why = format!("it is done, but a daemon that is started again would not know of it: {why}");
    Err(RpcError::new(RpcErrorCode::Failed, why).help("free space or mend the folder, then say it again"))
}

/// How long the disk is waited for.
const KEEP_MAX: Duration = Duration::from_secs(3);

fn until(hold_ms: Option<u64>) -> Until {
    hold_ms.map_or(Until::NextReconcile, |hold_ms| {
        Until::At(now_ms().saturating_add(hold_ms))
    })
}

async fn by_hand(
    node: &NodeContext,
    verb: &str,
    change: ManualOrder,
    (until, by): (Until, String),
) -> Result<ActionReply, RpcError> {
    let reply = order(
        node,
        Order::Manual {
            change,
            until,
            by: Some(by),
        },
    )
    .await?;
    let app = reply.apps.first().ok_or_else(|| unavailable("reconciler"))?;
    super::reconcile::settle(node, Patience::UntilAtRest(Some(app.clone()))).await?;
    must_last(node).await?;
    Ok(super::reconcile::outcome(
        verb,
        app,
        node.board.get(app).as_deref(),
    ))
}

/// Deploys a spec by hand. Its mistakes come back as one refusal that names them all.
pub(crate) async fn deploy(
    node: &Arc<NodeContext>,
    by: String,
    request: DeployRequest,
) -> Result<ActionReply, RpcError> {
    let read = read_app(
        &request.file,
        request.text.as_bytes(),
        default_name(&request.file),
        &node.facts,
    );
    let spec = match read.spec {
        Some(spec) if read.errors.is_empty() => spec,
        _ => return Err(mistaken(&request.file, read.errors)),
    };
    if matches!(&spec.source, Some(Source::Path { path }) if !path.starts_with('/')) {
        let why = "a spec that is deployed by hand has no folder beside it: give an absolute path";
        return Err(RpcError::new(RpcErrorCode::Refused, why));
    }
    let digest = spec.digest(&[]);
    let app = DesiredApp {
        spec: Arc::new(spec),
        digest,
        file: request.file,
        line: 1,
        folder: String::new(),
        artefact: None,
    };
    by_hand(
        node,
        "deploy",
        ManualOrder::Deploy(Box::new(app)),
        (until(request.hold_ms), by),
    )
    .await
}

/// The name of an app whose spec gives none: as in a repository that of its folder, or of a file that is called otherwise than
/// specs are there that of the file.
fn default_name(file: &str) -> &str {
    let mut parts = file.rsplit('/');
    let stem = parts.next().and_then(|name| name.split('.').next());
    match stem {
        Some("app" | "config") => parts.next().or(stem).unwrap_or_default(),
        _ => stem.unwrap_or_default(),
    }
}

fn mistaken(file: &str, mistakes: Vec<SpecError>) -> RpcError {
    let message = match mistakes.len() {
        1 => format!("{file} has a mistake"),
        count => format!("{file} has {count} mistakes"),
    };
    RpcError::new(RpcErrorCode::Refused, message).mistakes(mistakes)
}

/// Gives an app another version by hand.
pub(crate) async fn upgrade(
    node: &Arc<NodeContext>,
    by: String,
    request: UpgradeRequest,
) -> Result<ActionReply, RpcError> {
    let app = node.app(&request.app)?;
    if let Some(digest) = request.sha256.as_ref().filter(|digest| !is_sha256(digest)) {
        let why = format!("`{}` is not a sha256", shown(digest));
        let help = "give the 64 lower-case hex digits that `sha256sum FILE` prints";
        return Err(RpcError::new(RpcErrorCode::Refused, why).help(help));
    }
    let change = ManualOrder::Upgrade {
        app,
        version: request.version,
        sha256: request.sha256,
    };
    by_hand(node, "upgrade", change, (until(request.hold_ms), by)).await
}

/// Brings a version back that was good before.
pub(crate) async fn rollback(
    node: &Arc<NodeContext>,
    by: String,
    request: RollbackRequest,
) -> Result<ActionReply, RpcError> {
    let name = node.app(&request.app)?;
    let posted = node.board.posted(&name).ok_or_else(|| unavailable("app"))?;
    let good = &posted.record.good;
    let is_meant = |app: &&Arc<DesiredApp>| match &request.to {
        Some(version) => app.spec.version == *version,
        None => true,
    };
    // A folder outside of the repository is not kept as it was.
    let comes_back = |app: &&Arc<DesiredApp>| !matches!(&app.spec.source, Some(Source::Path { path }) if path.starts_with('/'));
    let is_meant = |app: &&Arc<DesiredApp>| is_meant(app) && comes_back(app);
    let found = good.iter().map(|good| &good.app).find(is_meant);
    let Some(app) = found else {
        let known: Vec<_> = good
            .iter()
            .map(|good| good.app.spec.version.to_string())
            .collect();
        let why = match &request.to {
            Some(version) => {
                format!("{name} was not healthy as {version} before, as far as this node remembers")
            }
            None => format!("no version of {name} before this one was healthy here"),
        };
        let help = match known.is_empty() {
            true => "the first version that is replaced by another one can be gone back to".to_owned(),
            false => format!("it can go back to {}", known.join(", ")),
        };
        return Err(RpcError::new(RpcErrorCode::Refused, why).help(help));
    };
    let app = DesiredApp::clone(app);
    let (version, timeout) = (app.spec.version.clone(), app.spec.upgrade.policy().health_timeout);
    let digest = app.digest.to_string();
    let change = ManualOrder::Pin(Box::new(app));
    let reply = by_hand(node, "rollback", change, (Until::Touched, by)).await?;
    let asked = node.node_board.specs().desired;
    let asked = asked.and_then(|desired| Some(desired.apps.get(&name)?.spec.version.clone()));
    let git = asked.map_or_else(
        || "git does not ask for it".to_owned(),
        |asked| format!("git still asks for {asked}"),
    );
    let judged = judged(node, &name, timeout).await;
    Ok(ActionReply {
        note: Some(format!(
            "back to {version} ({}); {git}",
            &digest[..7.min(digest.len())]
        )),
        result: if judged.is_err() {
            "error".to_owned()
        } else {
            reply.result
        },
        error: judged.err().or(reply.error),
        ..reply
    })
}

/// Waits until an app is well, or is not, or its time is over.
async fn judged(node: &NodeContext, app: &AppName, timeout: Duration) -> Result<(), String> {
    let mut changes = node.node_board.changes();
    let verdict = async {
        loop {
            let state = node.board.get(app);
            match state.as_ref().map(|state| (state.health, state.status)) {
                None | Some((HealthState::Healthy, _) | (_, RunState::Stopped)) => return Ok(()),
                Some((HealthState::Unhealthy, _)) => {
                    let error = state.and_then(|state| state.last_error.clone());
                    return Err(error.map_or_else(|| "it is not healthy".to_owned(), |error| error.message));
                }
                Some((HealthState::Unknown, _)) => {}
            }
            if changes.changed().await.is_err() {
                return Ok(());
            }
        }
    };
    let late = || Err(format!("it is not healthy after {} s", timeout.as_secs()));
    tokio::time::timeout(timeout, verdict)
        .await
        .unwrap_or_else(|_| late())
}

/// Takes an app off the node by hand.
pub(crate) async fn remove(
    node: &Arc<NodeContext>,
    by: String,
    request: RemoveRequest,
) -> Result<ActionReply, RpcError> {
    let app = node.app(&request.app)?;
    by_hand(
        node,
        "remove",
        ManualOrder::Remove { app },
        (until(request.hold_ms), by),
    )
    .await
}

/// Restarts, stops or starts one app or all, at the same time, and waits for each.
pub(crate) async fn operate(
    node: &Arc<NodeContext>,
    request: OperateRequest,
) -> Result<Vec<ActionReply>, RpcError> {
    if request.app.is_none() && request.operation == Operation::Stop {
        let done = super::stopping::all(node).await;
        must_last(node).await?;
        return Ok(done);
    }
    let apps: Vec<AppName> = match &request.app {
        Some(name) => {
            let app = node.app(name)?;
            removed::refuse(node, &app)?;
            vec![app]
        }
        None => node.board.all().into_keys().collect(),
    };
    let operation = request.operation;
    let verb = match operation {
        Operation::Restart => "restart",
        Operation::Stop => "stop",
        Operation::Start => "start",
    };
    let all = apps.into_iter().map(|app| async move {
        let error = node.apps.operate(&app, operation).await.err();
        let result = if error.is_some() { "error" } else { "ok" }.to_owned();
        ActionReply {
            note: None,
            action: verb.to_owned(),
            app,
            result,
            error,
        }
    });
    let done = futures::future::join_all(all).await;
    if operation != Operation::Restart {
        must_last(node).await?;
    }
    Ok(done)
}

/// Stops or resumes applying git to one app or to the node.
pub(crate) async fn suspend(
    node: &Arc<NodeContext>,
    request: SuspendRequest,
) -> Result<SuspendReply, RpcError> {
    let app = match &request.app {
        Some(name) => Some(node.app(name)?),
        None => None,
    };
    let until = request.for_ms.map_or(Until::Revoked, |for_ms| {
        Until::At(now_ms().saturating_add(for_ms))
    });
    if request.suspend {
        order(node, Order::Suspend { app, until }).await?;
        must_last(node).await?;
        return Ok(SuspendReply::default());
    }
    order(node, Order::Resume { app: app.clone() }).await?;
    must_last(node).await?;
    match app {
        Some(app) => is_resumed(node, &app),
        None => Ok(SuspendReply {
            still_held: still_held(node),
        }),
    }
}

/// Apps to which git is not applied by a word about each of them, and not until the next reconcile alone.
fn still_held(node: &NodeContext) -> Vec<AppName> {
    let held = node.node_board.held();
    let words = held
        .suspended
        .keys()
        .chain(held.changed.keys())
        .chain(held.removed.keys());
    let lasting: BTreeSet<&AppName> = words.filter(|app| held.outlasts_reconcile(app)).collect();
    lasting.into_iter().cloned().collect()
}

/// Operators' words about this app are taken back. Is git applied to it with that?
fn is_resumed(node: &NodeContext, app: &AppName) -> Result<SuspendReply, RpcError> {
    let specs = node.node_board.specs();
    let desired = specs.desired.as_ref().and_then(|desired| desired.apps.get(app));
    let refused = |why| Err(RpcError::new(RpcErrorCode::Refused, why));
    match (super::show::hold(node, app, desired.map(AsRef::as_ref)), desired) {
        (Some(Hold::NodeSuspended(_)), _) => {
            let why = format!("git is still not applied to {app}: the node is suspended");
            refused(why).map_err(|error| error.help("`osier resume` resumes the node"))
        }
        (Some(Hold::BySpec), Some(desired)) => {
            let place = format!("{}:{}", crate::names::shown(&desired.file), desired.line);
            let why = format!("no operator suspends {app}: its spec does ({place})");
            refused(why)
                .map_err(|error| error.help("only a commit without `suspend: true` there changes that"))
        }
        _ => Ok(SuspendReply::default()),
    }
}
