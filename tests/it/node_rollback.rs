//! A new version that does not come up gives way to the last good one; an operator can do the same by hand.

use serde_json::{Value, json};

use crate::cli_node::{SLEEPER, node};
use crate::cli_word::says;
use crate::real_daemon::RealDaemon;

/// A version that runs and can be told from others.
fn sleeper(version: &str) -> String {
    SLEEPER.replace("1.0.0", version)
}

fn why(node: &RealDaemon) -> String {
    let ran = node.osier(&["why", "web", "-o", "json"]);
    ran.json()["text"].as_str().unwrap().to_owned()
}

/// Action, from, to and result of each deployment, newest first.
fn history(node: &RealDaemon) -> Vec<[Value; 4]> {
    let ran = node.osier(&["history", "web", "-o", "json"]).json();
    let entries = ran.as_array().unwrap().iter();
    let of =
        |entry: &Value| ["action", "from_version", "to_version", "result"].map(|field| entry[field].clone());
    entries.map(of).collect()
}

#[test]
fn a_version_that_ends_at_once_is_taken_back_told_everywhere_and_tried_no_more() {
    let mut node = node(&[("web", SLEEPER)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    node.wait("proven", |node| node.app("web")["health"] == "healthy");
    node.specs.put(
        "apps/web/app.yaml",
        "version: 2.0.0\ncommand: [sh, -c, 'echo boom; exit 3']\n",
    );
    node.specs.commit("Break web");
    let ran = node.osier(&["reconcile", "--wait", "-o", "json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let action = &ran.json()["actions"][0];
    assert_eq!(
        (&action["app"], &action["result"]),
        (&json!("web"), &json!("error"))
    );
    let why_not = "2.0.0 ended with exit 3; back to 1.0.0";
    assert_eq!(action["error"], why_not);

    let is_taken_back = |node: &RealDaemon| {
        let web = node.app("web");
        let state = ["version", "desired_version", "status", "sync"].map(|field| web[field].clone());
        assert_eq!(
            state,
            ["1.0.0", "2.0.0", "running", "pending"].map(|word| json!(word))
        );
        assert_eq!(web["last_error"]["message"], why_not);
        assert_eq!(web["last_error"]["code"], "osier::app::rolled_back");
        let status = node.status();
        assert_eq!(status["status"], "degraded");
        says(
            status["reason"].as_str().unwrap(),
            &["1 app whose new version did not come up: web"],
        );
        says(
            &why(node),
            &[
                "web should run 2.0.0 since",
                "1.0.0 has run for",
                "It was taken back: 2.0.0 ended with exit 3; back to 1.0.0.",
                "Next: another commit that touches it.",
            ],
        );
    };
    is_taken_back(&node);
    assert_eq!(
        history(&node),
        [
            ["rollback", "2.0.0", "1.0.0", "ok"].map(|word| json!(word)),
            ["upgrade", "1.0.0", "2.0.0", "error"].map(|word| json!(word)),
            [json!("deploy"), Value::Null, json!("1.0.0"), json!("ok")],
        ]
    );
    // Neither another look, nor a restart by hand, nor another daemon tries it again.
    let pid = node.app_pid("web");
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(1));
    assert_eq!(node.app_pid("web"), pid);
    node.does(&["restart", "web"]);
    node.wait("well again", |node| node.app("web")["health"] == "healthy");
    is_taken_back(&node);
    node.kill_and_start();
    node.wait("it was looked at", |node| node.app("web")["sync"] == "pending");
    node.wait("known as well", |node| node.app("web")["health"] == "healthy");
    is_taken_back(&node);

    node.specs.put("apps/web/app.yaml", &sleeper("3.0.0"));
    node.specs.commit("Mend web");
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    let web = node.app("web");
    assert_eq!(
        (&web["version"], &web["last_error"]),
        (&json!("3.0.0"), &Value::Null)
    );
}

#[test]
fn a_version_by_hand_stays_until_a_commit_touches_its_app() {
    let mut node = node(&[("web", SLEEPER), ("db", SLEEPER)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    let refused = node.osier(&["rollback", "web"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    says(
        &refused.err,
        &["no version of web before this one was healthy here"],
    );
    node.wait("proven", |node| node.app("web")["health"] == "healthy");
    for version in ["2.0.0", "3.0.0"] {
        node.specs.put("apps/web/app.yaml", &sleeper(version));
        node.specs.commit(version);
        assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    }
    let refused = node.osier(&["rollback", "web", "--to", "9"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    says(
        &refused.err,
        &["was not healthy as 9 before", "it can go back to 2.0.0, 1.0.0"],
    );
    node.does(&["rollback", "web", "--reason", "slow checkout"]);
    let is_pinned = |node: &RealDaemon, version: &str| {
        let web = node.app("web");
        assert_eq!(
            (&web["version"], &web["desired_version"], &web["manual"]),
            (&json!(version), &json!(version), &json!(true))
        );
        says(
            &why(node),
            &[
                &format!("web should run {version} by hand; git asks for 3.0.0 (apps/web/app.yaml:1)."),
                "Git is not applied to it until a commit touches it, or `osier resume web`.",
            ],
        );
    };
    is_pinned(&node, "2.0.0");
    assert_eq!(
        history(&node)[0],
        ["rollback", "3.0.0", "2.0.0", "ok"].map(|word| json!(word))
    );
    node.does(&["rollback", "web", "--to", "1.0.0"]);
    is_pinned(&node, "1.0.0");
    // A commit about another app, a reconcile and another daemon leave it.
    node.specs.put("apps/db/app.yaml", &sleeper("2.0.0"));
    node.specs.commit("db 2");
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    assert_eq!(node.app("db")["version"], "2.0.0");
    is_pinned(&node, "1.0.0");
    node.kill_and_start();
    node.wait("it was looked at", |node| node.app("web")["sync"] == "suspended");
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    is_pinned(&node, "1.0.0");
    node.specs.put("apps/web/app.yaml", &sleeper("4.0.0"));
    node.specs.commit("web 4");
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    let web = node.app("web");
    assert_eq!(
        (&web["version"], &web["manual"]),
        (&json!("4.0.0"), &json!(false))
    );
    // A pin that is taken back.
    node.does(&["rollback", "web", "--to", "1.0.0"]);
    node.does(&["resume", "web"]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    assert_eq!(node.app("web")["version"], "4.0.0");
}
