//! Turns the difference between desired and current apps into an ordered [`Plan`].
//!
//! Pure: no clock, no I/O. Removals come before everything else (a removed app may hold the port that a new one needs),
//! dependants before what they depend on; then deployments, then upgrades and reconfigurations, both dependencies first.
//! The rooms: `order` the sorting, [`changes`] what differs and what that asks for, [`diff`] how people see a plan.
//! Laws and tables in `plan/tests.rs` hold it to that.

pub mod changes;
pub mod diff;
mod order;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::changes::Change;
pub use self::diff::{Diff, DiffAction, HeldBack, InvalidApp};
pub use self::order::stop_order;
use self::order::{Node, dependants_first, dependencies_first};
use crate::names::{AppName, Version};
use crate::specs::{Desired, DesiredApp, SpecError};
use crate::telemetry::ActionKind;

/// What a reconcile does, in the order of execution.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// One after the other, dependencies permitting.
    pub actions: Vec<Action>,
    /// Apps with a mistake: nothing is done about them.
    pub invalid: Vec<Arc<SpecError>>,
    /// Those of them that are on the node, and stay as they are.
    pub kept: BTreeSet<AppName>,
    /// Removals that wait for an operator's word.
    pub held_back: Option<PruneRefusal>,
}

impl Plan {
    /// Does it change nothing?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }
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
    },
    /// The same version with other surroundings; or a change that is applied in place.
    Reconfigure {
        /// What runs.
        from: Arc<DesiredApp>,
        /// What is to run.
        to: Arc<DesiredApp>,
        /// Does the process have to be replaced?
        needs_new_process: bool,
    },
}

impl Action {
    /// What it takes to get from what is applied to `to`; nothing if it is in force.
    fn towards(from: Option<&Arc<DesiredApp>>, to: &Arc<DesiredApp>) -> Option<Self> {
        let Some(from) = from else {
            return Some(Self::Deploy(Arc::clone(to)));
        };
        let change = Change::between(from, to);
        let (from, to) = (Arc::clone(from), Arc::clone(to));
        match change {
            Change::None => None,
            Change::NewVersion => Some(Self::Upgrade { from, to }),
            Change::NewProcess | Change::InPlace => Some(Self::Reconfigure {
                from,
                to,
                needs_new_process: change == Change::NewProcess,
            }),
        }
    }

    /// Which app.
    #[must_use]
    pub fn app(&self) -> &AppName {
        match self {
            Self::Remove { app, .. } => app,
            Self::Deploy(to) | Self::Upgrade { to, .. } | Self::Reconfigure { to, .. } => &to.spec.name,
        }
    }

    /// The verb.
    #[must_use]
    pub fn kind(&self) -> ActionKind {
        match self {
            Self::Remove { .. } => ActionKind::Remove,
            Self::Deploy(_) => ActionKind::Deploy,
            Self::Upgrade { .. } => ActionKind::Upgrade,
            Self::Reconfigure { .. } => ActionKind::Reconfigure,
        }
    }

    /// What is applied then.
    #[must_use]
    pub fn to(&self) -> Option<&Arc<DesiredApp>> {
        match self {
            Self::Deploy(to) | Self::Upgrade { to, .. } | Self::Reconfigure { to, .. } => Some(to),
            Self::Remove { .. } => None,
        }
    }

    /// The version that is applied now.
    #[must_use]
    pub fn from_version(&self) -> Option<&Version> {
        match self {
            Self::Remove { from, .. } => Some(from),
            Self::Upgrade { from, .. } | Self::Reconfigure { from, .. } => Some(&from.spec.version),
            Self::Deploy(_) => None,
        }
    }

    /// The version that is applied then.
    #[must_use]
    pub fn to_version(&self) -> Option<&Version> {
        self.to().map(|app| &app.spec.version)
    }

    /// Each field that differs; for a deployment and a removal, none. Secret values are never in it.
    #[must_use]
    pub fn changes(&self) -> Vec<FieldChange> {
        match self {
            Self::Upgrade { from, to } | Self::Reconfigure { from, to, .. } => changes::changes(from, to),
            Self::Deploy(_) | Self::Remove { .. } => Vec::new(),
        }
    }
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
    /// Its removal was refused as part of too many, and nobody has allowed it since.
    pub is_removal_refused: bool,
}

/// The current apps by name.
pub type Current = BTreeMap<AppName, CurrentApp>;

/// The guard against a mass removal (SPEC_FORMAT "Pruning").
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PruneLimits {
    /// The largest share of the managed apps, 0.0 to 1.0; `[prune] max`, default 0.5.
    pub share_max: f64,
    /// An operator has accepted the removals of this very commit.
    pub is_accepted: bool,
}

