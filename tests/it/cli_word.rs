//! What a real node says of apps to which git is not applied: the same as what happens next.

use serde_json::{Value, json};

use crate::cli_node::{SLEEPER, node};
use crate::real_daemon::RealDaemon;

fn why(node: &RealDaemon, app: &str) -> String {
    let ran = node.osier(&["why", app, "-o", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.json()["text"].as_str().unwrap().to_owned()
}

fn actions(document: &Value) -> Vec<String> {
    let actions = document["actions"].as_array().unwrap().iter();
    let word = |action: &Value, field: &str| action[field].as_str().unwrap().to_owned();
    let mut actions: Vec<_> = actions
        .map(|action| format!("{} {}", word(action, "action"), word(action, "app")))
        .collect();
    actions.sort();
    actions
}

pub(crate) fn says(text: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}

#[test]
fn what_was_done_by_hand_and_not_held_is_shown_as_undone_by_the_next_reconcile_and_is() {
    let apps = ["web", "dep", "a", "b"].map(|name| (name, SLEEPER));
    let node = node(&apps);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    let extra = node.file("extra.yaml", &format!("name: extra\n{SLEEPER}"));
    node.does(&["deploy", extra.to_str().unwrap()]);
    node.does(&["upgrade", "web", "5.0"]);
    node.does(&["remove", "dep"]);

    let undone = ["deploy dep", "remove extra", "upgrade web"];
    let repository = node.specs.bare();
    for of in [
        &["diff"][..],
        &["diff", "--repo", repository.to_str().unwrap(), "--rev", "main"],
    ] {
        let diff = node.osier(&[of, &["-o", "json"]].concat());
        assert_eq!(
            (diff.code, actions(&diff.json())),
            (Some(1), undone.map(str::to_owned).into())
        );
    }
    says(
        &why(&node, "web"),
        &[
            "web should run 5.0 by hand; git asks for 1.0.0 (apps/web/app.yaml:1).",
            "The next reconcile undoes that, in ",
        ],
    );
    says(
        &why(&node, "extra"),
        &["git does not ask for it", "The next reconcile undoes that, in "],
    );
    says(
        &why(&node, "dep"),
        &[
            "dep was removed by hand",
            "The next reconcile deploys it again, in ",
        ],
    );
    assert_eq!(node.app("dep")["sync"], "missing");

    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    assert_eq!(node.osier(&["diff"]).code, Some(0));
    let (status, apps) = (node.status(), node.apps());
    assert_eq!(
        (&status["reason"], &status["app_count"]),
        (&Value::Null, &json!(4))
    );
    assert_eq!(apps["web"]["version"], "1.0.0");
    assert_eq!(
        (&apps["dep"]["status"], &apps["extra"]),
        (&json!("running"), &Value::Null)
    );
}

#[test]
fn an_app_that_was_removed_by_hand_says_so_until_it_is_resumed() {
    let node = node(&[("web", SLEEPER), ("dep", SLEEPER)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    node.does(&["remove", "dep", "--for", "10m"]);
    says(
        &why(&node, "dep"),
        &[
            "dep was removed by hand; git asks for 1.0.0",
            "or until `osier resume dep`",
        ],
    );
    assert_eq!(node.osier(&["show", "dep"]).code, Some(0));
    says(&node.osier(&["apps"]).out, &["removed by hand"]);
    for operation in ["start", "restart", "stop"] {
        let ran = node.osier(&[operation, "dep"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        says(&ran.err, &["dep was removed by hand", "`osier resume dep`"]);
    }
    node.does(&["resume", "dep"]);
    assert_eq!(node.osier(&["reconcile", "dep", "--wait"]).code, Some(0));
    assert_eq!(node.app("dep")["status"], "running");
}

#[test]
fn a_resume_that_brings_git_back_to_nothing_says_who_else_suspends_it() {
    let suspended = format!("{SLEEPER}suspend: true\n");
    let node = node(&[("web", SLEEPER), ("sus", &suspended)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    says(&why(&node, "sus"), &["Its spec suspends it"]);
    let ran = node.osier(&["resume", "sus"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    says(
        &ran.err,
        &["no operator suspends sus: its spec does (apps/sus/app.yaml:1)"],
    );

    node.does(&["suspend"]);
    says(
        &why(&node, "web"),
        &["The node is suspended", "until `osier resume`."],
    );
    let ran = node.osier(&["resume", "web"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    says(&ran.err, &["the node is suspended", "`osier resume`"]);
    node.does(&["resume"]);
    node.does(&["resume", "web"]);
}

#[test]
fn a_node_that_is_resumed_keeps_what_was_said_of_single_apps_and_names_them() {
    let node = node(&[("a", SLEEPER), ("b", SLEEPER), ("c", SLEEPER)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    node.does(&["suspend", "a"]);
    node.does(&["upgrade", "b", "2.0", "--for", "1h"]);
    node.does(&["suspend"]);
    let resumed = node.does(&["resume"]);
    says(
        &resumed.err,
        &["git is still not applied to a, b", "`osier resume a`"],
    );
    let apps = node.apps();
    let sync = |app: &str| apps[app]["sync"].as_str().unwrap().to_owned();
    assert_eq!([sync("a"), sync("c")], ["suspended", "synced"]);
    assert_eq!(apps["b"]["version"], "2.0");
    node.does(&["resume", "a"]);
    node.does(&["resume", "b"]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    assert_eq!(node.does(&["resume"]).err, "");
}

#[test]
fn an_app_that_git_places_elsewhere_is_known_as_such() {
    let node = node(&[
        ("web", SLEEPER),
        ("far", &format!("{SLEEPER}placement: {{nodes: [other]}}\n")),
    ]);
    says(
        &why(&node, "far"),
        &["Git asks for far, but not on this node: its `placement` does not choose lab-a"],
    );
    let ran = node.osier(&["show", "far"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    says(
        &ran.err,
        &["its `placement` does not choose lab-a", "[node] labels"],
    );
}

#[test]
fn who_waits_for_one_that_has_given_up_says_so() {
    let gives_up = "version: 1.0.0\nrestart: {type: temporary}\ncommand: [sh, -c, 'exit 3']\n";
    let node = node(&[("db", gives_up), ("web", &format!("{SLEEPER}depends_on: [db]\n"))]);
    node.wait("given up", |node| node.app("db")["status"] == "failed");
    says(
        &why(&node, "web"),
        &["it starts when db is healthy. But db has given up: see `osier why db`."],
    );
}

const LOOPS: &str =
    "version: 1.0.0\nrestart: {backoff: {initial: 10m, max: 10m}}\ncommand: [sh, -c, 'echo boom; exit 7']\n";

fn backs_off(node: &RealDaemon, app: &str) {
    node.wait("in back-off", |node| node.app(app)["status"] == "backoff");
}

#[test]
fn a_restart_is_counted_when_it_happens_by_itself_and_no_other() {
    let node = node(&[("cr", LOOPS)]);
    backs_off(&node, "cr");
    let first = why(&node, "cr");
    says(&first, &["it ended with exit 7", "Next: it is tried again in "]);
    assert!(!first.contains("restarted"), "{first}");
    let by_hand: [&[&str]; 4] = [
        &["restart", "cr"],
        &["stop", "cr"],
        &["start", "cr"],
        &["upgrade", "cr", "2.0", "--for", "1h"],
    ];
    for command in by_hand {
        // It may have ended again when the answer comes, which is then no.
        node.osier(command);
        if command[0] != "stop" {
            backs_off(&node, "cr");
        }
        assert_eq!(node.app("cr")["restarts"], 0, "{command:?}");
    }
    says(
        &why(&node, "cr"),
        &["cr should run 2.0 by hand", "or until `osier resume cr`."],
    );
}

#[test]
fn an_app_in_back_off_is_waited_for_no_longer() {
    let node = node(&[
        ("cr", LOOPS),
        ("web", SLEEPER),
        ("waits", &format!("{SLEEPER}depends_on: [nope]\n")),
        ("nope", &nope()),
    ]);
    backs_off(&node, "cr");
    backs_off(&node, "nope");
    node.specs
        .put("apps/web/app.yaml", &SLEEPER.replace("1.0.0", "2.0.0"));
    node.specs.commit("web 2");
    let ran = node.osier(&["reconcile", "--wait", "--timeout", "50s", "-o", "json"]);
    assert_eq!(
        (ran.code, &ran.json()["result"]),
        (Some(1), &json!("degraded")),
        "{ran:?}"
    );
    assert_eq!(node.app("web")["version"], "2.0.0", "what goes on is waited for");
    assert_eq!(node.osier(&["reconcile", "web", "--wait"]).code, Some(0));
    node.specs.git(&["commit", "-q", "--amend", "-m", "rewritten"]);
    node.specs.git(&["push", "-q", "--force", "origin", "main"]);
    let refused = node.osier(&["reconcile", "--wait", "--timeout", "50s"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    says(&refused.out, &["does not descend"]);
}

fn nope() -> String {
    "name: nope\nversion: 1\nrestart: {backoff: {initial: 10m, max: 10m}}\ncommand: [/nonexistent/program]\n"
        .to_owned()
}

#[test]
fn a_deploy_by_hand_that_cannot_be_executed_is_answered_at_its_first_failure() {
    let node = node(&[("web", SLEEPER)]);
    let file = node.file("nope.yaml", &nope());
    let ran = node.osier(&["deploy", file.to_str().unwrap(), "-o", "json"]);
    let reply = ran.json();
    assert_eq!(
        (ran.code, &reply["result"]),
        (Some(1), &json!("error")),
        "{ran:?}"
    );
    says(
        reply["error"].as_str().unwrap(),
        &["/nonexistent/program", "No such file or directory"],
    );
    assert_eq!(node.app("nope")["status"], "backoff");
}

#[test]
fn an_app_is_waited_for_while_its_dependency_is_coming() {
    let node = node(&[("db", SLEEPER), ("web", &format!("{SLEEPER}depends_on: [db]\n"))]);
    node.wait("known", |node| !node.app("web").is_null());
    let ran = node.osier(&["reconcile", "web", "--wait", "-o", "json"]);
    assert_eq!(
        (ran.code, &ran.json()["result"]),
        (Some(0), &json!("synced")),
        "{ran:?}"
    );
    assert_eq!(node.app("web")["status"], "running");
}
