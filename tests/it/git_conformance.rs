//! bc_gitops' own cases for git and the reconciler, each run against the real thing: real git, the real daemon.
//!
//! A case that is the same gives the original's outcome; one that is different on purpose gives ours, and the table in
//! `docs/explanation/bc-gitops-conformance.md` says why. A case that nobody runs fails.

use std::collections::BTreeSet;
use std::time::Duration;

use osier::git::{GitError, GitRepository, Update, open_revision};
use osier::specs::facts::Capabilities;
use osier::specs::{NodeFacts, read_app};
use osier::status::NodeState;
use serde_json::{Value as Json, json};

use crate::git_daemon::silent_port;
use crate::git_source::{Source, open, settings};
use crate::real_daemon::RealDaemon;
use crate::specs_repository::Specs;

const CASES: &str = include_str!("../data/bc_gitops/cases.json");
const TABLE: &str = include_str!("../../docs/explanation/bc-gitops-conformance.md");

/// Cases whose outcome differs from the original's on purpose.
const DIFFERENT: &[&str] = &[
    "pull in a directory that is no repository",
    "pull in a missing directory",
    "branch changed in the configuration after a single-branch clone",
    "force push",
    "commit subject that contains |",
    "source: ref is a commit id",
    "source: shell metacharacters in ref",
    "remote gone at reconcile",
    "one malformed file crashes the reconciler 6 times, then the application is gone",
    "status while a deploy runs",
    "reconcile call longer than 30 s",
    "supervision",
];

const WEB: &str = "version: 1.0.0\ncommand: [/bin/sleep, '1000']\n";

/// An app that takes its time to go: it does not listen to the stop signal.
const STUBBORN: &str = "version: 1.0.0\ncommand: [/bin/sh, -c, 'trap \"\" TERM; while :; do /bin/sleep 1; done']\n\
                        stop: { timeout: 6s }\n";

