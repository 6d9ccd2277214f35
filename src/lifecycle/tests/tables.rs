//! What is promised, as tables: restart types, what each target means, what operators do, what survives the daemon.

use std::sync::Arc;

use super::super::*;
use super::led::{Led, app, found, mistake, plain, version};
use crate::specs::app_spec::{Isolation, RestartType, Source};
use crate::specs::values::Span;
use crate::status::{HealthState, RunState, SyncState};
use crate::telemetry::Event;

#[test]
fn restart_types_follow_otp() {
    use ExitKind::{Code, Crashed, Finished, Signal, Unknown};
    use RestartType::{Permanent, Temporary, Transient};
    use RunState::{Backoff, Failed, Stopped};
    for (kind, how, then) in [
        (Permanent, Code(0), Backoff),
        (Permanent, Code(1), Backoff),
        (Permanent, Signal(9), Backoff),
        (Permanent, Finished, Backoff),
        (Transient, Code(0), Stopped),
        (Transient, Finished, Stopped),
        (Transient, Code(1), Backoff),
        (Transient, Signal(9), Backoff),
        (Transient, Unknown, Backoff),
        (Transient, Crashed("panic".to_owned()), Backoff),
        (Temporary, Code(0), Stopped),
        (Temporary, Code(1), Failed),
        (Temporary, Signal(9), Failed),
        (Temporary, Unknown, Failed),
    ] {
        let mut led = Led::running(&app(|spec| spec.restart.kind = Some(kind)));
        led.dies(how.clone());
        assert_eq!(led.status(), then, "{kind:?} {how:?}");
        let is_done = then == Stopped;
        let standing = led.life.standing();
        assert_eq!(
            (standing.satisfied, standing.settled),
            (is_done, then != Backoff),
            "{kind:?} {how:?}"
        );
        assert_eq!(led.state().sync, SyncState::Synced);
        assert_eq!(led.state().last_error.is_some(), !is_done);
    }
}

#[test]
fn back_off_doubles_and_begins_anew_after_a_healthy_period() {
    let mut led = Led::running(&app(|spec| spec.restart.period = Some(Span::from_secs(60))));
    let mut waits = Vec::new();
    for _ in 0..3 {
        led.dies(ExitKind::Code(1));
        let at_ms = led.life.wake_at_ms(led.now_ms).expect("a back-off");
        waits.push(at_ms - led.now_ms);
        led.wait(at_ms - led.now_ms);
        led.starts();
    }
    assert_eq!(waits, [1_000, 2_000, 4_000]);
    // A second of running, then the period in health.
    led.wait(60_999);
    led.dies(ExitKind::Code(1));
    assert_eq!(led.life.wake_at_ms(led.now_ms), Some(led.now_ms + 8_000));
    led.wait(8_000);
    led.starts();
    led.wait(61_000);
    led.dies(ExitKind::Code(1));
    assert_eq!(led.life.wake_at_ms(led.now_ms), Some(led.now_ms + 1_000));
}

#[test]
fn the_budget_ends_in_failed_which_only_a_new_digest_or_an_operator_ends() {
    let crash_until_failed = |led: &mut Led| {
        for _ in 0..100 {
            if led.status() == RunState::Failed {
                return;
            }
            if matches!(led.work(), Some(Effect::Start { .. })) {
                led.starts();
            }
            led.dies(ExitKind::Code(1));
            if let Some(at_ms) = led.life.wake_at_ms(led.now_ms) {
                led.wait(at_ms - led.now_ms);
            }
        }
        panic!("never failed");
    };
    let of = |version: &str| {
        app(|spec| {
            spec.version = version.parse().unwrap();
            spec.restart.intensity = Some(3);
            spec.restart.backoff.initial = Some(Span::from_millis(10));
        })
    };
    let mut led = Led::running(&of("1"));
    crash_until_failed(&mut led);
    assert_eq!(led.state().restarts, 3);
    assert!(
        led.out
            .iter()
            .any(|effect| matches!(effect, Effect::Emit(Event::AppFailed { restarts: 3, .. })))
    );
    // Time alone does not end it, nor the same target again.
    led.wait(86_400_000);
    led.hand(Target::run(of("1"), None));
    assert_eq!((led.status(), led.work()), (RunState::Failed, None));
    // Nor a restart of the daemon.
    let record = led.life.record().clone();
    led = Led::from(record, None);
    led.hand(Target::run(of("1"), None));
    assert_eq!(led.status(), RunState::Failed);
    for operation in [Operation::Start, Operation::Restart] {
        assert_eq!(led.ask(operation), None);
        led.starts();
        assert_eq!(led.answer(), Some(Ok(())));
        crash_until_failed(&mut led);
    }
    led.hand(Target::run(of("2"), None));
    assert!(matches!(led.work(), Some(Effect::Start { .. })));
    assert_eq!(led.state().restarts, 9, "the total goes on");
}

