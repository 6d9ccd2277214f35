//! What the plan and the app actors cost by themselves: a plan of 5,000 apps, and the time from an instance's end to the
//! request for its successor.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use osier::actors::app::{AppActor, AppArguments, AppMsg, AppRecords, AppServices, SteadyClock, Turns};
use osier::actors::board::Board;
use osier::lifecycle::{AppRecord, Exit, ExitKind, Target};
use osier::names::AppName;
use osier::plan::{Current, CurrentApp, PruneLimits, plan};
use osier::runtime::{DynRuntime, Instance, Launch, Runtime, RuntimeError};
use osier::source::{Artefacts, FetchFuture};
use osier::specs::app_spec::{Backoff, StopPolicy};
use osier::specs::values::Span;
use osier::specs::{AppSpec, Desired, DesiredApp};
use osier::telemetry::{Event, EventSink};
use ractor::Actor;
use tokio::sync::{mpsc, oneshot};

const APPS: usize = 5_000;
const RESTARTS: usize = 5_000;
const ROUNDS: usize = 11;

fn app(index: usize, version: &str) -> Arc<DesiredApp> {
    let mut spec = AppSpec::new(
        format!("app-{index:04}").parse().expect("a name"),
        version.parse().expect("a version"),
    );
    spec.env.insert("PORT".to_owned(), index.to_string());
    spec.env.insert("LOG".to_owned(), "info".to_owned());
    spec.command = vec!["bin/app".to_owned()];
    spec.restart.intensity = Some(u32::MAX);
    spec.restart.backoff = Backoff {
        initial: Some(Span::from_millis(0)),
        max: None,
    };
    if !index.is_multiple_of(10) {
        spec.depends_on = vec![format!("app-{:04}", index - 1).parse().expect("a name")];
    }
    Arc::new(DesiredApp {
        digest: spec.digest(&[]),
        spec: Arc::new(spec),
        file: format!("apps/app-{index:04}/app.yaml"),
        line: 1,
        folder: format!("apps/app-{index:04}"),
        artefact: None,
    })
}

fn plans() {
    let limits = PruneLimits {
        share_max: 1.0,
        is_accepted: true,
    };
    let desired = |version| Desired {
        apps: (0..APPS)
            .map(|index| app(index, version))
            .map(|app| (app.spec.name.clone(), app))
            .collect(),
        ..Desired::default()
    };
    let (one, two) = (desired("1"), desired("2"));
    let current: Current = one
        .apps
        .iter()
        .map(|(name, app)| {
            (
                name.clone(),
                CurrentApp {
                    applied: Arc::clone(app),
                    is_held: false,
                    is_removal_refused: false,
                },
            )
        })
        .collect();
    let nothing = (Desired::default(), Current::new());
    for (what, desired, current, actions) in [
        ("without change", &one, &current, 0),
        ("all deployed", &one, &nothing.1, APPS),
        ("all upgraded", &two, &current, APPS),
        ("all removed", &nothing.0, &current, APPS),
    ] {
        let mut took: Vec<Duration> = (0..ROUNDS)
            .map(|_| {
                let began = Instant::now();
                let plan = plan(desired, current, limits);
                assert_eq!(plan.actions.len(), actions);
                began.elapsed()
            })
            .collect();
        took.sort();
        println!(
            "| plan of {APPS} apps, {what} | {:.2} ms | < 10 ms |",
            millis(took[ROUNDS / 2])
        );
    }
}

/// Starts at once, tells each start, and keeps the way to end it.
#[derive(Clone)]
struct AtOnce {
    started: mpsc::UnboundedSender<Instant>,
    ends: Arc<Mutex<BTreeMap<AppName, oneshot::Sender<Exit>>>>,
}