fn cases(area: &str) -> Vec<(String, Json)> {
    let all: Vec<Json> = serde_json::from_str(CASES).unwrap();
    let of_area = all.into_iter().filter(|case| case["area"] == area);
    of_area
        .map(|case| (case["name"].as_str().unwrap().to_owned(), case))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_git_is_run() {
    for (name, case) in cases("git") {
        println!("{name}");
        git(&name, &case["expect"]).await;
    }
}

/// Is this a repository? By the way that `osier diff --repo` opens one.
fn is_repository(folder: &std::path::Path) -> bool {
    open_revision(folder, "HEAD").is_ok()
}

async fn git(name: &str, expect: &Json) {
    let source = Source::with(&[("a", "1")]);
    let room = source.room.path();
    match name {
        "is_repo with .git" => assert_eq!(json!(is_repository(&source.path)), *expect),
        "is_repo without .git" => {
            std::fs::create_dir(room.join("empty")).unwrap();
            assert_eq!(json!(is_repository(&room.join("empty"))), *expect);
        }
        "is_repo on a missing path" => {
            assert_eq!(json!(is_repository(&room.join("nonexistent/path"))), *expect);
        }
        "ensure_repo on an existing clone does nothing" => {
            source.open().await.update().await.unwrap();
            let repository = open("https://example.com/repo.git", &source.clone_folder()).await;
            assert_eq!(repository.fetched().await.unwrap(), Some(source.head()));
        }
        "pull in a directory that is no repository" => {
            std::fs::create_dir_all(source.clone_folder().join("current")).unwrap();
            std::fs::write(source.clone_folder().join("current/no_repository"), "").unwrap();
            assert_eq!(source.open().await.update().await.unwrap().head(), &source.head());
        }
        "pull in a missing directory" => {
            let repository = source.open().await;
            repository.update().await.unwrap();
            std::fs::remove_dir_all(source.clone_folder().join("current")).unwrap();
            let next = source.commit("next", &[("a", "2")]);
            assert_eq!(repository.update().await.unwrap().head(), &next);
        }
        "clone of a url that does not exist" => {
            let url = format!("file://{}/absent", room.display());
            let error = open(&url, &source.clone_folder())
                .await
                .update()
                .await
                .unwrap_err();
            assert_eq!(error.code(), "not_found", "{error}");
            assert!(error.to_string().contains("no repository"), "{error}");
        }
        "branch changed in the configuration after a single-branch clone" => {
            let repository = source.open().await;
            let main = repository.update().await.unwrap().head().clone();
            repository.accept(main).await.unwrap();
            drop(repository);
            source.git(&["checkout", "-q", "-b", "dev"]);
            let dev = source.commit("on dev", &[("a", "2")]);
            let mut settings = settings(&source.url());
            settings.branch = "dev".parse().unwrap();
            let repository = GitRepository::open(settings, source.clone_folder())
                .await
                .unwrap();
            assert_eq!(repository.update().await.unwrap().head(), &dev);
        }
        "pull returns the 40-digit head commit" => {
            let update = source.open().await.update().await.unwrap();
            let head = update.head().as_str();
            assert!(
                head.len() == 40 && head.bytes().all(|digit| digit.is_ascii_hexdigit()),
                "{head}"
            );
            assert!(matches!(update, Update::Fetched { .. }));
        }
        "force push" => {
            let repository = source.open().await;
            let first = repository.update().await.unwrap().head().clone();
            repository.accept(first).await.unwrap();
            source.git(&["commit", "-q", "--amend", "-m", "rewritten"]);
            let refused = repository.update().await.unwrap_err();
            assert!(matches!(refused, GitError::HistoryRewritten { .. }), "{refused}");
        }
        "commit subject that contains |" => {
            source.commit("one", &[("a", "2")]);
            source.commit("two | three", &[("a", "3")]);
            let repository = source.open().await;
            let head = repository.update().await.unwrap().head().clone();
            let changes = repository.changes(head, "a".to_owned(), 2).await.unwrap();
            let subjects: Vec<&str> = changes
                .iter()
                .map(|change| change.commit.subject.as_str())
                .collect();
            assert_eq!(subjects, ["two | three", "one"]);
        }
        "git silent for 60 s" => {
            let mut settings = settings(&format!("ssh://git@127.0.0.1:{}/x", silent_port()));
            settings.deadlines.connect = Duration::from_secs(1);
            settings.deadlines.idle = Duration::from_secs(1);
            let repository = GitRepository::open(settings, source.clone_folder())
                .await
                .unwrap();
            let error = repository.update().await.unwrap_err();
            assert_eq!(error.code(), "timed_out", "{error}");
            assert_eq!(children_named("ssh"), [0; 0], "the child is still there");
        }
        "source: ref is a commit id" => {
            let commit = source.head();
            let spec = format!(
                "version: 1\ncommand: [bin/app]\nsource: {{ type: git, url: 'https://example.com/a.git', ref: {commit} }}\n"
            );
            let carries_all = NodeFacts {
                capabilities: Capabilities::ALL,
                ..NodeFacts::of_nobody()
            };
            let read = read_app("app.yaml", spec.as_bytes(), "a", &carries_all);
            assert_eq!(read.errors, []);
            let today = read_app("app.yaml", spec.as_bytes(), "a", &NodeFacts::of_nobody());
            assert!(
                today.errors[0].message.contains("not supported yet"),
                "{:?}",
                today.errors
            );
        }
        "source: shell metacharacters in ref" => {
            let spec = r#"{"version": "1", "command": ["bin/app"], "source": {"type": "git", "url": "https://example.com/a.git",
                "ref": "x\"; touch PWNED; echo \""}}"#;
            let read = read_app("app.json", spec.as_bytes(), "a", &NodeFacts::of_nobody());
            assert!(
                read.errors
                    .iter()
                    .any(|error| error.message.contains("`source.ref`")),
                "{:?}",
                read.errors
            );
            // And where a branch is named in the configuration.
            assert!(
                "x\"; touch PWNED; echo \""
                    .parse::<osier::names::BranchName>()
                    .is_err()
            );
        }
        "remote gone at reconcile" => remote_gone(),
        _ => panic!("nobody runs `{name}`"),
    }
}

