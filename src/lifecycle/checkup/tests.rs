//! When it is checked, and what follows.

use proptest::prelude::*;

use super::*;

const T: u64 = 1_000_000;

fn policy(failures: u32, successes: u32) -> HealthPolicy {
    HealthPolicy {
        kind: HealthKind::Http,
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        initial_delay: Duration::ZERO,
        failure_threshold: failures,
        success_threshold: successes,
        watchdog: None,
    }
}

fn hung() -> Finding {
    Finding::weighing(Weight::Hung, "no answer within 1 s")
}

/// Takes `findings`, each when its check is due. When that was, since the start.
fn lead(checkup: &mut Checkup, findings: &[Finding]) -> Vec<u64> {
    let mut times = Vec::new();
    for finding in findings {
        let at_ms = checkup.due_at_ms();
        times.push(at_ms - T);
        checkup.take(finding, at_ms);
    }
    times
}

#[test]
fn thresholds_are_reached_by_what_comes_one_after_the_other() {
    use HealthState::{Healthy, Unhealthy, Unknown};
    let (well, ill) = (Finding::Well, Finding::ill("refused"));
    for (known, policy, findings, health, failures) in [
        (Unknown, policy(3, 1), vec![&well], Healthy, 0),
        (Unknown, policy(3, 2), vec![&well], Unknown, 0),
        (Unknown, policy(3, 2), vec![&well, &well], Healthy, 0),
        (Healthy, policy(3, 1), vec![&ill, &ill], Healthy, 2),
        (Healthy, policy(3, 1), vec![&ill, &ill, &ill], Unhealthy, 3),
        (
            Healthy,
            policy(3, 1),
            vec![&ill, &ill, &well, &ill, &ill],
            Healthy,
            2,
        ),
        (Healthy, policy(1, 1), vec![&ill], Unhealthy, 1),
        (Unhealthy, policy(1, 2), vec![&well, &ill, &well], Unhealthy, 0),
        (
            Unhealthy,
            policy(1, 2),
            vec![&well, &ill, &well, &well],
            Healthy,
            0,
        ),
    ] {
        let mut checkup = Checkup::new(policy, known, T, T);
        let findings: Vec<Finding> = findings.into_iter().cloned().collect();
        lead(&mut checkup, &findings);
        let report = checkup.report();
        assert_eq!(
            (report.health, report.failures),
            (health, failures),
            "{known:?} {findings:?}"
        );
        assert_eq!(report.failing_since.is_some(), failures > 0);
    }
}

#[test]
fn one_final_word_is_enough_and_one_about_nothing_is_none() {
    let mut checkup = Checkup::new(policy(3, 1), HealthState::Healthy, T, T);
    for _ in 0..10 {
        lead(
            &mut checkup,
            &[Finding::weighing(Weight::Nothing, "the keeper does not answer")],
        );
    }
    assert_eq!(
        (checkup.health(), checkup.report().failures),
        (HealthState::Healthy, 0)
    );
    assert_eq!(checkup.report().reasons.len(), 1, "but it is shown");
    assert!(checkup.hear(&Finding::weighing(Weight::Final, "WATCHDOG=trigger"), T));
    assert_eq!(checkup.health(), HealthState::Unhealthy);
}

#[test]
fn a_young_app_is_looked_at_more_often_and_that_counts_for_nothing() {
    let mut checkup = Checkup::new(policy(3, 1), HealthState::Unknown, T, T);
    let refused = vec![Finding::ill("refused"); 7];
    assert_eq!(
        lead(&mut checkup, &refused),
        [0, 100, 300, 700, 1_500, 3_100, 5_100]
    );
    assert_eq!(checkup.report().failures, 1, "the first alone counts");
    let rest = vec![Finding::ill("refused"); 100];
    lead(&mut checkup, &rest);
    assert_eq!(checkup.health(), HealthState::Unhealthy);

    // One that hangs is not asked again before its time.
    let mut checkup = Checkup::new(policy(3, 1), HealthState::Unknown, T, T);
    assert_eq!(lead(&mut checkup, &[hung(), hung(), hung()]), [0, 10_000, 20_000]);
    assert_eq!(checkup.health(), HealthState::Unhealthy);

    // Nor one that was well.
    let mut checkup = Checkup::new(policy(3, 1), HealthState::Unknown, T, T);
    let ill = Finding::ill("refused");
    let findings = [Finding::Well, ill.clone(), ill.clone(), ill.clone(), ill];
    assert_eq!(lead(&mut checkup, &findings), [0, 10_000, 20_000, 30_000, 40_000]);
}

