//! Every state with its paragraph.

use std::sync::{Arc, LazyLock};

use super::*;
use crate::specs::AppSpec;
use crate::specs::desired::CommitFacts;
use crate::status::AppError;
use crate::status::hold::Until;
use crate::status::time::rfc3339;

const NOW: u64 = 1_700_000_000_000;

fn app(version: &str) -> DesiredApp {
    let spec = AppSpec::new("hello".parse().unwrap(), version.parse().unwrap());
    DesiredApp {
        digest: spec.digest(&[]),
        spec: Arc::new(spec),
        file: "apps/hello/app.yaml".to_owned(),
        line: 3,
        folder: "apps/hello".to_owned(),
        artefact: None,
    }
}

fn state(status: RunState, sync: SyncState) -> AppState {
    let life = crate::lifecycle::Lifecycle::new("hello".parse().unwrap(), Default::default(), NOW);
    AppState {
        status,
        sync,
        version: Some("1.0.0".parse().unwrap()),
        desired_version: Some("1.1.0".parse().unwrap()),
        digest: Some(app("1.1.0").digest),
        ..life.state("n1", "/data/apps/hello")
    }
}

fn error(message: &str) -> Option<AppError> {
    Some(AppError {
        code: "test".to_owned(),
        message: message.to_owned(),
        file: None,
        line: None,
        column: None,
        at: rfc3339(NOW),
    })
}

