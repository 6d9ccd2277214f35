//! What each event means in each phase. One table an event; every phase is named in each.

use std::sync::Arc;

use super::health::UNHEALTHY;
use super::{AppEvent, Effect, EffectId, Exit, Fetching, Lifecycle, LookWait, Now, Operation, OperatorError};
use super::{OPEN, OperatorId, Outcome, Phase, StopWait, Target};
use crate::names::InstanceId;
use crate::specs::DesiredApp;
use crate::status::ROLLED_BACK;
use crate::telemetry::Event;

impl Lifecycle {
    /// Takes in what happened. What follows from it, `converge` decides.
    pub(super) fn take(&mut self, event: AppEvent, now: Now, out: &mut Vec<Effect>) {
        if self.phase == Phase::Gone {
            // Final: whoever asks for the app again starts another actor. Only a question still gets its answer.
            if let AppEvent::Operator { id, .. } = event {
                self.refuse_removed(id, out);
            }
            return;
        }
        match event {
            AppEvent::Began => self.began(out),
            AppEvent::Target(target) => self.take_target(target),
            AppEvent::Operator { id, command } => self.take_operation(id, command, out),
            AppEvent::Done { effect, outcome } => self.done(effect, outcome, now, out),
            AppEvent::Exited { instance, exit } => self.exited(&instance, &exit, now, out),
            AppEvent::Lost { instance } => self.lost(&instance),
            AppEvent::Checked { instance, by, report } => self.checked(&instance, &by, &report, now, out),
            // The time that has come is looked at in every step.
            AppEvent::Woke => {}
        }
    }

    fn began(&mut self, out: &mut Vec<Effect>) {
        match self.phase {
            Phase::New => self.begin_look(None, out),
            Phase::Looking { .. }
            | Phase::Pending
            | Phase::Waiting
            | Phase::Fetching
            | Phase::Starting { .. }
            | Phase::Running
            | Phase::Replacing { .. }
            | Phase::Backoff
            | Phase::Stopping(_)
            | Phase::Stopped
            | Phase::Failed
            | Phase::Invalid
            | Phase::Gone => {}
        }
    }

    /// Alike in every phase: the newest target is the one that counts. An effect under way is not disturbed.
    fn take_target(&mut self, target: Arc<Target>) {
        self.target = Some(target);
        self.release_hold();
        let goal = self.goal().cloned().filter(|_| !self.is_to_be_gone());
        let is_for_goal =
            |fetching: &mut Fetching| goal.as_ref().is_some_and(|goal| fetching.digest == goal.digest);
        self.fetching.take_if(|fetching| !is_for_goal(fetching));
        let Some(goal) = goal else { return };
        if self.memory.tried.as_ref() != Some(&goal.digest) {
            let memory = self.memory();
            memory.tried = Some(goal.digest.clone());
            memory.budget.refresh();
            memory.forget_start();
            memory.failed = None;
            self.change_at_ms = None;
            self.setbacks = 0;
        }
        let is_what_runs = self
            .live
            .as_ref()
            .is_some_and(|live| live.is_stranger && live.found.digest == goal.digest);
        if is_what_runs {
            self.adopt_spec(Arc::clone(&goal));
            self.memory().is_stranger = false;
            if let Some(live) = &mut self.live {
                live.is_stranger = false;
            }
        }
        let error = self.memory.last_error.as_ref();
        let is_told = error.map(|error| error.code == ROLLED_BACK);
        if is_told.unwrap_or(self.rolled_back().is_some()) {
            self.memory().last_error = self.rolled_back_error();
        }
        // The same digest may stand elsewhere in the repository now: `why` names file and line.
        let is_moved = |applied: &&Arc<DesiredApp>| {
            applied.digest == goal.digest
                && (applied.line != goal.line || applied.file != goal.file || applied.folder != goal.folder)
        };
        if self
            .memory
            .applied
            .as_ref()
            .is_some_and(|applied| is_moved(&applied))
        {
            self.memory().applied = Some(goal);
        }
    }

