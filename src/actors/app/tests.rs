//! The actor with a runtime that runs nothing, under a paused clock.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorRef, call_t};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

mod health;
mod runtimes;
mod successors;
mod timer;

use super::*;
use crate::actors::board::Board;
use crate::actors::no_artefacts::NoArtefacts;
use crate::lifecycle::{ExitKind, Want};
use crate::names::SpecDigest;
use crate::probe::custom::HealthChecks;
use crate::runtime::{DynRuntime, RuntimeError, Runtimes};
use crate::specs::app_spec::{Backoff, RestartType};
use crate::specs::values::Span;
use crate::specs::{AppSpec, DesiredApp};
use crate::status::{HealthState, RunState, SyncState};
use crate::telemetry::{ActionKind, Event};
use crate::testing::{Answer, Call, EventLog, FakeRuntime, MemoryRecords};

/// One app with its actor, its runtime and everything that is told about it.
struct Stage {
    app: AppName,
    runtime: FakeRuntime,
    events: EventLog,
    records: MemoryRecords,
    services: Arc<AppServices>,
    reports: mpsc::UnboundedReceiver<AppReport>,
    actor: ActorRef<AppMsg>,
    /// What the actor was told last, for its successors.
    target: Option<Target>,
}

const PATIENCE: Duration = Duration::from_secs(3_600);

impl Stage {
    async fn new() -> Self {
        Self::with(FakeRuntime::new(), None).await
    }

    async fn with(runtime: FakeRuntime, record: Option<AppRecord>) -> Self {
        Self::beside(BTreeMap::new(), runtime, record).await
    }

    /// On a node that has these runtimes too.
    async fn beside(others: Runtimes, runtime: FakeRuntime, record: Option<AppRecord>) -> Self {
        Self::made_of(others, runtime, record, HealthChecks::default()).await
    }

    /// On a node whose host has these health functions.
    async fn knowing(checks: HealthChecks) -> Self {
        Self::made_of(BTreeMap::new(), FakeRuntime::new(), None, checks).await
    }

    async fn made_of(
        others: Runtimes,
        runtime: FakeRuntime,
        record: Option<AppRecord>,
        health_checks: HealthChecks,
    ) -> Self {
        let app: AppName = "web".parse().unwrap();
        let (tell, reports) = mpsc::unbounded_channel();
        let (events, records) = (EventLog::default(), MemoryRecords::default());
        let process: Arc<dyn DynRuntime> = Arc::new(runtime.clone());
        let services = Arc::new(AppServices {
            node: "n1".parse().unwrap(),
            data_dir: PathBuf::from("/data"),
            runtimes: others
                .into_iter()
                .chain([("process".to_owned(), process)])
                .collect(),
            events: Arc::new(events.clone()),
            records: Arc::new(records.clone()),
            board: Arc::new(Board::default()),
            report: Arc::new(move |report| {
                let _ = tell.send(report);
            }),
            artefacts: Arc::new(NoArtefacts),
            health_checks,
            clock: SteadyClock::new(),
            turns: Turns::default(),
        });
        let actor = spawn(&services, &app, record).await;
        Self {
            app,
            runtime,
            events,
            records,
            services,
            reports,
            actor,
            target: None,
        }
    }

    /// The actor is killed as by a bug, and started again as its supervisor does.
    async fn kill_and_restart(&mut self) {
        self.actor.kill();
        self.actor.wait(None).await.unwrap();
        self.actor = spawn(&self.services, &self.app, None).await;
        if let Some(target) = self.target.clone() {
            self.hand(target);
        }
    }

    fn hand(&mut self, target: Target) {
        self.target = Some(target.clone());
        self.actor.cast(AppMsg::Target(target)).unwrap();
    }

    fn run(&mut self, app: &Arc<DesiredApp>) {
        self.hand(Target::run(Arc::clone(app), None));
    }

    async fn until(&mut self, what: &str, is_so: impl Fn(&AppReport) -> bool) -> AppReport {
        let wait = async {
            loop {
                let report = self.reports.recv().await.expect("the stage holds a sender");
                if is_so(&report) {
                    return report;
                }
            }
        };
        let Ok(report) = timeout(PATIENCE, wait).await else {
            panic!("never {what}: {:?}", self.services.board.get(&self.app))
        };
        report
    }

    async fn until_status(&mut self, status: RunState) -> AppReport {
        self.until(status.as_str(), |report| report.state.status == status)
            .await
    }

    async fn until_healthy(&mut self) -> AppReport {
        let is_well = |report: &AppReport| {
            report.state.health == HealthState::Healthy && report.state.sync == SyncState::Synced
        };
        self.until("healthy and synced", is_well).await
    }

