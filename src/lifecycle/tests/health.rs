//! What becomes of an app that its checks find well, or not.

use std::sync::Arc;

use super::super::*;
use super::led::{Led, app, found};
use crate::specs::app_spec::{Health, HealthKind, RestartType};
use crate::status::health::HealthFailure;
use crate::status::time::rfc3339;
use crate::status::{HealthState, RunState};
use crate::telemetry::Event;

pub(super) fn health(text: &str) -> Option<Health> {
    Some(serde_json::from_str(text).unwrap())
}

pub(super) fn checked_app(change: impl FnOnce(&mut AppSpec)) -> Arc<DesiredApp> {
    app(|spec| {
        spec.health = health("{}");
        change(spec);
    })
}

impl Led {
    pub(super) fn find(&mut self, health: HealthState, failures: u32) {
        let watched = self.life.watched().expect("checks are asked for");
        self.find_of(&watched, health, failures);
    }

    pub(super) fn find_of(&mut self, watched: &Watched, health: HealthState, failures: u32) {
        let failure = HealthFailure {
            at: rfc3339(self.now_ms),
            reason: "http 503 from http://127.0.0.1:8080/".to_owned(),
        };
        let report = HealthReport {
            failures,
            reasons: vec![failure],
            ..HealthReport::blank(HealthKind::Http, health)
        };
        self.step(AppEvent::Checked {
            instance: watched.instance.clone(),
            by: Arc::clone(&watched.app.spec),
            report: Arc::new(report),
        });
    }

    pub(super) fn started(app: &Arc<DesiredApp>) -> Self {
        let mut led = Self::new();
        led.hand(Target::run(Arc::clone(app), None));
        led.starts();
        led
    }

    pub(super) fn emitted(&self, is_so: impl Fn(&Event) -> bool) -> bool {
        self.out
            .iter()
            .any(|effect| matches!(effect, Effect::Emit(event) if is_so(event)))
    }
}

#[test]
fn time_alone_proves_nothing_of_an_app_that_is_checked() {
    let mut led = Led::started(&checked_app(|_| {}));
    assert_eq!(led.life.wake_at_ms(led.now_ms), None);
    led.wait(3_600_000);
    assert_eq!(led.state().health, HealthState::Unknown);
    assert!(!led.life.standing().satisfied, "dependants wait");
    assert_eq!(led.state().checks.unwrap().health, HealthState::Unknown);
    led.find(HealthState::Healthy, 0);
    assert_eq!(led.state().health, HealthState::Healthy);
    assert!(led.life.standing().satisfied);
    // A failure below the threshold is shown and changes nothing.
    led.find(HealthState::Healthy, 2);
    assert_eq!(led.state().checks.unwrap().failures, 2);
    assert!(led.life.standing().satisfied && led.work().is_none());
}

#[test]
fn who_is_not_well_is_stopped_and_started_again_within_the_budget() {
    let mut led = Led::started(&checked_app(|spec| spec.restart.intensity = Some(2)));
    for restarts in 1..=2 {
        led.find(HealthState::Healthy, 0);
        led.find(HealthState::Unhealthy, 3);
        let is_told = |event: &Event| match event {
            Event::HealthChanged { from, to, reason, .. } => {
                let reason = reason.as_deref();
                (from.as_str(), to.as_str(), reason)
                    == (
                        "healthy",
                        "unhealthy",
                        Some("unhealthy: http 503 from http://127.0.0.1:8080/, 3 times in a row"),
                    )
            }
            _ => false,
        };
        assert!(led.emitted(is_told), "{:?}", led.out);
        assert!(matches!(led.work(), Some(Effect::Stop { .. })));
        assert_eq!(
            (led.status(), led.state().health),
            (RunState::Stopping, HealthState::Unhealthy)
        );
        assert!(
            led.life.watched().is_none(),
            "what is being stopped is not checked"
        );
        led.stops();
        let is_restart = |event: &Event| matches!(event, Event::AppRestart { exit, restarts: n, .. } if exit == "unhealthy" && *n == restarts);
        assert!(led.emitted(is_restart), "{:?}", led.out);
        assert_eq!(led.status(), RunState::Backoff);
        let how = led.life.record().past_exits.back().unwrap().how.clone();
        assert_eq!(how, "unhealthy (signal 15)");
        let at_ms = led.life.wake_at_ms(led.now_ms).expect("a back-off");
        led.wait(at_ms - led.now_ms);
        led.starts();
        assert_eq!(led.state().health, HealthState::Unknown);
    }
    assert_eq!(led.state().restarts, 2);
    led.find(HealthState::Unhealthy, 3);
    led.stops();
    assert_eq!((led.status(), led.work()), (RunState::Failed, None));
    assert!(led.emitted(|event| matches!(event, Event::AppFailed { restarts: 2, .. })));
    let error = led.state().last_error.unwrap();
    assert_eq!(error.code, "osier::app::unhealthy");
}

