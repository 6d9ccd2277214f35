//! A small world that carries out effects truthfully but at its own pace: starts fail, answers are lost, instances die,
//! targets change, the daemon crashes. Whatever the order, what the laws below say holds after each step.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::super::*;
use crate::specs::app_spec::{RestartType, Source};
use crate::specs::values::Span;
use crate::status::AppError;
use crate::telemetry::Event;

mod laws;
mod moves;
mod words;

use laws::applied_digest;
use moves::{Ending, Hand, Move, moves};
use words::{brief, exited, trouble};

/// The apps that targets name. Odd ones have an artefact; the last two are transient and temporary; the last three are
/// checked.
const VERSIONS: u8 = 6;
const INTENSITY: u32 = 3;
const PERIOD_MS: u64 = 10_000;

fn app(version: u8) -> Arc<DesiredApp> {
    static APPS: LazyLock<Vec<Arc<DesiredApp>>> = LazyLock::new(|| (0..VERSIONS).map(make_app).collect());
    Arc::clone(&APPS[usize::from(version)])
}

fn make_app(version: u8) -> Arc<DesiredApp> {
    let mut spec = AppSpec::new("web".parse().unwrap(), "1".parse().unwrap());
    spec.env.insert("V".to_owned(), version.to_string());
    // The first two differ in place only.
    if version <= 1 {
        spec.env.clear();
        spec.description = Some(version.to_string());
    }
    if version % 2 == 1 {
        spec.source = Some(Source::Path {
            path: format!("files-{version}"),
        });
    }
    if version >= 3 {
        spec.health = Some(serde_json::from_str("{}").unwrap());
    }
    spec.restart.kind = match version {
        4 => Some(RestartType::Transient),
        5 => Some(RestartType::Temporary),
        _ => None,
    };
    spec.restart.intensity = Some(INTENSITY);
    spec.restart.period = Some(Span::from_millis(PERIOD_MS));
    spec.restart.backoff.initial = Some(Span::from_millis(if version == 2 { 0 } else { 500 }));
    Arc::new(DesiredApp {
        digest: spec.digest(&[]),
        spec: Arc::new(spec),
        file: "apps/web/app.yaml".to_owned(),
        line: 1,
        folder: "apps/web".to_owned(),
        artefact: None,
    })
}

#[derive(Debug)]
#[expect(dead_code, reason = "read by `Debug`, for a failure")]
enum Seen {
    Event(AppEvent),
    Effect(Effect),
    Crash,
}

struct World {
    life: Lifecycle,
    now_ms: u64,
    /// What really runs.
    running: Option<Found>,
    /// The effect under way, and the one that brings an artefact.
    work: Option<Effect>,
    fetch: Option<Effect>,
    saved: AppRecord,
    /// Restarts since the budget was last made anew.
    restarts: Vec<u64>,
    asked: u64,
    unanswered: BTreeSet<OperatorId>,
    open_action: bool,
    /// Instances that have run from a temporary app's digest since it was last asked for anew.
    temporary_runs: u32,
    /// For who has to read a failure.
    trace: Vec<(u64, Seen)>,
}

impl World {
    fn new() -> Self {
        let life = Lifecycle::new("web".parse().unwrap(), AppRecord::default(), 0);
        let mut world = Self {
            life,
            now_ms: 1_000_000,
            running: None,
            work: None,
            fetch: None,
            saved: AppRecord::default(),
            restarts: Vec::new(),
            asked: 0,
            unanswered: BTreeSet::new(),
            open_action: false,
            temporary_runs: 0,
            trace: Vec::new(),
        };
        world.step(AppEvent::Began);
        world
    }

    fn step(&mut self, event: AppEvent) {
        self.trace.push((self.now_ms, Seen::Event(event.clone())));
        let was_gone = self.life.standing().gone;
        let now = Now {
            at_ms: self.now_ms,
            jitter: Jitter::NONE,
        };
        let (mut life, effects) = step(self.life.clone(), event, now);
        if life.take_record_change() {
            self.saved = life.record().clone();
        }
        self.life = life;
        for effect in effects {
            assert!(
                !was_gone || matches!(effect, Effect::Reply { .. }),
                "gone is final: {effect:?}"
            );
            self.begin(effect);
        }
        self.check();
    }