#[test]
fn an_app_that_is_coming_up_is_not_ill_by_a_short_interval_unless_it_hangs() {
    let quick = HealthPolicy {
        interval: Duration::from_secs(1),
        ..policy(3, 1)
    };
    let ill_after_ms = |known, finding: &Finding| {
        let mut checkup = Checkup::new(quick, known, T, T);
        loop {
            let at_ms = checkup.due_at_ms();
            checkup.take(finding, at_ms);
            if checkup.health() == HealthState::Unhealthy {
                return at_ms - T;
            }
        }
    };
    let refused = Finding::ill("refused");
    assert_eq!(ill_after_ms(HealthState::Unknown, &refused), START_MS);
    assert_eq!(ill_after_ms(HealthState::Unknown, &hung()), 2_000);
    assert_eq!(ill_after_ms(HealthState::Healthy, &refused), 2_000);
}

#[test]
fn the_first_check_follows_the_initial_delay_or_the_look_of_a_new_daemon_at_once() {
    let delayed = HealthPolicy {
        initial_delay: Duration::from_secs(7),
        ..policy(3, 1)
    };
    let due =
        |policy, began_ms, now_ms| Checkup::new(policy, HealthState::Healthy, began_ms, now_ms).due_at_ms();
    assert_eq!(due(delayed, T, T), T + 7_000);
    assert_eq!(due(delayed, T, T + 3_000), T + 7_000);
    assert_eq!(due(delayed, T, T + 60_000), T + 60_000);
    // Who speaks by itself has the first interval for it; after a new daemon's start another one.
    let notify = HealthPolicy {
        kind: HealthKind::Notify,
        ..delayed
    };
    assert_eq!(due(notify, T, T), T + 17_000);
    assert_eq!(due(notify, T, T + 60_000), T + 70_000);
}

#[test]
fn a_check_that_took_longer_than_the_interval_is_followed_by_one_and_not_by_many() {
    let mut checkup = Checkup::new(policy(3, 1), HealthState::Healthy, T, T);
    checkup.take(&hung(), T + 35_000);
    assert_eq!(checkup.due_at_ms(), T + 35_000 + PAUSE_MS_MIN);
    checkup.take(&hung(), T + 36_000);
    assert_eq!(checkup.due_at_ms(), T + 45_000 + PAUSE_MS_MIN);
}

#[test]
fn reasons_are_few_short_and_told_once() {
    let mut checkup = Checkup::new(policy(1_000, 1), HealthState::Healthy, T, T);
    for number in 0..20 {
        let reason = format!("{number} {}", "x".repeat(10_000));
        lead(
            &mut checkup,
            &[Finding::ill(reason.clone()), Finding::ill(reason)],
        );
    }
    let report = checkup.report();
    assert_eq!(report.reasons.len(), REASONS_MAX);
    assert!(
        report
            .reasons
            .iter()
            .all(|failure| failure.reason.chars().count() <= REASON_CHARS_MAX)
    );
    assert!(report.reasons[0].reason.starts_with("19 "));
    assert_eq!(report.failures, 40);
    assert!(report.failing().unwrap().ends_with(", 40 times in a row"));
}

fn finding() -> impl Strategy<Value = Finding> {
    let weight = prop_oneof![
        Just(Weight::Counted),
        Just(Weight::Hung),
        Just(Weight::Final),
        Just(Weight::Nothing)
    ];
    prop_oneof![
        Just(Finding::Well),
        (weight, 0..3_u8).prop_map(|(weight, number)| Finding::weighing(weight, number.to_string()))
    ]
}

proptest! {
    /// Whatever is found and however long it takes: never more than one counted check an interval, no hot loop, nobody is
    /// ill by less than the threshold, and what is not told has not changed.
    #[test]
    fn whatever_is_found_the_laws_hold(
        findings in proptest::collection::vec((finding(), 0..20_000_u64), 1..60),
        failures in 1..5_u32,
        successes in 1..3_u32,
    ) {
        let policy = policy(failures, successes);
        let mut checkup = Checkup::new(policy, HealthState::Unknown, T, T);
        let mut now_ms = T;
        let (mut counted, mut looks) = (0_u64, 0_u64);
        for (finding, took_ms) in findings {
            let due_ms = checkup.due_at_ms().max(now_ms);
            let is_extra = checkup.extra_at_ms.is_some();
            now_ms = due_ms + took_ms;
            let before = checkup.report();
            let is_news = checkup.take(&finding, now_ms);
            let after = checkup.report();
            looks += 1;
            counted += u64::from(!is_extra);
            prop_assert!((counted - 1) * 10_000 <= now_ms - T, "{counted} checks in {} ms", now_ms - T);
            prop_assert!(looks <= 200);
            prop_assert!(checkup.due_at_ms() >= now_ms + PAUSE_MS_MIN);
            let turned_ill = before.health != HealthState::Unhealthy && after.health == HealthState::Unhealthy;
            let is_final = matches!(&finding, Finding::Ill(illness) if illness.weight == Weight::Final);
            prop_assert!(!turned_ill || is_final || after.failures >= failures);
            if !is_news {
                prop_assert_eq!(before.health, after.health);
                prop_assert_eq!(before.failures, after.failures);
                prop_assert_eq!(before.reasons.len(), after.reasons.len());
            }
        }
    }
}
