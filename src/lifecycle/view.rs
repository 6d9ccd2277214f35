//! What people and the reconciler see of a life, what operators are answered, and when it must be looked at again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Effect, Lifecycle, LookWait, Operation, OperatorError, Phase, StopWait};
use crate::specs::DesiredApp;
use crate::status::time::rfc3339;
use crate::status::{AppState, HealthState, RunState, SyncState};

/// What the reconciler wants to know at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Nothing is left to do for the target: it runs as asked, or is stopped, failed or invalid for good.
    pub settled: bool,
    /// Dependants may start: it is healthy, or has ended with 0 and is done.
    pub satisfied: bool,
    /// It is off the node. Final.
    pub gone: bool,
    /// It gave up.
    pub failed: bool,
}

impl Lifecycle {
    /// How it stands with the target.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let is_done = self.phase == Phase::Stopped && self.memory.finished.is_some();
        let settled = match self.phase {
            Phase::Running => self.fetching.is_none() && self.change_at_ms.is_none() && !self.is_on_trial(),
            Phase::Pending | Phase::Stopped | Phase::Failed | Phase::Invalid | Phase::Gone => {
                self.target.is_some() && self.fetching.is_none()
            }
            Phase::New
            | Phase::Looking { .. }
            | Phase::Waiting
            | Phase::Fetching
            | Phase::Starting { .. }
            | Phase::Replacing { .. }
            | Phase::Backoff
            | Phase::Stopping(_) => false,
        };
        Standing {
            settled: settled && self.target.is_some(),
            satisfied: is_done || self.health() == HealthState::Healthy,
            gone: self.phase == Phase::Gone,
            // Of what is to go nothing is expected any more.
            failed: self.has_given_up() && !self.is_to_be_gone(),
        }
    }

    /// It gave up on what is to run, whether or not something older runs on.
    fn has_given_up(&self) -> bool {
        let has_failed = self.phase == Phase::Failed || self.goal().is_some_and(|goal| self.has_failed(goal));
        has_failed || self.phase == Phase::Running && self.rolled_back().is_some()
    }

    /// When [`super::AppEvent::Woke`] is due next after `now_ms`, both in milliseconds since the epoch.
    #[must_use]
    pub fn wake_at_ms(&self, now_ms: u64) -> Option<u64> {
        let times = match self.phase {
            Phase::Looking {
                wait: LookWait::Again { at_ms },
                ..
            }
            | Phase::Stopping(StopWait::Again { at_ms } | StopWait::News { until_ms: at_ms }) => {
                [Some(at_ms), None, None]
            }
            Phase::Running => [self.proven_at_ms(), self.change_at_ms, self.trial_ends_at_ms()],
            Phase::Backoff => [self.memory.start_at_ms, self.change_at_ms, None],
            Phase::New
            | Phase::Looking {
                wait: LookWait::Outcome(_),
                ..
            }
            | Phase::Stopping(StopWait::Outcome(_))
            | Phase::Pending
            | Phase::Waiting
            | Phase::Fetching
            | Phase::Starting { .. }
            | Phase::Replacing { .. }
            | Phase::Stopped
            | Phase::Failed
            | Phase::Invalid
            | Phase::Gone => [None; 3],
        };
        times.into_iter().flatten().filter(|at_ms| *at_ms > now_ms).min()
    }

    /// What runs.
    #[must_use]
    pub fn run_state(&self) -> RunState {
        match self.phase {
            // Nobody has looked yet: what the record says, but for what only a look can say.
            Phase::New | Phase::Looking { .. } => self.remembered_state(),
            Phase::Pending => RunState::Pending,
            Phase::Waiting => RunState::Waiting,
            Phase::Fetching => RunState::Fetching,
            Phase::Starting { .. } => RunState::Starting,
            Phase::Running if self.fetching.is_some() => RunState::Upgrading,
            Phase::Running => RunState::Running,
            Phase::Replacing { .. } => RunState::Upgrading,
            Phase::Backoff => RunState::Backoff,
            Phase::Stopping(_) => RunState::Stopping,
            Phase::Stopped | Phase::Gone => RunState::Stopped,
            Phase::Failed => RunState::Failed,
            Phase::Invalid => RunState::Invalid,
        }
    }

    fn remembered_state(&self) -> RunState {
        let memory = &self.memory;
        if memory.instance.is_some() {
            // It ran when the record was written.
            RunState::Pending
        } else if memory.stopped_by_hand.is_some() || memory.finished.is_some() {
            RunState::Stopped
        } else if memory.failed.is_some() {
            RunState::Failed
        } else if memory.start_at_ms.is_some() {
            RunState::Backoff
        } else {
            RunState::Pending
        }
    }

    fn sync(&self) -> SyncState {
        let Some(target) = &self.target else {
            return if self.memory.applied.is_some() && !self.is_unseen() {
                SyncState::Synced
            } else {
                SyncState::Pending
            };
        };
        if target.error.is_some() {
            return SyncState::Error;
        }
        if target.suspended || self.phase == Phase::Stopped && self.memory.stopped_by_hand.is_some() {
            return SyncState::Suspended;
        }
        let Some(goal) = target.desired() else {
            return match (target.is_gone(), target.manual) {
                (true, _) => SyncState::Reconciling,
                (false, true) => SyncState::Suspended,
                (false, false) => SyncState::Orphaned,
            };
        };
        let is_stranger = self.live.as_ref().is_some_and(|live| live.is_stranger);
        let is_unseen = self.is_unseen();
        let is_in_force = self.is_applied(goal) && !is_stranger && !is_unseen;
        match &self.phase {
            Phase::Starting { app, .. } if is_in_force && app.digest == goal.digest => SyncState::Synced,
            Phase::Starting { .. } | Phase::Replacing { .. } | Phase::Stopping(_) | Phase::Fetching => {
                SyncState::Reconciling
            }
            Phase::Running if self.fetching.is_some() || self.is_on_trial() => SyncState::Reconciling,
            // As asked by hand, which is not as git asks.
            _ if is_in_force && target.manual => SyncState::Suspended,
            _ if is_in_force => SyncState::Synced,
            Phase::Backoff | Phase::Failed if self.memory.applied.is_none() => SyncState::Missing,
            Phase::New
            | Phase::Looking { .. }
            | Phase::Pending
            | Phase::Waiting
            | Phase::Running
            | Phase::Backoff
            | Phase::Stopped
            | Phase::Failed
            | Phase::Invalid
            | Phase::Gone => SyncState::Pending,
        }
    }

    /// It ran once, and nobody has seen it since.
    fn is_unseen(&self) -> bool {
        let is_looked_for = matches!(self.phase, Phase::New | Phase::Looking { .. });
        is_looked_for && self.live.is_none() && self.memory.instance.is_some()
    }

    pub(super) fn is_applied(&self, app: &DesiredApp) -> bool {
        self.memory
            .applied
            .as_ref()
            .is_some_and(|applied| applied.digest == app.digest)
    }

    /// The state as it is published, on the node of this name, with the app's own folder at `path`.
    #[must_use]
    pub fn state(&self, node: &str, path: &str) -> AppState {
        let applied = self.memory.applied.as_ref();
        let desired = self.target.as_ref().and_then(|target| target.desired());
        let shown: Option<&Arc<DesiredApp>> = if self.live.is_some() {
            applied.or(desired)
        } else {
            self.goal().or(desired)
        };
        let spec = shown.map(|app| &app.spec);
        let live = self.live.as_ref();
        let due_ms = match self.phase {
            Phase::Backoff => self.memory.start_at_ms.max(self.change_at_ms),
            _ => self.change_at_ms,
        };
        AppState {
            name: self.app.clone(),
            version: spec.map(|spec| spec.version.clone()),
            description: spec.and_then(|spec| spec.description.clone()),
            icon: spec.and_then(|spec| spec.icon.clone()),
            status: self.run_state(),
            sync: self.sync(),
            health: self.health(),
            started_at: live.map(|live| rfc3339(live.found.started_at_ms)),
            restarts: self.memory.budget.total(),
            isolation: live.map_or_else(
                || spec.map_or_else(String::new, |spec| spec.isolation().as_str().to_owned()),
                |live| live.found.runtime.clone(),
            ),
            os_pid: live.and_then(|live| live.found.os_pid),
            node: node.to_owned(),
            path: Some(path.to_owned()),
            env: spec.map_or_else(BTreeMap::new, |spec| spec.env.clone()),
            digest: applied.map(|app| app.digest.clone()),
            commit: self.memory.commit.clone(),
            desired_version: desired
                .map(|app| app.spec.version.clone())
                .or_else(|| self.target.as_ref()?.asked.clone()),
            last_error: self.target_error().or_else(|| self.memory.last_error.clone()),
            manual: self.target.as_ref().is_some_and(|target| target.manual),
            next_try_at: due_ms.map(rfc3339),
            waits_for: match (&self.phase, &self.target) {
                (Phase::Waiting, Some(target)) => target.unmet.iter().cloned().collect(),
                _ => Vec::new(),
            },
            progress: None,
            not_enforced: live.map_or_else(Vec::new, |live| live.found.not_enforced.clone()),
            checks: self.checks(),
        }
    }

    fn target_error(&self) -> Option<crate::status::AppError> {
        self.target.as_ref().and_then(|target| target.error.clone())
    }

    /// Answers the operator who waits, if what was asked for is done or cannot be done.
    pub(super) fn answer_operator(&mut self, out: &mut Vec<Effect>) {
        let Some((to, command)) = self.operator else {
            return;
        };
        if let Some(result) = self.verdict(command) {
            self.operator = None;
            out.push(Effect::Reply { to, result });
        }
    }

    fn verdict(&self, command: Operation) -> Option<Result<(), OperatorError>> {
        let app = self.app.clone();
        let failed = || {
            let error = self.memory.last_error.as_ref();
            let reason = error.map_or_else(|| "it did not come up".to_owned(), |error| error.message.clone());
            Some(Err(OperatorError::Failed {
                app: app.clone(),
                reason,
            }))
        };
        match (&self.phase, command) {
            // Still on the way.
            (
                Phase::New
                | Phase::Looking {
                    wait: LookWait::Outcome(_),
                    ..
                }
                | Phase::Fetching
                | Phase::Starting { .. }
                | Phase::Replacing { .. }
                | Phase::Stopping(StopWait::Outcome(_) | StopWait::News { .. }),
                _,
            ) => None,
            (Phase::Looking { .. } | Phase::Stopping(StopWait::Again { .. }), _) => failed(),
            (Phase::Gone, _) => Some(Err(OperatorError::Removed { app })),
            (Phase::Running, Operation::Stop) => Some(Err(OperatorError::Superseded { app })),
            (Phase::Running, Operation::Start | Operation::Restart) => Some(Ok(())),
            (
                Phase::Pending
                | Phase::Waiting
                | Phase::Backoff
                | Phase::Stopped
                | Phase::Failed
                | Phase::Invalid,
                Operation::Stop,
            ) => Some(Ok(())),
            (Phase::Waiting, Operation::Start | Operation::Restart) => {
                let target = self.target.as_ref();
                let waits_for = target.map(|target| target.unmet.iter().cloned().collect());
                Some(Err(OperatorError::Waiting {
                    app,
                    waits_for: waits_for.unwrap_or_default(),
                }))
            }
            // The target is on its way: an actor that has just started asks for it.
            (Phase::Pending, Operation::Start | Operation::Restart) if self.target.is_none() => None,
            (Phase::Pending | Phase::Invalid, Operation::Start | Operation::Restart) => {
                let error = self.target_error();
                let is_suspended = self.target.as_ref().is_some_and(|target| target.suspended);
                let unasked = if is_suspended {
                    "it has never run, and is suspended"
                } else {
                    "git does not ask for it"
                };
                let reason = error.map_or_else(|| unasked.to_owned(), |error| error.message);
                Some(Err(OperatorError::NothingToRun { app, reason }))
            }
            (Phase::Backoff | Phase::Failed, Operation::Start | Operation::Restart) => failed(),
            // It ran, ended with 0 and is done.
            (Phase::Stopped, Operation::Start | Operation::Restart) => Some(Ok(())),
        }
    }

    /// The stop that an operator waits for did not work; it is tried again all the same.
    pub(super) fn answer_stop_failure(&mut self, reason: &str, out: &mut Vec<Effect>) {
        let Some((to, _)) = self.operator.take() else {
            return;
        };
        out.push(Effect::Reply {
            to,
            result: Err(OperatorError::Failed {
                app: self.app.clone(),
                reason: reason.to_owned(),
            }),
        });
    }
}
