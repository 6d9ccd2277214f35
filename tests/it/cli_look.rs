//! What the command line shows of a node behind a real socket: tables for people, one JSON document for programs.

use std::collections::BTreeMap;

use osier::names::AppName;
use osier::plan::{Diff, DiffAction, FieldChange, HeldBack, InvalidApp};
use osier::rpc::procedures as calls;
use osier::rpc::{RpcError, RpcErrorCode};
use osier::status::{AppError, AppState, Blocked, BlockedKind, HealthState, NodeState, RunState, SyncState};
use serde_json::json;

use crate::fake_daemon::{FakeDaemon, FakeNode, ago, app, commit, osier, ran, status};

/// A node with an app in every kind of trouble, and one that is well.
fn troubled_apps() -> BTreeMap<AppName, AppState> {
    let mut apps: BTreeMap<_, _> = [
        "clock", "web", "worker", "crasher", "queue", "held", "broken", "cron",
    ]
    .into_iter()
    .map(app)
    .collect();
    let mut change = |name: &str, change: &dyn Fn(&mut AppState)| change(apps.get_mut(name).unwrap());
    let error = |message: &str, file: Option<&str>| {
        Some(AppError {
            code: "osier::test".into(),
            message: message.into(),
            file: file.map(str::to_owned),
            line: file.map(|_| 11),
            column: file.map(|_| 1),
            at: ago(3),
        })
    };
    change("crasher", &|app| {
        app.status = RunState::Failed;
        app.health = HealthState::Unhealthy;
        app.restarts = 5;
        app.os_pid = None;
        app.started_at = None;
        app.last_error = error("gave up after 5 restarts in 60 s: \u{1b}[31mexit 1", None);
    });
    change("queue", &|app| {
        app.status = RunState::Backoff;
        app.restarts = 2;
        app.next_try_at = Some(ago(-3600));
    });
    change("web", &|app| app.health = HealthState::Unhealthy);
    change("worker", &|app| {
        app.status = RunState::Waiting;
        app.health = HealthState::Unknown;
        app.waits_for = vec!["web".parse().unwrap()];
        app.version = Some("1.0.0".parse().unwrap());
        app.desired_version = Some("1.1.0".parse().unwrap());
        app.sync = SyncState::Pending;
    });
    change("broken", &|app| {
        app.sync = SyncState::Error;
        app.last_error = error("unknown key `heath`", Some("apps/broken/app.yaml"));
    });
    change("held", &|app| {
        app.sync = SyncState::Suspended;
        app.manual = true;
    });
    change("cron", &|app| {
        app.status = RunState::Stopped;
        app.started_at = None;
        app.os_pid = None;
    });
    apps
}

fn troubled() -> FakeDaemon {
    let mut degraded = status();
    degraded.status = NodeState::Degraded;
    degraded.reason = Some("crasher failed; web unhealthy".into());
    degraded.app_count = 8;
    degraded.healthy_count = 3;
    degraded.failed_count = 1;
    degraded.pending_count = 1;
    degraded.blocked = Some(Blocked {
        kind: BlockedKind::Prune,
        commit: commit(),
        apps: ["a", "b", "c"].iter().map(|name| name.parse().unwrap()).collect(),
        accept: "osier reconcile --prune".into(),
    });
    FakeNode::default()
        .on::<calls::Status>(move |_| Ok(degraded.clone()))
        .on::<calls::State>(|_| Ok(troubled_apps()))
        .serve()
}

