//! How nodes and their apps end: in the order of dependencies, and so that another node can take over at once.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use osier::node::{Git, Node, NodeHandle, ProcessSettings};
use osier::rpc::procedures::EventsRequest;
use rustix::process::Signal;

use crate::poll::until;
use crate::real_daemon::{Followed, PATIENCE, sleeper};
use crate::specs_repository::Specs;

/// An app that writes its name into a common file when it is told to end, and takes a moment for it.
fn writes_when_it_ends(app: &str, file: &std::path::Path, depends_on: &str) -> String {
    let script = format!(
        "trap 'sleep 0.3; echo {app} >> {}; exit 0' TERM; echo up; while :; do sleep 0.05; done",
        file.display()
    );
    format!("version: 1.0.0\ncommand: [sh, -c, {script:?}]\ndepends_on: [{depends_on}]\n")
}

fn chain(file: &std::path::Path) -> Specs {
    let specs = Specs::new();
    for (app, depends_on) in [("a-db", ""), ("b-api", "a-db"), ("c-web", "b-api")] {
        specs.put(
            &format!("apps/{app}/app.yaml"),
            &writes_when_it_ends(app, file, depends_on),
        );
    }
    specs.commit("a chain");
    specs
}

fn ended(file: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A daemon whose one app runs, and that app's process.
fn running_one() -> (Followed, Option<u64>) {
    let specs = Specs::new();
    specs.put("apps/a/app.yaml", &sleeper(""));
    specs.commit("a");
    let daemon = Followed::start(specs, &[]);
    daemon.wait("a runs", |daemon| daemon.app_pid("a").is_some());
    let pid = daemon.app_pid("a");
    (daemon, pid)
}

#[test]
fn stop_all_stops_dependents_before_what_they_depend_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ended");
    let daemon = Followed::start(chain(&file), &[]);
    daemon.wait("all are up", |daemon| {
        ["a-db", "b-api", "c-web"]
            .iter()
            .all(|app| daemon.osier(&["logs", app]).out.contains("up"))
    });
    daemon.does(&["stop", "--all", "-y"]);
    assert_eq!(ended(&file), ["c-web", "b-api", "a-db"]);
}

async fn embedded(specs: &Specs, data_dir: &std::path::Path) -> NodeHandle {
    let processes = ProcessSettings::installed(env!("CARGO_BIN_EXE_osier")).ending_with_node();
    let node = Node::builder(Git::new(specs.url()))
        .name("n1")
        .data_dir(data_dir)
        .interval(Duration::from_secs(1));
    node.processes(processes).start().await.unwrap()
}

async fn all_are_up(data_dir: &std::path::Path) {
    let is_up = |app| {
        let log = data_dir.join("apps").join(app).join("logs/output.log");
        std::fs::read_to_string(log).is_ok_and(|text| text.contains("up"))
    };
    until("all are up", || ["a-db", "b-api", "c-web"].into_iter().all(is_up)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_that_end_with_their_node_end_dependents_first_and_start_again_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (file, data_dir) = (folder.path().join("ended"), folder.path().join("data"));
    let specs = chain(&file);
    let node = embedded(&specs, &data_dir).await;
    all_are_up(&data_dir).await;
    node.shutdown().await;
    assert_eq!(ended(&file), ["c-web", "b-api", "a-db"]);

    // Nobody stopped them by hand: the next node runs them.
    let node = embedded(&specs, &data_dir).await;
    let running = node.wait_until(|_, apps| apps.len() == 3 && apps.values().all(|app| app.os_pid.is_some()));
    tokio::time::timeout(PATIENCE, running)
        .await
        .expect("they run again");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_shut_down_leaves_its_data_to_the_next_though_somebody_still_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let specs = Specs::new();
    specs.put("apps/a/app.yaml", &sleeper(""));
    specs.commit("a");
    let first = embedded(&specs, folder.path()).await;
    let running =
        first.wait_until(|_, apps| apps.len() == 1 && apps.values().all(|app| app.os_pid.is_some()));
    tokio::time::timeout(PATIENCE, running).await.expect("it runs");
    // What keeps a node's parts alive: a clone of its handle, and a stream of its events.
    let held = first.clone();
    let follow = EventsRequest {
        follow: true,
        ..EventsRequest::default()
    };
    let stream = first.events(&follow).unwrap();
    first.shutdown().await;

    let second = embedded(&specs, folder.path()).await;
    let running = second.wait_until(|status, apps| {
        apps.len() == 1 && apps.values().all(|app| app.os_pid.is_some()) && status.last_commit.is_some()
    });
    tokio::time::timeout(PATIENCE, running).await.expect("it runs");
    assert!(
        second.status().reason.is_none(),
        "its state is written: {:?}",
        second.status()
    );
    drop((held, stream));
    second.shutdown().await;
    let aside = std::fs::read_dir(folder.path()).unwrap().flatten();
    let aside: Vec<_> = aside
        .filter(|entry| entry.file_name().to_string_lossy().contains("unreadable"))
        .collect();
    assert!(aside.is_empty(), "no state was set aside: {aside:?}");
}

#[test]
fn a_node_begins_anew_at_sighup_while_somebody_follows_its_events() {
    let (daemon, pid) = running_one();
    let mut followers: Vec<_> = (0..4)
        .map(|_| {
            daemon
                .command(&["events", "-f", "-o", "jsonl"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for follower in &mut followers {
        let mut line = String::new();
        let mut out = BufReader::new(follower.stdout.as_mut().unwrap());
        out.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "it follows");
    }
    for round in 1..=3 {
        daemon.configure(&[&format!("node.labels.round = \"{round}\"")]);
        daemon.signal(Signal::HUP);
        daemon.wait("the node began anew", |daemon| {
            daemon.log().matches("the node runs").count() == round + 1
        });
        daemon.wait("it answers, and has found its app", |daemon| {
            daemon.app_pid("a") == pid && pid.is_some()
        });
    }
    for mut follower in followers {
        let _ = follower.kill();
        let _ = follower.wait();
    }
}

#[test]
fn a_new_configuration_by_which_it_cannot_start_leaves_the_daemon_with_the_old_one() {
    let (daemon, pid) = running_one();
    // No socket can be made there, by no user.
    daemon.configure(&["node.socket = \"/proc/osier.sock\""]);
    daemon.signal(Signal::HUP);
    daemon.wait("it goes on by the old one", |daemon| {
        daemon.log().contains("goes on by the one before")
            && daemon.log().matches("the node runs").count() == 2
    });
    daemon.configure(&[]);
    daemon.wait("it has found its app", |daemon| {
        daemon.app_pid("a") == pid && pid.is_some()
    });
}

#[test]
fn a_daemon_that_starts_while_its_predecessor_is_being_killed_waits_for_it() {
    let (mut daemon, pid) = running_one();
    for _ in 0..5 {
        daemon.kill_and_start();
        daemon.wait("it has found its app", |daemon| {
            daemon.app_pid("a") == pid && pid.is_some()
        });
    }
}
