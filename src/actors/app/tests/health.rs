//! Checks, under a paused clock: when they are made, what they bring about, and that none disturbs another.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::runtime::CheckEnd;
use crate::specs::app_spec::Health;
use crate::status::health::HealthReport;

fn checked(health: &str, change: impl FnOnce(&mut AppSpec)) -> Arc<DesiredApp> {
    web("1", |spec| {
        spec.health = Some(serde_json::from_str::<Health>(health).unwrap());
        change(spec);
    })
}

fn ended(code: i32, output: &str) -> Option<CheckEnd> {
    Some(CheckEnd {
        how: Some(ExitKind::Code(code)),
        output: output.as_bytes().to_vec(),
    })
}

const COMMAND: &str = r#"{"type": "command", "command": ["check"], "interval": "10s", "timeout": "2s"}"#;
const NOTIFY: &str = r#"{"type": "notify", "interval": "10s", "watchdog": "30s"}"#;

impl Stage {
    async fn until_health(&mut self, health: HealthState) -> AppReport {
        self.until(health.as_str(), |report| report.state.health == health)
            .await
    }

    fn report(&self) -> HealthReport {
        self.services
            .board
            .get(&self.app)
            .unwrap()
            .checks
            .clone()
            .unwrap()
    }

    /// Lets everything happen that is due within `time`.
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_app_is_well_when_its_check_says_so_and_is_asked_once_an_interval() {
    let mut stage = Stage::new().await;
    let app = stage.app.clone();
    stage.runtime.answer_checks(&app, ended(1, "not yet\n"));
    let began = Instant::now();
    stage.run(&checked(COMMAND, |_| {}));
    stage
        .until("checked", |report| {
            report
                .state
                .checks
                .as_ref()
                .is_some_and(|checks| checks.failures == 1)
        })
        .await;
    assert_eq!(began.elapsed(), Duration::ZERO, "the first check is made at once");
    assert_eq!(stage.report().reasons[0].reason, "check: exit 1: not yet");
    stage.runtime.answer_checks(&app, ended(0, ""));
    let report = stage.until_health(HealthState::Healthy).await;
    assert!(report.satisfied);
    assert_eq!(
        began.elapsed().as_millis(),
        100,
        "a young app is looked at more often"
    );
    let (count, _) = stage.runtime.check_counts(&app);
    stage.pass(Duration::from_secs(100)).await;
    assert_eq!(stage.runtime.check_counts(&app), (count + 10, 1));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_is_a_failure_and_no_other_is_made_beside_it() {
    let mut stage = Stage::new().await;
    let app = stage.app.clone();
    stage.run(&checked(COMMAND, |spec| spec.restart.intensity = Some(1)));
    let began = Instant::now();
    let report = stage.until_health(HealthState::Unhealthy).await;
    assert_eq!(
        began.elapsed().as_millis(),
        22_000,
        "two intervals and the third's timeout"
    );
    let error = report.state.last_error.clone().unwrap();
    assert_eq!(
        (error.code.as_str(), error.message.as_str()),
        (
            "osier::app::unhealthy",
            "unhealthy: check was not done within 2s, 3 times in a row"
        )
    );
    stage.until_status(RunState::Backoff).await;
    let restarted = stage
        .until("restarted", |report| report.state.restarts == 1)
        .await;
    assert_eq!(restarted.state.health, HealthState::Unknown);
    assert_eq!(stage.runtime.check_counts(&app).1, 1);
    // An operator's word is not held up by a check under way.
    let asked = Instant::now();
    stage.operate(Operation::Stop).await.unwrap();
    assert_eq!(asked.elapsed(), Duration::ZERO);
    let (count, _) = stage.runtime.check_counts(&app);
    stage.pass(Duration::from_secs(100)).await;
    assert_eq!(
        stage.runtime.check_counts(&app).0,
        count,
        "what does not run is not checked"
    );
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_is_away_makes_nobody_ill() {
    let mut stage = Stage::new().await;
    let app = stage.app.clone();
    stage.runtime.answer_checks(&app, ended(0, ""));
    stage.run(&checked(COMMAND, |_| {}));
    stage.until_health(HealthState::Healthy).await;
    stage.runtime.set_away(true);
    stage.pass(Duration::from_secs(600)).await;
    assert_eq!(stage.report().health, HealthState::Healthy);
    assert_eq!(stage.report().failures, 0);
    assert!(stage.report().reasons[0].reason.contains("does not answer"));
}

#[tokio::test(start_paused = true)]
async fn a_killed_actor_and_a_killed_check_go_on_without_a_false_word() {
    let mut stage = Stage::new().await;
    let app = stage.app.clone();
    stage.runtime.answer_checks(&app, ended(0, ""));
    stage.run(&checked(COMMAND, |_| {}));
    stage.until_health(HealthState::Healthy).await;
    stage.runtime.answer_checks(&app, ended(1, ""));
    stage.kill_and_restart().await;
    stage.until_health(HealthState::Healthy).await;
    stage
        .until("checked at once", |report| {
            report
                .state
                .checks
                .as_ref()
                .is_some_and(|checks| checks.failures == 1)
        })
        .await;
    assert_eq!(stage.report().health, HealthState::Healthy);
    stage.runtime.answer_checks(&app, ended(0, ""));
    let (count, _) = stage.runtime.check_counts(&app);
    for child in stage.actor.get_children() {
        child.kill();
    }
    stage.pass(Duration::from_secs(60)).await;
    assert!(
        stage.runtime.check_counts(&app).0 > count + 3,
        "another one checks"
    );
    assert_eq!(stage.actor.get_children().len(), 1);
    assert_eq!(stage.report().health, HealthState::Healthy);
}

#[tokio::test(start_paused = true)]
async fn checks_that_are_changed_in_place_take_effect_at_once() {
    let mut stage = Stage::new().await;
    let app = stage.app.clone();
    stage.runtime.answer_checks(&app, ended(0, ""));
    stage.run(&checked(COMMAND, |_| {}));
    stage.until_health(HealthState::Healthy).await;
    let (first, _) = stage.runtime.running(&app).unwrap();
    stage.run(&checked(&COMMAND.replace("10s", "1s"), |_| {}));
    let (count, _) = stage.runtime.check_counts(&app);
    stage.pass(Duration::from_secs(20)).await;
    assert!(stage.runtime.check_counts(&app).0 >= count + 20);
    assert_eq!(
        stage.runtime.running(&app).unwrap().0,
        first,
        "nothing was restarted"
    );
    stage.run(&web("1", |_| {}));
    stage.pass(Duration::from_secs(1)).await;
    assert_eq!(stage.services.board.get(&app).unwrap().checks, None);
    assert_eq!(stage.actor.get_children().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_function_of_the_host_is_asked_and_its_panic_is_an_answer() {
    let asked = Arc::new(AtomicU32::new(0));
    let mut checks = HealthChecks::default();
    let count = Arc::clone(&asked);
    checks.add("queue", move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move {
            assert!(number > 0, "boo");
            Ok::<(), std::io::Error>(())
        }
    });
    let mut stage = Stage::knowing(checks).await;
    stage.run(&checked(r#"{"type": "custom", "module": "queue"}"#, |_| {}));
    stage.until_health(HealthState::Healthy).await;
    assert_eq!(stage.report().reasons[0].reason, "it panicked: boo");
    // One that is not registered says nothing about the app.
    stage.run(&checked(r#"{"type": "custom", "module": "other"}"#, |_| {}));
    stage.pass(Duration::from_secs(600)).await;
    assert_eq!(stage.report().health, HealthState::Healthy);
    assert!(
        stage.report().reasons[0]
            .reason
            .contains("no health function `other`")
    );
}

#[tokio::test(start_paused = true)]
async fn ready_makes_it_well_at_once_and_its_absence_ill_after_some_intervals() {
    let mut stage = Stage::new().await;
    let app = stage.app.clone();
    stage.run(&checked(NOTIFY, |_| {}));
    stage.until_status(RunState::Running).await;
    stage.pass(Duration::from_secs(5)).await;
    assert_eq!(stage.report().health, HealthState::Unknown);
    let began = Instant::now();
    stage.runtime.say(&app, b"STATUS=migrating");
    stage
        .until("status", |report| {
            report
                .state
                .checks
                .as_ref()
                .is_some_and(|checks| checks.status.as_deref() == Some("migrating"))
        })
        .await;
    stage.runtime.say(&app, b"READY=1");
    let report = stage.until_health(HealthState::Healthy).await;
    assert!(report.satisfied && began.elapsed() == Duration::ZERO);

    let mut stage = Stage::new().await;
    stage.run(&checked(NOTIFY, |_| {}));
    stage.until_status(RunState::Running).await;
    let began = Instant::now();
    let report = stage.until_health(HealthState::Unhealthy).await;
    assert_eq!(began.elapsed().as_millis(), 30_000, "three intervals");
    let message = report.state.last_error.clone().unwrap().message;
    assert_eq!(message, "unhealthy: it has not said READY=1, 3 times in a row");
}

#[tokio::test(start_paused = true)]
async fn the_longest_silence_is_final_and_counted_only_where_somebody_hears() {
    let mut stage = Stage::new().await;
    let app = stage.app.clone();
    stage.run(&checked(NOTIFY, |spec| {
        spec.restart.kind = Some(RestartType::Temporary);
    }));
    stage.until_status(RunState::Running).await;
    stage.runtime.say(&app, b"READY=1");
    stage.until_health(HealthState::Healthy).await;
    for _ in 0..10 {
        stage.pass(Duration::from_secs(25)).await;
        stage.runtime.say(&app, b"WATCHDOG=1");
    }
    stage.pass(Duration::from_secs(1)).await;
    assert_eq!(stage.report().health, HealthState::Healthy);
    // Without ears there is no silence.
    stage.runtime.set_deaf(true);
    stage.pass(Duration::from_secs(600)).await;
    assert_eq!(stage.report().health, HealthState::Healthy);
    stage.runtime.set_deaf(false);
    let began = Instant::now();
    stage.until_health(HealthState::Unhealthy).await;
    assert_eq!(began.elapsed().as_millis(), 30_000);
    assert_eq!(
        stage.report().reasons[0].reason,
        "it has not said WATCHDOG=1 for 30s"
    );
    // A temporary app runs on, ill, until it speaks again.
    stage.pass(Duration::from_secs(600)).await;
    assert_eq!(stage.report().health, HealthState::Unhealthy);
    stage.runtime.say(&app, b"WATCHDOG=1");
    stage.until_health(HealthState::Healthy).await;
    stage.runtime.say(&app, b"WATCHDOG=trigger");
    stage.until_health(HealthState::Unhealthy).await;
    assert_eq!(stage.runtime.deploy_count(&app), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_ready_before_the_daemon_came_back_is_ready_whatever_the_keeper_has_forgotten() {
    let mut stage = Stage::new().await;
    let app = stage.app.clone();
    stage.run(&checked(NOTIFY, |_| {}));
    stage.until_status(RunState::Running).await;
    stage.runtime.say(&app, b"READY=1");
    stage.until_health(HealthState::Healthy).await;
    // Another keeper and another daemon: nobody remembers the word but the record.
    stage.runtime.forget_words(&app);
    stage.kill_and_restart().await;
    stage.until_health(HealthState::Healthy).await;
    stage.runtime.say(&app, b"WATCHDOG=1");
    stage.pass(Duration::from_secs(25)).await;
    assert_eq!(stage.report().health, HealthState::Healthy);
    let report = stage.until_health(HealthState::Unhealthy).await;
    let message = report.state.last_error.clone().unwrap().message;
    assert_eq!(message, "unhealthy: it has not said WATCHDOG=1 for 30s");
}
