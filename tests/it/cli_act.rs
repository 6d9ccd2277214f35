//! What the command line asks a node to do, how long it waits, and with which code it ends.

use std::process::Stdio;

use osier::rpc::procedures as calls;
use osier::rpc::{RpcError, RpcErrorCode};
use serde_json::json;

use crate::fake_daemon::{FakeNode, commit, event};

fn reconciled(result: &str, action: &str) -> calls::ReconcileReply {
    calls::ReconcileReply {
        commit: Some(commit()),
        result: result.into(),
        reason: (result != "synced").then(|| "web failed".to_owned()),
        actions: vec![calls::ActionReply {
            note: None,
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
        let daemon = FakeNode::healthy()
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
    let daemon = FakeNode::healthy()
        .on::<calls::Reconcile>(|_| Ok(reconciled("degraded", "error")))
        .serve();
    insta::assert_snapshot!(daemon.osier(&["reconcile"]).out);
}

#[test]
fn the_request_of_a_reconcile_is_what_was_typed() {
    let daemon = FakeNode::healthy()
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
    let daemon = FakeNode::healthy().silent_on::<calls::Reconcile>().serve();
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
    let daemon = FakeNode::healthy()
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
    let daemon = FakeNode::healthy().silent_on::<calls::Reconcile>().serve();
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

#[test]
fn by_hand_actions_ask_for_what_was_typed() {
    let reply = |action: &str, app: &str| calls::ActionReply {
        note: None,
        action: action.into(),
        app: app.parse().unwrap(),
        result: "ok".into(),
        error: None,
    };
    let daemon = FakeNode::healthy()
        .on::<calls::Deploy>(move |request| {
            // With its folder, which names the app where the spec does not.
            let (folder, name) = request.file.split_once('/').unwrap();
            assert!(!folder.is_empty());
            assert_eq!((name, request.hold_ms), ("app.yaml", Some(7_200_000)));
            assert_eq!(request.text, "name: x\n");
            Ok(reply("deploy", "x"))
        })
        .on::<calls::Operate>(move |request| match request.app {
            None => Ok(vec![reply("stop", "a"), reply("stop", "b")]),
            Some(app) => Ok(vec![reply("restart", &app)]),
        })
        .on::<calls::Suspend>(|request| {
            if request.suspend {
                Ok(calls::SuspendReply::default())
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
