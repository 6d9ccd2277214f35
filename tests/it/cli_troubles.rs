//! Several troubles at once, as an operator meets them at night: what is said is so, and nothing happens that nobody asked for.

use serde_json::{Value, json};

use crate::cli_node::{SLEEPER, node};
use crate::cli_word::says;
use crate::git_node::SmallDisk;
use crate::real_daemon::RealDaemon;
use crate::specs_repository::Specs;

fn why(node: &RealDaemon, app: &str) -> String {
    let ran = node.osier(&["why", app, "-o", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.json()["text"].as_str().unwrap().to_owned()
}

fn names(node: &RealDaemon) -> Vec<String> {
    node.apps().as_object().unwrap().keys().cloned().collect()
}

#[test]
fn removals_that_were_refused_stay_refused_whatever_is_done_about_some_of_them() {
    let mut node = node(&["a", "b", "c", "d"].map(|app| (app, SLEEPER)));
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    for app in ["a", "b", "c", "d"] {
        node.specs.remove(&format!("apps/{app}/app.yaml"));
    }
    node.specs.put("apps/.keep", "");
    node.specs.commit("a bad merge");
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(1));
    let is_held = |node: &RealDaemon, apps: &[&str]| {
        assert_eq!(names(node), apps);
        let blocked = &node.status()["blocked"];
        assert_eq!(blocked["kind"], "prune", "{blocked}");
    };
    is_held(&node, &["a", "b", "c", "d"]);
    node.does(&["suspend", "b"]);
    node.does(&["suspend", "c"]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(1));
    is_held(&node, &["a", "b", "c", "d"]);
    // One is taken away by hand, which is about that one alone.
    node.osier(&["remove", "d", "--for", "1h"]);
    node.wait("d is gone", |node| node.app("d").is_null());
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(1));
    is_held(&node, &["a", "b", "c"]);
    node.specs.put("README", "another commit");
    node.specs.commit("another commit");
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(1));
    is_held(&node, &["a", "b", "c"]);
    node.kill_and_start();
    node.wait("it was looked at", |node| {
        !node.status()["last_reconcile"].is_null()
    });
    node.does(&["resume", "b"]);
    node.does(&["resume", "c"]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(1));
    is_held(&node, &["a", "b", "c"]);
    assert_eq!(node.osier(&["reconcile", "--prune", "--wait"]).code, Some(0));
    assert_eq!(names(&node), Vec::<String>::new());
}

