//! A new version proves itself, or the last good one comes back.

use std::sync::Arc;

use super::super::*;
use super::health::checked_app;
use super::led::{Led, app, found, plain, version};
use crate::specs::app_spec::{RestartType, UpgradeFailure};
use crate::specs::values::Span;
use crate::status::{HealthState, ROLLED_BACK, RunState, SyncState};
use crate::telemetry::Event;

impl Led {
    /// The actions that ended in the last step, each with its error.
    fn ended(&self) -> Vec<(ActionKind, Option<String>)> {
        let ended = |effect: &Effect| match effect {
            Effect::Emit(Event::ActionStop { action, error, .. }) => Some((*action, error.clone())),
            _ => None,
        };
        self.out.iter().filter_map(ended).collect()
    }

    fn told_version(&self) -> String {
        self.state().version.unwrap().to_string()
    }

    /// The version that is being started now, whatever else runs.
    fn starting(&self) -> String {
        match self.work() {
            Some(Effect::Start { app, .. } | Effect::Replace { app, .. }) => app.spec.version.to_string(),
            other => panic!("{other:?}"),
        }
    }

    fn is_rolled_back(&self) -> bool {
        let state = self.state();
        state.last_error.is_some_and(|error| error.code == ROLLED_BACK)
    }
}

/// Version 1 is proven, version 2 runs and is on trial.
fn on_trial() -> Led {
    on_trial_of(&version("2"))
}

fn on_trial_of(candidate: &Arc<DesiredApp>) -> Led {
    let mut led = Led::running(&plain());
    led.hand(Target::run(Arc::clone(candidate), None));
    led.starts();
    led
}

#[test]
fn an_upgrade_has_ended_when_the_new_version_is_well() {
    let mut led = on_trial();
    let standing = led.life.standing();
    assert_eq!((led.ended(), standing.settled), (vec![], false));
    assert_eq!(led.state().sync, SyncState::Reconciling);
    led.wait(1_000);
    assert_eq!(led.ended(), [(ActionKind::Upgrade, None)]);
    assert!(led.life.standing().settled && !led.life.standing().failed);
    assert_eq!(led.state().sync, SyncState::Synced);
    assert_eq!(led.life.record().artefacts_kept(), [], "they have none");
    assert_eq!(led.life.record().good[0].app.digest, plain().digest);
    assert_eq!(led.life.wake_at_ms(led.now_ms), None);
}

#[test]
fn a_first_version_has_nothing_to_go_back_to_and_is_tried_again() {
    let mut led = Led::new();
    led.hand(Target::run(plain(), None));
    led.starts();
    assert_eq!(led.ended(), [(ActionKind::Deploy, None)]);
    led.dies(ExitKind::Code(1));
    assert_eq!(led.status(), RunState::Backoff);
}

#[test]
fn a_new_version_that_ends_is_taken_back_at_once_and_not_tried_again() {
    let mut led = on_trial();
    led.wait(500);
    led.dies(ExitKind::Code(3));
    let (kind, error) = led.ended().remove(0);
    assert_eq!(kind, ActionKind::Upgrade);
    assert_eq!(error.as_deref(), Some("2 ended with exit 3"));
    assert_eq!(led.starting(), "1");
    let began = led.out.iter().any(|effect| {
        matches!(
            effect,
            Effect::Emit(Event::ActionStart {
                action: ActionKind::Rollback,
                ..
            })
        )
    });
    assert!(began, "{:?}", led.out);
    led.starts();
    assert_eq!(led.ended(), [(ActionKind::Rollback, None)]);
    led.wait(1_000);
    let state = led.state();
    assert_eq!(
        (state.status, state.sync, state.health),
        (RunState::Running, SyncState::Pending, HealthState::Healthy)
    );
    assert_eq!(state.desired_version.unwrap().as_str(), "2");
    assert_eq!(
        state.last_error.unwrap().message,
        "2 ended with exit 3; back to 1"
    );
    let standing = led.life.standing();
    assert!(standing.settled && standing.failed);
    // The same again, another daemon and time change nothing.
    led.hand(Target::run(version("2"), None));
    led.wait(86_400_000);
    assert_eq!((led.work(), led.told_version()), (None, "1".to_owned()));
    let record = led.life.record().clone();
    let live = found(&plain(), led.now_ms);
    let mut led = Led::from(
        AppRecord {
            instance: Some(live.id.clone()),
            ..record
        },
        Some(live),
    );
    led.hand(Target::run(version("2"), None));
    led.wait(2_000);
    assert!(led.work().is_none() && led.is_rolled_back());
    assert!(led.life.standing().settled);
    // Another version is.
    led.hand(Target::run(version("3"), None));
    assert_eq!(led.starting(), "3");
    led.starts();
    led.wait(1_000);
    assert_eq!(
        (led.state().sync, led.state().last_error),
        (SyncState::Synced, None)
    );
}