fn told(state: &AppState, change: impl FnOnce(&mut WhyFacts<'_>)) -> String {
    let commit = CommitFacts {
        id: "3f90c2e000000000000000000000000000000000".parse().unwrap(),
        author: "Dana".to_owned(),
        email: "dana@example.com".to_owned(),
        time: i64::try_from(NOW / 1_000).unwrap() - 90,
        subject: "hello 1.1".to_owned(),
    };
    let origin = Origin {
        commit: Some(commit),
        unknown: None,
        file: "apps/hello/app.yaml".to_owned(),
        line: Some(2),
    };
    told_of(state, Some(&origin), change)
}

fn told_of(state: &AppState, origin: Option<&Origin>, change: impl FnOnce(&mut WhyFacts<'_>)) -> String {
    let desired = app("1.1.0");
    let exits = [PastExit {
        at: rfc3339(NOW),
        how: "exit 1".to_owned(),
        ran_ms: 2_300,
    }];
    let words = [
        "starting".to_owned(),
        "Error: bind 0.0.0.0:80: permission denied".to_owned(),
    ];
    let mut facts = WhyFacts {
        state,
        desired: Some(&desired),
        applied: None,
        origin,
        exits: &exits,
        last_words: &words,
        is_git_read: true,
        hold: None,
        is_stopped_by_hand: false,
        unfollowed: None,
        waits_in_vain_for: &[],
        next_look_ms: Some(NOW + 40_000),
        unseen: None,
        now_ms: NOW,
    };
    change(&mut facts);
    why(&facts)
}

const ORIGIN: &str =
    "hello should run 1.1.0 since 3f90c2e \"hello 1.1\" (Dana, 1 min ago, apps/hello/app.yaml:2).";

#[test]
fn what_it_runs_without_is_said() {
    let mut state = state(RunState::Running, SyncState::Synced);
    let missing = ["sandbox.read_only: no Landlock", "limits.pids: no controller"];
    state.not_enforced = missing.map(str::to_owned).to_vec();
    let said = told(&state, |_| {});
    let expected =
        "It runs without what was asked for: sandbox.read_only: no Landlock; limits.pids: no controller.";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn each_state_says_why_it_is_so_and_what_happens_next() {
    use RunState::{Backoff, Failed, Running, Starting, Stopped, Waiting};
    let with = |status, change: fn(&mut AppState)| {
        let mut state = state(status, SyncState::Synced);
        change(&mut state);
        told(&state, |_| {})
    };
    let words = "Last words (exit 1): \"starting / Error: bind 0.0.0.0:80: permission denied\".";
    for (found, expected) in [
        (
            with(Running, |state| {
                state.health = HealthState::Healthy;
                state.started_at = Some(rfc3339(NOW - 7_200_000));
                state.os_pid = Some(4242);
                state.restarts = 2;
            }),
            "1.0.0 has run for 2 h as process 4242 and is healthy. It was restarted 2 times. Nothing is left to do."
                .to_owned(),
        ),
        (
            with(Backoff, |state| {
                state.last_error = error("exit 1");
                state.restarts = 1;
                state.next_try_at = Some(rfc3339(NOW + 4_000));
            }),
            format!("It does not run: it ended with exit 1 after 2 s. It was restarted once. {words} Next: it is tried again in 4 s."),
        ),
        (
            with(Failed, |state| {
                state.last_error = error("exit 1");
                state.restarts = 5;
            }),
            format!(
                "It gave up after more than 5 restarts within 1m: it ended with exit 1 after 2 s. {words} Next: a commit \
                 that touches it, or `osier restart hello`. Nothing more happens by itself."
            ),
        ),
        (
            with(Starting, |_| {}),
            format!("It is being started. It ended with exit 1 after 2 s. {words}"),
        ),
        (
            with(Waiting, |state| {
                state.waits_for = ["db", "mail", "web"].map(|app| app.parse().unwrap()).into();
            }),
            "Its first start waits for db, mail and web. Next: it starts when db, mail and web are healthy.".to_owned(),
        ),
        (
            with(Stopped, |_| {}),
            "It ended with success and is done. Next: nothing, until a commit touches it.".to_owned(),
        ),
    ] {
        assert_eq!(found, format!("{ORIGIN} {expected}"));
    }
}

#[test]
fn a_program_that_cannot_be_executed_is_named() {
    let mut failed = state(RunState::Failed, SyncState::Missing);
    failed.last_error = error("cannot execute bin/hello: No such file or directory");
    let text = told(&failed, |facts| facts.exits = &[]);
    assert_eq!(
        text,
        format!(
            "{ORIGIN} It gave up: cannot execute bin/hello: No such file or directory. Next: a commit that touches it, or \
             `osier restart hello`. Nothing more happens by itself."
        )
    );
}

#[test]
fn a_bad_spec_names_its_place_and_what_goes_on() {
    let mut bad = state(RunState::Running, SyncState::Error);
    bad.health = HealthState::Healthy;
    bad.last_error = error("unknown key `prot`.");
    if let Some(error) = &mut bad.last_error {
        error.file = Some("apps/hello/app.yaml".to_owned());
        error.line = Some(7);
    }
    assert_eq!(
        told(&bad, |facts| facts.desired = None),
        "The spec of hello has a mistake since 3f90c2e \"hello 1.1\" (Dana, 1 min ago): apps/hello/app.yaml:7: unknown key `prot`. 1.0.0 has run and is healthy. What \
         runs goes on. Next: a commit that mends the spec."
    );
}

#[test]
fn a_change_that_could_not_be_made_is_told_beside_what_runs() {
    let mut old = state(RunState::Running, SyncState::Pending);
    old.digest = Some(app("1.0.0").digest);
    old.last_error = error("no such artefact");
    old.next_try_at = Some(rfc3339(NOW + 30_000));
    assert_eq!(
        told(&old, |_| {}),
        format!(
            "{ORIGIN} 1.0.0 has run and has yet to prove healthy. What is asked for could not be brought about: no such \
             artefact. Next: tried again in 30 s."
        )
    );
}

#[test]
fn what_git_does_not_say_is_said_too() {
    let orphan = state(RunState::Running, SyncState::Orphaned);
    assert_eq!(
        told(&orphan, |facts| facts.desired = None),
        "Git does not ask for hello since 3f90c2e \"hello 1.1\" (Dana, 1 min ago). 1.0.0 has run and has yet to prove healthy. Its removal waits for an operator's word: \
         see `osier status`."
    );
    let stopped = state(RunState::Stopped, SyncState::Suspended);
    assert_eq!(
        told(&stopped, |facts| facts.is_stopped_by_hand = true),
        format!("{ORIGIN} It was stopped by hand. Next: `osier start hello`, or a commit that touches it.")
    );
}

#[test]
fn what_was_changed_by_hand_is_told_beside_what_git_asks_for_and_when_that_ends() {
    let by_hand = |status, hold| {
        let mut state = state(status, SyncState::Suspended);
        state.manual = true;
        (state.version, state.desired_version) = (Some("5.0".parse().unwrap()), Some("5.0".parse().unwrap()));
        state.last_error = error("exit 1").filter(|_| status == RunState::Backoff);
        state.next_try_at = state.last_error.as_ref().map(|_| rfc3339(NOW + 4_000));
        told(&state, |facts| {
            (facts.hold, facts.last_words) = (Some(Hold::Changed(hold)), &[]);
        })
    };
    let begin = "hello should run 5.0 by hand; git asks for 1.1.0 (apps/hello/app.yaml:3).";
    let hour = Until::At(NOW + 3_700_000);
    for (found, rest) in [
        (
            by_hand(RunState::Running, Until::NextReconcile),
            "5.0 has run and has yet to prove healthy. The next reconcile undoes that, in 40 s.",
        ),
        (
            by_hand(RunState::Running, hour),
            "5.0 has run and has yet to prove healthy. Git is not applied to it for another 1 h, or until `osier resume \
             hello`.",
        ),
        (
            by_hand(RunState::Backoff, hour),
            "It does not run: it ended with exit 1 after 2 s. Next: it is tried again in 4 s. Git is not applied to it for \
             another 1 h, or until `osier resume hello`.",
        ),
    ] {
        assert_eq!(found, format!("{begin} {rest}"));
    }
    let mut stray = state(RunState::Running, SyncState::Suspended);
    stray.manual = true;
    let stray = told(&stray, |facts| {
        (facts.desired, facts.hold) = (None, Some(Hold::Changed(Until::NextReconcile)));
    });
    assert!(
        stray.starts_with("hello should run 1.1.0 by hand; git does not ask for it."),
        "{stray}"
    );
}

#[test]
fn what_was_removed_by_hand_is_told_and_how_it_comes_back() {
    let mut removed = state(RunState::Stopped, SyncState::Missing);
    removed.manual = true;
    let begin = "hello was removed by hand; git asks for 1.1.0 (apps/hello/app.yaml:3). Nothing runs of it.";
    for (until, rest) in [
        (
            Until::At(NOW + 600_000),
            "It stays so for another 10 min, or until `osier resume hello`.",
        ),
        (
            Until::NextReconcile,
            "The next reconcile deploys it again, in 40 s; `osier resume hello` does at once.",
        ),
        (Until::Revoked, "It stays so until `osier resume hello`."),
    ] {
        let found = told(&removed, |facts| facts.hold = Some(Hold::Removed(until)));
        assert_eq!(found, format!("{begin} {rest}"));
    }
}

#[test]
fn who_suspended_it_is_told_what_ends_that_and_how_it_differs() {
    let mut spec = AppSpec::clone(&app("1.0.0").spec);
    spec.env.insert("PORT".to_owned(), "80".to_owned());
    let running = DesiredApp {
        spec: Arc::new(spec),
        ..app("1.0.0")
    };
    let mut by_spec = app("1.0.0");
    Arc::make_mut(&mut by_spec.spec).suspend = Some(true);
    let of = |hold, applied: Option<&DesiredApp>, desired: &DesiredApp| {
        let told = why(&WhyFacts {
            state: &state(RunState::Running, SyncState::Suspended),
            desired: Some(desired),
            applied,
            origin: None,
            exits: &[],
            last_words: &[],
            is_git_read: true,
            hold: Some(hold),
            is_stopped_by_hand: false,
            unfollowed: None,
            waits_in_vain_for: &[],
            next_look_ms: None,
            unseen: None,
            now_ms: NOW,
        });
        told.split_once("healthy. ").unwrap().1.to_owned()
    };
    let asked = app("1.1.0");
    assert_eq!(
        of(Hold::Suspended(Until::Revoked), Some(&running), &asked),
        "It differs from what git asks for in version and env.PORT. Git is not applied to it until `osier resume hello`."
    );
    assert_eq!(
        of(Hold::NodeSuspended(Until::At(NOW + 60_000)), Some(&asked), &asked),
        "The node is suspended: git is applied to no app for another 1 min, or until `osier resume`."
    );
    assert_eq!(
        of(Hold::BySpec, Some(&app("1.0.0")), &by_spec),
        "Its spec suspends it: git is not applied to it until a commit changes that."
    );
}

#[test]
fn where_the_last_change_is_not_known_it_says_so_and_names_the_spec() {
    let running = state(RunState::Running, SyncState::Synced);
    let with = |origin: Option<&Origin>| {
        let told = told_of(&running, origin, |_| {});
        told.split(" 1.0.0 has run").next().unwrap().to_owned()
    };
    let known = Origin {
        commit: None,
        unknown: Some("older than what was fetched".to_owned()),
        file: "apps/hello/app.yaml".to_owned(),
        line: None,
    };
    assert_eq!(
        with(Some(&known)),
        "hello should run 1.1.0 (apps/hello/app.yaml:3); who changed it last is not known: older than what was fetched."
    );
    assert_eq!(with(None), "hello should run 1.1.0 (apps/hello/app.yaml:3).");
}

#[test]
fn a_hostile_commit_message_stays_harmless() {
    let running = state(RunState::Running, SyncState::Synced);
    let hostile = Origin {
        commit: Some(CommitFacts {
            id: "3f90c2e000000000000000000000000000000000".parse().unwrap(),
            author: "\u{1b}]0;x\u{7}".to_owned(),
            email: String::new(),
            time: -1,
            subject: "\u{1b}[2J".to_owned(),
        }),
        unknown: None,
        file: "apps/hello/\u{1b}c".to_owned(),
        line: Some(1),
    };
    let told = told_of(&running, Some(&hostile), |_| {});
    assert!(!told.chars().any(char::is_control), "{told:?}");
}

#[test]
fn a_flood_of_last_words_is_cut() {
    let flood: &[String] = Box::leak(vec!["x".repeat(1_000); 50].into_boxed_slice());
    let mut failed = state(RunState::Failed, SyncState::Synced);
    failed.last_error = error("exit 1");
    let text = told(&failed, |facts| facts.last_words = flood);
    assert!(text.len() < 900, "{}", text.len());
}

#[test]
fn what_nobody_can_see_is_not_told_as_known() {
    static TROUBLE: LazyLock<KeeperTrouble> = LazyLock::new(|| KeeperTrouble {
        why: "it is there and says nothing".to_owned(),
        since_ms: NOW - 20_000,
    });
    let trouble: &'static KeeperTrouble = &TROUBLE;
    let mut running = state(RunState::Running, SyncState::Synced);
    running.os_pid = Some(4711);
    running.health = HealthState::Healthy;
    running.isolation = "process".to_owned();
    let shown = trouble.shade(&running);
    assert_eq!(shown.health, HealthState::Unknown);
    assert_eq!(
        shown.last_error.as_ref().unwrap().code,
        "osier::keeper::unreachable"
    );
    let text = told(&shown, |facts| facts.unseen = Some(trouble));
    assert!(
        text.ends_with(
            "It was process 4711 when it was last seen. Whether it still runs is not known since 20 s ago: the keeper \
             does not answer: it is there and says nothing. Next: it is looked for as soon as the keeper answers."
        ),
        "{text}"
    );
    running.isolation = "embedded".to_owned();
    assert_eq!(trouble.shade(&running), running);
}

mod beyond;