    /// A stop by hand holds until git asks for something else.
    fn release_hold(&mut self) {
        if let (Some(held), Some(asked)) = (&self.memory.stopped_by_hand, self.asked_digest())
            && held != asked
        {
            self.memory().stopped_by_hand = None;
        }
    }

    /// Alike in every phase: it changes what is asked for, as a target does.
    fn take_operation(&mut self, id: OperatorId, command: Operation, out: &mut Vec<Effect>) {
        if self.is_to_be_gone() {
            return self.refuse_removed(id, out);
        }
        if let Some((before, _)) = self.operator.replace((id, command)) {
            let app = self.app.clone();
            out.push(Effect::Reply {
                to: before,
                result: Err(OperatorError::Superseded { app }),
            });
        }
        match command {
            Operation::Stop => {
                let goal = self.goal().map(|app| app.digest.clone());
                let digest = goal.or_else(|| self.live.as_ref().map(|live| live.found.digest.clone()));
                self.is_restart_asked = false;
                self.memory().restarting = None;
                self.fetching = None;
                if digest.is_some() {
                    self.memory().stopped_by_hand = digest;
                }
            }
            Operation::Start => self.begin_anew(),
            Operation::Restart => {
                self.begin_anew();
                self.memory().restarting = self.live.as_ref().map(|live| live.found.id.clone());
                self.is_restart_asked =
                    self.live.is_some() || matches!(self.phase, Phase::New | Phase::Looking { .. });
            }
        }
    }

    /// The operator's word ends every hold, failure and delay.
    fn begin_anew(&mut self) {
        self.change_at_ms = None;
        let memory = self.memory();
        memory.stopped_by_hand = None;
        memory.failed = None;
        memory.finished = None;
        memory.unhealthy = None;
        memory.forget_start();
        memory.budget.refresh();
    }

    fn refuse_removed(&self, to: OperatorId, out: &mut Vec<Effect>) {
        let app = self.app.clone();
        out.push(Effect::Reply {
            to,
            result: Err(OperatorError::Removed { app }),
        });
    }

    /// An outcome belongs to the effect that the phase waits for, or it is stale.
    fn done(&mut self, effect: EffectId, outcome: Outcome, now: Now, out: &mut Vec<Effect>) {
        if let Outcome::Fetched(result) = outcome {
            if self
                .fetching
                .as_ref()
                .is_some_and(|fetching| fetching.effect == effect)
            {
                self.fetched(result, now, out);
            }
            return;
        }
        match (&self.phase, outcome) {
            (Phase::Looking { wait, doubt }, Outcome::Looked(result))
                if *wait == LookWait::Outcome(effect) =>
            {
                let doubt = doubt.clone();
                self.looked(result, doubt, now, out);
            }
            (Phase::Starting { effect: ours, app }, Outcome::Started(result)) if *ours == effect => {
                let app = Arc::clone(app);
                self.started(app, result, false, now, out);
            }
            (Phase::Replacing { effect: ours, app }, Outcome::Started(result)) if *ours == effect => {
                let app = Arc::clone(app);
                self.started(app, result, true, now, out);
            }
            (Phase::Stopping(wait), Outcome::Stopped(result)) if *wait == StopWait::Outcome(effect) => {
                self.stopped(result, now, out);
            }
            // Stale: what it was for is over. (`Fetched` was taken above.)
            (_, Outcome::Looked(_) | Outcome::Fetched(_) | Outcome::Started(_) | Outcome::Stopped(_)) => {}
        }
    }

