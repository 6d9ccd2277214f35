use super::*;
use crate::names::CommitId;
use crate::status::BlockedKind;

fn app(name: &str, status: RunState, sync: SyncState, health: HealthState) -> AppState {
    AppState {
        name: name.parse().unwrap(),
        version: None,
        description: None,
        icon: None,
        status,
        sync,
        health,
        started_at: None,
        restarts: 0,
        isolation: "process".into(),
        os_pid: None,
        node: "n1".into(),
        path: None,
        env: std::collections::BTreeMap::new(),
        digest: None,
        commit: None,
        desired_version: None,
        last_error: None,
        manual: false,
        next_try_at: None,
        progress: None,
        waits_for: Vec::new(),
        not_enforced: Vec::new(),
        checks: None,
    }
}

fn settled() -> Surroundings<'static> {
    Surroundings {
        has_specs: true,
        has_reconciled: true,
        ..Surroundings::default()
    }
}

#[test]
fn the_worst_wins() {
    use HealthState as H;
    use RunState as R;
    use SyncState as S;
    let good = app("a", R::Running, S::Synced, H::Healthy);
    let cases: &[(AppState, NodeState)] = &[
        (app("b", R::Running, S::Synced, H::Healthy), NodeState::Synced),
        (app("b", R::Stopped, S::Synced, H::Unknown), NodeState::Synced),
        (app("b", R::Stopped, S::Suspended, H::Unknown), NodeState::Synced),
        (app("b", R::Running, S::Suspended, H::Healthy), NodeState::Synced),
        (
            app("b", R::Running, S::Reconciling, H::Healthy),
            NodeState::Pending,
        ),
        (app("b", R::Starting, S::Missing, H::Unknown), NodeState::Pending),
        (app("b", R::Waiting, S::Missing, H::Unknown), NodeState::Pending),
        (app("b", R::Running, S::Synced, H::Unhealthy), NodeState::Degraded),
        (app("b", R::Backoff, S::Synced, H::Unknown), NodeState::Degraded),
        (app("b", R::Failed, S::Synced, H::Unknown), NodeState::Degraded),
        (app("b", R::Failed, S::Suspended, H::Unknown), NodeState::Degraded),
        (app("b", R::Running, S::Error, H::Healthy), NodeState::Degraded),
        (app("b", R::Invalid, S::Error, H::Unknown), NodeState::Degraded),
    ];
    for (other, expected) in cases {
        let found = headline([&good, other], settled());
        assert_eq!(found.status, *expected, "{other:?}");
        assert_eq!(found.app_count, 2);
    }
}

#[test]
fn before_there_are_specs_the_source_decides() {
    let unreachable = Unfollowed::unreachable("no such host");
    let error = Surroundings {
        unfollowed: Some(&unreachable),
        ..Surroundings::default()
    };
    assert_eq!(
        headline([], Surroundings::default()).status,
        NodeState::Initializing
    );
    assert_eq!(headline([], error).status, NodeState::Error);
    assert_eq!(
        headline(
            [],
            Surroundings {
                has_specs: true,
                ..Surroundings::default()
            }
        )
        .status,
        NodeState::Ready
    );
}

#[test]
fn a_failed_fetch_degrades_and_says_why() {
    let unreachable = Unfollowed::unreachable("no such host");
    let found = headline(
        [],
        Surroundings {
            unfollowed: Some(&unreachable),
            ..settled()
        },
    );
    assert_eq!(found.status, NodeState::Degraded);
    assert_eq!(
        found.reason.as_deref(),
        Some("the repository cannot be used: no such host")
    );
}

#[test]
fn suspended_and_stopped_apps_are_named_though_they_do_not_count() {
    let held = [
        app("a", RunState::Running, SyncState::Suspended, HealthState::Healthy),
        app("b", RunState::Stopped, SyncState::Suspended, HealthState::Unknown),
    ];
    let found = headline(&held, settled());
    assert_eq!(
        found.reason.as_deref(),
        Some("1 app suspended: a; 1 app stopped by hand: b")
    );
}

#[test]
fn what_is_blocked_says_how_to_accept_it() {
    let commit: CommitId = "a".repeat(40).parse().unwrap();
    let blocked = Blocked {
        kind: BlockedKind::Prune,
        commit,
        apps: Vec::new(),
        accept: "osier reconcile --prune".into(),
    };
    let found = headline(
        [],
        Surroundings {
            blocked: Some(&blocked),
            ..settled()
        },
    );
    assert_eq!(found.status, NodeState::Degraded);
    assert!(found.reason.unwrap().ends_with("osier reconcile --prune"));
}

#[test]
fn a_keeper_that_does_not_answer_degrades_and_says_why() {
    let found = headline(
        [],
        Surroundings {
            keeper_error: Some("the keeper does not answer"),
            ..settled()
        },
    );
    assert_eq!(found.status, NodeState::Degraded);
    assert_eq!(found.reason.as_deref(), Some("the keeper does not answer"));
}

#[test]
fn an_app_whose_checks_have_not_gone_well_yet_is_no_good_news() {
    use crate::specs::app_spec::HealthKind;
    use crate::status::health::HealthReport;
    let mut unproven = app("a", RunState::Running, SyncState::Synced, HealthState::Unknown);
    let of = |app: &AppState| headline([app], settled()).status;
    assert_eq!(of(&unproven), NodeState::Synced, "it has no checks");
    unproven.checks = Some(HealthReport::blank(HealthKind::Http, HealthState::Unknown));
    assert_eq!(of(&unproven), NodeState::Pending);
    // It was restarted because it was ill, or its upgrade has failed and it stays.
    unproven.last_error = Some(crate::status::AppError {
        code: "osier::app::unhealthy".to_owned(),
        message: "unhealthy: http 500".to_owned(),
        file: None,
        line: None,
        column: None,
        at: String::new(),
    });
    assert_eq!(of(&unproven), NodeState::Degraded);
}