#[test]
fn another_data_directory_is_no_reload_and_starts_nothing_twice() {
    let node = node(&[("web", SLEEPER)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    let pid = node.app_pid("web");
    let good = std::fs::read_to_string(node.config()).unwrap();
    let other = node.data_dir().with_file_name("other");
    let line = good
        .lines()
        .find(|line| line.starts_with("node.data_dir"))
        .unwrap();
    let moved = good.replace(line, &format!("node.data_dir = {other:?}"));
    std::fs::write(node.config(), moved).unwrap();
    let hang_up = rustix::process::Pid::from_raw(i32::try_from(node.pid()).unwrap()).unwrap();
    rustix::process::kill_process(hang_up, rustix::process::Signal::HUP).unwrap();
    node.wait("the log tells", |node| {
        node.log()
            .contains("`node.data_dir` cannot be changed while the node runs")
    });
    assert_eq!(node.app_pid("web"), pid);
    assert!(!other.exists());
    let doctor = node.osier(&["doctor", "-o", "json"]).json();
    let checks = doctor.as_array().unwrap().iter();
    let found = checks
        .filter(|check| check["name"] == "configuration")
        .collect::<Vec<_>>();
    assert_eq!((found.len(), &found[0]["state"]), (1, &json!("bad")));
    says(
        found[0]["found"].as_str().unwrap(),
        &["`node.data_dir` is another one"],
    );
}

#[test]
fn what_was_done_by_hand_is_undone_at_the_next_reconcile_without_a_server_too() {
    let node = node(&[("web", SLEEPER), ("db", SLEEPER)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    let bare = node.specs.bare();
    std::fs::rename(&bare, bare.with_extension("gone")).unwrap();
    node.does(&["upgrade", "web", "5.0"]);
    node.does(&["remove", "db"]);
    let ran = node.osier(&["reconcile", "--wait", "-o", "json"]);
    assert_eq!(ran.code, Some(1), "the repository is gone: {ran:?}");
    let mut done: Vec<_> = ran.json()["actions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|action| format!("{} {}", action["action"], action["app"]))
        .collect();
    done.sort();
    assert_eq!(done, [r#""deploy" "db""#, r#""upgrade" "web""#]);
    node.wait("as git asked", |node| {
        node.app("web")["version"] == "1.0.0" && node.app("db")["status"] == "running"
    });
    let again = node.osier(&["reconcile", "--wait", "-o", "json"]);
    assert_eq!(again.json()["actions"], json!([]), "nothing was left to do");
}

#[test]
fn a_broken_commit_does_nothing_and_says_so() {
    let node = node(&[("web", SLEEPER)]);
    node.specs.put("osier.yaml", "defalts: {}\n");
    node.specs.commit("Break it");
    for _ in 0..2 {
        let ran = node.osier(&["reconcile", "--wait", "-o", "json"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let reply = ran.json();
        assert_eq!(
            (&reply["actions"], &reply["result"]),
            (&json!([]), &json!("degraded"))
        );
    }
}

#[test]
fn what_the_disk_did_not_take_is_not_told_as_done_for_good() {
    let specs = Specs::new();
    for app in ["web", "db"] {
        specs.put(&format!("apps/{app}/app.yaml"), SLEEPER);
    }
    specs.commit("begin");
    let mut node = RealDaemon::new(&specs.url(), &["repo.reconcile_interval = \"1h\""]);
    std::fs::create_dir(node.data_dir()).unwrap();
    let disk = SmallDisk::at(&node.data_dir());
    let command = node.daemon_under(&disk.prefix);
    node.start_as(command);
    node.wait("they run", |node| {
        ["web", "db"]
            .iter()
            .all(|app| node.app(app)["status"] == "running")
    });
    let full = format!("/proc/{}/root{}/full", node.pid(), node.data_dir().display());
    let mut fill = std::fs::File::create(&full).unwrap();
    let block = vec![1; 64 << 10];
    while std::io::Write::write_all(&mut fill, &block).is_ok() {}
    for command in [&["suspend", "db"][..], &["stop", "web"]] {
        let ran = node.osier(command);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        says(
            &ran.err,
            &[
                "it is done, but a daemon that is started again would not know of it",
                "free space",
            ],
        );
    }
    assert_eq!(node.app("web")["status"], "stopped");
    drop(fill);
    std::fs::remove_file(&full).unwrap();
    for command in [&["stop", "web"][..], &["suspend", "db"]] {
        node.wait("it is kept", |node| node.osier(command).code == Some(0));
    }
}

#[test]
fn a_suspended_app_with_a_bad_spec_is_told_as_both() {
    let node = node(&[("web", SLEEPER), ("db", SLEEPER)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    node.does(&["suspend", "web"]);
    assert_eq!(node.app("web")["desired_version"], "1.0.0");
    node.specs
        .put("apps/web/app.yaml", &format!("{SLEEPER}comand: x\n"));
    node.specs.commit("Bad");
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(1));
    let web = node.app("web");
    assert_eq!(
        (&web["status"], &web["sync"]),
        (&json!("running"), &json!("error"))
    );
    assert_eq!(web["last_error"]["line"], 3);
    assert_eq!(node.status()["status"], "degraded");
    says(
        &why(&node, "web"),
        &[
            "The spec of web has a mistake since",
            "apps/web/app.yaml:3:1",
            "Git is not applied to it until `osier resume web`.",
        ],
    );
}

#[test]
fn an_app_that_its_spec_suspends_is_told_so_whatever_is_done_to_it_by_hand() {
    let suspended = format!("{SLEEPER}suspend: true\n");
    let node = node(&[("web", SLEEPER), ("never", &suspended)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    let ran = node.osier(&["start", "never"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    says(&ran.out, &["is suspended"]);
    node.specs.put("apps/web/app.yaml", &suspended);
    node.specs.commit("suspend web");
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    node.does(&["upgrade", "web", "4.0"]);
    says(
        &why(&node, "web"),
        &["Its spec suspends it: it stays so until a commit changes that."],
    );
    node.does(&["remove", "web"]);
    says(
        &why(&node, "web"),
        &["Its spec suspends it: it stays so until a commit changes that."],
    );
}

#[test]
fn a_refused_history_and_a_server_that_is_gone_are_both_told() {
    let node = node(&[("web", SLEEPER)]);
    assert_eq!(node.osier(&["reconcile", "--wait"]).code, Some(0));
    node.specs.git(&["commit", "-q", "--amend", "-m", "rewritten"]);
    node.specs.git(&["push", "-q", "--force", "origin", "main"]);
    assert_eq!(node.osier(&["reconcile"]).code, Some(1));
    let bare = node.specs.bare();
    std::fs::rename(&bare, bare.with_extension("gone")).unwrap();
    assert_eq!(node.osier(&["reconcile"]).code, Some(1));
    let status = node.status();
    says(
        status["reason"].as_str().unwrap(),
        &[
            "does not descend from the accepted commit",
            "the repository cannot be used",
        ],
    );
    assert_eq!(status["blocked"]["kind"], "history");
}

#[test]
fn a_spec_file_that_is_deployed_by_hand_is_named_as_in_a_repository() {
    let node = node(&[("web", SLEEPER)]);
    let folder = node.data_dir().with_file_name("greeter");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("app.yaml");
    std::fs::write(&file, SLEEPER).unwrap();
    let ran = node.osier(&["deploy", file.to_str().unwrap(), "-o", "json"]);
    assert_eq!((ran.code, &ran.json()["app"]), (Some(0), &json!("greeter")));
    for wrong in [
        &["upgrade", "web", "2", "--sha256", "xx"][..],
        &["reconcile", "--accept", "zz"],
    ] {
        let ran = node.osier(wrong);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:?}");
    }
    assert_eq!(node.app("web")["last_error"], Value::Null);
}
