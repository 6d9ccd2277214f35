//! The command line as an operator's hand on a real node: what it reports is so.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::real_daemon::{Followed, RealDaemon};
use crate::specs_repository::Specs;

pub(crate) const SLEEPER: &str = "version: 1.0.0\ncommand: [sleep, '1000']\n";

fn specs(apps: &[(&str, &str)]) -> Specs {
    let specs = Specs::new();
    for (name, text) in apps {
        specs.put(&format!("apps/{name}/app.yaml"), text);
    }
    specs.commit("begin");
    specs
}

pub(crate) fn node(apps: &[(&str, &str)]) -> Followed {
    following(specs(apps))
}

/// A node that has read what is in `specs` and looks again when it is asked to.
fn following(specs: Specs) -> Followed {
    let more = ["node.name = \"lab-a\"", "repo.reconcile_interval = \"1h\""];
    let node = Followed::start(specs, &more);
    node.wait("it has read its repository", |node| {
        !node.status()["last_reconcile"].is_null()
    });
    node
}

/// Of the events about an app, those of this kind.
fn count(node: &RealDaemon, app: &str, kind: &[&str]) -> usize {
    let events = node.osier(&["events", "--app", app, "-o", "json"]).json();
    let kind: Vec<_> = ["bc_gitops"].iter().chain(kind).copied().collect();
    let is_kind = |event: &&Value| event["event"] == json!(kind);
    events.as_array().unwrap().iter().filter(is_kind).count()
}

#[test]
fn what_cannot_be_deployed_by_hand_is_refused_with_each_place_and_reason() {
    let node = node(&[("web", SLEEPER)]);
    let deploy = |name: &str, text: &str| {
        let file = node.file(name, text);
        node.osier(&["deploy", file.to_str().unwrap()])
    };
    let wrong = deploy(
        "x.yaml",
        "version: 1\ncomand: [x]\nhealth: {port: 0}\ncommand: [y]\n",
    );
    assert_eq!((wrong.code, wrong.out.as_str()), (Some(1), ""), "{wrong:?}");
    for part in [
        "x.yaml:2:1",
        "comand: [x]",
        "did you mean `command`?",
        "x.yaml:3:16",
        "error: x.yaml has 2 mistakes",
    ] {
        assert!(wrong.err.contains(part), "{part}: {}", wrong.err);
    }
    assert!(!wrong.err.contains("\\n"), "{}", wrong.err);
    let me = deploy("me.yaml", &format!("{SLEEPER}depends_on: [me]\n"));
    assert_eq!(me.code, Some(1), "{me:?}");
    assert!(me.err.contains("depends on itself"), "{me:?}");
    let unknown = deploy("y.yaml", &format!("{SLEEPER}depends_on: [zzz]\n"));
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.err.contains("there is no app `zzz`"), "{unknown:?}");
    assert_eq!(
        node.apps().as_object().unwrap().len(),
        1,
        "nothing of it was taken"
    );
    for (digest, why, code) in [
        ("not-a-digest", "give the 64 lower-case hex digits", 2),
        (&*"0".repeat(64), "source without a digest", 1),
    ] {
        let ran = node.osier(&["upgrade", "web", "7.1", "--sha256", digest]);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.err.contains(why), "{ran:?}");
    }
}