/// Children of this process whose program has this name.
fn children_named(name: &str) -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|children| {
            children
                .split_whitespace()
                .map(|pid| pid.parse().unwrap())
                .collect::<Vec<i32>>()
        })
        .filter(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name)
        })
        .collect()
}

/// The repository goes; what was accepted stays in force and is kept so.
fn remote_gone() {
    let specs = Specs::new();
    specs.put(
        "apps/web/app.yaml",
        &format!("{WEB}restart: {{ backoff: {{ initial: 0s, max: 0s }} }}\n"),
    );
    specs.commit("web");
    let mut rig = RealDaemon::new(&specs.url(), &[]);
    rig.start();
    rig.wait_for_sync(&specs.head());
    std::fs::rename(specs.bare(), specs.bare().with_extension("away")).unwrap();
    let status = rig.wait_for_reason("no repository");
    assert_eq!(
        (&status["status"], &status["last_commit"]),
        (&json!("degraded"), &json!(specs.head()))
    );
    let pid = rig.app("web")["os_pid"].clone();
    let victim = rustix::process::Pid::from_raw(i32::try_from(pid.as_i64().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(victim, rustix::process::Signal::KILL).unwrap();
    rig.wait("what is killed comes back without the remote", |rig| {
        let web = rig.app("web");
        web["status"] == "running" && web["os_pid"] != pid
    });
}

#[test]
fn every_case_of_the_reconciler_is_run() {
    let specs = Specs::new();
    specs.put("apps/.keep", "");
    specs.commit("no apps");
    let mut rig = RealDaemon::new(&specs.url(), &[]);
    rig.start();
    for (name, case) in cases("reconciler") {
        println!("{name}");
        reconciler(&name, &case, &mut rig, &specs);
    }
}

fn reconciler(name: &str, case: &Json, rig: &mut RealDaemon, specs: &Specs) {
    let expect = &case["expect"];
    match name {
        "starts, answers status, stops" => {
            assert!(rig.leave().success());
            rig.start();
            assert_eq!(rig.status()["node"], "n1");
        }
        "status fields" => {
            let status = rig.status();
            for field in expect.as_array().unwrap() {
                assert!(status.get(field.as_str().unwrap()).is_some(), "{field}");
            }
        }
        "status values" => {
            for word in expect.as_array().unwrap() {
                let state: NodeState = serde_json::from_value(word.clone()).unwrap();
                assert_eq!(state.as_str(), word);
            }
        }
        "no apps and no errors" => rig.wait("synced", |rig| {
            let status = rig.status();
            status["status"] == *expect && status["app_count"] == 0
        }),
        "one malformed file crashes the reconciler 6 times, then the application is gone" => {
            specs.put(
                "apps/bad/app.config",
                case["given"]["apps"]["bad/app.config"].as_str().unwrap(),
            );
            specs.put("apps/web/app.yaml", WEB);
            specs.commit("one bad, one good");
            rig.wait("the good one runs", |rig| rig.app("web")["status"] == "running");
            let bad = rig.app("bad");
            assert_eq!(
                (&bad["status"], &bad["sync"]),
                (&json!("invalid"), &json!("error"))
            );
            let events = rig.osier(&["events", "-o", "jsonl"]).out;
            assert!(
                !events.contains("actor_exited") && !events.contains("actor.exited"),
                "{events}"
            );
            specs.remove("apps/bad/app.config");
            specs.commit("good");
            rig.wait_for_sync(&specs.head());
        }
        "manual deploy of an app not in git" => {
            let file = rig.room.path().join("extra.yaml");
            std::fs::write(&file, format!("name: extra\n{WEB}")).unwrap();
            assert_eq!(rig.osier(&["deploy", file.to_str().unwrap()]).code, Some(0));
            rig.osier(&["reconcile", "--wait"]);
            rig.wait("removed at the next reconcile", |rig| rig.app("extra").is_null());
        }
        "manual upgrade" => {
            let to = case["given"]["to"].as_str().unwrap();
            assert_eq!(rig.osier(&["upgrade", "web", to]).code, Some(0));
            rig.osier(&["reconcile", "--wait"]);
            rig.wait("back at git's version", |rig| {
                let web = rig.app("web");
                web["version"] == "1.0.0" && web["manual"] == false
            });
            let upgrades = rig.osier(&["events", "-o", "jsonl"]).out;
            assert!(upgrades.contains(to), "it never ran: {upgrades}");
        }
        "get_app_status of an unknown app" => {
            let unknown = rig.osier(&["show", "app/absent", "-o", "json"]);
            assert!(
                unknown.code != Some(0) && unknown.err.contains("no app `absent`"),
                "{unknown:?}"
            );
        }
        // The two are one situation: a change that takes long.
        "status while a deploy runs" => {
            specs.put("apps/slow/app.yaml", STUBBORN);
            specs.commit("one that takes long to go");
            rig.wait_for_sync(&specs.head());
            specs.put("apps/slow/app.yaml", &STUBBORN.replace("1.0.0", "2.0.0"));
            specs.commit("slow 2");
            rig.osier(&["reconcile"]);
            assert_eq!(
                rig.app("slow")["version"],
                "1.0.0",
                "status answers while the old one is on its way out"
            );
            assert_eq!(rig.app("slow")["desired_version"], "2.0.0");
        }
        "reconcile call longer than 30 s" => {
            let asked = rig.osier(&["reconcile", "-o", "json"]);
            assert_eq!(asked.json()["commit"], specs.head(), "the answer does not wait");
            assert_eq!(rig.osier(&["reconcile", "--wait"]).code, Some(0));
            assert_eq!(rig.app("slow")["version"], "2.0.0", "who waits hears of the end");
        }
        "supervision" => supervision(rig),
        _ => panic!("nobody runs `{name}`"),
    }
}

fn supervision(rig: &RealDaemon) {
    let tree = rig.osier(&["tree"]).out;
    assert!(
        tree.contains("one_for_one") && tree.contains("rest_for_one"),
        "{tree}"
    );
    let homeless = tempfile::tempdir().unwrap();
    let config = homeless.path().join("osier.toml");
    std::fs::write(
        &config,
        format!("node.data_dir = \"{}\"\n", homeless.path().join("data").display()),
    )
    .unwrap();
    let refused = crate::fake_daemon::ran(crate::fake_daemon::osier(&[
        "--config",
        config.to_str().unwrap(),
        "daemon",
    ]));
    assert!(
        refused.code != Some(0) && refused.err.contains("repo.url"),
        "{refused:?}"
    );
}

#[test]
fn the_table_names_every_case_of_git_and_the_reconciler_once() {
    let mut seen = BTreeSet::new();
    for area in ["git", "reconciler"] {
        for (name, _) in cases(area) {
            let row = format!("| {area} | {} | ", name.replace('|', "\\|"));
            let rows: Vec<&str> = TABLE.lines().filter(|line| line.starts_with(&row)).collect();
            assert_eq!(rows.len(), 1, "{row}");
            let verdict = if DIFFERENT.contains(&name.as_str()) {
                "different"
            } else {
                "same"
            };
            assert!(rows[0].starts_with(&format!("{row}{verdict} |")), "{}", rows[0]);
            seen.insert(name);
        }
    }
    assert_eq!(seen.len(), 26);
    for name in DIFFERENT {
        assert!(seen.contains(*name), "{name} is no case");
    }
}