    async fn operate(&self, command: Operation) -> Result<(), OperatorError> {
        call_t!(self.actor, |reply| AppMsg::Operator { command, reply }, 3_600_000).unwrap()
    }

    fn actions(&self) -> Vec<(ActionKind, bool)> {
        let stops = self.events.all().into_iter().filter_map(|event| match event {
            Event::ActionStop { action, error, .. } => Some((action, error.is_none())),
            _ => None,
        });
        stops.collect()
    }
}

async fn spawn(services: &Arc<AppServices>, app: &AppName, record: Option<AppRecord>) -> ActorRef<AppMsg> {
    let arguments = AppArguments {
        name: app.clone(),
        services: Arc::clone(services),
        record,
    };
    Actor::spawn(None, AppActor::default(), arguments)
        .await
        .unwrap()
        .0
}

fn web(version: &str, change: impl FnOnce(&mut AppSpec)) -> Arc<DesiredApp> {
    let mut spec = AppSpec::new("web".parse().unwrap(), version.parse().unwrap());
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

fn eager(intensity: u32) -> impl FnOnce(&mut AppSpec) {
    move |spec| {
        spec.restart.intensity = Some(intensity);
        spec.restart.backoff = Backoff {
            initial: Some(Span::from_millis(0)),
            max: None,
        };
    }
}

fn exec_failed() -> Answer {
    Answer::Fail(RuntimeError::Exec {
        path: "bin/web".to_owned(),
        reason: "No such file or directory".to_owned(),
        errno: 2,
    })
}

#[tokio::test(start_paused = true)]
async fn a_target_becomes_an_instance_that_is_healthy_after_a_second() {
    let mut stage = Stage::new().await;
    let web = web("1", |_| {});
    let began = Instant::now();
    stage.run(&web);
    let report = stage.until_healthy().await;
    assert_eq!(began.elapsed().as_millis(), 1_000);
    assert!(report.satisfied && report.settled && !report.failed);
    assert_eq!(stage.runtime.running(&stage.app).unwrap().1, web.digest);
    assert_eq!(stage.actions(), [(ActionKind::Deploy, true)]);
    let record = stage.records.get(&stage.app).unwrap();
    assert_eq!(record.applied.as_ref().unwrap().digest, web.digest);
    assert_eq!(
        record.instance,
        stage.runtime.running(&stage.app).map(|(id, _)| id)
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_target_again_changes_nothing_and_is_answered() {
    let mut stage = Stage::new().await;
    let web = web("1", |_| {});
    stage.run(&web);
    stage.until_healthy().await;
    let calls = stage.runtime.calls().len();
    stage.run(&web);
    let report = stage.until("answered", |_| true).await;
    assert!(report.settled && report.state.status == RunState::Running);
    assert_eq!(stage.runtime.calls().len(), calls);
    assert_eq!(stage.actions().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_crash_without_back_off_is_answered_by_a_start_in_the_same_turn() {
    let mut stage = Stage::new().await;
    stage.run(&web("1", eager(5)));
    stage.until_healthy().await;
    let first = stage.runtime.running(&stage.app).unwrap().0;
    let began = Instant::now();
    stage.runtime.end(&stage.app, ExitKind::Signal(9));
    let report = stage
        .until("restarted", |report| {
            report.state.restarts == 1 && report.state.status == RunState::Running
        })
        .await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_ne!(stage.runtime.running(&stage.app).unwrap().0, first);
    assert_eq!(report.state.last_error.as_ref().unwrap().message, "signal 9");
    stage.until_healthy().await;
    assert!(stage.services.board.get(&stage.app).unwrap().last_error.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_waits_for_its_back_off_and_is_given_up_within_the_budget() {
    let mut stage = Stage::new().await;
    let broken = web("1", eager(3));
    let name = stage.app.clone();
    stage.runtime.script(&name, vec![exec_failed(); 10]);
    let began = Instant::now();
    stage.run(&broken);
    let report = stage.until_status(RunState::Failed).await;
    assert_eq!(
        stage.runtime.deploy_count(&name),
        4,
        "one start and three restarts"
    );
    assert!(
        began.elapsed() >= Duration::from_millis(300),
        "never a hot loop: {:?}",
        began.elapsed()
    );
    assert!(report.failed && report.settled);
    let error = report.state.last_error.clone().unwrap();
    assert_eq!(error.message, "cannot execute bin/web: No such file or directory");
    stage.run(&broken);
    let still = stage.until("answered", |_| true).await;
    assert!(still.failed);
    assert_eq!(stage.runtime.deploy_count(&name), 4);
    // Another digest is another chance.
    stage.runtime.script(&name, Vec::new());
    let calls = stage.runtime.calls().len();
    stage.run(&web("2", eager(3)));
    stage
        .until("tried again", |report| report.state.status == RunState::Backoff)
        .await;
    assert!(stage.runtime.calls().len() > calls);
}

#[tokio::test(start_paused = true)]
async fn a_start_of_which_nobody_knows_what_became_is_looked_for_before_the_next() {
    let mut stage = Stage::new().await;
    stage.runtime.script(&stage.app.clone(), [Answer::RunAndHang]);
    stage.run(&web("1", |_| {}));
    stage.until_healthy().await;
    assert_eq!(stage.runtime.deploy_count(&stage.app), 1);
    assert_eq!(stage.runtime.doubled(), []);

    let mut stage = Stage::new().await;
    stage
        .runtime
        .script(&stage.app.clone(), [Answer::Hang, Answer::Panic]);
    stage.run(&web("1", |_| {}));
    stage.until_healthy().await;
    assert_eq!(stage.runtime.deploy_count(&stage.app), 3);
    assert_eq!(stage.runtime.doubled(), []);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_is_away_spends_nothing_of_the_budget() {
    let mut stage = Stage::new().await;
    stage.run(&web("1", eager(1)));
    stage.until_healthy().await;
    stage.runtime.set_away(true);
    stage.runtime.end(&stage.app, ExitKind::Code(1));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_ne!(
        stage.services.board.get(&stage.app).unwrap().status,
        RunState::Failed
    );
    stage.runtime.set_away(false);
    let report = stage.until_healthy().await;
    assert_eq!(report.state.restarts, 1);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_replaces_and_an_in_place_change_does_not() {
    let mut stage = Stage::new().await;
    stage.run(&web("1", |_| {}));
    stage.until_healthy().await;
    let (first, _) = stage.runtime.running(&stage.app).unwrap();
    stage.run(&web("1", |spec| spec.description = Some("shop".to_owned())));
    let report = stage
        .until("described", |report| report.state.description.is_some())
        .await;
    assert!(report.settled && report.state.sync == SyncState::Synced);
    assert_eq!(stage.runtime.running(&stage.app).unwrap().0, first);
    stage.run(&web("2", |_| {}));
    stage
        .until("upgraded", |report| {
            report.settled && report.state.version.as_ref().is_some_and(|v| v.as_str() == "2")
        })
        .await;
    assert_ne!(stage.runtime.running(&stage.app).unwrap().0, first);
    assert_eq!(stage.runtime.doubled(), []);
    let kinds = [ActionKind::Deploy, ActionKind::Reconfigure, ActionKind::Upgrade].map(|kind| (kind, true));
    assert_eq!(stage.actions(), kinds);
    assert_eq!(stage.services.board.get(&stage.app).unwrap().restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn an_app_that_ignores_its_stop_signal_is_told_as_killed_and_removed() {
    let mut stage = Stage::new().await;
    stage.run(&web("1", |spec| spec.stop.timeout = Some(Span::from_secs(2))));
    stage.until_healthy().await;
    stage.runtime.ignore_stops();
    stage.hand(Target::new(Want::Gone));
    stage.until("gone", |report| report.gone).await;
    stage.actor.wait(None).await.unwrap();
    let is_killed = |event: &Event| matches!(event, Event::AppKilled { grace_ms: 2_000, .. });
    assert!(stage.events.all().iter().any(is_killed));
    assert_eq!(
        stage.actions(),
        [(ActionKind::Deploy, true), (ActionKind::Remove, true)]
    );
    assert_eq!(stage.runtime.running_count(), 0);
    assert!(stage.services.board.is_empty() && stage.records.get(&stage.app).is_none());
}

#[tokio::test(start_paused = true)]
async fn operators_stop_start_and_restart_without_spending_the_budget() {
    let mut stage = Stage::new().await;
    let web = web("1", eager(1));
    stage.run(&web);
    stage.until_healthy().await;
    stage.operate(Operation::Stop).await.unwrap();
    assert_eq!(stage.runtime.running_count(), 0);
    stage.run(&web);
    let state = stage
        .until("answered", |report| report.state.status == RunState::Stopped)
        .await
        .state;
    assert_eq!(state.sync, SyncState::Suspended);
    // Across the actor's own death too.
    stage.kill_and_restart().await;
    stage
        .until("still stopped", |report| {
            report.target.is_some() && report.settled
        })
        .await;
    assert_eq!(stage.runtime.running_count(), 0);
    stage.operate(Operation::Start).await.unwrap();
    assert_eq!(stage.runtime.running_count(), 1);
    for _ in 0..5 {
        let (before, _) = stage.runtime.running(&stage.app).unwrap();
        stage.operate(Operation::Restart).await.unwrap();
        assert_ne!(stage.runtime.running(&stage.app).unwrap().0, before);
    }
    assert_eq!(stage.services.board.get(&stage.app).unwrap().restarts, 0);
    assert_eq!(stage.runtime.doubled(), []);
}
