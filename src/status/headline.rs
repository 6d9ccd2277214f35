//! A node's headline from what is known of its apps and its repository. Pure; the worst wins.

use super::unfollowed::Unfollowed;
use super::{AppState, Blocked, HealthState, NodeState, RunState, SyncState};

/// What the headline is made from, beside the apps.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// A commit's specs have been read.
    pub has_specs: bool,
    /// The first reconcile since the start has ended.
    pub has_reconciled: bool,
    /// What git asks for beyond the accepted commit, where that cannot be read.
    pub unfollowed: Option<&'a Unfollowed>,
    /// What waits for an operator's word.
    pub blocked: Option<&'a Blocked>,
    /// A mistake that no app can be blamed for.
    pub stray_mistake: Option<&'a str>,
    /// Git is not applied to the whole node.
    pub is_suspended: bool,
    /// The state on disk was set aside or cannot be written.
    pub store_error: Option<&'a str>,
    /// The keeper cannot be reached.
    pub keeper_error: Option<&'a str>,
}

/// Counts and headline of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headline {
    /// The headline.
    pub status: NodeState,
    /// Its cause, and the apps that do not count, in one sentence.
    pub reason: Option<String>,
    /// Apps that this node knows.
    pub app_count: usize,
    /// Those that are healthy.
    pub healthy_count: usize,
    /// Those that gave up or have a bad spec.
    pub failed_count: usize,
    /// Those with work left.
    pub pending_count: usize,
}

/// At most so many names are listed before "and N more".
const NAMES_MAX: usize = 5;

#[derive(Default)]
struct Tally<'a> {
    failed: Vec<&'a str>,
    bad_spec: Vec<&'a str>,
    unhealthy: Vec<&'a str>,
    backoff: Vec<&'a str>,
    held_back: Vec<&'a str>,
    pending: Vec<&'a str>,
    suspended: Vec<&'a str>,
    by_hand: Vec<&'a str>,
    stopped: Vec<&'a str>,
    removed: Vec<&'a str>,
    healthy_count: usize,
    app_count: usize,
}

/// The headline for `apps`, in whatever order they come, in `surroundings`.
#[must_use]
pub fn headline<'a>(
    apps: impl IntoIterator<Item = &'a AppState>,
    surroundings: Surroundings<'_>,
) -> Headline {
    let mut tally = Tally::default();
    for app in apps {
        tally.count(app);
    }
    tally.sort();
    let (status, causes) = tally.judge(surroundings);
    let mut sentences = causes;
    sentences.extend(named("suspended", &tally.suspended));
    sentences.extend(named("changed by hand", &tally.by_hand));
    sentences.extend(named("stopped by hand", &tally.stopped));
    sentences.extend(named("removed by hand", &tally.removed));
    if surroundings.is_suspended {
        sentences.push("git is not applied: the node is suspended".to_owned());
    }
    Headline {
        status,
        reason: if sentences.is_empty() {
            None
        } else {
            Some(sentences.join("; "))
        },
        app_count: tally.app_count,
        healthy_count: tally.healthy_count,
        failed_count: tally.failed.len() + tally.bad_spec.len(),
        pending_count: tally.pending.len(),
    }
}

impl<'a> Tally<'a> {
    fn count(&mut self, app: &'a AppState) {
        let name = app.name.as_str();
        self.app_count += 1;
        if app.health == HealthState::Healthy {
            self.healthy_count += 1;
        }
        if app.sync == SyncState::Error {
            return self.bad_spec.push(name);
        }
        match app.status {
            RunState::Failed => self.failed.push(name),
            RunState::Invalid => self.bad_spec.push(name),
            RunState::Backoff => self.backoff.push(name),
            RunState::Stopped if app.sync == SyncState::Suspended => self.stopped.push(name),
            RunState::Stopped if app.sync == SyncState::Missing && app.manual => self.removed.push(name),
            _ if app.sync == SyncState::Suspended && app.manual => self.by_hand.push(name),
            _ if app.sync == SyncState::Suspended => self.suspended.push(name),
            RunState::Running if app.health == HealthState::Unhealthy => self.unhealthy.push(name),
            // It has checks and none has gone well: after a failure that is no good news, and before it work is left.
            RunState::Running if app.is_unproven() && app.last_error.is_some() => self.unhealthy.push(name),
            RunState::Running if app.is_unproven() => self.pending.push(name),
            RunState::Running if app.is_kept_from_upgrade() => self.held_back.push(name),
            RunState::Running | RunState::Stopped if app.sync == SyncState::Synced => {}
            RunState::Pending
            | RunState::Waiting
            | RunState::Fetching
            | RunState::Starting
            | RunState::Running
            | RunState::Upgrading
            | RunState::Stopping
            | RunState::Stopped => self.pending.push(name),
        }
    }

    /// By name: apps come in any order.
    fn sort(&mut self) {
        let lists = [
            &mut self.failed,
            &mut self.bad_spec,
            &mut self.unhealthy,
            &mut self.backoff,
            &mut self.held_back,
            &mut self.pending,
            &mut self.suspended,
            &mut self.by_hand,
            &mut self.stopped,
            &mut self.removed,
        ];
        for list in lists {
            list.sort_unstable();
        }
    }

    fn judge(&self, around: Surroundings<'_>) -> (NodeState, Vec<String>) {
        let mut causes = Vec::new();
        causes.extend(named("failed", &self.failed));
        causes.extend(named("with a mistake in the spec", &self.bad_spec));
        causes.extend(named("unhealthy", &self.unhealthy));
        causes.extend(named("in back-off", &self.backoff));
        causes.extend(named("whose new version did not come up", &self.held_back));
        causes.extend(around.stray_mistake.map(str::to_owned));
        let blocked = around.blocked;
        causes.extend(blocked.map(|blocked| format!("{} {}", blocked.commit.short(), blocked.why())));
        causes.extend(around.unfollowed.map(Unfollowed::cause));
        causes.extend(around.store_error.map(str::to_owned));
        causes.extend(around.keeper_error.map(str::to_owned));
        if !around.has_specs {
            let status = match (around.unfollowed, around.blocked) {
                (Some(_), _) => NodeState::Error,
                (None, Some(_)) => NodeState::Degraded,
                (None, None) => NodeState::Initializing,
            };
            return (status, causes);
        }
        if !causes.is_empty() {
            return (NodeState::Degraded, causes);
        }
        if !around.has_reconciled {
            return (NodeState::Ready, causes);
        }
        if self.pending.is_empty() {
            return (NodeState::Synced, causes);
        }
        (
            NodeState::Pending,
            named("with work left", &self.pending).into_iter().collect(),
        )
    }
}

/// "2 apps failed: a, b".
fn named(what: &str, names: &[&str]) -> Option<String> {
    let shown = names
        .get(..names.len().min(NAMES_MAX))
        .unwrap_or_default()
        .join(", ");
    let apps = if names.len() == 1 { "app" } else { "apps" };
    match names.len() {
        0 => None,
        count if count > NAMES_MAX => Some(format!(
            "{count} {apps} {what}: {shown} and {} more",
            count - NAMES_MAX
        )),
        count => Some(format!("{count} {apps} {what}: {shown}")),
    }
}

#[cfg(test)]
mod tests;
