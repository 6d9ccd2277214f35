//! The command line against a node behind a real socket: tables, JSON, streams, exit codes, errors.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use osier::names::AppName;
use osier::plan::{Diff, DiffAction, FieldChange, InvalidApp};
use osier::rpc::procedures as calls;
use osier::rpc::{RpcError, RpcErrorCode};
use osier::status::{AppError, AppState, Blocked, BlockedKind, HealthState, NodeState, RunState, SyncState};
use serde_json::json;

use crate::fake_daemon::{FakeDaemon, FakeNode, ago, app, commit, nobody, osier, ran, status};

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

fn healthy() -> FakeNode {
    FakeNode::default()
        .on::<calls::Status>(|_| Ok(status()))
        .on::<calls::State>(|_| Ok(["clock", "web"].into_iter().map(app).collect()))
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
    let daemon = healthy().serve();
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
    let daemon = healthy().serve();
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

#[test]
fn nobody_answers() {
    let folder = tempfile::tempdir().unwrap();
    let gone = nobody(folder.path());
    drop(std::os::unix::net::UnixListener::bind(&gone).unwrap());
    for (socket, why) in [
        ("/nonexistent/osier.sock", "no such socket"),
        (gone.to_str().unwrap(), "nobody listens"),
    ] {
        let ran = ran(osier(&["status", "-o", "json", "--socket", socket]));
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
        assert!(
            ran.err.starts_with("error: no daemon answers\n")
                && ran.err.contains(socket)
                && ran.err.contains(why),
            "{}",
            ran.err
        );
        assert!(
            ran.err.contains("  help   start one: `osier daemon`"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn a_socket_with_a_long_path_is_reached() {
    let daemon = healthy().serve();
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("x".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    let link = deep.join("osier.sock");
    std::os::unix::fs::symlink(&daemon.socket, &link).unwrap();
    let ran = ran(osier(&["status", "--socket", link.to_str().unwrap()]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn garbage_from_the_socket_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = nobody(folder.path());
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let garbage = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let ran = ran(osier(&["status", "--socket", path.to_str().unwrap()]));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.err.contains("the daemon's answer cannot be read"),
        "{}",
        ran.err
    );
    garbage.join().unwrap();
}

#[test]
fn a_wrong_name_is_answered_with_the_nearest_right_one() {
    let daemon = healthy()
        .on::<calls::ShowApp>(|request| {
            Err(RpcError::new(
                RpcErrorCode::NotFound,
                format!("no app `{}` on lab-a", request.app),
            ))
        })
        .serve();
    let ran = daemon.osier(&["show", "clokc"]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.err,
        "error: no app `clokc` on lab-a\n  help   did you mean `clock`?\n"
    );
    let ran = daemon.osier(&["stauts"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("'status'"), "{}", ran.err);
    let ran = daemon.osier(&["logs", "No Such Name"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("lower-case"), "{}", ran.err);
}

#[test]
fn other_nodes_are_not_supported_yet() {
    for arguments in [&["status", "-n", "lab-b"][..], &["-A", "apps"]] {
        let ran = healthy().serve().osier(arguments);
        assert_eq!(ran.code, Some(2));
        assert!(ran.err.contains("not supported yet"), "{}", ran.err);
    }
}

fn reconciled(result: &str, action: &str) -> calls::ReconcileReply {
    calls::ReconcileReply {
        commit: Some(commit()),
        result: result.into(),
        reason: (result != "synced").then(|| "web failed".to_owned()),
        actions: vec![calls::ActionReply {
            action: "upgrade".into(),
            app: "web".parse().unwrap(),
            result: action.into(),
            error: (action == "error").then(|| "exit 1".to_owned()),
        }],
    }
}

#[test]
fn reconcile_answers_whether_the_node_is_in_sync_after_it() {
    for (result, action, code) in [
        ("synced", "ok", 0),
        ("degraded", "error", 1),
        ("pending", "pending", 1),
    ] {
        let daemon = healthy()
            .on::<calls::Reconcile>(move |_| Ok(reconciled(result, action)))
            .serve();
        let ran = daemon.osier(&["reconcile", "--wait"]);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        let ran = daemon.osier(&["reconcile", "-o", "json"]);
        assert_eq!(
            ran.json()["actions"][0],
            json!({"action": "upgrade", "app": "web", "result": action, "error": ran.json()["actions"][0]["error"]})
        );
    }
    let daemon = healthy()
        .on::<calls::Reconcile>(|_| Ok(reconciled("degraded", "error")))
        .serve();
    insta::assert_snapshot!(daemon.osier(&["reconcile"]).out);
}

#[test]
fn the_request_of_a_reconcile_is_what_was_typed() {
    let daemon = healthy()
        .on::<calls::Reconcile>(|request| {
            let typed = calls::ReconcileRequest {
                app: Some("web".parse().unwrap()),
                wait: true,
                prune: true,
                accept: Some("41b09de".into()),
                reason: Some("because".into()),
            };
            if request == typed {
                Ok(reconciled("synced", "ok"))
            } else {
                Err(RpcError::new(RpcErrorCode::Failed, format!("{request:?}")))
            }
        })
        .serve();
    let ran = daemon.osier(&[
        "reconcile",
        "app/web",
        "--wait",
        "--prune",
        "--accept",
        "41b09de",
        "--reason",
        "because",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn a_reconcile_that_takes_too_long_is_124_and_says_that_it_goes_on() {
    let daemon = healthy().silent_on::<calls::Reconcile>().serve();
    let ran = daemon.osier(&["reconcile", "--wait", "--timeout", "100ms"]);
    assert_eq!(ran.code, Some(124), "{ran:?}");
    assert!(ran.err.contains("it goes on: follow it with"), "{}", ran.err);
}

#[test]
fn whoever_waits_long_is_told_what_happens() {
    let events = [event(
        1,
        &["bc_gitops", "deploy", "stop"],
        &json!({"app": "web", "to_version": "1.0"}),
    )];
    let daemon = healthy()
        .late::<calls::Reconcile>(
            std::time::Duration::from_millis(1_500),
            &reconciled("synced", "ok"),
        )
        .streams::<calls::Events>(&events, true)
        .serve();
    let ran = daemon.osier(&["reconcile", "--wait", "-o", "json"]);
    assert_eq!(ran.json()["result"], "synced");
    assert_eq!(ran.err, "2026-01-02 03:04:05  ✓ deployed web 1.0 in 120 ms\n");
    assert_eq!(daemon.osier(&["reconcile", "--wait", "-q"]).err, "");
}

#[test]
fn ctrl_c_is_130_and_says_how_to_follow_what_goes_on() {
    let daemon = healthy().silent_on::<calls::Reconcile>().serve();
    let mut command = daemon.command(&["reconcile", "--wait"]);
    let child = command
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !daemon.node.asked().contains(&"bc_gitops.reconcile".to_owned()) {
        assert!(std::time::Instant::now() < deadline, "it never asked");
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ran: crate::fake_daemon::Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert!(ran.err.contains("osier events -f"), "{}", ran.err);
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
        }],
    }
}

#[test]
fn diff_is_0_for_nothing_1_for_something_2_for_cannot_tell() {
    let with = |diff: Result<Diff, RpcError>| healthy().on::<calls::DiffNow>(move |_| diff.clone()).serve();
    let nothing = Diff {
        commit: Some(commit()),
        actions: vec![],
        invalid: vec![],
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
    let daemon = healthy().on::<calls::Tree>(move |_| Ok(root.clone())).serve();
    insta::assert_snapshot!(daemon.osier(&["tree"]).out);
    assert_eq!(
        daemon.osier(&["tree", "-o", "json"]).json()["children"][0]["children"][1]["mailbox"],
        3
    );
}

#[test]
fn logs_are_printed_escaped_and_as_json_lines() {
    let line = |text: &str| calls::LogLine {
        at_ms: 1_767_323_045_000,
        instance: "0".repeat(32),
        text: text.into(),
    };
    let daemon = healthy()
        .streams::<calls::Logs>(&[line("one"), line("two\u{1b}]0;x\u{7}")], false)
        .serve();
    let ran = daemon.osier(&["logs", "web", "--tail", "2"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (
            Some(0),
            "2026-01-02 03:04:05  one\n2026-01-02 03:04:05  two\\u{1b}]0;x\\u{7}\n"
        )
    );
    assert_eq!(
        daemon.osier(&["logs", "web", "--bare"]).out.lines().next(),
        Some("one")
    );
    assert_eq!(
        daemon.osier(&["logs", "web", "-o", "jsonl"]).out.lines().count(),
        2
    );
    assert_eq!(
        daemon.osier(&["logs", "web", "-o", "json"]).json()[1]["text"],
        "two\u{1b}]0;x\u{7}"
    );
}

fn event(id: u64, kind: &[&str], metadata: &serde_json::Value) -> osier::telemetry::EventRecord {
    osier::telemetry::EventRecord {
        id: format!("d:{id}"),
        node: "lab-a".into(),
        event: kind.iter().map(|part| (*part).to_owned()).collect(),
        measurements: json!({"duration_ms": 120}).as_object().unwrap().clone(),
        metadata: metadata.as_object().unwrap().clone(),
        timestamp: 1_767_323_045_000,
    }
}

#[test]
fn events_are_sentences_and_a_follower_gets_each_at_once() {
    let events = vec![
        event(
            1,
            &["bc_gitops", "deploy", "stop"],
            &json!({"app": "web", "to_version": "1.0"}),
        ),
        event(
            2,
            &["bc_gitops", "app", "failed"],
            &json!({"app": "web", "reason": "5 restarts in 60 s"}),
        ),
    ];
    let daemon = healthy().streams::<calls::Events>(&events, true).serve();
    let mut child = daemon
        .command(&["events", "-f"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(
        lines.next().unwrap().unwrap(),
        "2026-01-02 03:04:05  ✓ deployed web 1.0 in 120 ms"
    );
    assert_eq!(
        lines.next().unwrap().unwrap(),
        "2026-01-02 03:04:05  ✗ web failed: 5 restarts in 60 s"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_reader_that_leaves_ends_the_writer_quietly() {
    let events: Vec<_> = (0..5_000)
        .map(|id| event(id, &["bc_gitops", "deploy", "stop"], &json!({"app": "web"})))
        .collect();
    let daemon = healthy().streams::<calls::Events>(&events, false).serve();
    let mut child = daemon
        .command(&["events"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let ran: crate::fake_daemon::Ran = child.wait_with_output().unwrap().into();
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
}

#[test]
fn watching_prints_again_when_something_changed() {
    let daemon = healthy()
        .streams::<calls::Watch>(&[calls::Nothing {}; 3], true)
        .serve();
    let mut child = daemon
        .command(&["status", "-w", "-o", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(3);
    for line in lines {
        let status: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!(status["status"], "synced");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn by_hand_actions_ask_for_what_was_typed() {
    let reply = |action: &str, app: &str| calls::ActionReply {
        action: action.into(),
        app: app.parse().unwrap(),
        result: "ok".into(),
        error: None,
    };
    let daemon = healthy()
        .on::<calls::Deploy>(move |request| {
            assert_eq!(
                (request.file.as_str(), request.hold_ms),
                ("app.yaml", Some(7_200_000))
            );
            assert_eq!(request.text, "name: x\n");
            Ok(reply("deploy", "x"))
        })
        .on::<calls::Operate>(move |request| match request.app {
            None => Ok(vec![reply("stop", "a"), reply("stop", "b")]),
            Some(app) => Ok(vec![reply("restart", &app)]),
        })
        .on::<calls::Suspend>(|request| {
            if request.suspend {
                Ok(calls::Nothing {})
            } else {
                Err(RpcError::new(RpcErrorCode::Refused, "it is not suspended"))
            }
        })
        .serve();
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("app.yaml");
    std::fs::write(&spec, "name: x\n").unwrap();
    assert_eq!(
        daemon
            .osier(&["deploy", spec.to_str().unwrap(), "--for", "2h"])
            .out,
        "✓ deploy x\n"
    );
    assert_eq!(daemon.osier(&["stop", "--all"]).out, "✓ stop a\n✓ stop b\n");
    assert_eq!(daemon.osier(&["restart", "web"]).code, Some(0));
    assert_eq!(
        daemon.osier(&["suspend", "web", "--for", "1h"]).out,
        "suspended web\n"
    );
    let refused = daemon.osier(&["resume", "web"]);
    assert_eq!(
        (refused.code, refused.err.as_str()),
        (Some(1), "error: it is not suspended\n")
    );
    assert_eq!(
        daemon.osier(&["stop"]).code,
        Some(2),
        "stop needs an app or --all"
    );
    assert_eq!(daemon.osier(&["deploy", "/nonexistent.yaml"]).code, Some(2));
}

#[test]
fn version_works_without_a_daemon() {
    let daemon = healthy().serve();
    assert_eq!(
        daemon.osier(&["version", "-o", "json"]).json(),
        json!({"client": env!("CARGO_PKG_VERSION"), "daemon": "0.1.0"})
    );
    let alone = ran(osier(&["version", "-o", "json", "--socket", "/nonexistent"]));
    assert_eq!(
        (alone.code, alone.json()["daemon"].clone()),
        (Some(0), json!(null))
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