    fn exited(&mut self, instance: &InstanceId, exit: &Exit, now: Now, out: &mut Vec<Effect>) {
        let is_ours = self.live.as_ref().is_some_and(|live| live.found.id == *instance);
        let is_leaving = self.leaving.as_ref() == Some(instance);
        if !is_ours && !is_leaving {
            return;
        }
        if is_leaving {
            self.leaving = None;
        }
        if exit.was_killed_after_grace {
            let grace = self.stop_policy().grace.as_millis();
            out.push(Effect::Emit(Event::AppKilled {
                app: self.app.clone(),
                grace_ms: u64::try_from(grace).unwrap_or(u64::MAX),
            }));
        }
        let ran_ms = self.live.as_ref().filter(|_| is_ours);
        let ran_ms = ran_ms.map_or(0, |live| now.at_ms.saturating_sub(live.since_ms));
        let how = if self.memory.unhealthy.as_ref() == Some(instance) {
            format!("{UNHEALTHY} ({exit})")
        } else {
            exit.to_string()
        };
        self.remember_exit(how, exit.at_ms, ran_ms);
        if !is_ours {
            return;
        }
        let healthy_since_ms = self.live.take().and_then(|live| live.healthy_since_ms);
        let was_healthy_ms = healthy_since_ms.map_or(0, |since_ms| now.at_ms.saturating_sub(since_ms));
        self.memory().instance = None;
        match self.phase {
            Phase::Running => self.supervise(exit, was_healthy_ms, now, out),
            // Meant: its outcome, or what runs instead, is still to come.
            Phase::Replacing { .. } | Phase::Stopping(StopWait::Outcome(_)) => {}
            // Meant, and the last that was waited for.
            Phase::Stopping(StopWait::News { .. }) => self.stop_is_over(now, out),
            // It could not be stopped, and now it ended all the same.
            Phase::Stopping(StopWait::Again { .. }) => self.stop_is_over(now, out),
            // No instance is known to live in these; what a look finds, counts.
            Phase::New
            | Phase::Looking { .. }
            | Phase::Pending
            | Phase::Waiting
            | Phase::Fetching
            | Phase::Starting { .. }
            | Phase::Backoff
            | Phase::Stopped
            | Phase::Failed
            | Phase::Invalid
            | Phase::Gone => {}
        }
    }

    /// The record still names it: found gone, it counts as an end that nobody saw.
    fn lost(&mut self, instance: &InstanceId) {
        if self.live.as_ref().is_none_or(|live| live.found.id != *instance) {
            return;
        }
        self.live = None;
        self.is_unsure = true;
        match self.phase {
            Phase::Running | Phase::Stopping(StopWait::Again { .. }) => self.phase = OPEN,
            // Its outcome may tell; if not, it is looked for then.
            Phase::Replacing { .. } | Phase::Stopping(StopWait::Outcome(_) | StopWait::News { .. }) => {}
            Phase::New
            | Phase::Looking { .. }
            | Phase::Pending
            | Phase::Waiting
            | Phase::Fetching
            | Phase::Starting { .. }
            | Phase::Backoff
            | Phase::Stopped
            | Phase::Failed
            | Phase::Invalid
            | Phase::Gone => {}
        }
    }

    /// What is due by now. In every step: an event that comes at the same moment must not make a time be missed.
    pub(super) fn catch_up(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.catch_up_with_trial(now, out);
        match self.phase {
            Phase::Looking {
                wait: LookWait::Again { at_ms },
                ref doubt,
            } if at_ms <= now.at_ms => {
                let doubt = doubt.clone();
                self.begin_look(doubt, out);
            }
            // The news of its end never came; the runtime's word that nothing runs is enough.
            Phase::Stopping(StopWait::News { until_ms }) if until_ms <= now.at_ms => {
                self.live = None;
                self.stop_is_over(now, out);
            }
            // Whether it is still to be stopped, `converge` decides.
            Phase::Stopping(StopWait::Again { at_ms }) if at_ms <= now.at_ms => self.phase = OPEN,
            // Their times are facts, which `converge` compares with now.
            Phase::Running | Phase::Fetching | Phase::Backoff => {}
            // Not due yet, or nothing is waited for.
            Phase::Looking { .. }
            | Phase::Stopping(_)
            | Phase::New
            | Phase::Pending
            | Phase::Waiting
            | Phase::Starting { .. }
            | Phase::Replacing { .. }
            | Phase::Stopped
            | Phase::Failed
            | Phase::Invalid
            | Phase::Gone => {}
        }
    }
}