    fn begin(&mut self, effect: Effect) {
        self.trace.push((self.now_ms, Seen::Effect(effect.clone())));
        match &effect {
            Effect::Start { app, .. } => {
                assert!(self.running.is_none(), "started while {:?} runs", self.running);
                if app.spec.restart.kind == Some(RestartType::Temporary) {
                    assert_eq!(self.temporary_runs, 0, "a temporary app was restarted");
                }
                self.set_work(effect);
            }
            Effect::Look { .. } | Effect::Replace { .. } | Effect::Stop { .. } => self.set_work(effect),
            // The newest replaces an older one, whose outcome is stale then.
            Effect::Fetch { .. } => self.fetch = Some(effect),
            Effect::Emit(Event::AppRestart { .. }) => self.restarts.push(self.now_ms),
            Effect::Emit(Event::ActionStart { .. }) => {
                assert!(!self.open_action, "an action began within another");
                self.open_action = true;
            }
            Effect::Emit(Event::ActionStop {
                action,
                error,
                digest,
                ..
            }) => {
                assert!(self.open_action, "an action ended that never began");
                self.open_action = false;
                let is_done = *digest == applied_digest(&self.life);
                let is_removal = *action == ActionKind::Remove;
                assert!(
                    error.is_some() || is_removal || is_done,
                    "told as done, and is not"
                );
            }
            Effect::Reply { to, .. } => assert!(self.unanswered.remove(to), "answered twice"),
            Effect::Emit(_) | Effect::Forget => {}
        }
    }

    fn set_work(&mut self, effect: Effect) {
        assert!(self.work.is_none(), "{effect:?} began beside {:?}", self.work);
        self.work = Some(effect);
    }

    fn budget_begins_anew(&mut self) {
        self.restarts.clear();
        self.temporary_runs = 0;
    }

    fn play(&mut self, chosen: &Move) {
        match chosen {
            Move::Hand { version, kind } => self.hand(*version, *kind),
            Move::Finish(ending) => self.finish(*ending),
            Move::FinishFetch { works } => self.finish_fetch(*works),
            Move::Die { code } => self.die(*code),
            Move::LoseSight { dies } => {
                if let Some(found) = self.running.clone() {
                    if *dies {
                        self.end_instance();
                    }
                    self.step(AppEvent::Lost { instance: found.id });
                }
            }
            Move::Wait { ms } => {
                self.now_ms += ms;
                self.step(AppEvent::Woke);
            }
            Move::Check { health } => self.check_health(*health),
            Move::Operate(command) => {
                self.asked += 1;
                let id = OperatorId(self.asked);
                self.unanswered.insert(id);
                if *command != Operation::Stop && !self.life.is_to_be_gone() {
                    self.budget_begins_anew();
                }
                self.step(AppEvent::Operator {
                    id,
                    command: *command,
                });
            }
            Move::Stale => {
                let trouble = trouble(true, true);
                for outcome in [
                    Outcome::Looked(Ok(None)),
                    Outcome::Started(Err(trouble.clone())),
                    Outcome::Stopped(Ok(())),
                    Outcome::Fetched(Err(trouble)),
                ] {
                    let effect = EffectId(u64::MAX);
                    self.step(AppEvent::Done { effect, outcome });
                }
            }
            Move::Crash { finishes } => self.crash(*finishes),
        }
    }

    fn hand(&mut self, version: u8, kind: Hand) {
        let mut target = Target::run(app(version), None);
        match kind {
            Hand::Run => {}
            Hand::RunUnmet => {
                target.unmet.insert("db".parse().unwrap());
            }
            Hand::Suspended => target.suspended = true,
            Hand::Bad => {
                target.want = Want::Keep;
                target.error = Some(AppError {
                    code: "bad".to_owned(),
                    message: "a mistake".to_owned(),
                    file: None,
                    line: None,
                    column: None,
                    at: String::new(),
                });
            }
            Hand::Keep => target.want = Want::Keep,
            Hand::Gone => target.want = Want::Gone,
        }
        let before = self.life.record().tried.clone();
        self.step_with_budget(before.as_ref(), AppEvent::Target(Arc::new(target)));
    }

