//! What comes next, by the facts alone.

use std::path::PathBuf;
use std::sync::Arc;

use super::trial::Trial;
use super::{Effect, Fetching, Live, LookWait, Now, Phase, StopWait};
use super::{Lifecycle, OpenAction, SUPERSEDED};
use crate::names::{SpecDigest, Version};
use crate::plan::Change;
use crate::specs::DesiredApp;
use crate::specs::app_spec::{Stop, StopPolicy};
use crate::telemetry::{ActionKind, Event};

/// The next thing to do.
enum Next {
    /// Nothing, for now.
    Rest(Phase),
    /// Bring an artefact here, and go on deciding.
    Fetch(Arc<DesiredApp>),
    /// Write down what needs nothing else, and go on deciding.
    ApplyInPlace(Arc<DesiredApp>),
    /// Start it.
    Start(Arc<DesiredApp>, Option<PathBuf>),
    /// Put it in the place of what runs.
    Replace(Arc<DesiredApp>, Option<PathBuf>, Change),
    /// Stop what runs.
    Stop,
}

impl Lifecycle {
    /// Chooses what comes next and begins it, unless an effect is under way: then its outcome does.
    pub(super) fn converge(&mut self, now: Now, out: &mut Vec<Effect>) {
        // `Fetch` and `ApplyInPlace` change the fact that called for them, so neither comes twice.
        while !self.is_busy() {
            if self.is_unsure {
                return self.begin_look(None, out);
            }
            match self.decide(now) {
                Next::Rest(Phase::Gone) => return self.leave(now, out),
                Next::Rest(phase) => {
                    self.phase = phase;
                    self.grow_healthy(now, out);
                    // What was begun and rests without its artefact on the way was given up for something else.
                    let is_judged =
                        self.is_on_trial() && matches!(self.phase, Phase::Running | Phase::Backoff);
                    if self.fetching.is_none() && !is_judged {
                        let why = if self.memory.stopped_by_hand.is_some() {
                            "it was stopped by hand"
                        } else {
                            SUPERSEDED
                        };
                        self.end_trial(Some(why), now, out);
                        self.close_action(Some(why), now, out);
                    }
                    return;
                }
                Next::Fetch(app) => self.begin_fetch(app, now, out),
                Next::ApplyInPlace(app) => self.apply_in_place(app, now, out),
                Next::Start(app, artefact) => self.begin_start(app, artefact, now, out),
                Next::Replace(app, artefact, change) => {
                    self.begin_replace(app, artefact, change, now, out);
                }
                Next::Stop => self.begin_stop(now, out),
            }
        }
    }

    /// Is an effect under way that the next decision must wait for? (A fetch is none: what runs is supervised meanwhile.)
    fn is_busy(&self) -> bool {
        match self.phase {
            Phase::New
            | Phase::Looking { .. }
            | Phase::Starting { .. }
            | Phase::Replacing { .. }
            | Phase::Stopping(_)
            | Phase::Gone => true,
            Phase::Pending
            | Phase::Waiting
            | Phase::Fetching
            | Phase::Running
            | Phase::Backoff
            | Phase::Stopped
            | Phase::Failed
            | Phase::Invalid => false,
        }
    }

    fn decide(&self, now: Now) -> Next {
        if self.is_to_be_gone() {
            return if self.is_cleared {
                Next::Rest(Phase::Gone)
            } else {
                Next::Stop
            };
        }
        let is_held = self.memory.stopped_by_hand.is_some();
        match (&self.live, self.goal()) {
            (Some(_), _) if is_held || self.is_restart_asked || self.memory.unhealthy.is_some() => Next::Stop,
            (Some(live), Some(goal)) => self.beside(live, goal, now),
            (Some(_), None) => Next::Rest(Phase::Running),
            (None, _) if is_held => Next::Rest(Phase::Stopped),
            (None, Some(goal)) => self.without_instance(goal, now),
            (None, None) if self.target.as_ref().is_some_and(|target| target.error.is_some()) => {
                Next::Rest(Phase::Invalid)
            }
            (None, None) => Next::Rest(Phase::Pending),
        }
    }

