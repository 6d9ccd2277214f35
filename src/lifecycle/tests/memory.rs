//! What is kept and what is forgotten when something new begins: a digest, an operator's word, a daemon, an instance.

use std::sync::Arc;

use super::super::*;
use super::led::{Led, app, found, plain, version};
use crate::specs::app_spec::{RestartType, Source};
use crate::specs::values::Span;
use crate::status::{RunState, SyncState};
use crate::telemetry::Event;

/// An app that waits long after a crash.
fn slow() -> Arc<DesiredApp> {
    app(|spec| spec.restart.backoff.initial = Some(Span::from_secs(60)))
}

/// Another version of it, which is not taken back if it does not come up.
fn halting() -> Arc<DesiredApp> {
    app(|spec| {
        spec.version = "2".parse().unwrap();
        spec.restart.backoff.initial = Some(Span::from_secs(60));
        spec.upgrade.on_failure = Some(crate::specs::app_spec::UpgradeFailure::Halt);
    })
}

fn is_starting(led: &Led) -> bool {
    matches!(led.work(), Some(Effect::Start { .. }))
}

#[test]
fn another_digest_does_not_wait_for_the_back_off_of_the_one_before() {
    let mut led = Led::running(&slow());
    led.dies(ExitKind::Code(1));
    assert_eq!((led.status(), led.work()), (RunState::Backoff, None));
    led.hand(Target::run(version("2"), None));
    assert!(is_starting(&led), "{:?}", led.out);
}

#[test]
fn a_restart_counts_when_it_is_carried_out_and_not_when_a_person_or_a_commit_comes_first() {
    let mut led = Led::running(&slow());
    led.dies(ExitKind::Code(1));
    assert_eq!((led.status(), led.state().restarts), (RunState::Backoff, 0));
    let begin: [fn(&mut Led); 4] = [
        |led| drop(led.ask(Operation::Restart)),
        |led| {
            led.ask(Operation::Stop);
            led.ask(Operation::Start);
        },
        |led| led.hand(Target::run(halting(), None)),
        |led| led.hand(Target::run(slow(), None)),
    ];
    for begin in begin {
        begin(&mut led);
        assert!(is_starting(&led), "{:?}", led.out);
        led.starts();
        led.dies(ExitKind::Code(1));
        assert_eq!((led.status(), led.state().restarts), (RunState::Backoff, 0));
    }
    // The daemon begins anew before it is due, and after.
    let mut led = Led::from(led.life.record().clone(), None);
    led.hand(Target::run(slow(), None));
    let at_ms = led.life.wake_at_ms(led.now_ms).expect("a restart is due");
    led.wait(at_ms - led.now_ms);
    assert_eq!((is_starting(&led), led.state().restarts), (true, 1));
    let mut led = Led::from(led.life.record().clone(), None);
    led.hand(Target::run(slow(), None));
    led.wait(at_ms - led.now_ms);
    assert_eq!((is_starting(&led), led.state().restarts), (true, 1));
}

#[test]
fn a_job_that_is_done_runs_again_at_an_operators_word() {
    let job = app(|spec| spec.restart.kind = Some(RestartType::Transient));
    for command in [Operation::Start, Operation::Restart] {
        let mut led = Led::running(&job);
        led.dies(ExitKind::Code(0));
        assert_eq!((led.status(), led.work()), (RunState::Stopped, None));
        led.ask(command);
        assert!(is_starting(&led), "{:?}", led.out);
    }
}

#[test]
fn how_a_replaced_instance_ended_is_told_although_its_successor_runs() {
    let mut led = Led::running(&plain());
    let old = led.id();
    led.hand(Target::run(version("2"), None));
    led.starts();
    let past_before = led.life.record().past_exits.len();
    let exit = Exit {
        how: ExitKind::Signal(9),
        is_out_of_memory: false,
        was_killed_after_grace: true,
        at_ms: led.now_ms,
    };
    led.step(AppEvent::Exited { instance: old, exit });
    let is_killed = |effect: &Effect| matches!(effect, Effect::Emit(Event::AppKilled { .. }));
    assert!(led.out.iter().any(is_killed), "{:?}", led.out);
    assert_eq!(led.life.record().past_exits.len(), past_before + 1);
    assert_eq!((led.status(), led.state().restarts), (RunState::Running, 0));
}

