//! `show` and `why`: everything about one app.

use std::sync::Arc;

use super::NodeContext;
use crate::rpc::RpcError;
use crate::rpc::procedures::{AppDetails, AppRequest, WhyReply};
use crate::status::AppState;

/// Everything about one app.
pub(crate) async fn app(node: &Arc<NodeContext>, request: AppRequest) -> Result<AppDetails, RpcError> {
    let name = node.app(&request.app)?;
    let posted = node.board.posted(&name);
    let specs = node.node_board.specs();
    let (state, record) = posted
        .map(|posted| (posted.state, posted.record))
        .ok_or_else(|| super::unavailable("app"))?;
    Ok(AppDetails {
        desired: specs
            .desired
            .as_ref()
            .and_then(|desired| desired.apps.get(&name))
            .map(|app| app.as_ref().clone()),
        applied: record.applied.as_deref().cloned(),
        usage: node.apps.usage(&name).await,
        exits: record
            .past_exits
            .iter()
            .rev()
            .map(|exit| exit.as_ref().clone())
            .collect(),
        last_words: Vec::new(),
        events: Vec::new(),
        commit: None,
        why: String::new(),
        state: AppState::clone(&state),
    })
}

/// One paragraph about one app.
pub(crate) async fn why(node: &Arc<NodeContext>, request: AppRequest) -> Result<WhyReply, RpcError> {
    let name = node.app(&request.app)?;
    Ok(WhyReply {
        app: name,
        text: String::new(),
    })
}