impl Runtime for AtOnce {
    async fn deploy(&self, launch: Launch) -> Result<Instance, RuntimeError> {
        let requested_at = Instant::now();
        let (end, ended) = oneshot::channel();
        let app = launch.spec.name.clone();
        self.ends.lock().expect("unpoisoned").insert(app.clone(), end);
        self.started.send(requested_at).expect("the bench listens");
        Ok(Instance {
            app,
            id: launch.instance,
            digest: launch.digest,
            os_pid: None,
            started_at_ms: 0,
            not_enforced: Vec::new(),
            exited: Box::pin(async move { ended.await.expect("it is ended by the bench") }),
        })
    }

    async fn remove(&self, _app: &AppName, _stop: StopPolicy) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn current_state(&self) -> Result<BTreeMap<AppName, Instance>, RuntimeError> {
        Ok(BTreeMap::new())
    }
}

struct Nothing;

impl EventSink for Nothing {
    fn emit(&self, event: Event) {
        drop(event);
    }
}

impl AppRecords for Nothing {
    fn save(&self, _app: &AppName, record: Arc<AppRecord>) {
        drop(record);
    }

    fn forget(&self, _app: &AppName) {}
}

impl Artefacts for Nothing {
    fn fetch(&self, _app: Arc<DesiredApp>) -> FetchFuture {
        Box::pin(std::future::pending())
    }
}

fn services(runtime: &AtOnce) -> Arc<AppServices> {
    let process: Arc<dyn DynRuntime> = Arc::new(runtime.clone());
    Arc::new(AppServices {
        node: "bench".parse().expect("a name"),
        data_dir: PathBuf::from("/data"),
        runtimes: [("process".to_owned(), process)].into(),
        events: Arc::new(Nothing),
        records: Arc::new(Nothing),
        board: Arc::new(Board::default()),
        report: Arc::new(drop),
        artefacts: Arc::new(Nothing),
        health_checks: osier::probe::custom::HealthChecks::default(),
        clock: SteadyClock::new(),
        turns: Turns::default(),
    })
}

async fn actors() {
    let (started, mut starts) = mpsc::unbounded_channel();
    let runtime = AtOnce {
        started,
        ends: Arc::default(),
    };
    let services = services(&runtime);
    let began = Instant::now();
    for index in 0..APPS {
        let app = app(index, "1");
        let arguments = AppArguments {
            name: app.spec.name.clone(),
            services: Arc::clone(&services),
            record: None,
        };
        let (actor, _) = Actor::spawn(None, AppActor::default(), arguments)
            .await
            .expect("it starts");
        actor
            .cast(AppMsg::Target(Target::run(app, None)))
            .expect("it lives");
    }
    for _ in 0..APPS {
        starts.recv().await.expect("a start");
    }
    let took = began.elapsed();
    println!(
        "| {APPS} app actors, each with its start requested | {:.0} ms | |",
        millis(took)
    );
    let name: AppName = "app-0000".parse().expect("a name");
    let mut waits = Vec::new();
    for _ in 0..RESTARTS {
        // The actor has heard of the start, and told it to everybody, before the next end.
        tokio::time::sleep(Duration::from_micros(500)).await;
        let end = runtime
            .ends
            .lock()
            .expect("unpoisoned")
            .remove(&name)
            .expect("it runs");
        let ended_at = Instant::now();
        let exit = Exit {
            how: ExitKind::Signal(9),
            is_out_of_memory: false,
            was_killed_after_grace: false,
            at_ms: 0,
        };
        end.send(exit).expect("the actor watches");
        waits.push(starts.recv().await.expect("a restart") - ended_at);
    }
    waits.sort();
    let at = |share: usize| waits[RESTARTS * share / 1_000].as_secs_f64() * 1e6;
    println!(
        "| end of an instance to the request for its successor, p50 | {:.1} us | |",
        at(500)
    );
    println!("| … p99 | {:.1} us | |", at(990));
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[tokio::main]
async fn main() {
    println!("| figure | measured | goal |\n|---|---|---|");
    plans();
    actors().await;
}