#[test]
fn an_app_that_was_removed_by_hand_goes_once_is_named_and_comes_back_when_resumed() {
    let node = node(&[("web", SLEEPER), ("db", SLEEPER)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    let ran = node.osier(&["remove", "web", "--for", "1h", "-o", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        ran.json(),
        json!({"action": "remove", "app": "web", "result": "ok", "error": null})
    );
    node.wait("told of the removal", |node| {
        count(node, "web", &["remove", "stop"]) > 0
    });
    // The next removal, if one followed, would be in the store before this answer.
    let again = node.osier(&["reconcile", "--wait", "-o", "json"]).json();
    assert_eq!(again["actions"], json!([]), "it is held against git");
    assert_eq!(node.osier(&["diff"]).code, Some(0));
    assert_eq!(count(&node, "web", &["remove", "start"]), 1);
    let status = node.status();
    assert_eq!(status["reason"], "1 app removed by hand: web");
    let web = node.app("web");
    assert_eq!(
        (&web["status"], &web["sync"], &web["manual"]),
        (&json!("stopped"), &json!("missing"), &json!(true))
    );

    assert_eq!(node.osier(&["resume", "web"]).code, Some(0));
    let back = node.osier(&["reconcile", "--wait", "-o", "json"]);
    assert_eq!((back.code, &back.json()["result"]), (Some(0), &json!("synced")));
    assert_eq!(node.app("web")["status"], "running");
}

#[test]
fn an_app_that_was_removed_until_the_next_reconcile_is_named_no_longer_than_that() {
    let node = node(&[("web", SLEEPER)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    assert_eq!(node.osier(&["remove", "web"]).code, Some(0));
    assert_eq!(node.status()["reason"], "1 app removed by hand: web");
    let back = node.osier(&["reconcile", "--wait", "-o", "json"]).json();
    assert_eq!(
        (&back["result"], &back["reason"]),
        (&json!("synced"), &Value::Null)
    );
    assert_eq!(node.status()["reason"], Value::Null);
}

#[test]
fn a_change_by_hand_is_shown_as_such_and_undone_by_the_next_reconcile() {
    let node = node(&[
        ("web", SLEEPER),
        ("stuck", "version: 1\ncommand: [/nonexistent/program]\n"),
    ]);
    // It waits for its own app alone, whatever becomes of the others.
    let ran = node.osier(&["upgrade", "web", "2.0.0", "-o", "json"]);
    assert_eq!(
        (ran.code, &ran.json()["result"]),
        (Some(0), &json!("ok")),
        "{ran:?}"
    );
    let web = node.app("web");
    assert_eq!(
        (&web["version"], &web["manual"], &web["sync"]),
        (&json!("2.0.0"), &json!(true), &json!("suspended"))
    );
    assert!(node.osier(&["apps"]).out.contains("changed by hand"));
    let ran = node.osier(&["reconcile", "web", "--wait"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let web = node.app("web");
    assert_eq!(
        (&web["version"], &web["manual"], &web["sync"]),
        (&json!("1.0.0"), &json!(false), &json!("synced"))
    );
}

/// An app that ends only when a file is there, whatever it is told.
fn stubborn(version: &str, leave: &Path) -> String {
    let script = format!(
        "trap '' TERM; while [ ! -e {} ]; do sleep 0.1; done",
        leave.display()
    );
    format!("version: {version}\nstop: {{timeout: 5m}}\ncommand: [sh, -c, {script:?}]\n")
}

#[test]
fn a_reconcile_that_does_not_wait_says_what_is_so_at_that_moment() {
    let leave = tempfile::tempdir().unwrap();
    let leave = leave.path().join("leave");
    let node = node(&[("web", &stubborn("1.0.0", &leave))]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    node.specs.put("apps/web/app.yaml", &stubborn("2.0.0", &leave));
    let commit = node.specs.commit("web 2");
    let ran = node.osier(&["reconcile", "-o", "json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(
        ran.json(),
        json!({
            "commit": commit, "result": "pending", "reason": "1 app with work left: web",
            "actions": [{"action": "upgrade", "app": "web", "result": "pending", "error": null}],
        })
    );
    let late = node.osier(&["reconcile", "--wait", "--timeout", "100ms"]);
    assert_eq!(late.code, Some(124), "{late:?}");
    std::fs::write(&leave, "").unwrap();
    node.osier(&["reconcile", "--wait"]);
    assert_eq!(node.app("web")["version"], "2.0.0");
}

#[test]
fn waiting_ends_when_nothing_more_comes_by_itself() {
    let fails = "version: 1\nrestart: {intensity: 0}\ncommand: [sh, -c, 'exit 3']\n";
    let waits = "version: 1\ndepends_on: [fails]\ncommand: [sleep, '1000']\n";
    let waits_too = "version: 1\ndepends_on: [waits]\ncommand: [sleep, '1000']\n";
    let node = node(&[("fails", fails), ("waits", waits), ("waits-too", waits_too)]);
    let ran = node.osier(&["reconcile", "--wait", "--timeout", "50s", "-o", "json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let reply = ran.json();
    assert_eq!(reply["result"], "degraded");
    let pending = |app: &str| json!({"action": "deploy", "app": app, "result": "pending", "error": null});
    assert_eq!(reply["actions"], json!([pending("waits"), pending("waits-too")]));
    assert_eq!(node.app("waits")["waits_for"], json!(["fails"]));
}

#[test]
fn a_diff_tells_what_a_reconcile_would_do_and_does_none_of_it() {
    let node = node(&[("web", SLEEPER)]);
    let first = node.osier(&["reconcile", "--wait", "-o", "json"]).json()["commit"].clone();
    node.specs.put("apps/new/app.yaml", SLEEPER);
    let commit = node.specs.commit("new");
    for _ in 0..2 {
        let diff = node.osier(&["diff", "-o", "json"]);
        assert_eq!(diff.code, Some(1), "{diff:?}");
        let diff = diff.json();
        assert_eq!(
            (&diff["commit"], &diff["actions"][0]["app"]),
            (&json!(commit), &json!("new"))
        );
    }
    assert_eq!(
        (&node.status()["last_commit"], &node.app("new")),
        (&first, &Value::Null)
    );
    std::fs::remove_dir_all(node.specs.url().trim_start_matches("file://")).unwrap();
    let lost = node.osier(&["diff", "-o", "json"]);
    assert_eq!(
        (lost.code, lost.out.as_str()),
        (Some(2), ""),
        "it cannot tell: {lost:?}"
    );
}

#[test]
fn removals_that_are_held_back_are_seen_in_diff_and_happen_at_the_operators_word() {
    let apps = ["a", "b", "c", "d"].map(|name| (name, SLEEPER));
    let node = node(&apps);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    for (name, _) in apps {
        node.specs.remove(&format!("apps/{name}/app.yaml"));
    }
    node.specs.put("apps/.keep", "");
    let commit = node.specs.commit("nothing");
    let diff = node.osier(&["diff", "-o", "json"]);
    assert_eq!(diff.code, Some(1), "{diff:?}");
    assert_eq!(
        diff.json(),
        json!({
            "commit": commit, "actions": [], "invalid": [],
            "held_back": {
                "apps": ["a", "b", "c", "d"], "accept": "osier reconcile --prune",
                "reason": "4 of 4 apps would go, `prune.max` allows 50 %",
            },
        })
    );
    let shown = node.osier(&["diff"]).out;
    assert!(shown.contains("a  remove, held back"), "{shown}");
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(1));
    assert_eq!(node.status()["blocked"]["kind"], "prune");
    let pruned = node.osier(&["reconcile", "--prune", "--wait", "-o", "json"]);
    assert_eq!(pruned.code, Some(0), "{pruned:?}");
    let gone = |app: &str| json!({"action": "remove", "app": app, "result": "ok", "error": null});
    assert_eq!(
        pruned.json()["actions"],
        json!([gone("a"), gone("b"), gone("c"), gone("d")])
    );
    assert_eq!(node.osier(&["apps", "-o", "json"]).json(), json!({}));
}

fn actors<'a>(node: &'a Value, found: &mut Vec<&'a Value>) {
    found.push(node);
    for child in node["children"].as_array().unwrap() {
        actors(child, found);
    }
}

fn named<'a>(root: &'a Value, name: &str) -> &'a Value {
    let mut all = Vec::new();
    actors(root, &mut all);
    all.into_iter().find(|node| node["name"] == name).unwrap()
}

#[test]
fn the_tree_counts_restarts_and_the_messages_that_wait() {
    let node = node(&[("web", SLEEPER)]);
    let tree = node.osier(&["tree", "-o", "json"]).json();
    let mut all = Vec::new();
    actors(&tree, &mut all);
    let workers: Vec<_> = all.iter().filter(|node| node["kind"] == "actor").collect();
    for role in [
        "store",
        "telemetry_router",
        "web",
        "reconciler",
        "repo_watcher",
        "control",
    ] {
        assert!(workers.iter().any(|worker| worker["name"] == role), "{tree}");
    }
    for worker in workers {
        assert!(worker["mailbox"].is_u64(), "{worker}");
    }
    assert_eq!(node.osier(&["tree", "kill", "core/reconciler"]).code, Some(0));
    node.wait("restarted its reconciler", |node| {
        let tree = node.osier(&["tree", "-o", "json"]).json();
        named(&tree, "reconciler")["restarts"] == 1 && named(&tree, "web")["restarts"] == 0
    });
    // Nobody lost count: what was sent was read.
    node.wait("read its mail", |node| {
        let tree = node.osier(&["tree", "-o", "json"]).json();
        ["reconciler", "repo_watcher", "web"]
            .iter()
            .all(|name| named(&tree, name)["mailbox"] == 0)
    });
    assert_eq!(node.osier(&["tree", "kill", "core/nobody"]).code, Some(2));
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn has_keys(value: &Value, wanted: &str) {
    for key in wanted.split_whitespace() {
        assert!(keys(value).contains(&key), "`{key}` is missing in {value}");
    }
}

#[test]
fn the_documents_have_the_fields_that_others_rely_on() {
    let node = node(&[
        (
            "web",
            "version: 1\ncommand: [sh, -c, 'echo hello; exec sleep 1000']\nenv: {PORT: '80'}\n",
        ),
        ("bad", "version: 1\ncommand: [sleep]\nheath: x\n"),
    ]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(1));
    has_keys(
        &node.status(),
        "node peer_id status reason blocked last_commit branch repo_url app_count healthy_count failed_count \
         pending_count last_reconcile mesh version uptime_s",
    );
    has_keys(&node.status()["last_reconcile"], "at duration_ms result error");
    has_keys(&node.status()["mesh"], "state peers");
    has_keys(
        &node.app("web"),
        "name version description icon status sync health started_at restarts isolation os_pid node path env digest \
         commit desired_version last_error manual",
    );
    let error = node.app("bad")["last_error"].clone();
    has_keys(&error, "code message file line column at");
    assert_eq!(error["message"], "unknown key `heath` in an app");
    assert_eq!(
        (&error["file"], &error["line"], &error["column"]),
        (&json!("apps/bad/app.yaml"), &json!(3), &json!(1))
    );
    let diff = node.osier(&["diff", "-o", "json"]).json();
    has_keys(&diff, "commit actions invalid");
    has_keys(&diff["invalid"][0], "app file line column code message help");
    has_keys(&node.osier(&["why", "web", "-o", "json"]).json(), "app text");
    node.wait("wrote its output", |node| {
        !node.osier(&["logs", "web"]).out.is_empty()
    });
    let line = &node.osier(&["logs", "web", "-o", "json"]).json()[0];
    assert_eq!(line["text"], "hello");
    let at: jiff::Timestamp = line["at"].as_str().unwrap().parse().unwrap();
    assert!((jiff::Timestamp::now().as_second() - at.as_second()).abs() < 600);
    node.wait("wrote its events", |node| {
        count(node, "web", &["deploy", "stop"]) == 1
    });
    let events = node.osier(&["events", "-o", "json"]).json();
    let deployed = events
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["event"][1] == "deploy");
    has_keys(deployed.unwrap(), "id node event measurements metadata timestamp");
}

#[test]
fn a_follower_of_events_goes_on_where_it_left_off() {
    let node = node(&[("web", SLEEPER)]);
    node.wait("deployed", |node| count(node, "web", &["deploy", "stop"]) == 1);
    let all = node.osier(&["events", "-o", "json"]).json();
    let ids: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["id"].clone())
        .collect();
    let after = node.osier(&["events", "--after", ids[0].as_str().unwrap(), "-o", "name"]);
    let shown: Vec<_> = after.out.lines().map(|id| json!(id)).collect();
    assert!(shown.starts_with(&ids[1..]), "{shown:?} {ids:?}");
    let mut follower = node
        .command(&[
            "events",
            "-f",
            "-o",
            "json",
            "--after",
            ids.last().unwrap().as_str().unwrap(),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert_eq!(node.osier(&["suspend", "web", "--for", "1h"]).code, Some(0));
    let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert!(!ids.contains(&event["id"]), "{event}");
    follower.kill().unwrap();
    follower.wait().unwrap();
    let never = node.osier(&["events", "--after", "nonsense"]);
    assert_eq!((never.code, never.out.as_str()), (Some(2), ""));
}

#[test]
fn what_is_asked_of_an_app_that_is_not_there_is_answered_with_2_and_the_nearest_name() {
    let node = node(&[("web", SLEEPER)]);
    for command in [
        "show",
        "why",
        "logs",
        "restart",
        "stop",
        "start",
        "suspend",
        "resume",
        "remove",
        "reconcile",
    ] {
        let ran = node.osier(&[command, "wep", "-o", "json"]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{command}: {ran:?}");
        assert!(
            ran.err.contains("no app `wep` on lab-a"),
            "{command}: {}",
            ran.err
        );
        assert!(ran.err.contains("did you mean `web`?"), "{command}: {}", ran.err);
    }
    let ran = node.osier(&["stop"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("--all"), "{}", ran.err);
}

#[test]
fn a_word_for_removals_is_for_those_that_were_refused_before_it_and_no_others() {
    let apps = ["a", "b", "c", "d", "e", "f"];
    let node = node(&apps.map(|app| (app, SLEEPER)));
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    for app in &apps[..4] {
        node.specs.remove(&format!("apps/{app}/app.yaml"));
    }
    node.specs.commit("four go");
    let early = node.osier(&["reconcile", "--prune", "--wait"]);
    assert_eq!(
        early.code,
        Some(1),
        "nobody has seen what it would remove: {early:?}"
    );
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(1));
    for app in &apps[4..] {
        node.specs.remove(&format!("apps/{app}/app.yaml"));
    }
    node.specs.put("apps/.keep", "");
    node.specs.commit("all go");
    let late = node.osier(&["reconcile", "--prune", "--wait"]);
    assert_eq!(late.code, Some(1), "{late:?}");
    assert!(late.err.contains("look at them first"), "{late:?}");
    assert_eq!(
        node.osier(&["apps", "-o", "json"])
            .json()
            .as_object()
            .unwrap()
            .len(),
        6
    );
    assert_eq!(node.osier(&["reconcile", "--prune", "--wait"]).code, Some(0));
    assert_eq!(node.osier(&["apps", "-o", "json"]).json(), json!({}));
}

#[test]
fn a_reconcile_that_waits_sees_an_app_off_that_had_failed() {
    let fails = "version: 1\ncommand: [/bin/sh, -c, exit 3]\nrestart: {type: temporary}\n";
    let node = node(&[("once", fails)]);
    node.wait("it has failed", |node| node.app("once")["status"] == "failed");
    node.specs.remove("apps/once/app.yaml");
    node.specs.put("apps/.keep", "");
    node.specs.commit("gone");
    let gone = node.osier(&["reconcile", "--wait", "-o", "json"]);
    assert_eq!(gone.code, Some(0), "{gone:?}");
    assert_eq!(gone.json()["actions"][0]["result"], "ok");
}
