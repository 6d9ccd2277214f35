//! What became of an effect, and of an instance that ended by itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{Doubt, Effect, Exit, ExitKind, Found, Jitter, Lifecycle, Live, LookWait, Now};
use super::{EXIT_NEWS_MS_MAX, FAILED_START_DELAY_MS_MIN, PAST_EXITS_MAX};
use super::{OPEN, Phase, SETBACK_DELAY_MS, SETBACK_DELAY_MS_MAX, Spent, StopWait, Trouble};
use crate::rpc::procedures::PastExit;
use crate::specs::DesiredApp;
use crate::specs::app_spec::{RestartPolicy, RestartType};
use crate::status::time::rfc3339;
use crate::status::{AppError, HealthState};
use crate::telemetry::Event;

impl Lifecycle {
    pub(super) fn looked(
        &mut self,
        result: Result<Option<Found>, Trouble>,
        doubt: Option<Doubt>,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let found = match result {
            Ok(found) => found,
            Err(trouble) => {
                self.note_trouble(&trouble, now);
                let at_ms = now.at_ms + self.setback_ms(now.jitter);
                self.phase = Phase::Looking {
                    wait: LookWait::Again { at_ms },
                    doubt,
                };
                return;
            }
        };
        self.setbacks = 0;
        self.is_unsure = false;
        self.phase = OPEN;
        match (found, doubt) {
            (Some(found), Some(doubt)) if found.digest == doubt.app.digest => {
                self.is_running(&doubt.app, found, now, out);
            }
            // The old one lives on; the new one did not take its place.
            (Some(found), Some(doubt)) => {
                self.adopt(found, now);
                self.change_failed(&doubt.app, &doubt.trouble, now, out);
            }
            (Some(found), None) => self.adopt(found, now),
            (None, Some(doubt)) => {
                self.live = None;
                self.start_failed(&doubt.app, &doubt.trouble, now, out);
            }
            (None, None) => self.ended_unseen(now, out),
        }
    }

    /// Takes over an instance that runs, whoever started it.
    fn adopt(&mut self, found: Found, now: Now) {
        let applied = self.memory.applied.as_ref();
        let is_ours = self.memory.instance.as_ref() == Some(&found.id) && !self.memory.is_stranger;
        let is_recorded = is_ours && applied.is_some();
        let is_applied = applied.is_some_and(|applied| applied.digest == found.digest);
        let asked = self.goal().filter(|goal| goal.digest == found.digest).cloned();
        let is_stranger = match asked {
            _ if is_recorded || is_applied => false,
            Some(goal) => {
                self.adopt_spec(goal);
                false
            }
            None => true,
        };
        // The word of an operator outlives the daemon that heard it; so may the stop that it had begun.
        self.is_restart_asked |= self.memory.restarting.as_ref() == Some(&found.id);
        // What was known of its health outlives the daemon too: a first check that fails makes nobody ill.
        let was_well = self.memory.well.as_ref() == Some(&found.id);
        self.stop_begun = self.memory.expects_end.then(|| found.id.clone());
        self.is_alive(found, is_stranger, now);
        if was_well && let Some(live) = &mut self.live {
            live.health = HealthState::Healthy;
            live.healthy_since_ms = Some(now.at_ms);
        }
        self.resume_trial(now);
    }

    fn is_alive(&mut self, found: Found, is_stranger: bool, now: Now) {
        let since_ms = found.started_at_ms.min(now.at_ms);
        let memory = self.memory();
        memory.instance = Some(found.id.clone());
        memory.is_stranger = is_stranger;
        memory.restarting.take_if(|restarting| *restarting != found.id);
        memory.unhealthy.take_if(|unhealthy| *unhealthy != found.id);
        memory.well.take_if(|well| *well != found.id);
        memory.expects_end = false;
        memory.forget_start();
        memory.finished = None;
        self.has_lived = true;
        self.is_unsure = false;
        self.is_old_wanted = false;
        self.live = Some(Live {
            found,
            is_stranger,
            since_ms,
            health: HealthState::Unknown,
            healthy_since_ms: None,
            report: None,
        });
        self.phase = Phase::Running;
    }