    /// What comes next while `live` runs.
    fn beside(&self, live: &Live, goal: &Arc<DesiredApp>, now: Now) -> Next {
        let change = match &self.memory.applied {
            Some(applied) if !live.is_stranger => Change::between(applied, goal),
            // A stranger gives way to what is asked for, but not to what merely was applied some day.
            _ if self.asked_digest().is_some() => Change::NewVersion,
            _ => Change::None,
        };
        match change {
            Change::None => return Next::Rest(Phase::Running),
            Change::InPlace => return Next::ApplyInPlace(Arc::clone(goal)),
            Change::NewProcess | Change::NewVersion => {}
        }
        if self.has_failed(goal) || self.is_change_delayed(now) {
            return Next::Rest(Phase::Running);
        }
        // Fetched before anything is stopped: an artefact that cannot be had costs no minute of the old version.
        match self.artefact_of(goal) {
            Some(artefact) if live.found.runtime == goal.spec.isolation().as_str() => {
                Next::Replace(Arc::clone(goal), artefact, change)
            }
            Some(_) => Next::Stop,
            None if self.is_fetching(goal) => Next::Rest(Phase::Running),
            None => Next::Fetch(Arc::clone(goal)),
        }
    }

    /// What comes next while nothing runs.
    fn without_instance(&self, goal: &Arc<DesiredApp>, now: Now) -> Next {
        if self.has_failed(goal) {
            return Next::Rest(Phase::Failed);
        }
        match (&self.memory.finished, &self.memory.applied) {
            (Some(finished), _) if *finished == goal.digest => return Next::Rest(Phase::Stopped),
            (Some(_), Some(applied)) if Change::between(applied, goal) == Change::InPlace => {
                return Next::ApplyInPlace(Arc::clone(goal));
            }
            _ => {}
        }
        if self.target.is_none() && !self.has_lived {
            return Next::Rest(Phase::Pending);
        }
        if self.memory.start_at_ms.is_some_and(|at_ms| at_ms > now.at_ms) {
            return Next::Rest(Phase::Backoff);
        }
        if self.memory.applied.is_none() && self.has_unmet() {
            return Next::Rest(Phase::Waiting);
        }
        if let Some(artefact) = self.artefact_of(goal) {
            return Next::Start(Arc::clone(goal), artefact);
        }
        let old = self.memory.applied.as_ref().filter(|_| self.is_old_wanted);
        if let Some((old, artefact)) = old.and_then(|old| Some((old, self.artefact_of(old)?))) {
            return Next::Start(Arc::clone(old), artefact);
        }
        if self.is_fetching(goal) {
            Next::Rest(Phase::Fetching)
        } else if self.is_change_delayed(now) {
            Next::Rest(Phase::Backoff)
        } else {
            Next::Fetch(Arc::clone(goal))
        }
    }

    pub(super) fn has_failed(&self, app: &DesiredApp) -> bool {
        self.memory.failed.as_ref() == Some(&app.digest)
    }

    fn has_unmet(&self) -> bool {
        self.target
            .as_ref()
            .is_some_and(|target| !target.unmet.is_empty())
    }

    fn is_change_delayed(&self, now: Now) -> bool {
        self.change_at_ms.is_some_and(|at_ms| at_ms > now.at_ms)
    }

    fn is_fetching(&self, app: &DesiredApp) -> bool {
        self.fetching
            .as_ref()
            .is_some_and(|fetching| fetching.digest == app.digest)
    }

    fn begin_fetch(&mut self, app: Arc<DesiredApp>, now: Now, out: &mut Vec<Effect>) {
        self.open_change(&app, now, out);
        let effect = self.next_effect();
        self.change_at_ms = None;
        self.fetching = Some(Fetching {
            effect,
            digest: app.digest.clone(),
        });
        out.push(Effect::Fetch { effect, app });
    }

