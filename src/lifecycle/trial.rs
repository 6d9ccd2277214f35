//! A new version proves itself, or the last good one takes its place again.
//!
//! A version is *proven* once an instance of it was well. What takes the place of a proven version is on trial until it is
//! well itself. A trial that fails (its instance ends, cannot be started, or is not well in time) marks the digest as bad:
//! from then on the goal is the last proven version, and `converge` brings that about like any other change. A bad digest is
//! not tried again; another digest is (SPEC_FORMAT "What counts as a change").

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Effect, HEALTHY_AFTER_MS, Lifecycle, Now, OpenAction, Phase, SUPERSEDED};
use crate::names::{ArtefactId, CommitId, SpecDigest, Version};
use crate::specs::DesiredApp;
use crate::specs::app_spec::UpgradeFailure;
use crate::status::health::HealthReport;
use crate::status::time::span;
use crate::status::{AppError, HealthState, ROLLED_BACK, UPGRADE_FAILED};
use crate::telemetry::ActionKind;

/// How many proven versions are kept beside the one that runs.
pub const GOOD_MAX: usize = 4;
/// Of how many of them the artefacts stay on the node: a disk is smaller than a history.
const ARTEFACTS_KEPT: usize = 2;
/// How many bad digests are remembered.
const BAD_MAX: usize = 8;

/// A version that was well, and what asked for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoodVersion {
    /// What ran.
    pub app: Arc<DesiredApp>,
    /// The commit that asked for it.
    pub commit: Option<CommitId>,
}

/// A digest that did not prove itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadVersion {
    /// Of the whole spec.
    pub digest: SpecDigest,
    /// Its version, for people.
    pub version: Version,
    /// What was wrong with it.
    pub reason: String,
    /// When, RFC 3339.
    pub at: String,
}

/// What runs has yet to prove itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// What is on trial.
    pub digest: SpecDigest,
    /// The action that brought it, which ends with the trial.
    pub kind: ActionKind,
    /// What ran before.
    pub from: Option<Version>,
    /// Since when, milliseconds since the epoch.
    pub since_ms: u64,
    /// It must be well by then.
    pub until_ms: u64,
    /// The end of the action was told before, so this one tells nothing.
    #[serde(default)]
    pub is_told: bool,
}

impl Lifecycle {
    /// What is to run by somebody's word is a digest that did not prove itself here.
    pub(super) fn rolled_back(&self) -> Option<&BadVersion> {
        self.bad(self.asked_digest()?)
    }

    fn bad(&self, digest: &SpecDigest) -> Option<&BadVersion> {
        self.memory.bad.iter().find(|bad| bad.digest == *digest)
    }

    /// The last proven version other than this one.
    pub(super) fn fallback(&self, than: &SpecDigest) -> Option<&Arc<DesiredApp>> {
        let memory = &self.memory;
        let applied = memory.applied.as_ref().filter(|_| memory.is_proven);
        let good = memory.good.iter().map(|good| &good.app);
        let mut all = applied.into_iter().chain(good);
        all.find(|app| app.digest != *than && self.bad(&app.digest).is_none())
    }

    /// Would `app` take the place of something better, so that it need not be tried for ever?
    fn is_on_probation(&self, app: &DesiredApp) -> bool {
        let is_proven = self.memory.is_proven
            && self
                .memory
                .applied
                .as_ref()
                .is_some_and(|applied| applied.digest == app.digest);
        let is_asked = self.asked_digest() == Some(&app.digest);
        let is_open = is_asked && !is_proven && self.bad(&app.digest).is_none();
        is_open && self.fallback(&app.digest).is_some()
    }