    /// The record says that an instance ran, and none does. Nobody knows why: as bad as a crash, unless it was meant.
    fn ended_unseen(&mut self, now: Now, out: &mut Vec<Effect>) {
        let was_running = self.memory.instance.is_some();
        let was_meant = self.memory.expects_end || self.memory.stopped_by_hand.is_some();
        if !was_running && !self.memory.expects_end {
            return;
        }
        let memory = self.memory();
        memory.instance = None;
        memory.expects_end = false;
        if was_meant {
            return self.end_of_unhealthy(now, out);
        }
        let exit = Exit {
            how: ExitKind::Unknown,
            is_out_of_memory: false,
            was_killed_after_grace: false,
            at_ms: now.at_ms,
        };
        self.remember_exit(exit.to_string(), exit.at_ms, 0);
        let is_first = !self.memory.budget.is_in_streak();
        self.supervise(&exit, 0, now, out);
        // It ended some time ago: waiting again would only add to that. Not so in the middle of a crash loop.
        if is_first && self.memory.start_at_ms.is_some() {
            self.memory().start_at_ms = Some(now.at_ms);
        }
    }

    pub(super) fn fetched(&mut self, result: Result<PathBuf, Trouble>, now: Now, out: &mut Vec<Effect>) {
        let Some(fetching) = self.fetching.take() else {
            return;
        };
        match result {
            Ok(path) => {
                self.setbacks = 0;
                self.keep_artefact(fetching.digest, path);
            }
            Err(trouble) => {
                // Nothing was started, so nothing of the budget is spent: a server that is away must not fail an app for good.
                self.note_trouble(&trouble, now);
                self.close_action(Some(&trouble.message), now, out);
                self.change_at_ms = Some(now.at_ms + self.setback_ms(now.jitter));
            }
        }
    }

    fn keep_artefact(&mut self, digest: crate::names::SpecDigest, path: PathBuf) {
        self.artefacts.retain(|(kept, _)| *kept != digest);
        self.artefacts.push((digest, path));
    }

    pub(super) fn started(
        &mut self,
        app: Arc<DesiredApp>,
        result: Result<Found, Trouble>,
        is_replacement: bool,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        match result {
            Ok(found) => self.is_running(&app, found, now, out),
            // Of a replacement the old instance may still run, whatever the new one did.
            Err(trouble) if trouble.is_unsure || is_replacement => {
                self.begin_look(Some(Doubt { app, trouble }), out);
            }
            Err(trouble) => {
                self.phase = OPEN;
                // It may have failed because its artefact is gone; the next fetch sees to that.
                self.artefacts.retain(|(digest, _)| *digest != app.digest);
                self.start_failed(&app, &trouble, now, out);
            }
        }
    }

    fn is_running(&mut self, app: &Arc<DesiredApp>, found: Found, now: Now, out: &mut Vec<Effect>) {
        if self.live.as_ref().is_some_and(|live| live.found.id != found.id) {
            self.leaving = self.live.take().map(|live| live.found.id);
        }
        self.is_alive(found, false, now);
        // By our clock, whatever the runtime's says.
        if let Some(live) = &mut self.live {
            live.since_ms = live.since_ms.max(now.at_ms);
        }
        self.setbacks = 0;
        self.change_at_ms = None;
        if self.memory.failed.as_ref() == Some(&app.digest) {
            self.memory().failed = None;
        }
        self.is_returning = false;
        self.stop_begun = None;
        self.adopt_spec(Arc::clone(app));
        if !self.begin_trial(app, now, out) {
            self.close_change(app, None, now, out);
        }
    }