#[test]
fn a_spent_budget_survives_the_daemon() {
    let crashy = app(|spec| {
        spec.restart.intensity = Some(2);
        spec.restart.backoff.initial = Some(Span::from_millis(0));
    });
    let mut record = AppRecord::default();
    let mut starts = 0;
    // The daemon dies after each crash of the app.
    for _ in 0..10 {
        let mut led = Led::from(record, None);
        led.hand(Target::run(Arc::clone(&crashy), None));
        if let Some(Effect::Start { .. }) = led.work() {
            starts += 1;
            led.starts();
            led.dies(ExitKind::Code(1));
        }
        record = led.life.record().clone();
    }
    assert_eq!(
        starts, 3,
        "one start and two restarts, however often the daemon began anew"
    );
}

#[test]
fn dependencies_hold_back_the_first_start_alone() {
    let mut led = Led::new();
    let mut target = Target::run(plain(), None);
    target.unmet.insert("db".parse().unwrap());
    led.hand(target.clone());
    assert_eq!((led.status(), led.work()), (RunState::Waiting, None));
    assert_eq!(led.state().waits_for, ["db".parse().unwrap()]);
    assert!(matches!(
        led.ask(Operation::Start),
        Some(Err(OperatorError::Waiting { .. }))
    ));
    led.hand(Target::run(plain(), None));
    led.starts();
    // The dependency falls, and so does the app: it is restarted without waiting.
    led.hand(target);
    led.dies(ExitKind::Code(1));
    led.wait(1_000);
    assert!(matches!(led.work(), Some(Effect::Start { .. })));
}

#[test]
fn a_bad_spec_keeps_and_supervises_what_runs() {
    let mut led = Led::running(&plain());
    let bad = Target {
        error: Some(mistake()),
        ..Target::new(Want::Keep)
    };
    led.hand(bad.clone());
    assert_eq!(
        (led.status(), led.state().sync, led.work()),
        (RunState::Running, SyncState::Error, None)
    );
    assert_eq!(led.state().last_error.unwrap().line, Some(3));
    led.dies(ExitKind::Code(1));
    led.wait(1_000);
    let Some(Effect::Start { app, .. }) = led.work() else {
        panic!("not restarted")
    };
    assert_eq!(app.digest, plain().digest);
    // Where nothing runs and nothing ran, there is nothing to keep.
    let mut led = Led::new();
    led.hand(bad);
    assert_eq!((led.status(), led.work()), (RunState::Invalid, None));
    assert!(matches!(
        led.ask(Operation::Start),
        Some(Err(OperatorError::NothingToRun { .. }))
    ));
}

#[test]
fn a_suspended_app_is_supervised_and_not_changed() {
    let mut led = Led::running(&plain());
    led.hand(Target {
        suspended: true,
        ..Target::run(version("2"), None)
    });
    assert_eq!((led.state().sync, led.work()), (SyncState::Suspended, None));
    led.dies(ExitKind::Code(1));
    led.wait(1_000);
    led.starts();
    assert_eq!(led.state().version.unwrap().as_str(), "1");
    led.hand(Target::run(version("2"), None));
    assert!(matches!(led.work(), Some(Effect::Replace { .. })));
    // Never deployed, it is not deployed.
    let mut led = Led::new();
    led.hand(Target {
        suspended: true,
        ..Target::run(plain(), None)
    });
    assert_eq!((led.status(), led.work()), (RunState::Pending, None));
}

