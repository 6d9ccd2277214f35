//! What a real node says while git has gone on and it does not follow, and of a configuration that went bad meanwhile.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::cli_node::{SLEEPER, node};
use crate::cli_word::says;
use crate::git_server_http::{HttpServer, Mood};
use crate::real_daemon::RealDaemon;
use crate::specs_repository::Specs;

fn told(node: &RealDaemon, arguments: &[&str]) -> String {
    let ran = node.osier(arguments);
    ran.out + &ran.err
}

/// Everything that a person asks about an app says that git has gone on.
fn is_told_everywhere(node: &RealDaemon, wanted: &[&str]) {
    let status = node.osier(&["status", "-o", "json"]);
    assert_eq!(status.code, Some(1), "{status:?}");
    let status = status.json();
    assert_eq!(status["status"], "degraded");
    let unfollowed = status["unfollowed"]["why"].as_str().unwrap().to_owned();
    says(status["reason"].as_str().unwrap(), &[&unfollowed]);
    for command in [&["why", "web"][..], &["show", "web"], &["apps"]] {
        let text = told(node, command);
        says(&text, wanted);
        assert!(!text.contains("Nothing is left to do."), "{text}");
    }
    assert_eq!(node.app("web")["status"], "running");
}

#[test]
fn a_broken_osier_yaml_is_told_with_its_place_its_fix_and_who_broke_it() {
    let node = node(&[("web", SLEEPER)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    node.specs.put(
        "osier.yaml",
        "# ours\ndefaults:\n  restrat: {type: transient}\ndefalts: {}\n",
    );
    let broken = node.specs.commit("Break the defaults");
    let short = &broken[..7];
    assert_eq!(node.osier(&["reconcile"]).code, Some(1));
    is_told_everywhere(
        &node,
        &[
            &format!("Git has gone on to {short} \"Break the defaults\" (Ada), which is not followed"),
            "osier.yaml:3:3: unknown key `restrat`",
            "did you mean `restart`?",
            "(and 1 more mistake)",
        ],
    );
    let events = node.osier(&["events", "-o", "json"]).json();
    let is_about = |event: &&Value| event["event"] == json!(["bc_gitops", "spec", "invalid"]);
    let invalid: Vec<_> = events.as_array().unwrap().iter().filter(is_about).collect();
    let places: Vec<_> = invalid
        .iter()
        .map(|event| (&event["metadata"]["file"], &event["measurements"]["line"]))
        .collect();
    let (file, three, four) = (json!("osier.yaml"), json!(3), json!(4));
    assert_eq!(places, [(&file, &three), (&file, &four)]);
    assert!(invalid.iter().all(|event| event["metadata"]["commit"] == broken));

    let bare = node.specs.bare();
    for command in [
        &["diff"][..],
        &["diff", "--repo", bare.to_str().unwrap(), "--rev", "main"],
    ] {
        let diff = node.osier(command);
        assert_eq!((diff.code, diff.out.as_str()), (Some(1), ""), "{diff:?}");
        says(
            &diff.err,
            &[
                "osier.yaml:3:3",
                "restrat: {type: transient}",
                "did you mean `restart`?",
            ],
        );
    }

    node.specs.put("osier.yaml", "# ours\n");
    node.specs.commit("Mend them");
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    says(&told(&node, &["why", "web"]), &["Nothing is left to do."]);
    assert_eq!(node.osier(&["apps"]).err, "");
    assert_eq!(node.status()["unfollowed"], Value::Null);
}

#[test]
fn a_rewritten_history_is_told_beside_what_every_app_is() {
    let node = node(&[("web", SLEEPER)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    node.specs.git(&["commit", "-q", "--amend", "-m", "rewritten"]);
    node.specs.git(&["push", "-q", "--force", "origin", "main"]);
    let head = node.specs.head();
    assert_eq!(node.osier(&["reconcile"]).code, Some(1));
    let gone_on = format!("Git has gone on to {}, which is not followed", &head[..7]);
    is_told_everywhere(&node, &[&gone_on, "osier reconcile --accept"]);
}

#[test]
fn a_repository_that_is_gone_leaves_open_what_git_asks_for() {
    let node = node(&[("web", SLEEPER)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    let bare = node.specs.bare();
    std::fs::rename(&bare, bare.with_extension("gone")).unwrap();
    assert_eq!(node.osier(&["reconcile"]).code, Some(1));
    is_told_everywhere(&node, &["Whether git asks for something newer is not known"]);
}

#[test]
fn a_diff_beside_a_server_that_hangs_names_it_and_what_can_be_done_meanwhile() {
    let specs = Specs::new();
    specs.put("apps/web/app.yaml", SLEEPER);
    specs.commit("begin");
    let server = HttpServer::start(specs.bare().parent().unwrap());
    let url = server.url("specs.git");
    let mut node = RealDaemon::new(&url, &["repo.reconcile_interval = \"1h\""]);
    node.start();
    node.wait("it has read its repository", |node| {
        !node.status()["last_reconcile"].is_null()
    });
    server.set(Mood::Silent);
    let diff = node.osier(&["diff"]);
    assert_eq!(diff.code, Some(2), "{diff:?}");
    let head = specs.head();
    says(
        &diff.err,
        &[
            &url,
            "has not answered within 8 s",
            &format!("osier diff --rev {head}"),
        ],
    );
    assert_eq!(node.osier(&["diff", "--rev", &head]).code, Some(0));
}

#[test]
fn a_watched_state_is_one_object_a_line() {
    let node = node(&[("web", SLEEPER), ("db", SLEEPER)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    let mut watching = node
        .command(&["apps", "-w", "-o", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(
        (&first["web"]["status"], &first["db"]["status"]),
        (&json!("running"), &json!("running"))
    );
    node.specs.remove("apps/db/app.yaml");
    node.specs.commit("no db");
    node.does(&["reconcile", "--wait"]);
    let is_gone = |line: std::io::Result<String>| {
        let state: Value = serde_json::from_str(&line.unwrap()).unwrap();
        state["db"].is_null() && !state["web"].is_null()
    };
    assert!(lines.any(is_gone), "what left is no longer in the state");
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn a_configuration_that_went_bad_since_the_start_is_told_before_a_start_needs_it() {
    let node = node(&[("web", SLEEPER)]);
    let check = || {
        let doctor = node.osier(&["doctor", "-o", "json"]).json();
        let checks = doctor.as_array().unwrap().iter();
        let found = checks.filter(|check| check["name"] == "configuration");
        found.cloned().collect::<Vec<_>>()
    };
    assert_eq!(check().len(), 1);
    assert_eq!(check()[0]["state"], "good");
    let good = std::fs::read_to_string(node.config()).unwrap();

    std::fs::write(node.config(), format!("{good}repo.depth = 1\n")).unwrap();
    let changed = check();
    assert_eq!(changed[0]["state"], "warning");
    says(
        changed[0]["found"].as_str().unwrap(),
        &["changed since it was read: repo"],
    );

    std::fs::write(node.config(), format!("{good}repo.brnch = \"x\"\n")).unwrap();
    let broken = check();
    assert_eq!((broken.len(), &broken[0]["state"]), (1, &json!("bad")));
    says(
        broken[0]["found"].as_str().unwrap(),
        &["osier.toml:7:6: `repo` has no setting `brnch` (did you mean `branch`?)"],
    );
    let shown = node.osier(&["config", "show", "--origin", "-o", "json"]);
    says(
        &shown.err,
        &["the configuration has mistakes since it was read", "osier.toml:"],
    );
    let shown = shown.json();
    let values = shown.as_array().unwrap();
    let value = |key: &str| values.iter().find(|value| value["key"] == key).unwrap();
    assert_eq!(value("node.name")["value"], "lab-a");
    assert_eq!(value("node.labels")["value"], json!({}));
    assert_eq!(value("mesh.enabled")["value"], json!(false));
    assert_eq!(value("repo.auth.ssh_key")["value"], Value::Null);
}
