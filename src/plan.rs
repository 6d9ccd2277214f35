//! Turns the difference between desired and current apps into an ordered [`Plan`].
//!
//! Pure: no clock, no I/O. Order: removals before deployments (a removed app may hold the port a new one needs),
//! dependencies before dependants.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::names::{AppName, CommitId, Version};
use crate::specs::{Desired, DesiredApp, SpecError};

/// What a reconcile does, in the order of execution.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// One after the other, dependencies permitting.
    pub actions: Vec<Action>,
    /// Apps with a mistake, kept as they are.
    pub invalid: Vec<Arc<SpecError>>,
    /// Removals that wait for an operator's word.
    pub held_back: Option<PruneRefusal>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Stop it and take it off the node.
    Remove {
        /// Which.
        app: AppName,
        /// What is removed.
        from: Version,
    },
    /// Start it for the first time.
    Deploy(Arc<DesiredApp>),
    /// Another version, source or command.
    Upgrade {
        /// What runs.
        from: Arc<DesiredApp>,
        /// What is to run.
        to: Arc<DesiredApp>,
        /// Each field that differs.
        changes: Vec<FieldChange>,
    },
    /// The same version with other surroundings; or a change that is applied in place.
    Reconfigure {
        /// What runs.
        from: Arc<DesiredApp>,
        /// What is to run.
        to: Arc<DesiredApp>,
        /// Each field that differs.
        changes: Vec<FieldChange>,
        /// Does the process have to be replaced?
        needs_new_process: bool,
    },
}

/// A field that differs, as `osier diff` shows it. Secret values are never in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// `env.PORT`, `limits.memory`, …
    pub path: String,
    /// The old value as JSON text would show it; none: not set.
    pub from: Option<serde_json::Value>,
    /// The new value.
    pub to: Option<serde_json::Value>,
}

/// What the node manages of an app, as the plan sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct CurrentApp {
    /// What it was deployed from (dependencies included, so that removals are ordered).
    pub applied: Arc<DesiredApp>,
    /// Git is not applied to it: suspended, or held by hand for a while.
    pub is_held: bool,
}

/// The guard against a mass removal (SPEC_FORMAT "Pruning").
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PruneLimits {
    /// The largest share of the managed apps, 0.0 to 1.0; `[prune] max`, default 0.5.
    pub share_max: f64,
    /// An operator has accepted the removals of this very commit.
    pub is_accepted: bool,
}

/// Removals that wait for an operator's word. Never for fewer than [`PRUNE_GUARD_MIN`] apps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneRefusal {
    /// The apps that would go.
    pub apps: Vec<AppName>,
}

/// One or two removals have no guard.
pub const PRUNE_GUARD_MIN: usize = 3;

/// The current apps by name.
pub type Current = BTreeMap<AppName, CurrentApp>;

/// The commit and desired state that a plan was made for, with what `osier diff` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diff {
    /// The commit.
    pub commit: Option<CommitId>,
    /// In the order of execution.
    pub actions: Vec<DiffAction>,
    /// Apps with a mistake.
    pub invalid: Vec<InvalidApp>,
}

/// One step of a [`Diff`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiffAction {
    /// `deploy`, `upgrade`, `reconfigure` or `remove`.
    pub action: String,
    /// Which app.
    pub app: AppName,
    /// What runs.
    pub from_version: Option<Version>,
    /// What is to run.
    pub to_version: Option<Version>,
    /// Each field that differs.
    pub changes: Vec<FieldChange>,
}

/// A mistake in a [`Diff`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvalidApp {
    /// Which app, where one can be named.
    pub app: Option<AppName>,
    /// The spec file.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
    /// Stable.
    pub code: String,
    /// What and why.
    pub message: String,
    /// One fix.
    pub help: String,
}

/// What to do to make `current` what `desired` asks for.
#[must_use]
pub fn plan(desired: &Desired, current: &Current, limits: PruneLimits) -> Plan {
    let _ = (desired, current, limits);
    Plan::default()
}
