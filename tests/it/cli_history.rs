//! `osier history` of a real node: what was done, by whom, and how it went, also after a crash.

use serde_json::{Value, json};

use crate::cli_node::{SLEEPER, node};
use crate::real_daemon::RealDaemon;

fn history(node: &RealDaemon, arguments: &[&str]) -> Vec<Value> {
    let ran = node.osier(&[&["history", "-o", "json"], arguments].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.json().as_array().unwrap().clone()
}

/// Action, versions and result of each, newest first.
fn told(entries: &[Value]) -> Vec<[Value; 4]> {
    let of =
        |entry: &Value| ["action", "from_version", "to_version", "result"].map(|field| entry[field].clone());
    entries.iter().map(of).collect()
}

#[test]
fn what_was_done_to_an_app_is_told_with_who_asked_and_how_it_went() {
    let mut node = node(&[("web", SLEEPER), ("db", SLEEPER)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    let first = node.specs.head();
    node.specs.put(
        "apps/web/app.yaml",
        "version: 2.0.0\ncommand: [/nonexistent/program]\nrestart: {backoff: {initial: 10m, max: 10m}}\n",
    );
    let broken = node.specs.commit("Upgrade web");
    node.osier(&["reconcile", "--wait"]);
    node.does(&["upgrade", "db", "9.0", "--for", "1h"]);
    node.wait("the last of it is told", |node| history(node, &["db"]).len() == 2);

    let web = history(&node, &["web"]);
    assert_eq!(
        told(&web),
        [
            [json!("upgrade"), json!("1.0.0"), json!("2.0.0"), json!("error")],
            [json!("deploy"), json!(null), json!("1.0.0"), json!("ok")],
        ]
    );
    assert_eq!(
        (
            &web[0]["commit"],
            &web[0]["author"],
            &web[0]["subject"],
            &web[0]["by"]
        ),
        (&json!(broken), &json!("Ada"), &json!("Upgrade web"), &Value::Null)
    );
    assert_eq!(web[1]["commit"], json!(first));
    let why = web[0]["error"].as_str().unwrap();
    assert!(why.contains("/nonexistent/program"), "{why}");
    assert_eq!(web[0]["digest"].as_str().unwrap().len(), 64);

    let db = history(&node, &["db"]);
    assert_eq!(
        told(&db)[0],
        [json!("upgrade"), json!("1.0.0"), json!("9.0"), json!("ok")]
    );
    assert_eq!((&db[0]["commit"], &db[0]["author"]), (&Value::Null, &Value::Null));
    let by = db[0]["by"].as_str().unwrap();
    assert!(by.contains("uid "), "{by}");

    // What was done is written within a second; a daemon that is killed then has lost nothing.
    node.wait("it is on the disk", |node| {
        node.osier(&["history"]).code == Some(0)
    });
    node.does(&["remove", "web", "--for", "1h"]);
    let before = history(&node, &[]);
    assert_eq!((before.len(), &before[0]["action"]), (5, &json!("remove")));
    node.kill();
    node.start();
    let after = history(&node, &["web"]);
    assert_eq!(after[0]["action"], "remove", "one that is gone has a history");
    assert_eq!(history(&node, &[]), before);

    let table = node.osier(&["history", "web"]);
    for part in [
        "upgrade",
        "1.0.0",
        "2.0.0",
        &broken[..7],
        "Ada",
        "/nonexistent/program",
    ] {
        assert!(table.out.contains(part), "{part}: {}", table.out);
    }
    let unknown = node.osier(&["history", "wbe"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.err.contains("no app `wbe`"), "{unknown:?}");
}
