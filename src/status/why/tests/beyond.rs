//! What lies beyond the app itself: a head that is not followed, others that it waits for, what its checks found.

use super::*;

#[test]
fn what_git_asks_for_beyond_the_accepted_commit_is_told_last() {
    let running = state(RunState::Running, SyncState::Synced);
    let of = |unfollowed: Unfollowed| {
        let unfollowed = &*Box::leak(Box::new(unfollowed));
        let told = told(&running, |facts| facts.unfollowed = Some(unfollowed));
        told.split_once("Nothing is left").unwrap().1.to_owned()
    };
    let facts = CommitFacts {
        id: "3f90c2e000000000000000000000000000000000".parse().unwrap(),
        author: "Ann".to_owned(),
        email: "ann@example.com".to_owned(),
        time: 0,
        subject: "Break it".to_owned(),
    };
    assert_eq!(
        of(Unfollowed::unreadable(&facts, "osier.yaml:1:1: unknown key `x`")),
        " to do for the accepted commit. Git has gone on to 3f90c2e \"Break it\" (Ann), which is not followed: it cannot be \
         used: osier.yaml:1:1: unknown key `x`."
    );
    assert_eq!(
        of(Unfollowed::unreachable("no such host.")),
        " to do for the accepted commit. Whether git asks for something newer is not known: the repository cannot be used: \
         no such host."
    );
}

#[test]
fn who_waits_for_one_that_has_given_up_says_so() {
    let mut waiting = state(RunState::Waiting, SyncState::Pending);
    let [db, mq] = ["db", "mq"].map(|name| name.parse::<AppName>().unwrap());
    waiting.waits_for = vec![db.clone(), mq.clone()];
    let both: &'static [AppName] = Vec::leak(vec![db, mq]);
    for (in_vain, told_of) in [
        (&both[..0], "Next: it starts when db and mq are healthy."),
        (
            &both[1..],
            "Next: it starts when db and mq are healthy. But mq has given up: see `osier why mq`.",
        ),
        (
            both,
            "Next: it starts when db and mq are healthy. But db and mq have given up: see `osier why db`.",
        ),
    ] {
        let found = told(&waiting, |facts| facts.waits_in_vain_for = in_vain);
        assert!(found.ends_with(told_of), "{found}");
    }
}

#[test]
fn what_its_checks_found_is_told_and_since_when() {
    use crate::specs::app_spec::HealthKind;
    use crate::status::health::{HealthFailure, HealthReport};
    let report = |health, failures: u32| {
        let reason = "http 503 from http://127.0.0.1:8080/health".to_owned();
        HealthReport {
            failures,
            failing_since: (failures > 0).then(|| rfc3339(NOW - 90_000)),
            reasons: vec![HealthFailure {
                at: rfc3339(NOW),
                reason,
            }],
            ..HealthReport::blank(HealthKind::Http, health)
        }
    };
    let failing = "http 503 from http://127.0.0.1:8080/health";
    for (health, failures, running, next) in [
        (
            HealthState::Healthy,
            0,
            "is healthy.".to_owned(),
            "Nothing is left to do.",
        ),
        (
            HealthState::Healthy,
            2,
            format!("is healthy, though its checks fail: {failing}, 2 times in a row since 1 min ago."),
            "Nothing is left to do.",
        ),
        (
            HealthState::Unhealthy,
            3,
            format!("is not healthy: {failing}, 3 times in a row since 1 min ago."),
            "Next: it is checked again; a temporary app is not restarted.",
        ),
        (
            HealthState::Unknown,
            1,
            format!("has yet to prove healthy: {failing} since 1 min ago."),
            "Next: it is checked again.",
        ),
    ] {
        let mut state = state(RunState::Running, SyncState::Synced);
        state.health = health;
        state.checks = Some(report(health, failures));
        let text = told(&state, |_| {});
        assert_eq!(text, format!("{ORIGIN} 1.0.0 has run and {running} {next}"));
    }
    let mut state = state(RunState::Stopping, SyncState::Synced);
    state.health = HealthState::Unhealthy;
    state.last_error = error("unhealthy: no answer");
    let text = told(&state, |_| {});
    assert_eq!(
        text,
        format!("{ORIGIN} It has got its stop signal, to be started again: unhealthy: no answer.")
    );
}
