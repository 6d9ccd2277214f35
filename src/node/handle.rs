//! A running node, as its host sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::Stream;
use tokio::sync::watch;

use crate::actors::telemetry_router::{EventStream, EventsError};
use crate::control::procedures::{NodeContext, reconcile};
use crate::names::{AppName, NodeName};
use crate::rpc::RpcError;
use crate::rpc::procedures::{EventsRequest, ReconcileReply, ReconcileRequest};
use crate::status::{AppState, NodeStatus};
use crate::supervisor::{ExitReason, SupervisorRef};
use crate::telemetry::EventRecord;

/// A running node. Dropping the handle leaves the node running; [`NodeHandle::shutdown`] ends it.
#[derive(Clone)]
pub struct NodeHandle {
    pub(super) root: SupervisorRef,
    pub(super) context: Arc<NodeContext>,
    /// Closed when what ends with the node has ended.
    pub(super) farewell: watch::Receiver<()>,
}

impl std::fmt::Debug for NodeHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("NodeHandle")
            .field(&self.context.settings.name)
            .finish()
    }
}

impl NodeHandle {
    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.context.settings.name
    }

    /// The node's headline. Never waits for an actor.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        self.context.status()
    }

    /// All apps. Never waits for an actor.
    #[must_use]
    pub fn apps(&self) -> BTreeMap<AppName, AppState> {
        self.context.state()
    }

    /// One app by its name.
    #[must_use]
    pub fn app(&self, name: &str) -> Option<AppState> {
        let name: AppName = name.parse().ok()?;
        self.context.board.get(&name).map(|state| AppState::clone(&state))
    }

    /// Fetches and reconciles now.
    ///
    /// # Errors
    /// When the request names something that is not there, or the node is stopping.
    pub async fn reconcile(&self, request: ReconcileRequest) -> Result<ReconcileReply, RpcError> {
        reconcile::reconcile(&self.context, request).await
    }

    /// Waits until `is_true` says so of the node's apps; looks whenever something changes.
    pub async fn wait_until(
        &self,
        mut is_true: impl FnMut(&NodeStatus, &BTreeMap<AppName, AppState>) -> bool,
    ) {
        let mut changes = self.context.node_board.changes();
        loop {
            changes.mark_unchanged();
            if is_true(&self.status(), &self.apps()) || changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// What happened, and with `follow` what happens from now on, until the node ends.
    ///
    /// # Errors
    /// When `after` is no event of this node, or `app` no name.
    pub fn events(&self, request: &EventsRequest) -> Result<EventStream, EventsError> {
        let root = self.root.clone();
        let events = self.context.telemetry.events(request)?;
        Ok(events.until(async move { drop(root.ended().await) }))
    }

    /// Everything that happens from now on, until the node has ended. One that is read slowly delays nothing: it goes on
    /// from what the node keeps of its past.
    pub fn event_stream(&self) -> impl Stream<Item = Arc<EventRecord>> + Send + Unpin + use<> {
        let root = self.root.clone();
        let events = self.context.telemetry.follow();
        let events = events.until(async move { drop(root.ended().await) });
        let next = |mut events: EventStream| async move { Some((events.next().await?, events)) };
        Box::pin(futures::stream::unfold(events, next))
    }

    /// The node's root supervisor.
    #[must_use]
    pub fn supervisor(&self) -> &SupervisorRef {
        &self.root
    }

    /// Waits until the node has ended, with the apps that end with it, and its data directory is free; says why it ended.
    pub async fn ended(&self) -> ExitReason {
        let reason = self.root.ended().await;
        let mut farewell = self.farewell.clone();
        while farewell.changed().await.is_ok() {}
        reason
    }

    /// Ends the node and returns when it has ended: its actors stop in order. Apps that are processes go on, unless they
    /// end with the node: then each is stopped in its own way before, dependents first. What the node remembers is on the
    /// disk then, unless the disk fails, and another node may have its data directory.
    pub async fn shutdown(self) {
        self.root.shutdown().await;
        self.ended().await;
    }
}
