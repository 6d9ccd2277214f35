//! An app's life as a state machine: [`step`] takes what happened and answers with what is to be done. Pure.
//!
//! Facts and phase are apart. A *fact* is what is known: the target, the instance that lives, the artefact that is there,
//! the budget. The *phase* says what is going on. An event changes facts; when no effect is under way, `decide`
//! looks at the facts alone and chooses what comes next. So the last target wins whatever was going on, and a message that
//! was lost heals with the next one.
//!
//! The rooms: [`target`] what is asked for, [`exit`] how an instance ended, [`budget`] restarts and their delays, [`record`]
//! what survives the daemon, [`operator`] what people do by hand, [`checkup`] an instance's health from what its checks find,
//! `events` what each event means in each phase, `outcomes` what became of an effect, `health` what becomes of an app that is
//! not well, [`trial`] how a new version proves itself or is
//! taken back, `converge` what comes next, `view` what people see.

pub mod budget;
pub mod checkup;
mod converge;
pub mod effect;
mod events;
pub mod exit;
mod health;
pub mod operator;
mod outcomes;
pub mod record;
pub mod target;
#[cfg(test)]
mod tests;
pub mod trial;
mod view;

use std::path::PathBuf;
use std::sync::Arc;

pub use self::budget::{Budget, Jitter, Spent};
pub use self::effect::{AppEvent, Effect, EffectId, Found, Outcome, Trouble};
pub use self::exit::{Exit, ExitKind};
pub use self::health::Watched;
pub use self::operator::{Operation, OperatorError, OperatorId};
pub use self::record::{AppRecord, AppRecords, PAST_EXITS_MAX};
pub use self::target::{Target, Want};
pub use self::view::Standing;
use crate::names::{AppName, CommitId, InstanceId, SpecDigest, Version};
use crate::specs::app_spec::Source;
use crate::specs::{AppSpec, DesiredApp};
use crate::status::HealthState;
use crate::status::health::HealthReport;
use crate::telemetry::ActionKind;

/// The moment of a step, and the chance in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the epoch by a clock that never jumps.
    pub at_ms: u64,
    /// For the delays that are decided now.
    pub jitter: Jitter,
}

/// What happens, now that `event` has. The effects are to be carried out in their order.
#[must_use]
pub fn step(mut life: Lifecycle, event: AppEvent, now: Now) -> (Lifecycle, Vec<Effect>) {
    let mut effects = Vec::new();
    life.take(event, now, &mut effects);
    life.catch_up(now, &mut effects);
    life.forget_artefacts();
    life.converge(now, &mut effects);
    life.answer_operator(&mut effects);
    life.tell_health(&mut effects);
    (life, effects)
}

/// What is going on.
#[derive(Debug, Clone, PartialEq)]
enum Phase {
    /// Nobody has looked yet what runs.
    New,
    /// Looking what runs, or about to try again.
    Looking { wait: LookWait, doubt: Option<Doubt> },
    /// Nothing is asked for and nothing runs.
    Pending,
    /// The first start waits for others.
    Waiting,
    /// Nothing runs before the artefact is there.
    Fetching,
    /// An instance is being started.
    Starting { effect: EffectId, app: Arc<DesiredApp> },
    /// An instance lives.
    Running,
    /// An instance gives way to another.
    Replacing { effect: EffectId, app: Arc<DesiredApp> },
    /// It is tried again later.
    Backoff,
    /// What runs is being stopped.
    Stopping(StopWait),
    /// It does not run and is not meant to.
    Stopped,
    /// It gave up.
    Failed,
    /// Nothing runs because its spec is bad.
    Invalid,
    /// It is off the node. Final.
    Gone,
}

/// The phase that leaves the choice to `converge`.
const OPEN: Phase = Phase::Pending;

/// What a look waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LookWait {
    /// Its outcome.
    Outcome(EffectId),
    /// The next try.
    Again { at_ms: u64 },
}

/// What a stop waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopWait {
    /// Its outcome.
    Outcome(EffectId),
    /// It is stopped; how it ended is still to be told.
    News { until_ms: u64 },
    /// It could not be stopped; the next try.
    Again { at_ms: u64 },
}

/// A start or replacement of which nobody knows what became.
#[derive(Debug, Clone, PartialEq)]
struct Doubt {
    app: Arc<DesiredApp>,
    trouble: Trouble,
}

/// The instance that lives.
#[derive(Debug, Clone, PartialEq)]
struct Live {
    found: Found,
    /// Nobody knows the spec that it was started from, only its digest.
    is_stranger: bool,
    /// Since when, by our clock.
    since_ms: u64,
    health: HealthState,
    /// Since when it has been well, if it is.
    healthy_since_ms: Option<u64>,
    /// What its checks have found so far.
    report: Option<Arc<HealthReport>>,
}

impl Live {
    /// When it counts as well if nobody checks it.
    fn proven_at_ms(&self) -> u64 {
        self.since_ms.saturating_add(HEALTHY_AFTER_MS)
    }
}

/// An action that has begun and not ended, for its events.
#[derive(Debug, Clone, PartialEq)]
struct OpenAction {
    kind: ActionKind,
    /// The digest that it leads to; none for a removal.
    digest: Option<SpecDigest>,
    from: Option<Version>,
    to: Option<Version>,
    commit: Option<CommitId>,
    by: Option<String>,
    since_ms: u64,
}

/// An artefact on its way.
#[derive(Debug, Clone, PartialEq)]
struct Fetching {
    effect: EffectId,
    digest: SpecDigest,
}

