//! A plan as `osier diff` prints it.

use serde::{Deserialize, Serialize};

use super::{Action, FieldChange, Plan, PruneRefusal};
use crate::names::{AppName, CommitId, Version};
use crate::specs::SpecError;

/// The commit and desired state that a plan was made for, with what `osier diff` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diff {
    /// The commit.
    pub commit: Option<CommitId>,
    /// In the order of execution.
    pub actions: Vec<DiffAction>,
    /// Apps with a mistake.
    pub invalid: Vec<InvalidApp>,
    /// Removals that are in no action because they wait for an operator's word.
    #[serde(default)]
    pub held_back: Option<HeldBack>,
}

impl Diff {
    /// What `plan` does, for the commit that it was made for.
    #[must_use]
    pub fn of(commit: Option<CommitId>, plan: &Plan) -> Self {
        Self {
            commit,
            actions: plan.actions.iter().map(DiffAction::from).collect(),
            invalid: plan
                .invalid
                .iter()
                .map(|error| InvalidApp {
                    is_here: error.app.as_ref().is_some_and(|app| plan.kept.contains(app)),
                    ..InvalidApp::from(&**error)
                })
                .collect(),
            held_back: plan.held_back.as_ref().map(HeldBack::from),
        }
    }

    /// Is there nothing to do and nothing wrong?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let is_done = |action: &DiffAction| action.given_up.is_none();
        !self.actions.iter().any(is_done) && self.invalid.is_empty() && self.held_back.is_none()
    }
}

/// The removals of a [`Diff`] that wait for an operator's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// The apps that would go.
    pub apps: Vec<AppName>,
    /// Why they do not.
    pub reason: String,
    /// The command that lets them go.
    pub accept: String,
}

impl From<&PruneRefusal> for HeldBack {
    fn from(refusal: &PruneRefusal) -> Self {
        Self {
            apps: refusal.apps.clone(),
            reason: refusal.reason(),
            accept: PruneRefusal::ACCEPT.to_owned(),
        }
    }
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
    /// Why a reconcile does not do it by itself: it was tried, and given up or taken back.
    #[serde(default)]
    pub given_up: Option<String>,
}

impl From<&Action> for DiffAction {
    fn from(action: &Action) -> Self {
        Self {
            action: action.kind().as_str().to_owned(),
            app: action.app().clone(),
            from_version: action.from_version().cloned(),
            to_version: action.to_version().cloned(),
            changes: action.changes(),
            given_up: None,
        }
    }
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
    /// Something of it is on the node, and stays as it is.
    #[serde(default)]
    pub is_here: bool,
}

impl From<&SpecError> for InvalidApp {
    fn from(error: &SpecError) -> Self {
        Self {
            app: error.app.clone(),
            file: error.file.clone(),
            line: error.line,
            column: error.column,
            code: error.code.clone(),
            message: error.message.clone(),
            help: error.help.clone(),
            is_here: false,
        }
    }
}