#[test]
fn status_of_a_synced_node_answers_yes() {
    let daemon = FakeNode::healthy().serve();
    let ran = daemon.osier(&["status"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    insta::assert_snapshot!(ran.out);
    assert_eq!(ran.err, "");
    insta::assert_snapshot!(daemon.osier(&["status", "--oneline"]).out);
}

#[test]
fn status_of_a_degraded_node_answers_no_and_shows_the_worst_first() {
    let ran = troubled().osier(&["status"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(!ran.out.contains('\u{1b}'), "an app steers the terminal");
    insta::assert_snapshot!(ran.out);
}

#[test]
fn without_utf8_everything_is_ascii() {
    let daemon = troubled();
    let mut command = daemon.command(&["status"]);
    command.env("LC_ALL", "C");
    let ran = ran(command);
    assert!(ran.out.is_ascii(), "{}", ran.out);
    insta::assert_snapshot!(ran.out);
}

#[test]
fn colour_is_used_when_asked_for_and_beside_glyph_and_word() {
    let ran = troubled().osier(&["apps", "--color", "always"]);
    assert!(ran.out.contains("\u{1b}[31m✗ failed"), "{}", ran.out);
}

#[test]
fn json_is_one_document_and_nothing_else() {
    let daemon = FakeNode::healthy().serve();
    let status = daemon.osier(&["status", "-o", "json"]);
    assert_eq!((status.code, status.err.as_str()), (Some(0), ""));
    assert_eq!(status.json()["status"], "synced");
    let apps = daemon.osier(&["apps", "-o", "json"]);
    assert_eq!(apps.json()["web"]["os_pid"], 4711);
    let lines = daemon.osier(&["apps", "-o", "jsonl"]);
    let names: Vec<_> = lines
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["name"].clone())
        .collect();
    assert_eq!(names, ["clock", "web"]);
    assert_eq!(daemon.osier(&["apps", "-o", "name"]).out, "clock\nweb\n");
    assert!(
        daemon
            .osier(&["status", "-o", "yaml"])
            .out
            .starts_with("node: lab-a\n")
    );
    assert!(daemon.osier(&["apps", "-o", "wide"]).out.contains("4711"));
}

#[test]
fn json_cannot_steer_a_terminal_either() {
    let daemon = FakeNode::default()
        .on::<calls::Status>(|_| {
            let mut status = status();
            status.reason = Some("\u{9b}31m\u{202e}\u{7f}".into());
            Ok(status)
        })
        .serve();
    let ran = daemon.osier(&["status", "-o", "json"]);
    assert!(ran.out.is_ascii(), "{}", ran.out);
    assert_eq!(ran.json()["reason"], "\u{9b}31m\u{202e}\u{7f}");
}

fn some_diff() -> Diff {
    let change = |path: &str, from: Option<serde_json::Value>, to: Option<serde_json::Value>| FieldChange {
        path: path.into(),
        from,
        to,
    };
    let action = |action: &str, app: &str, from: Option<&str>, to: Option<&str>, changes| DiffAction {
        action: action.into(),
        app: app.parse().unwrap(),
        from_version: from.map(|v| v.parse().unwrap()),
        to_version: to.map(|v| v.parse().unwrap()),
        changes,
        given_up: None,
    };
    Diff {
        commit: Some(commit()),
        actions: vec![
            action("remove", "old", Some("0.9"), None, vec![]),
            action("deploy", "new", None, Some("1.0"), vec![]),
            action(
                "upgrade",
                "web",
                Some("1.0"),
                Some("1.1"),
                vec![change("version", Some(json!("1.0")), Some(json!("1.1")))],
            ),
            action(
                "reconfigure",
                "db",
                Some("2"),
                Some("2"),
                vec![change("env.PORT", Some(json!("8080")), None)],
            ),
        ],
        invalid: vec![InvalidApp {
            app: Some("bad".parse().unwrap()),
            file: "apps/bad/app.yaml".into(),
            line: 3,
            column: 1,
            code: "osier::spec::unknown_key".into(),
            message: "unknown key `heath`".into(),
            help: "did you mean `health`?".into(),
            is_here: true,
        }],
        held_back: Some(HeldBack {
            apps: ["a", "bc", "d"].map(|name| name.parse().unwrap()).into(),
            reason: "3 of 4 apps would go, `prune.max` allows 50 %".into(),
            accept: "osier reconcile --prune".into(),
        }),
    }
}

#[test]
fn diff_is_0_for_nothing_1_for_something_2_for_cannot_tell() {
    let with = |diff: Result<Diff, RpcError>| {
        FakeNode::healthy()
            .on::<calls::DiffNow>(move |_| diff.clone())
            .serve()
    };
    let nothing = Diff {
        commit: Some(commit()),
        actions: vec![],
        invalid: vec![],
        held_back: None,
    };
    let ran = with(Ok(nothing)).osier(&["diff"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(0), "Nothing to do at 41b09de.\n")
    );
    let something = with(Ok(some_diff()));
    let ran = something.osier(&["diff"]);
    assert_eq!(ran.code, Some(1));
    insta::assert_snapshot!(ran.out);
    assert_eq!(
        something.osier(&["diff", "-o", "json"]).json()["actions"][3]["changes"][0],
        json!({"path": "env.PORT", "from": "8080", "to": null})
    );
    let ran =
        with(Err(RpcError::new(RpcErrorCode::NotFound, "no revision `x`"))).osier(&["diff", "--rev", "x"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (Some(2), "error: no revision `x`\n")
    );
}

#[test]
fn the_tree_shows_restarts_and_mailboxes() {
    let node = |name: &str, state: &str, children: Vec<calls::TreeNode>| calls::TreeNode {
        name: name.into(),
        kind: "actor".into(),
        state: state.into(),
        children,
        ..calls::TreeNode::default()
    };
    let mut clock = node("clock", "running", vec![]);
    clock.restarts = 1;
    clock.last_exit = Some("signal 9".into());
    clock.os_pid = Some(48122);
    clock.age_ms = Some(4_000);
    let mut apps = node("apps", "running", vec![clock, node("web", "backoff", vec![])]);
    apps.detail = Some("one_for_one, 5 in 60 s".into());
    let mut watcher = node("repo_watcher", "running", vec![]);
    watcher.mailbox = Some(3);
    let root = node(
        "node",
        "running",
        vec![
            node("core", "running", vec![apps, watcher]),
            node("control", "running", vec![]),
        ],
    );
    let daemon = FakeNode::healthy()
        .on::<calls::Tree>(move |_| Ok(root.clone()))
        .serve();
    insta::assert_snapshot!(daemon.osier(&["tree"]).out);
    assert_eq!(
        daemon.osier(&["tree", "-o", "json"]).json()["children"][0]["children"][1]["mailbox"],
        3
    );
}

#[test]
fn generated_texts_come_out_of_the_code() {
    let schema = ran(osier(&["schema"])).json();
    assert!(schema["properties"]["depends_on"].is_object());
    assert!(ran(osier(&["completion", "bash"])).out.contains("reconcile"));
    assert!(ran(osier(&["man"])).out.contains(".TH osier 1"));
    assert!(ran(osier(&["man", "status"])).out.contains("osier\\-status"));
    assert_eq!(ran(osier(&["man", "nonsense"])).code, Some(2));
}

#[test]
fn the_help_is_grouped_by_purpose() {
    let ran = ran(osier(&["--help"]));
    assert_eq!(ran.code, Some(0));
    insta::assert_snapshot!(ran.out);
}