#[test]
fn back_off_begins_anew_after_a_period_in_health_and_not_after_one_without() {
    let mut led = Led::started(&checked_app(|_| {}));
    let mut waits = Vec::new();
    for healthy_ms in [0, 0, 60_000, 59_999] {
        led.wait(3_600_000);
        if healthy_ms > 0 {
            led.find(HealthState::Healthy, 0);
            led.wait(healthy_ms);
        }
        led.find(HealthState::Unhealthy, 3);
        led.stops();
        let at_ms = led.life.wake_at_ms(led.now_ms).expect("a back-off");
        waits.push(at_ms - led.now_ms);
        led.wait(at_ms - led.now_ms);
        led.starts();
    }
    assert_eq!(waits, [1_000, 2_000, 1_000, 2_000]);
}

#[test]
fn restart_types_say_whether_illness_is_answered() {
    use RestartType::{Permanent, Temporary, Transient};
    for (kind, is_stopped) in [(Permanent, true), (Transient, true), (Temporary, false)] {
        let mut led = Led::started(&checked_app(|spec| spec.restart.kind = Some(kind)));
        led.find(HealthState::Unhealthy, 3);
        assert_eq!(led.state().health, HealthState::Unhealthy, "{kind:?}");
        assert_eq!(led.work().is_some(), is_stopped, "{kind:?}");
        if !is_stopped {
            assert_eq!(led.status(), RunState::Running);
            assert!(led.emitted(|event| matches!(event, Event::HealthChanged { .. })));
            // It may get well by itself.
            led.find(HealthState::Healthy, 0);
            assert_eq!(
                (led.state().health, led.state().last_error),
                (HealthState::Healthy, None)
            );
        }
    }
}

#[test]
fn a_new_daemon_goes_on_from_what_was_known() {
    let web = checked_app(|_| {});
    let at_ms = 1_000_000;
    for (last, expected) in [
        (Some(HealthState::Healthy), HealthState::Healthy),
        (None, HealthState::Unknown),
    ] {
        let mut led = Led::started(&web);
        if let Some(health) = last {
            led.find(health, 0);
        }
        let record = led.life.record().clone();
        let instance = Found {
            id: record.instance.clone().unwrap(),
            ..found(&web, at_ms)
        };
        let mut led = Led::from(record, Some(instance));
        led.hand(Target::run(Arc::clone(&web), None));
        assert_eq!((led.status(), led.state().health), (RunState::Running, expected));
        assert_eq!(led.life.watched().unwrap().health, expected);
        // The first failures make nobody ill.
        led.find(expected, 2);
        assert_eq!((led.state().health, led.work()), (expected, None));
    }
}