    /// An instance of `app` lives. Whether it has yet to prove itself.
    pub(super) fn begin_trial(&mut self, app: &DesiredApp, now: Now, out: &mut Vec<Effect>) -> bool {
        if !self.is_on_probation(app) {
            self.end_trial(Some(SUPERSEDED), now, out);
            return false;
        }
        // Who is not checked is well after a second, however short the time is.
        let timeout_ms = timeout_ms(app).max(2 * HEALTHY_AFTER_MS);
        let until_ms = now.at_ms.saturating_add(timeout_ms);
        let action = self.action.as_ref();
        let action = action.filter(|action| action.digest.as_ref() == Some(&app.digest));
        let (kind, from, since_ms) = match (action, &self.memory.trial) {
            (Some(action), _) => (action.kind, action.from.clone(), action.since_ms),
            (None, Some(trial)) if trial.digest == app.digest => {
                (trial.kind, trial.from.clone(), trial.since_ms)
            }
            _ => (ActionKind::Upgrade, None, now.at_ms),
        };
        // One that was begun before and stopped by hand is told already; the trial counts all the same.
        let is_told = action.is_none() && self.memory.trial.is_none();
        self.memory().trial = Some(Trial {
            digest: app.digest.clone(),
            kind,
            from,
            since_ms,
            until_ms,
            is_told,
        });
        true
    }

    /// Nobody was there to see it: it has its whole time again.
    pub(super) fn resume_trial(&mut self, now: Now) {
        let Some(timeout_ms) = self.memory.applied.as_deref().map(timeout_ms) else {
            return;
        };
        if self.is_on_trial()
            && let Some(trial) = &mut self.memory().trial
        {
            trial.until_ms = now.at_ms.saturating_add(timeout_ms);
        }
    }

    /// Is what runs on trial?
    pub(super) fn is_on_trial(&self) -> bool {
        self.memory.trial.is_some()
    }

    /// What runs is well: that proves it.
    pub(super) fn is_proven_now(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Some(app) = self.memory.applied.clone() else {
            return;
        };
        let is_known =
            self.memory.is_proven && self.memory.trial.is_none() && self.bad(&app.digest).is_none();
        if is_known {
            return;
        }
        let memory = self.memory();
        memory.is_proven = true;
        memory.bad.retain(|bad| bad.digest != app.digest);
        self.end_trial(None, now, out);
    }

    /// When a trial ends that nothing else ends before.
    pub(super) fn trial_ends_at_ms(&self) -> Option<u64> {
        self.memory.trial.as_ref().map(|trial| trial.until_ms)
    }

    /// The time of a trial is over.
    pub(super) fn catch_up_with_trial(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.phase != Phase::Running || self.trial_ends_at_ms().is_none_or(|at_ms| at_ms > now.at_ms) {
            return;
        }
        let Some(live) = self.live.as_ref() else { return };
        if live.health == HealthState::Healthy {
            return;
        }
        let found = live.report.as_deref().and_then(HealthReport::failing);
        let found = found.map_or_else(String::new, |found| format!(": {found}"));
        let Some(app) = self.memory.applied.clone() else {
            return;
        };
        let timeout = span(timeout_ms(&app));
        self.reject(
            &app,
            &format!("was not healthy within {timeout}{found}"),
            now,
            out,
        );
    }

