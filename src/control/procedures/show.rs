//! `show` and `why`: everything about one app.

use std::sync::Arc;

use super::NodeContext;
use crate::names::AppName;
use crate::rpc::RpcError;
use crate::rpc::procedures::{AppDetails, AppRequest, WhyReply};
use crate::status::AppState;
use crate::store::EventQuery;
use crate::telemetry::EventRecord;

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
        events: newest_events(node, &name),
        commit: None,
        why: String::new(),
        state: AppState::clone(&state),
    })
}

/// So many events are shown.
const EVENTS_SHOWN: usize = 10;

/// The newest events about an app, newest first.
fn newest_events(node: &NodeContext, app: &AppName) -> Vec<EventRecord> {
    let query = EventQuery {
        app: Some(app.clone()),
        ..EventQuery::default()
    };
    let newest = node.store.newest_events(&query, EVENTS_SHOWN);
    let mut events: Vec<_> = newest
        .into_iter()
        .map(|(_, record)| record.as_ref().clone())
        .collect();
    events.sort_by(|a, b| b.timestamp.cmp(&a.timestamp));
    events
}

/// One paragraph about one app.
pub(crate) async fn why(node: &Arc<NodeContext>, request: AppRequest) -> Result<WhyReply, RpcError> {
    let name = node.app(&request.app)?;
    Ok(WhyReply {
        app: name,
        text: String::new(),
    })
}