#[test]
fn a_stop_for_illness_survives_the_daemon_and_counts_once() {
    let web = checked_app(|_| {});
    let ill = || {
        let mut led = Led::started(&web);
        led.find(HealthState::Unhealthy, 3);
        led.life.record().clone()
    };
    // It still runs: the stop goes on.
    let record = ill();
    let instance = Found {
        id: record.instance.clone().unwrap(),
        ..found(&web, 1_000_000)
    };
    let mut led = Led::from(record, Some(instance));
    led.hand(Target::run(Arc::clone(&web), None));
    assert!(matches!(led.work(), Some(Effect::Stop { .. })));
    led.stops();
    assert_eq!(led.status(), RunState::Backoff);
    assert_eq!(
        led.life
            .record()
            .budget
            .recent(std::time::Duration::from_secs(60), led.now_ms),
        1
    );
    // It is gone by now: that was the stop.
    let mut led = Led::from(ill(), None);
    led.hand(Target::run(Arc::clone(&web), None));
    assert_eq!(led.status(), RunState::Backoff);
    assert_eq!(
        led.life
            .record()
            .budget
            .recent(std::time::Duration::from_secs(60), led.now_ms),
        1
    );
}

#[test]
fn an_operators_word_and_a_removal_go_before_illness() {
    for (command, then) in [
        (Operation::Stop, RunState::Stopped),
        (Operation::Restart, RunState::Starting),
    ] {
        let mut led = Led::started(&checked_app(|_| {}));
        led.find(HealthState::Unhealthy, 3);
        led.ask(command);
        led.stops();
        assert_eq!(led.status(), then, "{command:?}");
        assert!(
            !led.emitted(|event| matches!(event, Event::AppRestart { .. })),
            "{command:?}"
        );
    }
    let mut led = Led::started(&checked_app(|_| {}));
    led.find(HealthState::Unhealthy, 3);
    led.hand(Target::new(Want::Gone));
    led.stops();
    assert!(led.life.standing().gone);
}

#[test]
fn checks_that_are_changed_in_place_begin_anew_and_nobody_is_ill_by_that() {
    let v1 = checked_app(|_| {});
    let mut led = Led::started(&v1);
    led.find(HealthState::Healthy, 2);
    let before = led.life.watched().unwrap();
    let v2 = app(|spec| spec.health = health(r#"{"port": 9090}"#));
    led.hand(Target::run(Arc::clone(&v2), None));
    let after = led.life.watched().unwrap();
    assert!(!after.is_same(&before));
    assert_eq!(
        (led.state().health, led.state().checks.unwrap().failures),
        (HealthState::Healthy, 0)
    );
    // A word of the old ones that comes late is about nothing.
    led.find_of(&before, HealthState::Unhealthy, 3);
    assert_eq!((led.state().health, led.work()), (HealthState::Healthy, None));
    // Nor does one about an instance that is gone count.
    let other = Watched {
        instance: InstanceId::random(),
        ..after
    };
    led.find_of(&other, HealthState::Unhealthy, 3);
    assert_eq!(led.state().health, HealthState::Healthy);
    // Without checks it is well, as any app that has run for a second.
    led.hand(Target::run(app(|_| {}), None));
    led.wait(1_000);
    assert!(led.life.watched().is_none());
    assert_eq!(
        (led.state().health, led.state().checks),
        (HealthState::Healthy, None)
    );
}

#[test]
fn what_gives_way_or_is_fetched_for_is_not_ill_by_that() {
    let mut led = Led::started(&checked_app(|_| {}));
    led.find(HealthState::Healthy, 0);
    let watched = led.life.watched().unwrap();
    led.hand(Target::run(
        checked_app(|spec| spec.version = "2".parse().unwrap()),
        None,
    ));
    assert!(matches!(led.work(), Some(Effect::Replace { .. })));
    assert!(led.life.watched().is_none());
    led.find_of(&watched, HealthState::Unhealthy, 3);
    led.starts();
    assert_eq!(
        (led.status(), led.state().health),
        (RunState::Running, HealthState::Unknown)
    );
    assert!(led.life.record().unhealthy.is_none());
}
