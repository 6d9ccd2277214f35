//! What the command line follows: output, events, a watched screen.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use osier::rpc::procedures as calls;
use serde_json::json;

use crate::fake_daemon::{FakeNode, event};

#[test]
fn logs_are_printed_escaped_and_as_json_lines() {
    let line = |text: &str| calls::LogLine {
        at_ms: 1_767_323_045_000,
        instance: "0".repeat(32),
        text: text.into(),
    };
    let daemon = FakeNode::healthy()
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
    let daemon = FakeNode::healthy()
        .streams::<calls::Events>(&events, true)
        .serve();
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
    let daemon = FakeNode::healthy()
        .streams::<calls::Events>(&events, false)
        .serve();
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
fn a_follower_ends_with_its_reader_though_nothing_happens_any_more() {
    let daemon = FakeNode::healthy()
        .streams::<calls::Events>(
            &[event(1, &["bc_gitops", "deploy", "stop"], &json!({"app": "web"}))],
            true,
        )
        .streams::<calls::Watch>(&[], true)
        .serve();
    for arguments in [&["events", "-f"][..], &["status", "-w", "-o", "jsonl"]] {
        let mut child = daemon
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        let ran: crate::fake_daemon::Ran = child.wait_with_output().unwrap().into();
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn watching_prints_again_when_something_changed() {
    let daemon = FakeNode::healthy()
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