    /// A step that may change the digest that the budget is for.
    fn step_with_budget(&mut self, before: Option<&SpecDigest>, event: AppEvent) {
        let kept = std::mem::take(&mut self.restarts);
        let runs = std::mem::take(&mut self.temporary_runs);
        // Judged after the step: until then neither list can be wrong.
        self.temporary_runs = 0;
        self.step(event);
        if self.life.record().tried.as_ref() == before && !self.life.standing().gone {
            let new = std::mem::replace(&mut self.restarts, kept);
            self.restarts.extend(new);
            self.temporary_runs = runs;
        }
    }

    fn finish(&mut self, ending: Ending) {
        let Some(work) = self.work.take() else { return };
        let happens = matches!(ending, Ending::Works | Ending::TimesOutDone);
        let failure = || match ending {
            Ending::Fails => trouble(false, true),
            Ending::Away => trouble(true, false),
            Ending::Works | Ending::TimesOutDone | Ending::TimesOutUndone => trouble(true, true),
        };
        let is_told = matches!(ending, Ending::Works);
        let (effect, outcome) = match work {
            Effect::Look { effect, .. } => {
                let seen = if is_told {
                    Ok(self.running.clone())
                } else {
                    Err(failure())
                };
                (effect, Outcome::Looked(seen))
            }
            Effect::Start { effect, app, .. } => {
                if happens {
                    self.run(&app);
                }
                (
                    effect,
                    Outcome::Started(self.running.clone().filter(|_| is_told).ok_or_else(failure)),
                )
            }
            Effect::Replace { effect, app, .. } => {
                let told = self.replace(&app, ending);
                (
                    effect,
                    Outcome::Started(told.filter(|_| is_told).ok_or_else(failure)),
                )
            }
            Effect::Stop { effect, .. } => {
                let ended = if happens { self.end_instance() } else { None };
                if let Some(found) = ended {
                    self.step(exited(&found, 143, self.now_ms));
                }
                (
                    effect,
                    Outcome::Stopped(if is_told { Ok(()) } else { Err(failure()) }),
                )
            }
            Effect::Fetch { .. } | Effect::Emit(_) | Effect::Reply { .. } | Effect::Forget => return,
        };
        self.step(AppEvent::Done { effect, outcome });
    }

    /// As the runtime's default does: the old one goes first, so a failure may leave either, or nothing.
    fn replace(&mut self, app: &Arc<DesiredApp>, ending: Ending) -> Option<Found> {
        if matches!(ending, Ending::Away | Ending::TimesOutUndone) {
            return None;
        }
        if let Some(old) = self.end_instance() {
            self.step(exited(&old, 143, self.now_ms));
        }
        if matches!(ending, Ending::Works | Ending::TimesOutDone) {
            self.run(app);
        }
        self.running.clone()
    }

    fn run(&mut self, app: &DesiredApp) {
        self.running = Some(Found {
            id: InstanceId::random(),
            digest: app.digest.clone(),
            os_pid: Some(1),
            started_at_ms: self.now_ms,
            not_enforced: Vec::new(),
            runtime: "process".to_owned(),
        });
    }

    fn end_instance(&mut self) -> Option<Found> {
        self.running.take()
    }

    fn finish_fetch(&mut self, works: bool) {
        let Some(Effect::Fetch { effect, app }) = self.fetch.take() else {
            return;
        };
        let path = PathBuf::from(format!("/artefacts/{}", app.digest));
        let outcome = Outcome::Fetched(if works {
            Ok(path)
        } else {
            Err(trouble(false, false))
        });
        self.step(AppEvent::Done { effect, outcome });
    }

