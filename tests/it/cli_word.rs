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

fn says(text: &str, wanted: &[&str]) {
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