#[test]
fn a_new_version_that_is_never_well_is_taken_back_when_its_time_is_over() {
    let candidate = checked_app(|spec| {
        spec.version = "2".parse().unwrap();
        spec.upgrade.health_timeout = Some(Span::from_secs(10));
    });
    let mut led = on_trial_of(&candidate);
    led.find(HealthState::Unhealthy, 3);
    assert!(led.work().is_none(), "it has its whole time to come up");
    assert_eq!(led.life.wake_at_ms(led.now_ms), Some(led.now_ms + 10_000));
    led.wait(9_999);
    assert!(led.work().is_none());
    led.wait(1);
    assert_eq!(led.starting(), "1");
    let error = led.ended().remove(0).1.unwrap();
    assert!(
        error.starts_with("2 was not healthy within 10 s: http 503"),
        "{error}"
    );
    led.starts();
    led.wait(1_000);
    assert!(led.is_rolled_back());
}

#[test]
fn a_new_version_that_is_well_in_time_is_judged_as_any_other_from_then_on() {
    let candidate = checked_app(|spec| spec.version = "2".parse().unwrap());
    let mut led = on_trial_of(&candidate);
    led.wait(59_000);
    led.find(HealthState::Healthy, 0);
    led.wait(3_600_000);
    assert!(led.work().is_none());
    for _ in 0..20 {
        led.dies(ExitKind::Code(1));
        if led.status() == RunState::Failed {
            break;
        }
        let at_ms = led.life.wake_at_ms(led.now_ms).expect("a back-off");
        led.wait(at_ms - led.now_ms);
        assert_eq!(led.starting(), "2", "a proven version is not taken back");
        led.starts();
    }
    assert_eq!(led.status(), RunState::Failed);
}

#[test]
fn a_new_version_that_cannot_be_started_is_taken_back() {
    let mut led = Led::running(&plain());
    led.hand(Target::run(version("2"), None));
    led.dies(ExitKind::Signal(15));
    led.fails("no such program");
    // Nobody knows what became of the replacement; nothing runs.
    led.done(|_| Outcome::Looked(Ok(None)));
    assert_eq!(led.starting(), "1");
    led.starts();
    assert_eq!(
        led.ended(),
        [(ActionKind::Rollback, None)],
        "what comes back is told, though it never left the record"
    );
    led.wait(1_000);
    assert_eq!(
        led.state().last_error.unwrap().message,
        "2 could not be started: no such program; back to 1"
    );
}

#[test]
fn who_asks_to_halt_is_not_taken_back() {
    let candidate = app(|spec| {
        spec.version = "2".parse().unwrap();
        spec.upgrade.on_failure = Some(UpgradeFailure::Halt);
    });
    let mut led = on_trial_of(&candidate);
    led.dies(ExitKind::Code(3));
    let (kind, error) = led.ended().remove(0);
    assert_eq!(
        (kind, error.as_deref()),
        (ActionKind::Upgrade, Some("2 ended with exit 3"))
    );
    assert_eq!(
        (led.status(), led.told_version()),
        (RunState::Backoff, "2".to_owned())
    );
    assert!(!led.is_rolled_back());
}

#[test]
fn a_job_that_ends_well_has_proven_itself() {
    let job = |version: &str| {
        app(|spec| {
            spec.version = version.parse().unwrap();
            spec.restart.kind = Some(RestartType::Temporary);
        })
    };
    let mut led = Led::running(&job("1"));
    led.dies(ExitKind::Code(0));
    led.hand(Target::run(job("2"), None));
    led.starts();
    led.dies(ExitKind::Code(0));
    assert_eq!(led.status(), RunState::Stopped);
    assert!(!led.is_rolled_back() && led.life.standing().satisfied);
    led.hand(Target::run(job("3"), None));
    led.starts();
    led.dies(ExitKind::Code(1));
    assert_eq!(led.starting(), "2");
}

