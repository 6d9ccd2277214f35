//! The one place that says how a state looks and how bad it is.

use super::super::look::{Glyph, Mark, Tone};
use crate::status::{AppState, HealthState, NodeState, RunState, SyncState};

/// A node's headline.
pub(crate) fn of_node(state: NodeState) -> Mark {
    match state {
        NodeState::Error => (Glyph::Bad, Tone::Bad),
        NodeState::Degraded => (Glyph::Warning, Tone::Warning),
        NodeState::Pending => (Glyph::Busy, Tone::Busy),
        NodeState::Initializing | NodeState::Ready => (Glyph::Waiting, Tone::Busy),
        NodeState::Synced => (Glyph::Good, Tone::Good),
    }
}

/// What runs of an app.
pub(crate) fn of_run(state: RunState) -> Mark {
    match state {
        RunState::Failed | RunState::Invalid => (Glyph::Bad, Tone::Bad),
        RunState::Backoff => (Glyph::Warning, Tone::Warning),
        RunState::Fetching | RunState::Starting | RunState::Upgrading | RunState::Stopping => {
            (Glyph::Busy, Tone::Busy)
        }
        RunState::Pending | RunState::Waiting => (Glyph::Waiting, Tone::Busy),
        RunState::Stopped => (Glyph::Stopped, Tone::Dim),
        RunState::Running => (Glyph::Good, Tone::Good),
    }
}

/// Whether it is what git asks for.
pub(crate) fn of_sync(state: SyncState) -> Tone {
    match state {
        SyncState::Synced => Tone::Plain,
        SyncState::Pending | SyncState::Reconciling | SyncState::Missing => Tone::Busy,
        SyncState::Error => Tone::Bad,
        SyncState::Orphaned | SyncState::Suspended => Tone::Warning,
    }
}

/// How it fares.
pub(crate) fn of_health(state: HealthState) -> Tone {
    match state {
        HealthState::Healthy => Tone::Plain,
        HealthState::Unhealthy => Tone::Bad,
        HealthState::Unknown => Tone::Dim,
    }
}

/// The mark of an app's line: the worst of its three axes.
pub(crate) fn of_app(app: &AppState) -> Mark {
    let run = of_run(app.status);
    if app.status != RunState::Running {
        return run;
    }
    match (app.health, app.sync) {
        (HealthState::Unhealthy, _) => (Glyph::Bad, Tone::Bad),
        (_, SyncState::Error) => (Glyph::Warning, Tone::Warning),
        (_, SyncState::Suspended) => (Glyph::Held, Tone::Warning),
        (_, SyncState::Pending | SyncState::Reconciling | SyncState::Missing) => (Glyph::Busy, Tone::Busy),
        _ => run,
    }
}

/// How bad: lists begin with the smallest.
fn rank(app: &AppState) -> u8 {
    match (app.status, app.sync, app.health) {
        (RunState::Failed | RunState::Invalid, _, _) => 0,
        (RunState::Running, _, HealthState::Unhealthy) => 1,
        (RunState::Backoff, _, _) => 2,
        (_, SyncState::Error, _) => 3,
        (RunState::Stopped, SyncState::Synced, _) => 7,
        (RunState::Stopped, _, _) | (_, SyncState::Suspended, _) => 6,
        (RunState::Running, SyncState::Synced, _) => 8,
        _ => 5,
    }
}

/// Worst first, then by name.
pub(crate) fn worst_first<'a>(apps: impl IntoIterator<Item = &'a AppState>) -> Vec<&'a AppState> {
    let mut sorted: Vec<_> = apps.into_iter().collect();
    sorted.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name)));
    sorted
}