    /// Nothing runs: the start of `app` came to nothing.
    fn start_failed(&mut self, app: &Arc<DesiredApp>, trouble: &Trouble, now: Now, out: &mut Vec<Effect>) {
        self.memory().expects_end = false;
        self.memory().instance = None;
        self.close_change(app, Some(&trouble.message), now, out);
        if !self.is_wanted(app) {
            return;
        }
        self.note_trouble(trouble, now);
        if !trouble.is_counted {
            let at_ms = now.at_ms + self.setback_ms(now.jitter);
            self.memory().start_at_ms = Some(at_ms);
            return;
        }
        if self.gives_way(app, &could_not_start(trouble), now, out) {
            return;
        }
        let policy = app.spec.restart.policy();
        match self.spend(&policy, now) {
            Spent::Within(delay) if policy.kind != RestartType::Temporary => {
                let delay = delay.max(Duration::from_millis(FAILED_START_DELAY_MS_MIN));
                self.start_again(&trouble.message, delay, now, out);
            }
            Spent::Within(_) | Spent::Exceeded => self.give_up(app, &trouble.message, out),
        }
    }

    /// The old instance runs on: its replacement by `app` came to nothing.
    fn change_failed(&mut self, app: &Arc<DesiredApp>, trouble: &Trouble, now: Now, out: &mut Vec<Effect>) {
        self.close_change(app, Some(&trouble.message), now, out);
        if !self.is_wanted(app) {
            return;
        }
        self.note_trouble(trouble, now);
        if !trouble.is_counted {
            self.change_at_ms = Some(now.at_ms + self.setback_ms(now.jitter));
            return;
        }
        match self.spend(&app.spec.restart.policy(), now) {
            Spent::Within(delay) => {
                let delay = delay.max(Duration::from_millis(FAILED_START_DELAY_MS_MIN));
                self.change_at_ms = Some(now.at_ms + millis(delay));
            }
            Spent::Exceeded if self.gives_way(app, &could_not_start(trouble), now, out) => {}
            Spent::Exceeded => self.give_up(app, &trouble.message, out),
        }
    }

    /// Is `app` what is still to run? If not, what became of it is no reason to wait with what is.
    fn is_wanted(&self, app: &DesiredApp) -> bool {
        self.is_old_wanted || self.goal().is_some_and(|goal| goal.digest == app.digest)
    }

    pub(super) fn stopped(&mut self, result: Result<(), Trouble>, now: Now, out: &mut Vec<Effect>) {
        match result {
            Ok(()) if self.live.is_some() => {
                self.setbacks = 0;
                self.phase = Phase::Stopping(StopWait::News {
                    until_ms: now.at_ms + EXIT_NEWS_MS_MAX,
                });
            }
            Ok(()) => {
                self.setbacks = 0;
                self.stop_is_over(now, out);
            }
            Err(trouble) => {
                self.note_trouble(&trouble, now);
                let at_ms = now.at_ms + self.setback_ms(now.jitter);
                self.phase = Phase::Stopping(StopWait::Again { at_ms });
                self.answer_stop_failure(&trouble.message, out);
            }
        }
    }

    /// Nothing runs any more, as it was meant.
    pub(super) fn stop_is_over(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.phase = OPEN;
        self.is_unsure = false;
        self.is_cleared = self.is_to_be_gone();
        if std::mem::take(&mut self.is_restart_asked) {
            self.memory().unhealthy = None;
        }
        let memory = self.memory();
        memory.instance = None;
        memory.restarting = None;
        memory.expects_end = false;
        memory.forget_start();
        self.end_of_unhealthy(now, out);
    }

