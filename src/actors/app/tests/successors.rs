//! An actor that is killed, or a daemon that begins again: nothing is lost and nothing doubled.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_successor_adopts_what_runs_and_counts_no_restart() {
    let mut stage = Stage::new().await;
    stage.run(&web("1", |_| {}));
    stage.until_healthy().await;
    let before = stage.runtime.running(&stage.app);
    for _ in 0..10 {
        stage.kill_and_restart().await;
        stage.until_healthy().await;
    }
    assert_eq!(stage.runtime.running(&stage.app), before);
    assert_eq!(stage.services.board.get(&stage.app).unwrap().restarts, 0);
    assert_eq!(stage.runtime.deploy_count(&stage.app), 1);
    // It is watched by the newest alone, and by that one surely.
    stage.runtime.end(&stage.app, ExitKind::Code(1));
    stage
        .until("restarted", |report| report.state.restarts == 1)
        .await;
}

#[tokio::test(start_paused = true)]
async fn killed_in_the_middle_of_a_start_nothing_is_doubled() {
    let mut stage = Stage::new().await;
    let name = stage.app.clone();
    stage
        .runtime
        .script(&name, [Answer::RunAfter(Duration::from_secs(5))]);
    stage.run(&web("1", |_| {}));
    stage.until_status(RunState::Starting).await;
    stage.kill_and_restart().await;
    stage.until_healthy().await;
    assert_eq!(stage.runtime.deploy_count(&name), 1);
    assert_eq!(stage.runtime.doubled(), []);
}

#[tokio::test(start_paused = true)]
async fn killed_at_random_points_it_converges_with_one_instance() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..60 {
        let mut stage = Stage::new().await;
        let name = stage.app.clone();
        stage
            .runtime
            .stop_takes(Duration::from_millis(random.u64(0..500)));
        for version in 1..=6 {
            let version = version.to_string();
            let delay = Duration::from_millis(random.u64(0..300));
            stage.runtime.script(&name, [Answer::RunAfter(delay)]);
            stage.run(&web(&version, |spec| {
                spec.env.insert("N".to_owned(), version.clone());
            }));
            tokio::time::sleep(Duration::from_millis(random.u64(0..700))).await;
            if random.bool() {
                stage.runtime.end(&name, ExitKind::Code(1));
            }
            stage.kill_and_restart().await;
        }
        let last = web("7", |_| {});
        stage.run(&last);
        let is_last = |report: &AppReport| {
            report.settled
                && report.state.health == HealthState::Healthy
                && report.state.digest.as_ref() == Some(&last.digest)
        };
        stage.until("converged", is_last).await;
        assert_eq!(stage.runtime.running(&name).unwrap().1, last.digest);
        assert_eq!(stage.runtime.doubled(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_restarted_daemon_finds_the_same_the_other_or_nothing() {
    let v1 = web("1", |_| {});
    let record = |instance| AppRecord {
        applied: Some(Arc::clone(&v1)),
        tried: Some(v1.digest.clone()),
        instance,
        ..AppRecord::default()
    };
    // The same digest: it goes on.
    let runtime = FakeRuntime::new();
    let id = runtime.begin(&"web".parse().unwrap(), &v1.digest);
    let mut stage = Stage::with(runtime, Some(record(Some(id.clone())))).await;
    stage.run(&v1);
    let report = stage.until_healthy().await;
    assert_eq!(
        (
            stage.runtime.running(&stage.app).unwrap().0,
            report.state.restarts
        ),
        (id, 0)
    );
    // Another digest, of which nobody knows the spec: it gives way.
    let runtime = FakeRuntime::new();
    runtime.begin(&"web".parse().unwrap(), &SpecDigest::of(b"unknown"));
    let mut stage = Stage::with(runtime, Some(record(None))).await;
    stage.run(&v1);
    stage.until_healthy().await;
    assert_eq!(stage.runtime.running(&stage.app).unwrap().1, v1.digest);
    assert_eq!(stage.runtime.doubled(), []);
    // Nothing: it ended while nobody looked, and is started at once.
    let mut stage = Stage::with(
        FakeRuntime::new(),
        Some(record(Some(crate::names::InstanceId::random()))),
    )
    .await;
    let began = Instant::now();
    stage.run(&v1);
    let report = stage.until_healthy().await;
    assert_eq!((report.state.restarts, began.elapsed().as_millis()), (1, 1_000));
    // Nothing, and it was done: it stays done.
    let job = web("1", |spec| spec.restart.kind = Some(RestartType::Transient));
    let done = AppRecord {
        applied: Some(Arc::clone(&job)),
        finished: Some(job.digest.clone()),
        ..AppRecord::default()
    };
    let mut stage = Stage::with(FakeRuntime::new(), Some(done)).await;
    stage.run(&job);
    let report = stage.until("settled", |report| report.settled).await;
    assert!(report.satisfied && report.state.status == RunState::Stopped);
    assert_eq!(stage.runtime.calls(), [Call::Adopt(stage.app.clone())]);
}