#[test]
fn a_stop_by_hand_holds_until_start_or_another_digest() {
    let mut led = Led::running(&plain());
    assert_eq!(led.ask(Operation::Stop), None);
    led.stops();
    assert_eq!((led.answer(), led.status()), (Some(Ok(())), RunState::Stopped));
    led.hand(Target::run(plain(), None));
    assert_eq!((led.status(), led.work()), (RunState::Stopped, None));
    // Across reboots too.
    let mut led = Led::from(led.life.record().clone(), None);
    led.hand(Target::run(plain(), None));
    assert_eq!((led.status(), led.work()), (RunState::Stopped, None));
    let mut by_start = Led::from(led.life.record().clone(), None);
    by_start.hand(Target::run(plain(), None));
    assert_eq!(by_start.ask(Operation::Start), None);
    assert!(matches!(by_start.work(), Some(Effect::Start { .. })));
    led.hand(Target::run(
        app(|spec| spec.description = Some("touched".to_owned())),
        None,
    ));
    assert!(matches!(led.work(), Some(Effect::Start { .. })));
}

#[test]
fn the_last_target_wins_when_the_effect_under_way_is_done() {
    let mut led = Led::new();
    led.hand(Target::run(version("1"), None));
    led.hand(Target::run(version("2"), None));
    led.hand(Target::run(version("3"), None));
    led.starts();
    let Some(Effect::Replace { app, .. }) = led.work() else {
        panic!("{:?}", led.out)
    };
    assert_eq!(app.spec.version.as_str(), "3");
    led.hand(Target::new(Want::Gone));
    led.starts();
    assert!(matches!(led.work(), Some(Effect::Stop { .. })));
    // Back again before it is gone: it is started anew.
    led.hand(Target::run(version("4"), None));
    led.stops();
    let Some(Effect::Start { app, .. }) = led.work() else {
        panic!("{:?}", led.out)
    };
    assert_eq!(app.spec.version.as_str(), "4");
}