#[test]
fn a_daemon_that_begins_anew_within_a_crash_loop_keeps_its_back_off() {
    let found_dead_after = |crashes: u32| {
        let mut led = Led::running(&slow());
        for _ in 0..crashes {
            led.dies(ExitKind::Code(1));
            let at_ms = led.life.wake_at_ms(led.now_ms).expect("a restart is due");
            led.wait(at_ms - led.now_ms);
            led.starts();
        }
        let mut record = led.life.record().clone();
        record.budget.resume(1_000_000);
        let mut led = Led::from(record, None);
        led.hand(Target::run(slow(), None));
        led
    };
    assert!(is_starting(&found_dead_after(0)), "it ended some time ago");
    assert_eq!(found_dead_after(1).status(), RunState::Backoff);
}

#[test]
fn the_artefact_of_a_version_that_was_left_is_asked_for_again() {
    let with_files = |path: &str| {
        app(|spec| {
            spec.source = Some(Source::Path {
                path: path.to_owned(),
            });
        })
    };
    let mut led = Led::new();
    for path in ["a", "b", "a"] {
        led.hand(Target::run(with_files(path), None));
        assert!(
            matches!(led.work(), Some(Effect::Fetch { .. })),
            "{path}: {:?}",
            led.out
        );
        led.done(|_| Outcome::Fetched(Ok(format!("/artefacts/{path}").into())));
        led.starts();
    }
}

#[test]
fn the_artefact_of_what_runs_is_kept_whatever_else_is_fetched() {
    let with_files = |path: &str| {
        app(|spec| {
            spec.source = Some(Source::Path {
                path: path.to_owned(),
            });
        })
    };
    let mut led = Led::new();
    led.hand(Target::run(with_files("a"), None));
    led.done(|_| Outcome::Fetched(Ok("/artefacts/a".into())));
    led.starts();
    for path in ["b", "c", "d"] {
        led.hand(Target::run(with_files(path), None));
        led.done(|_| Outcome::Fetched(Ok("/artefacts/other".into())));
        led.fails("cannot execute");
        let still = Found {
            id: led.id(),
            ..found(&with_files("a"), led.now_ms)
        };
        led.done(|_| Outcome::Looked(Ok(Some(still))));
    }
    // It dies: it is started from what is there, without asking for its artefact again.
    led.dies(ExitKind::Code(1));
    let at_ms = led.life.wake_at_ms(led.now_ms).expect("a restart is due");
    led.wait(at_ms - led.now_ms);
    led.hand(Target::run(with_files("a"), None));
    assert!(is_starting(&led), "{:?}", led.out);
}

#[test]
fn what_is_wrong_with_a_change_is_not_over_because_the_old_instance_is_well() {
    let mut led = Led::running(&plain());
    led.hand(Target::run(version("2"), None));
    led.fails("cannot execute");
    let still = Found {
        id: led.id(),
        ..found(&plain(), led.now_ms)
    };
    led.done(|_| Outcome::Looked(Ok(Some(still))));
    led.wait(50);
    assert_eq!(led.state().last_error.unwrap().message, "cannot execute");
    // Given up on the new one, the old one well for an hour: it is still not what git asks for, and not tried again.
    let mut tries = 1;
    for _ in 0..40 {
        if let Some(Effect::Replace { .. }) = led.work() {
            tries += 1;
            led.fails("cannot execute");
            let still = Found {
                id: led.id(),
                ..found(&plain(), led.now_ms)
            };
            led.done(|_| Outcome::Looked(Ok(Some(still))));
        }
        let at_ms = led.life.wake_at_ms(led.now_ms);
        led.wait(at_ms.map_or(180_000, |at_ms| at_ms - led.now_ms));
    }
    assert_eq!(tries, 6, "one try and the five restarts of the default budget");
    assert_eq!(
        led.state().last_error.unwrap().message,
        "2 could not be started: cannot execute; back to 1"
    );
}

