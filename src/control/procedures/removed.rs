//! Apps that were removed by hand: off the node, although git may ask for them.

use std::sync::Arc;

use super::NodeContext;
use crate::actors::board::Posted;
use crate::lifecycle::{AppRecord, Lifecycle};
use crate::names::AppName;
use crate::rpc::{RpcError, RpcErrorCode};
use crate::specs::Desired;
use crate::status::{AppState, RunState, SyncState};

/// Those that git asks for, as far as that is known.
pub(crate) fn missing(node: &NodeContext) -> Vec<AppState> {
    let desired = node.node_board.specs().desired;
    let is_asked = |app: &AppName| {
        let is_in = |desired: &Desired| desired.apps.contains_key(app) || desired.invalid.contains_key(app);
        desired.as_deref().is_none_or(is_in)
    };
    let removed = node.node_board.held().removed.into_keys();
    removed
        .filter(|app| is_asked(app) && node.board.get(app).is_none())
        .map(|app| state(node, app, desired.as_deref()))
        .collect()
}

/// What the board would say of an app that was removed by hand, whether or not git asks for it.
pub(crate) fn posted(node: &NodeContext, app: &AppName) -> Option<Posted> {
    let is_removed = node.node_board.held().removed.contains_key(app);
    is_removed.then(|| Posted {
        state: Arc::new(state(
            node,
            app.clone(),
            node.node_board.specs().desired.as_deref(),
        )),
        record: Arc::default(),
    })
}

/// Why nothing can be done to an app that was removed by hand.
pub(crate) fn refuse(node: &NodeContext, app: &AppName) -> Result<(), RpcError> {
    if node.board.get(app).is_some() || !node.node_board.held().removed.contains_key(app) {
        return Ok(());
    }
    let error = RpcError::new(RpcErrorCode::Refused, format!("{app} was removed by hand"));
    Err(error.help(format!(
        "`osier resume {app}` applies git to it again; `osier why {app}` says until when it is held"
    )))
}

fn state(node: &NodeContext, app: AppName, desired: Option<&Desired>) -> AppState {
    let spec = desired.and_then(|desired| desired.apps.get(&app));
    let spec = spec.map(|app| app.spec.as_ref());
    let nothing = Lifecycle::new(app, AppRecord::default(), 0).state(node.settings.name.as_str(), "");
    AppState {
        version: spec.map(|spec| spec.version.clone()),
        desired_version: spec.map(|spec| spec.version.clone()),
        description: spec.and_then(|spec| spec.description.clone()),
        icon: spec.and_then(|spec| spec.icon.clone()),
        status: RunState::Stopped,
        sync: SyncState::Missing,
        manual: true,
        path: None,
        ..nothing
    }
}
