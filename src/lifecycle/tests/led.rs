//! A life that is led by hand, for the tables.

use std::sync::Arc;

use super::super::*;
use crate::status::{AppError, RunState};

/// A life that is led by hand, one event at a time.
pub(super) struct Led {
    pub(super) life: Lifecycle,
    pub(super) now_ms: u64,
    /// What came out of the last step.
    pub(super) out: Vec<Effect>,
}

pub(super) fn app(change: impl FnOnce(&mut AppSpec)) -> Arc<DesiredApp> {
    let mut spec = AppSpec::new("web".parse().unwrap(), "1".parse().unwrap());
    change(&mut spec);
    Arc::new(DesiredApp {
        digest: spec.digest(&[]),
        spec: Arc::new(spec),
        file: "apps/web/app.yaml".to_owned(),
        line: 1,
        folder: "apps/web".to_owned(),
        artefact: None,
    })
}

pub(super) fn plain() -> Arc<DesiredApp> {
    app(|_| {})
}

pub(super) fn version(text: &str) -> Arc<DesiredApp> {
    app(|spec| spec.version = text.parse().unwrap())
}

impl Led {
    pub(super) fn new() -> Self {
        Self::from(AppRecord::default(), None)
    }

    /// A life that begins with a record, and finds this instance or nothing.
    pub(super) fn from(record: AppRecord, found: Option<Found>) -> Self {
        let mut led = Self::unseen(record);
        led.done(|effect| match effect {
            Effect::Look { .. } => Outcome::Looked(Ok(found)),
            other => panic!("{other:?}"),
        });
        led
    }

    /// A life that begins with a record and has just begun to look.
    pub(super) fn unseen(record: AppRecord) -> Self {
        let now_ms = 1_000_000;
        let life = Lifecycle::new("web".parse().unwrap(), record, now_ms);
        let mut led = Self {
            life,
            now_ms,
            out: Vec::new(),
        };
        led.step(AppEvent::Began);
        led
    }

    pub(super) fn running(app: &Arc<DesiredApp>) -> Self {
        let mut led = Self::new();
        led.hand(Target::run(Arc::clone(app), None));
        led.starts();
        led.wait(1_000);
        assert_eq!(led.status(), RunState::Running);
        led
    }

    pub(super) fn step(&mut self, event: AppEvent) {
        let now = Now {
            at_ms: self.now_ms,
            jitter: Jitter::NONE,
        };
        let (life, out) = step(self.life.clone(), event, now);
        self.life = life;
        // What has an outcome is answered later; the rest was told.
        self.out.retain(|effect| effect.deadline().is_some());
        self.out.extend(out);
    }

    pub(super) fn hand(&mut self, target: Target) {
        self.step(AppEvent::Target(Arc::new(target)));
    }

    pub(super) fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.step(AppEvent::Woke);
    }

    pub(super) fn ask(&mut self, command: Operation) -> Option<Result<(), OperatorError>> {
        self.step(AppEvent::Operator {
            id: OperatorId(1),
            command,
        });
        self.answer()
    }

    pub(super) fn answer(&self) -> Option<Result<(), OperatorError>> {
        self.out.iter().find_map(|effect| match effect {
            Effect::Reply { result, .. } => Some(result.clone()),
            _ => None,
        })
    }

    /// The effect that waits for its outcome.
    pub(super) fn work(&self) -> Option<&Effect> {
        self.out.iter().find(|effect| effect.deadline().is_some())
    }

    pub(super) fn done(&mut self, outcome: impl FnOnce(&Effect) -> Outcome) {
        let at = self
            .out
            .iter()
            .position(|effect| effect.deadline().is_some())
            .expect("an effect waits");
        let work = self.out.remove(at);
        let (Effect::Look { effect, .. }
        | Effect::Fetch { effect, .. }
        | Effect::Start { effect, .. }
        | Effect::Replace { effect, .. }
        | Effect::Stop { effect, .. }) = work
        else {
            panic!("{work:?}")
        };
        let outcome = outcome(&work);
        self.step(AppEvent::Done { effect, outcome });
    }

    /// The start or replacement that waits works.
    pub(super) fn starts(&mut self) {
        let now_ms = self.now_ms;
        self.done(|effect| match effect {
            Effect::Start { app, .. } | Effect::Replace { app, .. } => {
                Outcome::Started(Ok(found(app, now_ms)))
            }
            other => panic!("{other:?}"),
        });
    }

    pub(super) fn fails(&mut self, message: &str) {
        let trouble = Trouble {
            code: "test".to_owned(),
            message: message.to_owned(),
            is_unsure: false,
            is_counted: true,
        };
        self.done(|effect| match effect {
            Effect::Fetch { .. } => Outcome::Fetched(Err(trouble)),
            Effect::Stop { .. } => Outcome::Stopped(Err(trouble)),
            Effect::Look { .. } => Outcome::Looked(Err(trouble)),
            _ => Outcome::Started(Err(trouble)),
        });
    }

    pub(super) fn id(&self) -> InstanceId {
        self.life.record().instance.clone().expect("an instance is known")
    }

    pub(super) fn dies(&mut self, how: ExitKind) {
        let exit = Exit {
            how,
            is_out_of_memory: false,
            was_killed_after_grace: false,
            at_ms: self.now_ms,
        };
        self.step(AppEvent::Exited {
            instance: self.id(),
            exit,
        });
    }

    pub(super) fn stops(&mut self) {
        if self.life.record().instance.is_some() {
            self.dies(ExitKind::Signal(15));
        }
        self.done(|_| Outcome::Stopped(Ok(())));
    }

    pub(super) fn status(&self) -> RunState {
        self.life.run_state()
    }

    pub(super) fn state(&self) -> crate::status::AppState {
        self.life.state("n1", "/data/apps/web")
    }
}

pub(super) fn found(app: &DesiredApp, started_at_ms: u64) -> Found {
    Found {
        id: InstanceId::random(),
        digest: app.digest.clone(),
        os_pid: Some(7),
        started_at_ms,
        not_enforced: Vec::new(),
        runtime: app.spec.isolation().as_str().to_owned(),
    }
}

pub(super) fn mistake() -> AppError {
    AppError {
        code: "osier::spec::syntax".to_owned(),
        message: "a mistake".to_owned(),
        file: Some("apps/web/app.yaml".to_owned()),
        line: Some(3),
        column: Some(1),
        at: String::new(),
    }
}