#[test]
fn setbacks_that_follow_each_other_wait_longer_each_time_up_to_a_cap() {
    let mut led = Led::running(&plain());
    led.ask(Operation::Stop);
    let mut waits = Vec::new();
    for _ in 0..9 {
        led.fails("the runtime is away");
        let at_ms = led.life.wake_at_ms(led.now_ms).expect("another try");
        waits.push(at_ms - led.now_ms);
        led.wait(at_ms - led.now_ms);
    }
    assert_eq!(
        waits,
        [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]
    );
}

#[test]
fn a_restart_by_hand_that_its_daemon_did_not_survive_is_finished_by_the_next() {
    // An app that ends with 0 when it is told to: for its restart type it would be done.
    let job = app(|spec| spec.restart.kind = Some(RestartType::Transient));
    let mut led = Led::running(&job);
    led.ask(Operation::Restart);
    let old = led.id();
    // The next daemon finds it while it is still ending.
    let still = Found {
        id: old.clone(),
        ..found(&job, led.now_ms)
    };
    let mut led = Led::from(led.life.record().clone(), Some(still));
    led.hand(Target::run(Arc::clone(&job), None));
    assert!(matches!(led.work(), Some(Effect::Stop { .. })), "{:?}", led.out);
    led.dies(ExitKind::Code(0));
    led.done(|_| Outcome::Stopped(Ok(())));
    assert!(is_starting(&led), "{:?}", led.out);
    led.starts();
    assert_eq!((led.status(), led.state().restarts), (RunState::Running, 0));
    // Once is enough.
    let record = led.life.record().clone();
    let new = Found {
        id: led.id(),
        ..found(&job, led.now_ms)
    };
    let mut led = Led::from(record, Some(new));
    led.hand(Target::run(job, None));
    assert_eq!(led.work(), None);
}

#[test]
fn a_stranger_gives_way_to_what_is_asked_for_and_to_nothing_else() {
    let record = AppRecord {
        applied: Some(plain()),
        ..AppRecord::default()
    };
    let stranger = || Some(found(&version("0.1"), 0));
    let mut led = Led::from(record.clone(), stranger());
    led.hand(Target::new(Want::Keep));
    assert_eq!((led.status(), led.work()), (RunState::Running, None));
    let mut led = Led::from(record, stranger());
    led.hand(Target::run(plain(), None));
    assert!(
        matches!(led.work(), Some(Effect::Replace { .. })),
        "{:?}",
        led.out
    );
}

#[test]
fn a_spec_that_moved_within_the_repository_is_named_where_it_is_now() {
    let mut led = Led::running(&plain());
    let moved = DesiredApp {
        file: "apps/shop/app.yaml".to_owned(),
        folder: "apps/shop".to_owned(),
        line: 4,
        ..DesiredApp::clone(&plain())
    };
    led.hand(Target::run(Arc::new(moved), None));
    assert_eq!(led.work(), None);
    let applied = led.life.record().applied.clone().unwrap();
    assert_eq!((applied.file.as_str(), applied.line), ("apps/shop/app.yaml", 4));
}

#[test]
fn what_no_look_has_confirmed_is_not_said_to_run() {
    let before = Led::running(&plain());
    let mut led = Led::unseen(before.life.record().clone());
    let seen = |led: &Led| (led.status(), led.state().sync);
    let unknown = (RunState::Pending, SyncState::Pending);
    assert_eq!(seen(&led), unknown);
    led.hand(Target::run(plain(), None));
    assert_eq!(seen(&led), unknown);
    led.done(|_| {
        Outcome::Looked(Err(Trouble {
            code: "osier::runtime::unavailable".to_owned(),
            message: "it does not answer".to_owned(),
            is_unsure: true,
            is_counted: false,
        }))
    });
    assert_eq!(seen(&led), unknown);
    let at_ms = led.life.wake_at_ms(led.now_ms).expect("another look");
    led.wait(at_ms - led.now_ms);
    led.done(|_| Outcome::Looked(Ok(Some(found(&plain(), before.now_ms)))));
    assert_eq!(seen(&led), (RunState::Running, SyncState::Synced));
}