#[test]
fn it_is_removed_from_any_state_and_stays_gone() {
    let waiting = |led: &mut Led| {
        let mut target = Target::run(plain(), None);
        target.unmet.insert("db".parse().unwrap());
        led.hand(target);
    };
    let backoff = |led: &mut Led| {
        led.hand(Target::run(plain(), None));
        led.starts();
        led.dies(ExitKind::Code(1));
    };
    let starting = |led: &mut Led| led.hand(Target::run(plain(), None));
    type Lead<'a> = &'a dyn Fn(&mut Led);
    let states: [(RunState, Lead<'_>); 4] = [
        (RunState::Pending, &|_| {}),
        (RunState::Waiting, &waiting),
        (RunState::Backoff, &backoff),
        (RunState::Starting, &starting),
    ];
    for (status, bring) in states {
        let mut led = Led::new();
        bring(&mut led);
        assert_eq!(led.status(), status);
        led.hand(Target::new(Want::Gone));
        if status == RunState::Starting {
            led.starts();
        }
        led.stops();
        assert!(led.life.standing().gone, "{status:?}");
        assert!(led.out.contains(&Effect::Forget), "{status:?}");
        led.hand(Target::run(plain(), None));
        led.wait(60_000);
        assert_eq!(led.work(), None);
        assert_eq!(
            led.ask(Operation::Start),
            Some(Err(OperatorError::Removed {
                app: "web".parse().unwrap()
            }))
        );
    }
}

#[test]
fn an_artefact_is_fetched_before_anything_is_stopped() {
    let with_files = app(|spec| {
        spec.source = Some(Source::Path {
            path: "files".to_owned(),
        });
    });
    let mut led = Led::running(&plain());
    led.hand(Target::run(Arc::clone(&with_files), None));
    assert!(matches!(led.work(), Some(Effect::Fetch { .. })));
    assert_eq!(led.status(), RunState::Upgrading);
    // It cannot be had: what runs goes on, and it is tried again.
    led.fails("no such artefact");
    assert_eq!(
        (led.status(), led.state().sync),
        (RunState::Running, SyncState::Pending)
    );
    assert_eq!(led.state().last_error.unwrap().message, "no such artefact");
    let at_ms = led.life.wake_at_ms(led.now_ms).expect("another try");
    led.wait(at_ms - led.now_ms);
    // The old one dies meanwhile: it is restarted, not left waiting for the new.
    led.dies(ExitKind::Code(1));
    led.wait(1_000);
    assert!(
        led.out
            .iter()
            .any(|effect| matches!(effect, Effect::Start { .. })),
        "{:?}",
        led.out
    );
    led.done(|_| Outcome::Fetched(Ok("/artefacts/1".into())));
    led.starts();
    led.starts();
    assert_eq!(led.state().digest.unwrap(), with_files.digest);
    led.wait(1_000);
    assert_eq!(led.state().sync, SyncState::Synced);
}

#[test]
fn another_isolation_is_another_runtime() {
    let mut led = Led::running(&plain());
    led.hand(Target::run(
        app(|spec| spec.isolation = Some(Isolation::Embedded)),
        None,
    ));
    let Some(Effect::Stop { runtime, .. }) = led.work() else {
        panic!("{:?}", led.out)
    };
    assert_eq!(runtime.as_deref(), Some("process"));
    led.stops();
    led.starts();
    assert_eq!(led.state().isolation, "embedded");
    assert_eq!(led.state().restarts, 0);
}

#[test]
fn a_replacement_that_fails_leaves_the_old_one_where_it_still_runs() {
    let mut led = Led::running(&plain());
    let before = led.id();
    led.hand(Target::run(version("2"), None));
    led.fails("cannot execute");
    let old = found(&plain(), led.now_ms);
    led.done(|effect| {
        assert!(matches!(effect, Effect::Look { .. }));
        Outcome::Looked(Ok(Some(Found {
            id: before.clone(),
            ..old
        })))
    });
    assert_eq!(
        (led.status(), led.id(), led.state().sync),
        (RunState::Running, before, SyncState::Pending)
    );
    assert_eq!(led.state().last_error.unwrap().message, "cannot execute");
}

#[test]
fn a_stop_that_fails_is_tried_again_until_it_works() {
    let mut led = Led::running(&plain());
    led.ask(Operation::Stop);
    led.fails("the runtime is away");
    assert!(matches!(led.answer(), Some(Err(OperatorError::Failed { .. }))));
    for _ in 0..5 {
        let at_ms = led.life.wake_at_ms(led.now_ms).expect("another try");
        led.wait(at_ms - led.now_ms);
        led.fails("the runtime is away");
    }
    let at_ms = led.life.wake_at_ms(led.now_ms).unwrap();
    led.wait(at_ms - led.now_ms);
    led.stops();
    assert_eq!(led.status(), RunState::Stopped);
}

#[test]
fn an_end_that_was_meant_is_no_crash_whoever_finds_it() {
    // Killed in the middle of an upgrade: the old one was stopped, the new one never began.
    let mut led = Led::running(&plain());
    led.hand(Target::run(version("2"), None));
    assert!(led.life.record().expects_end);
    let mut led = Led::from(led.life.record().clone(), None);
    led.hand(Target::run(version("2"), None));
    led.starts();
    assert_eq!(
        (led.state().restarts, led.state().version.unwrap().as_str()),
        (0, "2")
    );
}

#[test]
fn an_in_place_change_is_in_force_in_its_instance_alone() {
    let described = || app(|spec| spec.description = Some("shop".to_owned()));
    let mut led = Led::running(&plain());
    led.hand(Target::run(described(), None));
    assert_eq!((led.work(), led.state().sync), (None, SyncState::Synced));
    let record = led.life.record().clone();
    // The same instance is found, started from the older digest: in sync.
    let same = Found {
        id: record.instance.clone().unwrap(),
        ..found(&plain(), 0)
    };
    let mut led = Led::from(record.clone(), Some(same));
    led.hand(Target::run(described(), None));
    assert_eq!((led.work(), led.state().sync), (None, SyncState::Synced));
    // Another instance of the older digest: nobody knows what it is.
    let mut led = Led::from(record, Some(found(&plain(), 0)));
    led.hand(Target::run(described(), None));
    assert!(matches!(led.work(), Some(Effect::Replace { .. })));
}

#[test]
fn health_is_told_when_it_changes_and_not_in_between() {
    let told = |led: &Led| -> Vec<String> {
        let changes = led.out.iter().filter_map(|effect| match effect {
            Effect::Emit(Event::HealthChanged { from, to, .. }) => Some(format!("{from} {to}")),
            _ => None,
        });
        changes.collect()
    };
    let mut led = Led::running(&plain());
    assert_eq!(told(&led), ["unknown healthy"]);
    assert_eq!(led.state().health, HealthState::Healthy);
    led.dies(ExitKind::Code(1));
    assert_eq!(told(&led), ["healthy unhealthy"]);
    led.wait(1_000);
    assert_eq!(told(&led), [""; 0]);
    led.starts();
    led.wait(1_000);
    assert_eq!(told(&led), ["unhealthy healthy"]);
    assert!(led.state().last_error.is_none());
}
