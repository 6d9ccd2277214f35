//! What becomes of an app that is well, or is not: who waits for it may start, or it is restarted within its budget.
//!
//! Checks are effects and know nothing of this; what they have found comes in as a report. An app without checks is well
//! when it has run for a second.

use std::sync::Arc;

use super::{Effect, HealthState, Lifecycle, Live, Now, OPEN, Phase};
use crate::names::InstanceId;
use crate::specs::AppSpec;
use crate::specs::app_spec::{Health, RestartType};
use crate::specs::desired::DesiredApp;
use crate::status::health::HealthReport;
use crate::telemetry::Event;

/// Why an app is restarted that is not well; and how its end is called.
pub(super) const UNHEALTHY: &str = "unhealthy";

/// What is to be checked now, and from where.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The instance.
    pub instance: InstanceId,
    /// What it runs from; its spec says how it is checked.
    pub app: Arc<DesiredApp>,
    /// The runtime that runs it.
    pub runtime: String,
    /// When it began, by our clock.
    pub since_ms: u64,
    /// What is known of it.
    pub health: HealthState,
}

impl Watched {
    /// Are the same checks of the same instance meant?
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.instance == other.instance && self.app.spec.health == other.app.spec.health
    }
}

impl Lifecycle {
    /// What is to be checked now: a running instance whose spec asks for it and that is not about to be stopped.
    #[must_use]
    pub fn watched(&self) -> Option<Watched> {
        let live = self.live.as_ref().filter(|_| self.phase == Phase::Running)?;
        self.health_spec()?;
        Some(Watched {
            instance: live.found.id.clone(),
            app: Arc::clone(self.memory.applied.as_ref()?),
            runtime: live.found.runtime.clone(),
            since_ms: live.since_ms,
            health: live.health,
        })
    }

    /// The checks of what runs. Nobody knows those of a stranger.
    fn health_spec(&self) -> Option<&Health> {
        if self.live.as_ref().is_some_and(|live| live.is_stranger) {
            return None;
        }
        self.memory.applied.as_ref()?.spec.health.as_ref()
    }

    /// Alike in every phase: what was found of the instance that lives, by the checks that are asked for now, is a fact.
    pub(super) fn checked(
        &mut self,
        instance: &InstanceId,
        by: &AppSpec,
        report: &Arc<HealthReport>,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        if self
            .health_spec()
            .is_none_or(|asked| by.health.as_ref() != Some(asked))
        {
            return;
        }
        let Some(live) = self.live.as_mut().filter(|live| live.found.id == *instance) else {
            return;
        };
        let (before, health) = (live.health, report.health);
        live.report = Some(Arc::clone(report));
        if before == health {
            return;
        }
        live.health = health;
        match health {
            HealthState::Healthy => self.is_well(now.at_ms, now, out),
            HealthState::Unhealthy => self.is_ill(report, now),
            HealthState::Unknown => {}
        }
    }

    fn is_well(&mut self, since_ms: u64, now: Now, out: &mut Vec<Effect>) {
        let has_checks = self.health_spec().is_some();
        let Some(live) = &mut self.live else { return };
        live.health = HealthState::Healthy;
        live.healthy_since_ms = Some(since_ms);
        if has_checks {
            let instance = live.found.id.clone();
            self.memory().well = Some(instance);
        }
        // What is wrong with a change that is tried again, or was given up, is not over.
        let is_over = self.change_at_ms.is_none() && self.memory.failed.is_none();
        if is_over && self.memory.last_error.is_some() {
            self.memory().last_error = self.rolled_back_error();
        }
        if self.live.as_ref().is_some_and(|live| !live.is_stranger) {
            self.is_proven_now(now, out);
        }
    }

    fn is_ill(&mut self, report: &HealthReport, now: Now) {
        let reason = report.failing().unwrap_or_else(|| "its checks fail".to_owned());
        let reason = format!("{UNHEALTHY}: {reason}");
        self.note_error("osier::app::unhealthy", &reason, now);
        self.memory().well = None;
        let Some(app) = self.memory.applied.clone() else {
            return;
        };
        let policy = app.spec.restart.policy();
        let live = self.live.as_mut();
        if let Some(since_ms) = live.and_then(|live| live.healthy_since_ms.take()) {
            self.end_streak_after(now.at_ms.saturating_sub(since_ms), &policy);
        }
        // Never restarted is never restarted: it runs on as it is, and everybody sees how.
        // What is on trial has its whole time to come up.
        let may_restart = policy.kind != RestartType::Temporary && !self.is_on_trial();
        if may_restart && self.phase == Phase::Running {
            self.memory().unhealthy = self.live.as_ref().map(|live| live.found.id.clone());
        }
    }

