//! `tree`: the live supervision tree; and, in debug builds, killing an actor of it.

use std::sync::Arc;
use std::time::Duration;

use super::{NodeContext, unavailable};
use crate::actors::mailbox::Depth;
use crate::actors::telemetry_router::Telemetry;
use crate::rpc::procedures::{Nothing, TreeKillRequest, TreeNode};
use crate::rpc::{RpcError, RpcErrorCode};
use crate::status::health::HealthReport;
use crate::supervisor::{ChildInfo, ChildRef, Kind, Tree};

/// A supervisor that does not answer within this time is shown without its children.
const PATIENCE: Duration = Duration::from_millis(500);

/// The tree from the root supervisor down.
pub(crate) async fn tree(node: &Arc<NodeContext>) -> Result<TreeNode, RpcError> {
    let root = node.root().ok_or_else(|| unavailable("root supervisor"))?;
    let tree = root
        .tree(PATIENCE)
        .await
        .map_err(|_| unavailable("root supervisor"))?;
    Ok(TreeNode {
        name: node.settings.name.to_string(),
        age_ms: Some(millis(node.started.elapsed())),
        ..supervisor(node, tree)
    })
}

fn supervisor(node: &NodeContext, tree: Tree) -> TreeNode {
    let strategy = if tree.is_dynamic {
        "dynamic, one_for_one"
    } else {
        tree.flags.strategy.as_str()
    };
    let detail = format!(
        "{strategy}, {} restarts in {} s",
        tree.flags.intensity,
        tree.flags.period.as_secs()
    );
    let is_apps = tree.is_dynamic;
    let children = tree
        .children
        .into_iter()
        .map(|(info, below)| child(node, &info, below, is_apps))
        .collect();
    TreeNode {
        kind: "supervisor".to_owned(),
        detail: Some(detail),
        state: "running".to_owned(),
        children,
        ..TreeNode::default()
    }
}

fn child(node: &NodeContext, info: &ChildInfo, below: Option<Tree>, is_app: bool) -> TreeNode {
    let inner = match below {
        Some(tree) => supervisor(node, tree),
        None if info.kind == Kind::Supervisor => TreeNode {
            kind: "supervisor".to_owned(),
            ..TreeNode::default()
        },
        None => TreeNode {
            kind: "actor".to_owned(),
            ..TreeNode::default()
        },
    };
    let app = if is_app {
        info.id
            .as_str()
            .parse()
            .ok()
            .and_then(|name| node.board.get(&name))
    } else {
        None
    };
    let checks = app.as_ref().and_then(|state| state.checks.as_ref());
    let below = checks.and_then(|checks| health_below(info, checks));
    TreeNode {
        name: info.id.to_string(),
        state: info.state.as_str().to_owned(),
        restarts: info.restarts,
        mailbox: info.child.as_ref().and_then(waiting),
        age_ms: info.started_ago.map(millis),
        last_exit: info
            .last_exit
            .as_ref()
            .map(|exit| format!("{}, {} s ago", exit.reason, exit.ago.as_secs())),
        os_pid: app.as_ref().and_then(|state| state.os_pid),
        detail: app.map(|state| app_detail(&state)).or(inner.detail),
        kind: inner.kind,
        children: inner.children.into_iter().chain(below).collect(),
    }
}

/// The one actor beneath an app's, which checks its health.
const HEALTH: &str = "health";

fn health_below(app: &ChildInfo, checks: &HealthReport) -> Option<TreeNode> {
    app.child.as_ref()?.cell().get_children().first()?;
    Some(TreeNode {
        name: HEALTH.to_owned(),
        kind: "actor".to_owned(),
        detail: Some(format!("{}, {}", checks.kind.as_str(), checks.health.as_str())),
        state: "running".to_owned(),
        ..TreeNode::default()
    })
}

/// The messages that wait for an actor. Of a supervisor nobody counts them.
fn waiting(child: &ChildRef) -> Option<u64> {
    let queued = || {
        let telemetry = child.info::<Telemetry>()?;
        u64::try_from(telemetry.waiting_count()).ok()
    };
    child.info::<Depth>().map(|depth| depth.get()).or_else(queued)
}

/// An app in its line of the tree: `running 1.4.2, 3 restarts`.
fn app_detail(state: &crate::status::AppState) -> String {
    let version = state
        .version
        .as_ref()
        .map(|version| format!(" {version}"))
        .unwrap_or_default();
    let restarts = if state.restarts == 0 {
        String::new()
    } else {
        format!(", {} restarts", state.restarts)
    };
    format!("{}{version}{restarts}", state.status.as_str())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Kills the actor at a path such as `core/apps/web`. For tests of what grows back; a release build refuses.
pub(crate) async fn kill(node: &Arc<NodeContext>, request: TreeKillRequest) -> Result<Nothing, RpcError> {
    if !cfg!(debug_assertions) {
        return Err(RpcError::new(
            RpcErrorCode::NotPermitted,
            "only debug builds kill actors on request",
        ));
    }
    let root = node.root().ok_or_else(|| unavailable("root supervisor"))?;
    let mut children = root
        .tree(PATIENCE)
        .await
        .map_err(|_| unavailable("root supervisor"))?
        .children;
    let mut found: Option<ChildRef> = None;
    for part in request.path.split('/') {
        let beneath = found.as_ref().filter(|_| part == HEALTH && children.is_empty());
        if let Some(health) = beneath.and_then(|app| app.cell().get_children().into_iter().next()) {
            health.kill();
            return Ok(Nothing {});
        }
        let step = children.into_iter().find(|(info, _)| info.id.as_str() == part);
        let Some((info, below)) = step else {
            let path = crate::names::shown(&request.path);
            return Err(
                RpcError::new(RpcErrorCode::NotFound, format!("no actor at `{path}`"))
                    .help("`osier tree` lists them"),
            );
        };
        found = info.child;
        children = below.map(|tree| tree.children).unwrap_or_default();
    }
    let child = found.ok_or_else(|| RpcError::new(RpcErrorCode::Refused, "that actor is not running now"))?;
    child.cell().kill();
    Ok(Nothing {})
}