    /// What is on trial has ended, or cannot be started, for this reason. Whether something else takes its place.
    pub(super) fn gives_way(
        &mut self,
        app: &DesiredApp,
        reason: &str,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> bool {
        if self.rolled_back().is_some_and(|bad| bad.digest == app.digest) {
            // It ran once more while git was not applied to it.
            self.memory().forget_start();
            return self.fallback(&app.digest).is_some();
        }
        if !self.is_on_probation(app) {
            return false;
        }
        self.reject(app, reason, now, out);
        self.rolled_back().is_some()
    }

    /// It has not proven itself.
    fn reject(&mut self, app: &DesiredApp, reason: &str, now: Now, out: &mut Vec<Effect>) {
        let reason = format!("{} {reason}", app.spec.version);
        self.end_trial(Some(&reason), now, out);
        if app.spec.upgrade.policy().on_failure == UpgradeFailure::Halt {
            return self.note_error(UPGRADE_FAILED, &reason, now);
        }
        // Nothing of it may ever have run: then what was applied comes back, and that is a rollback too.
        self.is_returning = !self.is_applied(app);
        self.is_old_wanted = false;
        self.change_at_ms = None;
        self.setbacks = 0;
        let memory = self.memory();
        memory.forget_start();
        memory.unhealthy = None;
        memory.failed = None;
        memory.budget.refresh();
        memory.bad.retain(|bad| bad.digest != app.digest);
        while memory.bad.len() >= BAD_MAX {
            memory.bad.pop_front();
        }
        memory.bad.push_back(BadVersion {
            digest: app.digest.clone(),
            version: app.spec.version.clone(),
            reason,
            at: crate::status::time::rfc3339(now.at_ms),
        });
        self.memory().last_error = self.rolled_back_error();
    }

    /// What is wrong while the last good version stands in for what is asked for.
    pub(super) fn rolled_back_error(&self) -> Option<AppError> {
        let bad = self.rolled_back()?;
        let back = self.fallback(&bad.digest).map(|app| app.spec.version.clone());
        let back = back.map_or_else(String::new, |version| format!("; back to {version}"));
        Some(AppError {
            code: ROLLED_BACK.to_owned(),
            message: format!("{}{back}", bad.reason),
            file: None,
            line: None,
            column: None,
            at: bad.at.clone(),
        })
    }

    /// The action that brought what is on trial ends with it, also when a daemon before this one began it.
    pub(super) fn end_trial(&mut self, error: Option<&str>, now: Now, out: &mut Vec<Effect>) {
        if !self.is_on_trial() {
            return;
        }
        let Some(trial) = self.memory().trial.take() else {
            return;
        };
        if trial.is_told {
            return;
        }
        let is_its = |action: &OpenAction| action.digest.as_ref() == Some(&trial.digest);
        let other = self.action.take_if(|action| !is_its(action));
        if self.action.is_none() {
            let target = self.target.as_ref();
            let applied = self.memory.applied.as_ref();
            self.action = Some(OpenAction {
                kind: trial.kind,
                digest: Some(trial.digest),
                from: trial.from,
                to: applied.map(|app| app.spec.version.clone()),
                commit: self.memory.commit.clone(),
                by: target.and_then(|target| target.by.clone()),
                since_ms: trial.since_ms,
            });
        }
        self.close_action(error, now, out);
        self.action = other;
    }

    /// `next` takes the place of what was applied, which is kept if it was proven.
    pub(super) fn retire_applied(&mut self, next: &DesiredApp) {
        let is_manual = self.target.as_ref().is_some_and(|target| target.manual);
        let memory = self.memory();
        memory.trial.take_if(|trial| trial.digest != next.digest);
        // Who was well before has nothing to prove.
        let is_known = memory.good.iter().any(|good| good.app.digest == next.digest);
        let is_fled = is_manual && is_known;
        let was_proven = std::mem::replace(&mut memory.is_proven, is_known);
        memory.good.retain(|good| good.app.digest != next.digest);
        if let (Some(applied), true) = (&memory.applied, was_proven) {
            let digest = applied.digest.clone();
            let good = GoodVersion {
                app: Arc::clone(applied),
                commit: memory.commit.clone(),
            };
            memory.good.retain(|good| good.app.digest != digest);
            // Who goes back further wants what is older still, and not what was fled from.
            if is_fled {
                memory.good.truncate(GOOD_MAX - 1);
                memory.good.push_back(good);
            } else {
                memory.good.push_front(good);
                memory.good.truncate(GOOD_MAX);
            }
        }
    }
}

fn timeout_ms(app: &DesiredApp) -> u64 {
    let timeout = app.spec.upgrade.policy().health_timeout;
    u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)
}

impl super::AppRecord {
    /// The artefacts that a rollback would need.
    #[must_use]
    pub fn artefacts_kept(&self) -> Vec<ArtefactId> {
        let kept = self.good.iter().take(ARTEFACTS_KEPT);
        kept.filter_map(|good| good.app.artefact_id()).collect()
    }
}
