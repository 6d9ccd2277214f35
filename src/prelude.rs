//! What most hosts need: `use osier::prelude::*;`.

pub use std::time::Duration;

pub use crate::names::{AppName, NodeName};
pub use crate::node::{Git, Node, NodeBuilder, NodeError, NodeHandle, ProcessSettings};
pub use crate::probe::custom::HealthContext;
pub use crate::rpc::procedures::{EventsRequest, ReconcileRequest};
pub use crate::runtime::embedded::{EmbeddedContext, EmbeddedError, Factories};
pub use crate::runtime::{Exit, ExitKind, Instance, Launch, Runtime, RuntimeError};
pub use crate::specs::AppSpec;
pub use crate::specs::app_spec::StopPolicy;
pub use crate::status::{AppState, NodeState, NodeStatus, RunState, SyncState};
pub use crate::telemetry::EventRecord;
