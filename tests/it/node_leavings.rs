//! What removed apps leave: let go of at once, kept for seven days, given back to an app that returns, removed in the end.

use std::path::Path;
use std::time::Duration;

use osier::node::{Git, Node, NodeHandle, ProcessSettings};

use crate::poll::until;
use crate::real_daemon::{Followed, RealDaemon, sleeper};
use crate::specs_repository::Specs;

fn specs_of(apps: &[&str]) -> Specs {
    let specs = Specs::new();
    for app in apps {
        specs.put(&format!("apps/{app}/app.yaml"), &sleeper(""));
    }
    specs.commit("apps");
    specs
}

fn is_running(daemon: &RealDaemon, app: &str) -> bool {
    daemon.app_pid(app).is_some()
}

/// Open descriptors of the keeper that lead to the app's output pipe.
fn pipes_held(daemon: &RealDaemon, app: &str) -> usize {
    let pipe = daemon.app_dir(app);
    let keeper = crate::keeper_rig::Caller::connect(&daemon.data_dir())
        .unwrap()
        .say_hello()
        .unwrap();
    std::fs::read_dir(format!("/proc/{}/fd", keeper.pid))
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter(|target| target.starts_with(&pipe))
        .count()
}

/// Whether the pipe file is there.
fn has_pipe(daemon: &RealDaemon, app: &str) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::read_dir(daemon.app_dir(app))
        .is_ok_and(|mut entries| entries.any(|entry| entry.unwrap().file_type().unwrap().is_fifo()))
}

#[test]
fn the_keeper_lets_go_of_a_removed_app_and_its_data_stays_for_its_return() {
    let daemon = Followed::start(specs_of(&["a", "b", "c"]), &[]);
    daemon.wait("all run", |daemon| {
        ["a", "b", "c"].iter().all(|app| is_running(daemon, app))
    });
    std::fs::write(daemon.app_dir("a").join("data/precious"), "mine").unwrap();
    assert!(has_pipe(&daemon, "a") && pipes_held(&daemon, "a") == 1);
    let b = daemon.app_pid("b");

    daemon.specs.remove("apps/a/app.yaml");
    daemon.specs.commit("without a");
    daemon.wait("a is forgotten", |daemon| !has_pipe(daemon, "a"));
    assert_eq!(pipes_held(&daemon, "a"), 0);
    assert_eq!(
        std::fs::read_to_string(daemon.app_dir("a").join("data/precious")).unwrap(),
        "mine"
    );
    assert_eq!(pipes_held(&daemon, "b"), 1, "its neighbour is untouched");

    daemon.specs.put("apps/a/app.yaml", &sleeper(""));
    daemon.specs.commit("a again");
    daemon.wait("a runs", |daemon| {
        is_running(daemon, "a") && has_pipe(daemon, "a")
    });
    assert_eq!(
        std::fs::read_to_string(daemon.app_dir("a").join("data/precious")).unwrap(),
        "mine"
    );
    assert_eq!(daemon.app_pid("b"), b);
}

#[test]
fn an_app_that_left_while_no_daemon_ran_is_let_go_of_by_the_next_one() {
    let mut daemon = Followed::start(specs_of(&["a", "b", "c"]), &[]);
    daemon.wait("all run", |daemon| {
        ["a", "b", "c"].iter().all(|app| is_running(daemon, app))
    });
    daemon.kill();
    daemon.specs.remove("apps/a/app.yaml");
    daemon.specs.commit("without a");
    daemon.start();
    daemon.wait("a is forgotten", |daemon| !has_pipe(daemon, "a"));
    assert!(daemon.app_dir("a").join("data").exists());

    // Nor does it matter that the state is lost, with every memory of the app.
    let state = daemon.data_dir().join("state.redb");
    daemon.wait("there is a state", |_| state.exists());
    daemon.kill();
    std::fs::remove_file(&state).unwrap();
    std::fs::write(daemon.app_dir("a").join("data/precious"), "mine").unwrap();
    daemon.start();
    daemon.wait("the folders are kept", |daemon| {
        daemon
            .log()
            .matches("the app has left; its folders are kept")
            .count()
            == 2
    });
    assert!(daemon.app_dir("a").join("data/precious").exists());
    assert!(is_running(&daemon, "b") && is_running(&daemon, "c"));
}

async fn impatient(specs: &Specs, data_dir: &Path, kept: Duration) -> NodeHandle {
    let processes = ProcessSettings::installed(env!("CARGO_BIN_EXE_osier")).ending_with_node();
    let node = Node::builder(Git::new(specs.url()))
        .name("n1")
        .data_dir(data_dir)
        .interval(Duration::from_secs(1))
        .removed_data_kept(kept)
        .processes(processes);
    node.start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_were_kept_long_enough_are_removed_and_what_links_lead_to_is_not() {
    let specs = specs_of(&["a", "b", "c"]);
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(outside.path().join("precious"), "stays").unwrap();
    let node = impatient(&specs, folder.path(), Duration::ZERO).await;
    until("all run", || {
        node.apps().values().filter(|app| app.os_pid.is_some()).count() == 3
    })
    .await;
    let apps = folder.path().join("apps");
    std::os::unix::fs::symlink(outside.path(), apps.join("a/data/link")).unwrap();
    specs.remove("apps/a/app.yaml");
    specs.commit("without a");
    until("its folder is gone", || !apps.join("a").exists()).await;
    until("all of it", || std::fs::read_dir(&apps).unwrap().count() == 2).await;
    assert!(outside.path().join("precious").exists());
    assert_eq!(node.apps().len(), 2);

    // It may come back, and begins with nothing.
    specs.put("apps/a/app.yaml", &sleeper(""));
    specs.commit("a again");
    until("it is back", || {
        node.app("a").is_some_and(|app| app.os_pid.is_some())
    })
    .await;
    assert!(apps.join("a/data").exists() && !apps.join("a/data/link").exists());
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_that_is_left_outlives_the_node() {
    let specs = specs_of(&["a", "b", "c"]);
    let folder = tempfile::tempdir().unwrap();
    let apps = folder.path().join("apps");
    let node = impatient(&specs, folder.path(), Duration::from_secs(5)).await;
    until("all run", || {
        node.apps().values().filter(|app| app.os_pid.is_some()).count() == 3
    })
    .await;
    specs.remove("apps/a/app.yaml");
    specs.commit("without a");
    until("a is gone", || node.app("a").is_none()).await;
    let pipe_is_gone = || {
        !std::fs::read_dir(apps.join("a"))
            .unwrap()
            .any(|entry| entry.unwrap().file_name() == "output")
    };
    until("a is let go of", pipe_is_gone).await;
    node.shutdown().await;
    // A node that would keep folders for a week still gives this one no more than what was left: so it was noted.
    let node = impatient(&specs, folder.path(), Duration::from_secs(7 * 86_400)).await;
    until("its folder is gone", || !apps.join("a").exists()).await;
    node.shutdown().await;
}
