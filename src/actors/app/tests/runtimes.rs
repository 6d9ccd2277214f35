//! What a runtime that is slow, silent or held by somebody else does to the actor: an outcome in time, whatever happens.

use std::future::pending;

use super::*;
use crate::runtime::{Instance, Launch, Runtime};
use crate::specs::app_spec::StopPolicy;

/// A runtime that answers nothing.
struct Silent;

impl Runtime for Silent {
    async fn deploy(&self, _: Launch) -> Result<Instance, RuntimeError> {
        pending().await
    }

    async fn remove(&self, _: &AppName, _: StopPolicy) -> Result<(), RuntimeError> {
        pending().await
    }

    async fn current_state(&self) -> Result<BTreeMap<AppName, Instance>, RuntimeError> {
        pending().await
    }
}

fn silent(names: [&str; 2]) -> Runtimes {
    let runtime: Arc<dyn DynRuntime> = Arc::new(Silent);
    names.map(|name| (name.to_owned(), Arc::clone(&runtime))).into()
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_somebody_keeps_is_given_up_in_time_and_asked_for_again() {
    let mut stage = Stage::new().await;
    stage.run(&web("1", |_| {}));
    stage.until_healthy().await;
    let turn = stage.services.turns.take(&stage.app).await;
    stage.runtime.end(&stage.app, ExitKind::Code(1));
    let began = Instant::now();
    let report = stage
        .until("it says why it does not start", |report| {
            let error = report.state.last_error.as_ref();
            error.is_some_and(|error| error.code == "osier::runtime::busy")
        })
        .await;
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!(report.state.restarts, 1, "it is not the app's fault");
    drop(turn);
    stage.until_healthy().await;
    assert_eq!(stage.runtime.doubled(), []);
}

#[tokio::test(start_paused = true)]
async fn what_runs_is_found_beside_runtimes_that_are_silent() {
    let runtime = FakeRuntime::new();
    let v1 = web("1", |_| {});
    let id = runtime.begin(&"web".parse().unwrap(), &v1.digest);
    let record = AppRecord {
        applied: Some(Arc::clone(&v1)),
        instance: Some(id.clone()),
        ..AppRecord::default()
    };
    let mut stage = Stage::beside(silent(["a", "b"]), runtime, Some(record)).await;
    let began = Instant::now();
    stage.run(&v1);
    stage.until_healthy().await;
    assert!(began.elapsed() <= Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(stage.runtime.running(&stage.app).unwrap().0, id);
}

#[tokio::test(start_paused = true)]
async fn a_look_into_silent_runtimes_ends_by_one_deadline_for_all() {
    let mut stage = Stage::beside(silent(["a", "b"]), FakeRuntime::new(), None).await;
    let began = Instant::now();
    stage.run(&web("1", |_| {}));
    stage
        .until("it says so", |report| report.state.last_error.is_some())
        .await;
    assert_eq!(began.elapsed().as_secs(), 10);
}
