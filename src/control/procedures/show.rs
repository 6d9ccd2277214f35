//! `show` and `why`: everything about one app.

use std::sync::Arc;

use super::{NodeContext, origin, removed};
use crate::actors::board::Posted;
use crate::clock::now_ms;
use crate::names::AppName;
use crate::rpc::RpcError;
use crate::rpc::procedures::{AppDetails, AppRequest, LogLine, PastExit, WhyReply};
use crate::specs::DesiredApp;
use crate::status::hold::Hold;
use crate::status::origin::Origin;
use crate::status::why::{self, WhyFacts};
use crate::status::{AppState, KeeperTrouble};
use crate::store::EventQuery;
use crate::telemetry::EventRecord;

/// Everything about one app.
pub(crate) async fn app(node: &Arc<NodeContext>, request: AppRequest) -> Result<AppDetails, RpcError> {
    let name = node.app(&request.app)?;
    let usage = node.apps.usage(&name).await;
    let facts = Facts::of(node, &name).await?;
    let (reader, app) = (node.clone(), name.clone());
    let events = tokio::task::spawn_blocking(move || newest_events(&reader, &app));
    let events = events.await.unwrap_or_default();
    Ok(AppDetails {
        why: facts.why(),
        usage,
        dropped_output_bytes: node.node_board.dropped_output_bytes(&name),
        events,
        desired: facts.desired.as_deref().cloned(),
        applied: facts.posted.record.applied.as_deref().cloned(),
        state: AppState::clone(&facts.posted.state),
        exits: facts.exits,
        last_words: facts.last_words,
        origin: facts.origin,
    })
}

/// One paragraph about one app.
pub(crate) async fn why(node: &Arc<NodeContext>, request: AppRequest) -> Result<WhyReply, RpcError> {
    let app = node.app(&request.app)?;
    let text = Facts::of(node, &app).await?.why();
    Ok(WhyReply { app, text })
}

/// What is known about one app.
struct Facts {
    posted: Posted,
    desired: Option<Arc<DesiredApp>>,
    exits: Vec<PastExit>,
    last_words: Vec<LogLine>,
    origin: Option<Origin>,
    is_git_read: bool,
    hold: Option<Hold>,
    next_look_ms: Option<u64>,
    keeper: Option<KeeperTrouble>,
}

impl Facts {
    async fn of(node: &Arc<NodeContext>, name: &AppName) -> Result<Self, RpcError> {
        let posted = node.board.posted(name).or_else(|| removed::posted(node, name));
        let mut posted = posted.ok_or_else(|| super::unavailable("app"))?;
        let keeper = node.node_board.keeper_trouble();
        let keeper = keeper.filter(|trouble| trouble.hides(&posted.state));
        if let Some(trouble) = &keeper {
            posted.state = Arc::new(trouble.shade(&posted.state));
        }
        let specs = node.node_board.specs();
        let desired = specs
            .desired
            .as_ref()
            .and_then(|desired| desired.apps.get(name).cloned());
        let origin = origin::of(node, name, &posted, desired.as_deref()).await;
        let (reader, app) = (node.clone(), name.clone());
        let last_words = tokio::task::spawn_blocking(move || super::logs::last_words(&reader, &app));
        Ok(Self {
            exits: posted
                .record
                .past_exits
                .iter()
                .rev()
                .map(|exit| exit.as_ref().clone())
                .collect(),
            last_words: last_words.await.unwrap_or_default(),
            is_git_read: specs.desired.is_some(),
            hold: hold(node, name, desired.as_deref()),
            next_look_ms: node.node_board.source().next_at_ms,
            keeper,
            posted,
            desired,
            origin,
        })
    }

    fn why(&self) -> String {
        let last_words: Vec<String> = self.last_words.iter().map(|line| line.text.clone()).collect();
        why::why(&WhyFacts {
            state: &self.posted.state,
            desired: self.desired.as_deref(),
            is_git_read: self.is_git_read,
            applied: self.posted.record.applied.as_deref(),
            origin: self.origin.as_ref(),
            exits: &self.exits,
            last_words: &last_words,
            hold: self.hold,
            is_stopped_by_hand: self.posted.record.stopped_by_hand.is_some(),
            next_look_ms: self.next_look_ms,
            unseen: self.keeper.as_ref(),
            now_ms: now_ms(),
        })
    }
}

/// Why git is not applied to an app.
pub(super) fn hold(node: &NodeContext, app: &AppName, desired: Option<&DesiredApp>) -> Option<Hold> {
    let by_spec = desired.filter(|desired| desired.spec.is_suspended());
    let by_word = node.node_board.held().hold(app);
    by_word.or(by_spec.map(|_| Hold::BySpec))
}

/// So many events are shown.
const EVENTS_SHOWN: usize = 10;

/// The newest events about an app, newest first. Blocking.
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
    events.sort_by_key(|event| std::cmp::Reverse(event.timestamp));
    events
}
