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
use crate::status::unfollowed::Unfollowed;
use crate::status::why::{self, WhyFacts};
use crate::status::{AppState, KeeperTrouble, RunState};
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
    let app = match (node.app(&request.app), elsewhere(node, &request.app)) {
        (Err(_), Some(app)) => {
            let (text, _) = not_placed_here(node, &app);
            return Ok(WhyReply { app, text });
        }
        (app, _) => app?,
    };
    let text = Facts::of(node, &app).await?.why();
    Ok(WhyReply { app, text })
}

/// The app of that name that git asks for, and not on this node.
pub(super) fn elsewhere(node: &NodeContext, text: &str) -> Option<AppName> {
    let desired = node.node_board.specs().desired?;
    desired.elsewhere.get(text).cloned()
}

/// Why nothing of such an app is here, and what to do about it.
pub(super) fn not_placed_here(node: &NodeContext, app: &AppName) -> (String, &'static str) {
    let labels = node.facts.labels.iter();
    let labels: Vec<_> = labels.map(|(key, value)| format!("{key}={value}")).collect();
    let labels = match labels.is_empty() {
        true => "no labels".to_owned(),
        false => format!("the labels {}", labels.join(", ")),
    };
    let name = &node.settings.name;
    let text = format!(
        "Git asks for {app}, but not on this node: its `placement` does not choose {name}, which has {labels}."
    );
    (
        text,
        "`placement` in its spec chooses nodes; `[node] labels` in the configuration are this node's",
    )
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
    unfollowed: Option<Unfollowed>,
    waits_in_vain_for: Vec<AppName>,
}

impl Facts {
    async fn of(node: &Arc<NodeContext>, name: &AppName) -> Result<Self, RpcError> {
        let posted = node.board.posted(name).or_else(|| removed::posted(node, name));
        let mut posted = posted.ok_or_else(|| super::unavailable("app"))?;
        posted.state = Arc::new(node.with_progress(AppState::clone(&posted.state)));
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
            unfollowed: node.unfollowed(),
            waits_in_vain_for: given_up(node, &posted.state.waits_for),
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
            unfollowed: self.unfollowed.as_ref(),
            waits_in_vain_for: &self.waits_in_vain_for,
            next_look_ms: self.next_look_ms,
            unseen: self.keeper.as_ref(),
            now_ms: now_ms(),
        })
    }
}

/// Those of `apps` that are not tried again by themselves.
fn given_up(node: &NodeContext, apps: &[AppName]) -> Vec<AppName> {
    let has_given_up = |app: &&AppName| {
        let state = node.board.get(app);
        state.is_some_and(|state| matches!(state.status, RunState::Failed | RunState::Invalid))
    };
    apps.iter().filter(has_given_up).cloned().collect()
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