    /// An instance ended by itself: is it started again, and when?
    pub(super) fn supervise(&mut self, exit: &Exit, was_healthy_ms: u64, now: Now, out: &mut Vec<Effect>) {
        self.phase = OPEN;
        let Some(app) = self.memory.applied.clone().or_else(|| self.goal().cloned()) else {
            return;
        };
        let policy = app.spec.restart.policy();
        let is_restarted = match policy.kind {
            RestartType::Permanent => true,
            RestartType::Transient => !exit.is_normal(),
            RestartType::Temporary => false,
        };
        let reason = exit.to_string();
        let is_meant = self.stop_begun.take().is_some();
        let is_failure = is_restarted || !exit.is_normal();
        if is_failure && !is_meant && self.gives_way(&app, &format!("ended with {reason}"), now, out) {
            return;
        }
        if is_restarted {
            self.end_streak_after(was_healthy_ms, &policy);
            self.note_error("osier::app::exited", &reason, now);
            self.restart(&app, &reason, &reason, now, out);
        } else if exit.is_normal() {
            let memory = self.memory();
            memory.finished = Some(app.digest.clone());
            memory.last_error = None;
            self.is_proven_now(now, out);
        } else {
            self.note_error("osier::app::exited", &reason, now);
            self.give_up(&app, &reason, out);
        }
    }

    /// So long in health ends the streak of restarts.
    pub(super) fn end_streak_after(&mut self, was_healthy_ms: u64, policy: &RestartPolicy) {
        if was_healthy_ms >= millis(policy.period) {
            self.memory().budget.end_streak();
        }
    }

    /// What ran of `app` is started again, for `cause` in a word, or given up for `reason`.
    pub(super) fn restart(
        &mut self,
        app: &DesiredApp,
        cause: &str,
        reason: &str,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        self.is_old_wanted = self.goal().is_some_and(|goal| goal.digest != app.digest);
        match self.spend(&app.spec.restart.policy(), now) {
            Spent::Within(delay) => self.start_again(cause, delay, now, out),
            Spent::Exceeded => self.give_up(app, reason, out),
        }
    }

    fn spend(&mut self, policy: &RestartPolicy, now: Now) -> Spent {
        self.memory().budget.spend(policy, now.jitter, now.at_ms)
    }

    fn start_again(&mut self, reason: &str, delay: Duration, now: Now, out: &mut Vec<Effect>) {
        let restarts = self.memory.budget.total() + 1;
        let memory = self.memory();
        memory.start_at_ms = Some(now.at_ms + millis(delay));
        memory.is_restart_due = true;
        out.push(Effect::Emit(Event::AppRestart {
            app: self.app.clone(),
            exit: reason.to_owned(),
            restarts,
            delay_ms: millis(delay),
        }));
    }

    fn give_up(&mut self, app: &DesiredApp, reason: &str, out: &mut Vec<Effect>) {
        self.is_old_wanted = false;
        let memory = self.memory();
        memory.failed = Some(app.digest.clone());
        memory.forget_start();
        out.push(Effect::Emit(Event::AppFailed {
            app: self.app.clone(),
            reason: reason.to_owned(),
            restarts: self.memory.budget.total(),
        }));
    }

    pub(super) fn remember_exit(&mut self, how: String, at_ms: u64, ran_ms: u64) {
        let past = &mut self.memory().past_exits;
        while past.len() >= PAST_EXITS_MAX {
            past.pop_front();
        }
        past.push_back(Arc::new(PastExit {
            at: rfc3339(at_ms),
            how,
            ran_ms,
        }));
    }

    fn note_trouble(&mut self, trouble: &Trouble, now: Now) {
        self.note_error(&trouble.code, &trouble.message, now);
    }

    pub(super) fn note_error(&mut self, code: &str, message: &str, now: Now) {
        self.memory().last_error = Some(AppError {
            code: code.to_owned(),
            message: message.to_owned(),
            file: None,
            line: None,
            column: None,
            at: rfc3339(now.at_ms),
        });
    }

    /// The delay after one more setback: doubling, as for a restart, but nothing of the budget is spent.
    fn setback_ms(&mut self, jitter: Jitter) -> u64 {
        let doubled = SETBACK_DELAY_MS.checked_shl(self.setbacks).unwrap_or(u64::MAX);
        self.setbacks = (self.setbacks + 1).min(u32::BITS);
        millis(jitter.applied_to(Duration::from_millis(doubled.min(SETBACK_DELAY_MS_MAX))))
    }
}

fn could_not_start(trouble: &Trouble) -> String {
    format!("could not be started: {}", trouble.message)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