    fn begin_start(
        &mut self,
        app: Arc<DesiredApp>,
        artefact: Option<PathBuf>,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        self.is_restart_asked = false;
        self.open_change(&app, now, out);
        if self.memory.is_restart_due {
            let memory = self.memory();
            memory.is_restart_due = false;
            memory.budget.note_restart();
        }
        let effect = self.next_effect();
        out.push(Effect::Start {
            effect,
            app: Arc::clone(&app),
            artefact,
        });
        self.phase = Phase::Starting { effect, app };
    }

    fn begin_replace(
        &mut self,
        app: Arc<DesiredApp>,
        artefact: Option<PathBuf>,
        change: Change,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        self.open_change(&app, now, out);
        self.memory().expects_end = true;
        self.leaving = self.live.as_ref().map(|live| live.found.id.clone());
        let effect = self.next_effect();
        out.push(Effect::Replace {
            effect,
            kind: kind_of(change),
            app: Arc::clone(&app),
            artefact,
            stop: self.stop_policy(),
        });
        self.phase = Phase::Replacing { effect, app };
    }

    fn begin_stop(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.is_to_be_gone() {
            self.open_removal(now, out);
        } else if let Some(goal) = self.goal().cloned()
            && !self.is_restart_asked
            && self.memory.stopped_by_hand.is_none()
            && self.memory.unhealthy.is_none()
        {
            self.open_change(&goal, now, out);
        }
        self.memory().expects_end = true;
        self.leaving = self.live.as_ref().map(|live| live.found.id.clone());
        let effect = self.next_effect();
        let runtime = self.live.as_ref().map(|live| live.found.runtime.clone());
        out.push(Effect::Stop {
            effect,
            runtime,
            stop: self.stop_policy(),
        });
        self.phase = Phase::Stopping(StopWait::Outcome(effect));
    }

    pub(super) fn begin_look(&mut self, doubt: Option<super::Doubt>, out: &mut Vec<Effect>) {
        let effect = self.next_effect();
        let runtime = self.memory.applied.as_ref().filter(|_| doubt.is_none());
        out.push(Effect::Look {
            effect,
            runtime: runtime.map(|app| app.spec.isolation().as_str().to_owned()),
        });
        self.phase = Phase::Looking {
            wait: LookWait::Outcome(effect),
            doubt,
        };
    }

    fn apply_in_place(&mut self, app: Arc<DesiredApp>, now: Now, out: &mut Vec<Effect>) {
        self.open_change(&app, now, out);
        if self.memory.finished.is_some() {
            self.memory().finished = Some(app.digest.clone());
        }
        self.forget_checks(&app);
        // The same process, by the word of another spec: what is proven of it stays so.
        let is_proven = std::mem::take(&mut self.memory().is_proven);
        self.adopt_spec(app);
        self.memory().is_proven = is_proven;
        self.close_action(None, now, out);
    }

    /// `app` is what runs now, by the word of the commit that asks for it.
    pub(super) fn adopt_spec(&mut self, app: Arc<DesiredApp>) {
        let is_asked = self.asked_digest() == Some(&app.digest);
        let commit = self.target.as_ref().and_then(|target| target.commit.clone());
        let is_another = !self.is_applied(&app);
        if is_another {
            let good = self.memory.good.iter().find(|good| good.app.digest == app.digest);
            let commit = if is_asked {
                Some(commit)
            } else {
                good.map(|good| good.commit.clone())
            };
            self.retire_applied(&app);
            if let Some(commit) = commit {
                self.memory().commit = commit;
            }
        }
        self.memory().applied = Some(app);
    }

    fn leave(&mut self, now: Now, out: &mut Vec<Effect>) {
        // Opened here when it was being stopped for another reason already.
        self.open_removal(now, out);
        self.close_action(None, now, out);
        self.phase = Phase::Gone;
        self.memory = super::AppRecord::default();
        self.is_memory_changed = false;
        out.push(Effect::Forget);
    }

    /// By the spec of what runs; unknown: the defaults.
    pub(super) fn stop_policy(&self) -> StopPolicy {
        let spec = self.memory.applied.as_ref().or_else(|| self.goal());
        spec.map_or_else(|| Stop::default().policy(), |app| app.spec.stop.policy())
    }

