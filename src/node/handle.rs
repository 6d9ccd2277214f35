//! A running node, as its host sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::actors::telemetry_router::{EventStream, EventsError};
use crate::control::procedures::{NodeContext, reconcile, stopping};
use crate::names::{AppName, NodeName};
use crate::rpc::RpcError;
use crate::rpc::procedures::{EventsRequest, ReconcileReply, ReconcileRequest};
use crate::status::{AppState, NodeStatus};
use crate::supervisor::{ExitReason, SupervisorRef};

/// A running node. Dropping the handle leaves the node running; [`NodeHandle::shutdown`] ends it.
#[derive(Clone)]
pub struct NodeHandle {
    pub(super) root: SupervisorRef,
    pub(super) context: Arc<NodeContext>,
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

    /// What happened, and with `follow` what happens from now on.
    ///
    /// # Errors
    /// When `after` is no event of this node, or `app` no name.
    pub fn events(&self, request: &EventsRequest) -> Result<EventStream, EventsError> {
        self.context.telemetry.events(request)
    }

    /// The node's root supervisor.
    #[must_use]
    pub fn supervisor(&self) -> &SupervisorRef {
        &self.root
    }

    /// Waits until the node ends, and says why.
    pub async fn ended(&self) -> ExitReason {
        self.root.ended().await
    }

    /// Ends the node: its actors stop in order. Apps that are processes go on, unless they end with the node: then they are
    /// stopped, dependents first. What the node remembers is on the disk then, unless the disk fails, and another node may
    /// have its data directory.
    pub async fn shutdown(self) {
        self.root.shutdown().await;
        let processes = self.context.settings.processes.as_ref();
        if processes.is_some_and(|processes| processes.ends_with_node) {
            stopping::with_the_node(&self.context).await;
        }
        self.context.release().await;
    }
}