#[test]
fn a_trial_goes_on_under_another_daemon_with_its_whole_time_and_ends_with_its_action() {
    let candidate = checked_app(|spec| spec.version = "2".parse().unwrap());
    let led = on_trial_of(&candidate);
    let record = led.life.record().clone();
    let live = Found {
        id: led.id(),
        ..found(&candidate, led.now_ms)
    };
    let again = || {
        let mut led = Led::from(record.clone(), Some(live.clone()));
        led.hand(Target::run(Arc::clone(&candidate), None));
        led.wait(59_000);
        assert_eq!((led.work(), led.ended()), (None, vec![]));
        led
    };
    let mut well = again();
    well.find(HealthState::Healthy, 0);
    assert_eq!(well.ended(), [(ActionKind::Upgrade, None)]);
    let mut ill = again();
    ill.wait(1_000);
    assert_eq!(ill.starting(), "1");
    assert!(ill.ended()[0].1.is_some());
}

#[test]
fn what_is_asked_for_again_after_all_needs_no_new_process_and_no_error() {
    let mut led = on_trial();
    led.dies(ExitKind::Code(3));
    led.starts();
    led.wait(1_000);
    assert!(led.is_rolled_back());
    led.hand(Target::run(plain(), None));
    let state = led.state();
    assert_eq!(
        (led.work(), state.sync, state.last_error),
        (None, SyncState::Synced, None)
    );
}

#[test]
fn a_good_version_by_hand_is_a_rollback_and_what_it_replaces_is_kept() {
    let mut led = on_trial();
    led.wait(1_000);
    let mut target = Target::run(plain(), None);
    target.manual = true;
    led.hand(target);
    led.starts();
    assert_eq!(led.ended(), [(ActionKind::Rollback, None)]);
    led.wait(1_000);
    assert_eq!(led.told_version(), "1");
    assert_eq!(led.life.record().good[0].app.digest, version("2").digest);
}

#[test]
fn a_stop_and_a_start_by_hand_prove_nothing() {
    let candidate = checked_app(|spec| spec.version = "2".parse().unwrap());
    let mut led = on_trial_of(&candidate);
    led.ask(Operation::Stop);
    led.stops();
    assert_eq!(
        led.ended(),
        [(ActionKind::Upgrade, Some("it was stopped by hand".to_owned()))]
    );
    led.wait(3_600_000);
    assert_eq!((led.status(), led.work()), (RunState::Stopped, None));
    led.ask(Operation::Start);
    led.starts();
    assert!(!led.life.standing().settled);
    led.wait(60_000);
    assert_eq!((led.starting(), led.ended()), ("1".to_owned(), vec![]));
}

#[test]
fn who_goes_back_again_goes_further_back_and_not_to_what_was_fled() {
    let mut led = Led::running(&plain());
    for next in ["2", "3"] {
        led.hand(Target::run(version(next), None));
        led.starts();
        led.wait(1_000);
    }
    let good = |led: &Led| {
        let good = led.life.record().good.iter();
        good.map(|good| good.app.spec.version.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(good(&led), ["2", "1"]);
    let mut back = |to: &str| {
        let mut target = Target::run(version(to), None);
        target.manual = true;
        led.hand(target);
        led.starts();
        led.wait(1_000);
        good(&led)
    };
    assert_eq!(back("2"), ["1", "3"]);
    assert_eq!(back("1"), ["3", "2"]);
}

#[test]
fn a_stop_that_another_actor_had_begun_says_nothing_about_a_new_version() {
    let mut led = on_trial();
    // Its actor dies while it stops the instance for a restart: the next one finds that still alive.
    led.ask(Operation::Restart);
    assert!(matches!(led.work(), Some(Effect::Stop { .. })));
    let mut record = led.life.record().clone();
    assert!(record.expects_end);
    record.restarting = None;
    let live = Found {
        id: led.id(),
        ..found(&version("2"), led.now_ms)
    };
    let mut led = Led::from(record, Some(live));
    led.hand(Target::run(version("2"), None));
    led.dies(ExitKind::Signal(15));
    assert_eq!(led.ended(), [], "nothing is judged by that");
    let at_ms = led.life.wake_at_ms(led.now_ms).expect("it is started again");
    led.wait(at_ms - led.now_ms);
    assert_eq!(led.starting(), "2");
    // What it does by itself afterwards counts.
    led.starts();
    led.dies(ExitKind::Signal(15));
    assert_eq!(led.starting(), "1");
}