    /// An instance that was stopped because it was not well is gone: it is started again as after a crash, if it is still
    /// to run.
    pub(super) fn end_of_unhealthy(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.memory.unhealthy.is_none() {
            return;
        }
        self.memory().unhealthy = None;
        if self.is_to_be_gone() || self.memory.stopped_by_hand.is_some() {
            return;
        }
        self.phase = OPEN;
        let Some(app) = self.memory.applied.clone() else {
            return;
        };
        let error = self.memory.last_error.as_ref();
        let reason = error.map_or_else(|| UNHEALTHY.to_owned(), |error| error.message.clone());
        self.restart(&app, UNHEALTHY, &reason, now, out);
    }

    /// What has run long enough and is checked by nobody is well.
    pub(super) fn grow_healthy(&mut self, now: Now, out: &mut Vec<Effect>) {
        if let Some(at_ms) = self.proven_at_ms().filter(|at_ms| *at_ms <= now.at_ms) {
            self.is_well(at_ms, now, out);
        }
    }

    /// When what runs counts as well, if time alone can bring that about.
    pub(super) fn proven_at_ms(&self) -> Option<u64> {
        let live = self.live.as_ref()?;
        let is_open = self.health_spec().is_none() && live.health != HealthState::Healthy;
        is_open.then(|| live.proven_at_ms())
    }

    pub(super) fn health(&self) -> HealthState {
        match self.phase {
            Phase::Running => self
                .live
                .as_ref()
                .map_or(HealthState::Unknown, |live| live.health),
            Phase::Backoff | Phase::Failed => HealthState::Unhealthy,
            Phase::Stopping(_) if self.memory.unhealthy.is_some() => HealthState::Unhealthy,
            Phase::New
            | Phase::Looking { .. }
            | Phase::Pending
            | Phase::Waiting
            | Phase::Fetching
            | Phase::Starting { .. }
            | Phase::Replacing { .. }
            | Phase::Stopping(_)
            | Phase::Stopped
            | Phase::Invalid
            | Phase::Gone => HealthState::Unknown,
        }
    }

    /// What the checks have found, as it is shown.
    pub(super) fn checks(&self) -> Option<HealthReport> {
        let live = self.live.as_ref()?;
        let kind = self.health_spec()?.policy().kind;
        let found = live.report.as_deref().cloned();
        Some(found.unwrap_or_else(|| HealthReport::blank(kind, live.health)))
    }

    /// Tells when it has become well or ill. What is not known in between is not news.
    pub(super) fn tell_health(&mut self, out: &mut Vec<Effect>) {
        let health = self.health();
        if health == self.told_health || health == HealthState::Unknown {
            return;
        }
        let reason = match health {
            HealthState::Unhealthy => self.memory.last_error.as_ref().map(|error| error.message.clone()),
            HealthState::Healthy | HealthState::Unknown => None,
        };
        out.push(Effect::Emit(Event::HealthChanged {
            app: self.app.clone(),
            from: self.told_health.as_str().to_owned(),
            to: health.as_str().to_owned(),
            reason,
        }));
        self.told_health = health;
    }

    /// Other checks are asked for: what the old ones found is theirs.
    pub(super) fn forget_checks(&mut self, next: &DesiredApp) {
        let before = self.memory.applied.as_ref().map(|app| &app.spec.health);
        if before == Some(&next.spec.health) {
            return;
        }
        if let Some(live) = &mut self.live {
            live.forget_checks();
        }
    }
}

impl Live {
    fn forget_checks(&mut self) {
        self.report = None;
        // Who was well stays so until the new ones say otherwise.
        if self.health == HealthState::Unhealthy {
            self.health = HealthState::Unknown;
        }
    }
}