impl PruneLimits {
    /// May `removed` of `managed` apps go without an operator's word?
    #[must_use]
    pub fn allow(self, removed: usize, managed: usize) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "no node has 2^52 apps")]
        let is_large_share = removed as f64 > self.share_max * managed as f64;
        self.is_accepted || removed < PRUNE_GUARD_MIN || !is_large_share
    }
}

/// Removals that wait for an operator's word. Never for fewer than [`PRUNE_GUARD_MIN`] apps.
#[derive(Debug, Clone, PartialEq)]
pub struct PruneRefusal {
    /// The apps that would go.
    pub apps: Vec<AppName>,
    /// Of so many that are managed.
    pub managed_count: usize,
    /// The share that may go without a word.
    pub share_max: f64,
}

impl PruneRefusal {
    /// The operator's word that lets them go.
    pub const ACCEPT: &'static str = "osier reconcile --prune";

    /// Why they are held back.
    #[must_use]
    pub fn reason(&self) -> String {
        let (going, managed) = (self.apps.len(), self.managed_count);
        let percent = self.share_max * 100.0;
        format!("{going} of {managed} apps would go, `prune.max` allows {percent:.0} %")
    }
}

/// One or two removals have no guard.
pub const PRUNE_GUARD_MIN: usize = 3;

/// What to do to make `current` what `desired` asks for.
///
/// Apps with a mistake and held apps have no action. Neither has one that its spec suspends.
#[must_use]
pub fn plan(desired: &Desired, current: &Current, limits: PruneLimits) -> Plan {
    let removed = removals(desired, current);
    // Those that are held would go as well if they were not: holding some lets no others go.
    let leaving: Vec<&CurrentApp> = leaving(desired, current).map(|(_, app)| app).collect();
    let is_refused = leaving.iter().any(|app| app.is_removal_refused) && !limits.is_accepted;
    let is_allowed = removed.is_empty() || !is_refused && limits.allow(leaving.len(), current.len());
    let invalid = desired.invalid.values().map(Arc::clone).collect();
    let is_here = |name: &&AppName| current.contains_key(*name);
    let kept = desired.invalid.keys().filter(is_here).cloned().collect();
    let (mut actions, held_back) = if is_allowed {
        (removed, None)
    } else {
        let apps = removed.iter().map(|action| action.app().clone()).collect();
        let refusal = PruneRefusal {
            apps,
            managed_count: current.len(),
            share_max: limits.share_max,
        };
        (Vec::new(), Some(refusal))
    };
    actions.extend(applications(desired, current));
    Plan {
        actions,
        invalid,
        kept,
        held_back,
    }
}

/// Apps that git does not ask for any more.
fn leaving<'a>(
    desired: &'a Desired,
    current: &'a Current,
) -> impl Iterator<Item = (&'a AppName, &'a CurrentApp)> {
    let leaves = |(name, _): &(&AppName, &CurrentApp)| {
        !desired.apps.contains_key(*name) && !desired.invalid.contains_key(*name)
    };
    current.iter().filter(leaves)
}

/// Those of them that go, dependants first.
fn removals(desired: &Desired, current: &Current) -> Vec<Action> {
    let leaving: Vec<&Arc<DesiredApp>> = leaving(desired, current)
        .filter(|(_, app)| !app.is_held)
        .map(|(_, app)| &app.applied)
        .collect();
    let nodes: Vec<Node<'_>> = leaving.iter().map(|app| node(app)).collect();
    let sorted = dependants_first(&nodes).into_iter();
    sorted
        .filter_map(|index| leaving.get(index))
        .map(|app| Action::Remove {
            app: app.spec.name.clone(),
            from: app.spec.version.clone(),
        })
        .collect()
}

/// Deployments, then upgrades and reconfigurations; both dependencies first.
fn applications(desired: &Desired, current: &Current) -> Vec<Action> {
    let (mut deployed, mut changed) = (Vec::new(), Vec::new());
    for (name, to) in &desired.apps {
        let from = current.get(name);
        if to.spec.is_suspended() || from.is_some_and(|app| app.is_held) {
            continue;
        }
        match Action::towards(from.map(|app| &app.applied), to) {
            Some(action @ Action::Deploy(_)) => deployed.push(action),
            Some(action) => changed.push(action),
            None => {}
        }
    }
    let mut actions = in_order(deployed);
    actions.extend(in_order(changed));
    actions
}

fn in_order(actions: Vec<Action>) -> Vec<Action> {
    let nodes: Vec<Node<'_>> = actions
        .iter()
        .filter_map(Action::to)
        .map(|app| node(app))
        .collect();
    let sorted = dependencies_first(&nodes);
    let mut actions: Vec<Option<Action>> = actions.into_iter().map(Some).collect();
    sorted
        .into_iter()
        .filter_map(|index| actions.get_mut(index)?.take())
        .collect()
}

fn node(app: &DesiredApp) -> Node<'_> {
    (&app.spec.name, &app.spec.depends_on)
}
