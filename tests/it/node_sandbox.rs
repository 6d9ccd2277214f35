//! A sandbox by its spec: in force, in doctor, in what is shown, and another process when it changes.

use serde_json::Value;

use crate::real_daemon::{Followed, RealDaemon};
use crate::specs_repository::Specs;

/// An app that says what it may write, and runs on.
fn app(sandbox: &str) -> String {
    let script = "echo x > $OSIER_DATA/file && echo data; echo x > ../cache/file && echo cache; echo done; exec sleep 1000";
    format!("version: 1\ncommand: [sh, -c, {script:?}]\nsandbox: {sandbox}\nrestart: {{ intensity: 0 }}\n")
}

fn log(daemon: &RealDaemon, app: &str) -> String {
    std::fs::read_to_string(daemon.app_dir(app).join("logs/output.log")).unwrap_or_default()
}

/// The lines that the newest run of `app` said by itself.
fn said(daemon: &RealDaemon, app: &str) -> Vec<String> {
    let log = log(daemon, app);
    let words = log.lines().filter_map(|line| line.rsplit(' ').next());
    words
        .filter(|word| ["data", "cache", "done"].contains(word))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_spec_confines_its_app_and_another_sandbox_is_another_process() {
    let specs = Specs::new();
    specs.put("apps/a/app.yaml", &app("{ read_only: true }"));
    specs.commit("a");
    let daemon = Followed::start(specs, &[]);
    daemon.wait("a has said what it may", |daemon| {
        said(daemon, "a").ends_with(&["done".to_owned()])
    });
    let means = doctor(&daemon);
    if means["state"] != "good" {
        println!("skipped: {means}");
        return;
    }
    assert_eq!(said(&daemon, "a"), ["data", "done"]);
    let first = daemon.app_pid("a").unwrap();
    let status = std::fs::read_to_string(format!("/proc/{first}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    daemon
        .specs
        .put("apps/a/app.yaml", &app("{ read_only: true, writable: [cache] }"));
    daemon.specs.commit("another sandbox");
    daemon.wait("another process has said what it may", |daemon| {
        said(daemon, "a").iter().filter(|word| *word == "done").count() == 2
    });
    assert_eq!(said(&daemon, "a"), ["data", "done", "cache", "done"]);
    assert_ne!(daemon.app_pid("a"), Some(first));
    assert_eq!(daemon.app("a")["not_enforced"], serde_json::json!([]));
    daemon.wait("it has proven itself", |daemon| {
        daemon.events("reconfigure.stop").len() == 1
    });
}

#[test]
fn an_app_of_a_path_source_runs_confined_from_its_artefact() {
    let specs = Specs::new();
    let spec =
        "version: 1\nsource: { type: path, path: files }\ncommand: [sh, run]\nsandbox: { read_only: true }\n";
    specs.put("apps/a/app.yaml", spec);
    specs.put(
        "apps/a/files/run",
        "echo x > $OSIER_DATA/file && echo data; (echo x > file) || echo done; exec sleep 1000\n",
    );
    specs.commit("a");
    let daemon = Followed::start(specs, &[]);
    daemon.wait("a has said what it may", |daemon| {
        said(daemon, "a") == ["data", "done"]
    });
}

fn doctor(daemon: &RealDaemon) -> Value {
    let told = daemon.osier(&["doctor", "-o", "json"]).json();
    let checks = told.as_array().unwrap().iter();
    let mut named = checks.filter(|check| check["name"] == "sandbox.read_only");
    named.next().unwrap_or_else(|| panic!("{told}")).clone()
}

#[test]
fn a_sandbox_that_cannot_be_had_fails_the_app_with_the_reason_or_is_shown() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let specs = Specs::new();
    specs.put("apps/a/app.yaml", &app("{ read_only: true }"));
    specs.put("apps/open/app.yaml", &app("{ no_new_privileges: true }"));
    specs.commit("a");
    // A user namespace in which there are no mount namespaces to be had.
    let without = "echo 0 > /proc/sys/user/max_mnt_namespaces && echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let prefix = ["unshare", "--user", "--map-root-user", "sh", "-c", without, "sh"].map(str::to_owned);
    let mut daemon = RealDaemon::new(&specs.url(), &[]);
    let command = daemon.daemon_under(&prefix);
    daemon.start_as(command);
    daemon.wait("a has failed", |daemon| daemon.app("a")["status"] == "failed");
    let error = &daemon.app("a")["last_error"];
    assert_eq!(error["code"], "osier::runtime::not_enforceable");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("cannot enforce sandbox.read_only: no private /tmp"),
        "{message}"
    );
    daemon.wait("the open one runs", |daemon| daemon.app_pid("open").is_some());
    let means = doctor(&daemon);
    assert_eq!(means["state"], "warning", "{means}");

    daemon.configure(&specs.url(), &["node.enforce = \"best_effort\""]);
    daemon.kill();
    let command = daemon.daemon_under(&prefix);
    daemon.start_as(command);
    daemon.does(&["restart", "a"]);
    daemon.wait("a runs", |daemon| {
        said(daemon, "a").ends_with(&["done".to_owned()])
    });
    let missing = daemon.app("a")["not_enforced"][0].as_str().unwrap().to_owned();
    assert!(
        missing.starts_with("sandbox.read_only: no private /tmp"),
        "{missing}"
    );
    for told in [&["show", "app/a"][..], &["why", "a"], &["apps"]] {
        let told = daemon.osier(told).out;
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains("sandbox.read_only: no private /tmp"), "{told}");
    }
}
