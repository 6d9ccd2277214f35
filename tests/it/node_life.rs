//! A commit becomes a process: the thin thread through all floors, by the embedded node over a real keeper.

use std::path::Path;
use std::time::Duration;

use osier::node::{Git, Node, NodeHandle, ProcessSettings};
use osier::rpc::procedures::ReconcileRequest;
use osier::runtime::embedded::{EmbeddedContext, Factories};
use osier::status::{NodeState, RunState, SyncState};

use crate::specs_repository::Specs;

pub const PATIENCE: Duration = Duration::from_secs(20);

async fn node(specs: &Specs, data_dir: &Path) -> NodeHandle {
    let processes = ProcessSettings::installed(env!("CARGO_BIN_EXE_osier")).ending_with_node();
    let node = Node::builder(Git::new(specs.url()))
        .name("n1")
        .data_dir(data_dir)
        .interval(Duration::from_secs(1));
    node.processes(processes).start().await.unwrap()
}

pub async fn wait(
    node: &NodeHandle,
    what: &str,
    is_true: impl FnMut(&osier::status::NodeStatus, &Apps) -> bool,
) {
    let waited = tokio::time::timeout(PATIENCE, node.wait_until(is_true)).await;
    assert!(
        waited.is_ok(),
        "{what} did not happen: {:#?} {:#?}",
        node.status(),
        node.apps()
    );
}

pub type Apps = std::collections::BTreeMap<osier::names::AppName, osier::status::AppState>;

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_becomes_a_process_and_the_next_one_replaces_it() {
    let specs = Specs::new();
    specs.put("apps/web/app.yaml", "version: 1.0.0\ncommand: [sleep, '1000']\n");
    specs.commit("web");
    let folder = tempfile::tempdir().unwrap();
    let node = node(&specs, folder.path()).await;
    wait(&node, "synced", |status, apps| {
        status.status == NodeState::Synced && apps.len() == 1
    })
    .await;
    let web = node.app("web").unwrap();
    assert_eq!((web.status, web.sync), (RunState::Running, SyncState::Synced));
    let pid = web.os_pid.unwrap();
    let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert_eq!(command, "sleep\x001000\0");

    specs.put("apps/web/app.yaml", "version: 2.0.0\ncommand: [sleep, '2000']\n");
    specs.commit("web 2");
    let reply = node
        .reconcile(ReconcileRequest {
            wait: true,
            ..ReconcileRequest::default()
        })
        .await
        .unwrap();
    assert_eq!(reply.commit.unwrap().as_str(), specs.head());
    assert_eq!(
        (reply.actions[0].action.as_str(), reply.actions[0].result.as_str()),
        ("upgrade", "ok")
    );
    let web = node.app("web").unwrap();
    assert!(
        !Path::new(&format!("/proc/{pid}")).exists(),
        "the old instance is gone"
    );
    assert_eq!(web.version.unwrap().as_str(), "2.0.0");

    specs.remove("apps/web/app.yaml");
    specs.put("apps/.keep", "");
    specs.commit("no web");
    wait(&node, "removal", |_, apps| apps.is_empty()).await;
    assert!(!Path::new(&format!("/proc/{}", web.os_pid.unwrap())).exists());
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_app_is_back_and_its_neighbour_never_noticed() {
    let specs = Specs::new();
    let restart = "restart: { backoff: { initial: 0s, max: 0s } }\n";
    specs.put(
        "apps/a/app.yaml",
        &format!("version: 1\ncommand: [sleep, '1000']\n{restart}"),
    );
    specs.put("apps/b/app.yaml", "version: 1\ncommand: [sleep, '1000']\n");
    specs.commit("two");
    let folder = tempfile::tempdir().unwrap();
    let node = node(&specs, folder.path()).await;
    wait(&node, "synced", |status, apps| {
        status.status == NodeState::Synced && apps.len() == 2
    })
    .await;
    let (a, b) = (
        node.app("a").unwrap().os_pid.unwrap(),
        node.app("b").unwrap().os_pid.unwrap(),
    );
    let victim = rustix::process::Pid::from_raw(i32::try_from(a).unwrap()).unwrap();
    rustix::process::kill_process(victim, rustix::process::Signal::KILL).unwrap();
    wait(&node, "restart", |_, apps| {
        apps["a"].os_pid.is_some_and(|pid| pid != a) && apps["a"].restarts == 1
    })
    .await;
    assert_eq!(node.app("b").unwrap().os_pid, Some(b));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_of_the_hosts_own_process_runs_without_a_keeper_and_ends_with_its_commit() {
    let specs = Specs::new();
    specs.put("apps/ticker/app.yaml", "version: 1\nisolation: embedded\n");
    specs.commit("an embedded app");
    let folder = tempfile::tempdir().unwrap();
    let factories = Factories::new().future("ticker", |mut context: EmbeddedContext| async move {
        context.stop.wait().await;
        Ok::<(), std::io::Error>(())
    });
    let node = Node::builder(Git::new(specs.url()))
        .data_dir(folder.path())
        .embedded(factories);
    let node = node.interval(Duration::from_secs(1)).start().await.unwrap();
    wait(&node, "running", |_, apps| {
        apps.values().any(|app| app.status == RunState::Running)
    })
    .await;
    let ticker = node.app("ticker").unwrap();
    assert_eq!((ticker.isolation.as_str(), ticker.os_pid), ("embedded", None));
    specs.remove("apps/ticker/app.yaml");
    specs.put("apps/.keep", "");
    specs.commit("none");
    wait(&node, "removal", |_, apps| apps.is_empty()).await;
    node.shutdown().await;
    assert!(
        !folder.path().join("keeper.sock").exists(),
        "no keeper was needed"
    );
}
