//! Every change that somebody asks for leaves one line: who, what, with which words, and what came of it. Asked of the real
//! binary, and read after the daemon was killed with no time to write anything.

use serde_json::Value;

use crate::real_daemon::{Followed, sleeper};
use crate::specs_repository::Specs;

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event["metadata"][field].as_str().unwrap_or_default()
}

/// Procedure, target and arguments of an audit event.
fn line(event: &Value) -> (String, String, String) {
    let procedure = text(event, "procedure")
        .trim_start_matches("bc_gitops.")
        .to_owned();
    (
        procedure,
        text(event, "target").to_owned(),
        text(event, "arguments").to_owned(),
    )
}

#[test]
fn each_change_is_on_the_disk_before_its_answer_with_who_asked_and_what_came_of_it() {
    let specs = Specs::new();
    specs.put("apps/a/app.yaml", &sleeper(""));
    specs.commit("a");
    let mut daemon = Followed::start(specs, &[]);
    daemon.wait("a runs", |daemon| daemon.app_pid("a").is_some());
    let spec = daemon.file(
        "extra.yaml",
        &format!("name: extra\n{}", sleeper("env: { TOKEN: hunter2 }\n")),
    );
    let spec = spec.to_str().unwrap().to_owned();
    let asked: Vec<Vec<&str>> = vec![
        vec!["restart", "a"],
        vec!["stop", "a"],
        vec!["start", "a"],
        vec!["suspend", "a", "--reason", "a look"],
        vec!["resume", "a"],
        // Held: else the next look at the repository undoes it.
        vec!["deploy", &spec, "--for", "1h"],
        vec!["upgrade", "extra", "2.0.0", "--for", "1h"],
        vec!["remove", "extra", "-y"],
        vec!["reconcile", "--prune"],
        vec![
            "reconcile",
            "--accept",
            "0123456789012345678901234567890123456789",
        ],
        vec!["restart", "nobody"],
    ];
    let codes: Vec<(String, Option<i32>)> = asked
        .iter()
        .map(|words| (words.join(" "), daemon.osier(words).code))
        .collect();
    daemon.kill();
    daemon.start();

    let events = daemon.events("audit");
    let lines: Vec<_> = events.iter().map(line).collect();
    let procedures: Vec<&str> = lines.iter().map(|(procedure, ..)| procedure.as_str()).collect();
    let expected = [
        "operate",
        "operate",
        "operate",
        "suspend",
        "suspend",
        "deploy",
        "upgrade",
        "remove",
        "reconcile",
        "reconcile",
        "operate",
    ];
    assert_eq!(procedures, expected, "{codes:?} {lines:?}");
    let said = |number: usize, target: &str, words: &[&str]| {
        let (_, found, arguments) = &lines[number];
        assert_eq!(found, target, "{lines:?}");
        assert!(
            words.iter().all(|word| arguments.contains(word)),
            "{words:?}: {lines:?}"
        );
    };
    said(0, "a", &["operation:restart"]);
    said(1, "a", &["operation:stop"]);
    said(2, "a", &["operation:start"]);
    said(3, "a", &["suspend:true"]);
    assert_eq!(text(&events[3], "reason"), "a look");
    assert!(!lines[4].2.contains("suspend:true"), "resume");
    said(5, &lines[5].1.clone(), &["text:blake3:"]);
    said(6, "extra", &["version:2.0.0"]);
    said(7, "extra", &[]);
    said(8, "", &["prune:true"]);
    said(9, "", &["accept:0123456789012345678901234567890123456789"]);
    said(10, "nobody", &["operation:restart"]);
    assert!(
        !format!("{events:?}").contains("hunter2"),
        "a spec's secrets stay out of the audit"
    );

    let me = rustix::process::getuid().as_raw();
    for (number, event) in events.iter().enumerate() {
        let actor = text(event, "actor");
        assert!(
            actor.contains(&format!("uid {me}")) && actor.contains("pid "),
            "{actor}"
        );
        let is_refused = [8, 9, 10].contains(&number);
        assert_eq!(
            text(event, "result") == "ok",
            !is_refused,
            "{number}: {event:?} {codes:?}"
        );
    }
    if me == 0 {
        assert!(text(&events[0], "actor").starts_with("root (uid 0, pid "));
    }
}

#[test]
fn a_change_whose_caller_left_before_its_end_is_told_all_the_same() {
    let specs = Specs::new();
    // It heeds no signal: its stop takes its whole grace.
    let stubborn = "version: 1.0.0\ncommand: [sh, -c, \"trap '' TERM; echo up; while :; do sleep 1; done\"]\nstop: { timeout: 4s }\n";
    specs.put("apps/a/app.yaml", stubborn);
    specs.commit("a");
    let daemon = Followed::start(specs, &[]);
    daemon.wait("a runs", |daemon| daemon.osier(&["logs", "a"]).out.contains("up"));
    let mut caller = daemon.command(&["stop", "a"]).spawn().unwrap();
    daemon.wait("it is being stopped", |daemon| {
        daemon.apps()["a"]["status"] == "stopping"
    });
    caller.kill().unwrap();
    caller.wait().unwrap();
    daemon.wait("it is told", |daemon| !daemon.events("audit").is_empty());
    let events = daemon.events("audit");
    assert_eq!(line(&events[0]).1, "a");
    assert_eq!(
        text(&events[0], "result"),
        "nobody waited for the end; what was begun goes on"
    );
    daemon.wait("it is stopped all the same", |daemon| {
        daemon.apps()["a"]["status"] == "stopped"
    });
}