    fn die(&mut self, code: i32) {
        let Some(found) = self.end_instance() else { return };
        // An instance that nobody was told of (its actor died in between) may have run in vain; so may one that was found
        // and had ended before anybody said what it was.
        let record = self.life.record();
        let is_known = record.instance.as_ref() == Some(&found.id) && record.applied.is_some();
        let is_meant = self.life.record().expects_end;
        if app(5).digest == found.digest && is_known && !is_meant {
            self.temporary_runs = 1;
        }
        self.step(exited(&found, code, self.now_ms));
    }

    /// The checks of what runs have come to this.
    fn check_health(&mut self, health: HealthState) {
        let Some(watched) = self.life.watched() else {
            return;
        };
        assert_eq!(
            self.running.as_ref().map(|found| &found.id),
            Some(&watched.instance),
            "checked, and does not run"
        );
        let kind = crate::specs::app_spec::HealthKind::Http;
        let report = Arc::new(HealthReport::blank(kind, health));
        self.step(AppEvent::Checked {
            instance: watched.instance,
            by: Arc::clone(&watched.app.spec),
            report,
        });
    }

    fn crash(&mut self, finishes: bool) {
        // What is under way is not cancelled: it is done or not, and nobody is told.
        match self.work.take().filter(|_| finishes) {
            Some(Effect::Start { app, .. }) => self.run(&app),
            Some(Effect::Replace { app, .. }) => {
                self.end_instance();
                self.run(&app);
            }
            Some(Effect::Stop { .. }) => {
                self.end_instance();
            }
            _ => {}
        }
        self.fetch = None;
        self.unanswered.clear();
        // One that brought something on trial ends with the trial, under whatever daemon.
        self.open_action = self.saved.trial.as_ref().is_some_and(|trial| !trial.is_told);
        if self.life.standing().gone {
            return;
        }
        self.trace.push((self.now_ms, Seen::Crash));
        let record = serde_json::to_string(&self.saved).unwrap();
        let record: AppRecord = serde_json::from_str(&record).unwrap();
        assert_eq!(record, self.saved, "a record survives its text");
        self.life = Lifecycle::new("web".parse().unwrap(), record, self.now_ms);
        self.step(AppEvent::Began);
    }

    /// Does it wait for the word of its checks?
    fn is_unproven(&self) -> bool {
        let watched = self.life.watched();
        watched.is_some_and(|watched| watched.health != HealthState::Healthy)
    }

    fn told(&self) -> String {
        let lines = self.trace.iter();
        lines
            .map(|(at_ms, seen)| format!("{at_ms} {}\n", brief(&format!("{seen:?}"))))
            .collect()
    }

    /// Everything works from now on: it must come to rest, soon, and as asked.
    fn calm_down(&mut self) {
        if self.life.target().is_none() && !self.life.standing().gone {
            // The reconciler answers the report of an actor without a target.
            self.hand(0, Hand::Run);
        }
        for _ in 0..200 {
            if self.work.is_some() {
                self.finish(Ending::Works);
            } else if self.fetch.is_some() {
                self.finish_fetch(true);
            } else if self.is_unproven() {
                self.check_health(HealthState::Healthy);
            } else if let Some(at_ms) = self.life.wake_at_ms(self.now_ms) {
                self.now_ms = at_ms;
                self.step(AppEvent::Woke);
            } else {
                return self.check_rest();
            }
        }
        panic!("it never comes to rest");
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_laws_hold_and_it_comes_to_rest_as_asked(moves in moves()) {
        let mut world = World::new();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for chosen in &moves {
                world.play(chosen);
            }
            world.calm_down();
        }));
        prop_assert!(result.is_ok(), "\n{}", world.told());
    }
}

#[test]
fn a_life_is_worth_its_size() {
    // Each app has one; a million of them should not cost more than their specs do.
    assert!(size_of::<Lifecycle>() <= 1_024, "{}", size_of::<Lifecycle>());
    let _: BTreeMap<AppName, Lifecycle> = BTreeMap::new();
}