/// One app's state: facts and phase. Changed by [`step`] alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Lifecycle {
    app: AppName,
    phase: Phase,
    memory: AppRecord,
    is_memory_changed: bool,
    target: Option<Arc<Target>>,
    live: Option<Live>,
    /// An instance has lived before our eyes: what becomes of it is decided even without a target.
    has_lived: bool,
    /// Something may run that we do not see: it is looked for before anything is decided.
    is_unsure: bool,
    /// An instance that we stop or replace, until its end is told.
    leaving: Option<InstanceId>,
    /// Nothing runs any more, by the runtime's word, and nothing is to.
    is_cleared: bool,
    /// The artefacts that are there: of what is applied and of what is asked for.
    artefacts: Vec<(SpecDigest, PathBuf)>,
    fetching: Option<Fetching>,
    /// No fetch and no replacement before then.
    change_at_ms: Option<u64>,
    /// Failed fetches, looks, stops and absent runtimes in a row.
    setbacks: u32,
    /// What was applied is started again, because what is asked for is not there yet.
    is_old_wanted: bool,
    is_restart_asked: bool,
    /// What was applied is on its way back, in the place of a version that could not even be started.
    is_returning: bool,
    /// An instance whose stop a predecessor of this actor had begun: that it ends says nothing about it.
    stop_begun: Option<InstanceId>,
    action: Option<OpenAction>,
    operator: Option<(OperatorId, Operation)>,
    told_health: HealthState,
    effect_count: u64,
}

/// Why an action ended before it was done.
const SUPERSEDED: &str = "another target took its place";

/// How long an instance must run to count as healthy, without health checks (SPEC_FORMAT "Running").
pub const HEALTHY_AFTER_MS: u64 = 1_000;
/// The least delay after a start that failed: without it, a missing program and a back-off of zero would be a hot loop.
const FAILED_START_DELAY_MS_MIN: u64 = 100;
/// How long the news of an end may lag behind the stop itself.
const EXIT_NEWS_MS_MAX: u64 = 1_000;
/// The first delay after a setback that is not the app's fault; it doubles.
const SETBACK_DELAY_MS: u64 = 500;
/// The longest delay after such a setback.
const SETBACK_DELAY_MS_MAX: u64 = 30_000;

impl Lifecycle {
    /// An app of which `record` is all that is known, at `now_ms`. Nothing happens before [`AppEvent::Began`].
    #[must_use]
    pub fn new(app: AppName, record: AppRecord, now_ms: u64) -> Self {
        let mut memory = record;
        memory.budget.resume(now_ms);
        Self {
            app,
            phase: Phase::New,
            memory,
            is_memory_changed: false,
            target: None,
            live: None,
            has_lived: false,
            is_unsure: false,
            leaving: None,
            is_cleared: false,
            artefacts: Vec::new(),
            fetching: None,
            change_at_ms: None,
            setbacks: 0,
            is_old_wanted: false,
            is_restart_asked: false,
            is_returning: false,
            stop_begun: None,
            action: None,
            operator: None,
            told_health: HealthState::Unknown,
            effect_count: 0,
        }
    }

    /// Its name.
    #[must_use]
    pub fn app(&self) -> &AppName {
        &self.app
    }

    /// What it was last told to bring about.
    #[must_use]
    pub fn target(&self) -> Option<&Arc<Target>> {
        self.target.as_ref()
    }

    /// What is to be remembered of it.
    #[must_use]
    pub fn record(&self) -> &AppRecord {
        &self.memory
    }

    /// True once after each change of [`Lifecycle::record`].
    pub fn take_record_change(&mut self) -> bool {
        std::mem::take(&mut self.is_memory_changed)
    }

    /// The record, to be changed.
    fn memory(&mut self) -> &mut AppRecord {
        self.is_memory_changed = true;
        &mut self.memory
    }

    /// What is to run: what git asks for, or what was applied where git does not count now.
    fn goal(&self) -> Option<&Arc<DesiredApp>> {
        let target = self.target.as_ref().filter(|target| !target.suspended);
        let desired = target.and_then(|target| target.desired());
        let bad = self.rolled_back();
        let fallback = bad.and_then(|bad| self.fallback(&bad.digest));
        fallback.or(desired).or(self.memory.applied.as_ref())
    }

    /// Does somebody ask for a certain digest now?
    fn asked_digest(&self) -> Option<&SpecDigest> {
        let target = self.target.as_ref().filter(|target| !target.suspended)?;
        target.desired().map(|app| &app.digest)
    }

    fn is_to_be_gone(&self) -> bool {
        self.target.as_ref().is_some_and(|target| target.is_gone())
    }

    /// Where the artefact of `app` lies: `Some(None)` where it needs none, none where it is not there.
    fn artefact_of(&self, app: &DesiredApp) -> Option<Option<PathBuf>> {
        if !needs_artefact(&app.spec) {
            return Some(None);
        }
        let place = self.artefacts.iter().find(|(digest, _)| *digest == app.digest);
        place.map(|(_, path)| Some(path.clone()))
    }

    /// Only what is applied or asked for stays on the node; whatever else was fetched may be gone by now.
    fn forget_artefacts(&mut self) {
        let applied = self.memory.applied.as_ref().map(|app| &app.digest);
        let asked = self
            .target
            .as_ref()
            .and_then(|target| target.desired())
            .map(|app| &app.digest);
        let goal = self.goal().map(|app| &app.digest);
        let needed = [applied, asked, goal].map(Option::<&SpecDigest>::cloned);
        self.artefacts
            .retain(|(digest, _)| needed.iter().flatten().any(|needed| needed == digest));
    }

    fn next_effect(&mut self) -> EffectId {
        self.effect_count += 1;
        EffectId(self.effect_count)
    }
}

/// Does it run from something that has to be brought here?
pub(crate) fn needs_artefact(spec: &AppSpec) -> bool {
    spec.source
        .as_ref()
        .is_some_and(|source| !matches!(source, Source::None {}))
}