    /// The bringing about of `app` begins, unless it has, or it is what was applied anyway.
    fn open_change(&mut self, app: &DesiredApp, now: Now, out: &mut Vec<Effect>) {
        let is_stranger = self.live.as_ref().is_some_and(|live| live.is_stranger);
        let kind = match &self.memory.applied {
            None if is_stranger => ActionKind::Upgrade,
            None => ActionKind::Deploy,
            Some(_) if is_stranger => ActionKind::Upgrade,
            Some(applied) => match Change::between(applied, app) {
                Change::None if self.is_returning && self.live.is_none() => ActionKind::Rollback,
                Change::None => return,
                _ if self.is_going_back_to(app) => ActionKind::Rollback,
                change => kind_of(change),
            },
        };
        let applied = self.memory.applied.as_ref();
        let bad = self.rolled_back().filter(|_| self.is_returning);
        let from = bad.map(|bad| bad.version.clone());
        let from = from.or_else(|| Some(applied?.spec.version.clone()));
        self.open(
            kind,
            Some(app.digest.clone()),
            from,
            Some(app.spec.version.clone()),
            now,
            out,
        );
    }

    /// Does a version that was good take the place of another one, without a commit that asks for it?
    fn is_going_back_to(&self, app: &DesiredApp) -> bool {
        let is_manual = self.target.as_ref().is_some_and(|target| target.manual);
        let is_good = self.memory.good.iter().any(|good| good.app.digest == app.digest);
        is_good && (is_manual || self.rolled_back().is_some())
    }

    fn open_removal(&mut self, now: Now, out: &mut Vec<Effect>) {
        let from = self
            .memory
            .applied
            .as_ref()
            .map(|applied| applied.spec.version.clone());
        self.open(ActionKind::Remove, None, from, None, now, out);
    }

    fn open(
        &mut self,
        kind: ActionKind,
        digest: Option<SpecDigest>,
        from: Option<Version>,
        to: Option<Version>,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        if let Some(open) = &self.action {
            if open.kind == kind && open.digest == digest {
                return;
            }
            self.close_action(Some(SUPERSEDED), now, out);
        }
        // What is on trial gives way: nobody judges it any more.
        self.end_trial(Some(SUPERSEDED), now, out);
        let target = self.target.as_ref();
        let by = target.and_then(|target| target.by.clone());
        // What is done by hand no commit asks for.
        let by_git = target.filter(|target| !target.manual);
        let commit = by_git.and_then(|target| target.commit.clone());
        out.push(Effect::Emit(Event::ActionStart {
            action: kind,
            app: self.app.clone(),
            from: from.clone(),
            to: to.clone(),
            commit: commit.clone(),
        }));
        self.action = Some(OpenAction {
            kind,
            digest,
            from,
            to,
            commit,
            by,
            since_ms: now.at_ms,
        });
    }

    /// The bringing about of `app` has ended, if it has begun.
    pub(super) fn close_change(
        &mut self,
        app: &DesiredApp,
        error: Option<&str>,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        if self
            .action
            .as_ref()
            .is_some_and(|open| open.digest.as_ref() == Some(&app.digest))
        {
            self.close_action(error, now, out);
        }
    }

    /// What was begun has ended.
    pub(super) fn close_action(&mut self, error: Option<&str>, now: Now, out: &mut Vec<Effect>) {
        let Some(open) = self.action.take() else { return };
        let is_its_end = |trial: &Trial| Some(&trial.digest) == open.digest.as_ref();
        if self.memory.trial.as_ref().is_some_and(is_its_end) {
            self.memory().trial = None;
        }
        out.push(Effect::Emit(Event::ActionStop {
            action: open.kind,
            app: self.app.clone(),
            from: open.from,
            to: open.to,
            commit: open.commit,
            digest: open.digest,
            by: open.by,
            duration_ms: now.at_ms.saturating_sub(open.since_ms),
            error: error.map(str::to_owned),
        }));
    }
}

fn kind_of(change: Change) -> ActionKind {
    match change {
        Change::NewVersion => ActionKind::Upgrade,
        Change::NewProcess | Change::InPlace | Change::None => ActionKind::Reconfigure,
    }
}
