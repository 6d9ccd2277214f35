//! A node inside a host: what the builder promises.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use osier::node::NodeSettings;
use osier::prelude::*;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::mpsc;

use crate::node_life::{PATIENCE, wait};
use crate::specs_repository::Specs;

const TICK: Duration = Duration::from_millis(200);

fn ticker() -> Factories {
    Factories::new().future("ticker", |mut context: EmbeddedContext| async move {
        context.stop.wait().await;
        Ok::<(), std::io::Error>(())
    })
}

fn specs_with_ticker() -> Specs {
    let specs = Specs::new();
    specs.put("apps/ticker/app.yaml", "version: 1\nisolation: embedded\n");
    specs.commit("a ticker");
    specs
}

fn runs(apps: &std::collections::BTreeMap<AppName, AppState>, name: &str) -> bool {
    apps.get(name).is_some_and(|app| app.status == RunState::Running)
}

#[tokio::test]
async fn all_mistakes_of_a_builder_are_reported_together() {
    let mistaken = Node::builder(Git::new("ext::sh -c true").branch("..").proxy("nowhere"))
        .name("-no-")
        .label("", "x")
        .apps_dir("../apps")
        .interval(Duration::ZERO)
        .prune_share_max(7.0)
        .runtime_named("container", osier::testing::FakeRuntime::new())
        .embedded(Factories::new().future("no name", |_| async { Ok::<(), std::io::Error>(()) }))
        .processes(ProcessSettings::this_program());
    let NodeError::Settings(mistakes) = mistaken.start().await.unwrap_err() else {
        panic!("another error");
    };
    let about: Vec<&str> = mistakes
        .iter()
        .map(|mistake| mistake.split(':').next().unwrap())
        .collect();
    assert_eq!(
        about,
        [
            "name",
            "label",
            "apps_dir",
            "interval",
            "prune_share_max",
            "runtime_named",
            "embedded",
            "processes",
            "repository",
            "branch",
            "proxy"
        ],
        "{mistakes:#?}"
    );
    assert!(
        mistakes.iter().any(|mistake| mistake.contains("run_if_asked")),
        "{mistakes:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_of_one_process_share_nothing() {
    let (first, second) = (specs_with_ticker(), Specs::new());
    second.put("apps/web/app.yaml", "version: 1\ncommand: [sleep, '1000']\n");
    second.commit("a process");
    let folder = tempfile::tempdir().unwrap();
    let start = |name: &str, specs: &Specs| {
        let node = Node::builder(Git::new(specs.url())).name(name).interval(TICK);
        let node = node.data_dir(folder.path().join(name)).embedded(ticker());
        node.processes(ProcessSettings::in_process())
    };
    let a = start("a", &first).start().await.unwrap();
    let b = start("b", &second).start().await.unwrap();
    wait(&a, "the ticker of a", |_, apps| {
        runs(apps, "ticker") && apps.len() == 1
    })
    .await;
    wait(&b, "the process of b", |_, apps| {
        runs(apps, "web") && apps.len() == 1
    })
    .await;
    let web = b.app("web").unwrap().os_pid.unwrap();

    a.shutdown().await;
    second.put("apps/ticker/app.yaml", "version: 1\nisolation: embedded\n");
    second.commit("a ticker here as well");
    wait(&b, "b to go on", |_, apps| {
        runs(apps, "web") && runs(apps, "ticker")
    })
    .await;
    assert_eq!(b.app("web").unwrap().os_pid, Some(web));

    // The same data directory belongs to one node at a time, in one process as well.
    let again = start("b", &second).start().await;
    assert!(matches!(again, Err(NodeError::DataDir(_))), "{again:?}");
    b.shutdown().await;
    assert!(!Path::new(&format!("/proc/{web}")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_loses_its_event_and_nothing_else() {
    let specs = specs_with_ticker();
    let folder = tempfile::tempdir().unwrap();
    let (panics, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (counted, noted) = (panics.clone(), seen.clone());
    let node = Node::builder(Git::new(specs.url()))
        .data_dir(folder.path())
        .interval(TICK)
        .embedded(ticker())
        .on_event(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            panic!("a bug of the host");
        })
        .on_event(move |event| noted.lock().unwrap().push(event.name()));
    let node = node.start().await.unwrap();
    let mut stream = node.event_stream();
    wait(&node, "the ticker", |_, apps| runs(apps, "ticker")).await;

    specs.put("apps/ticker/app.yaml", "version: 2\nisolation: embedded\n");
    specs.commit("another version");
    wait(&node, "the upgrade", |_, apps| {
        runs(apps, "ticker")
            && apps["ticker"]
                .version
                .as_ref()
                .is_some_and(|is| is.as_str() == "2")
    })
    .await;
    let upgraded = async { while stream.next().await.unwrap().name() != "upgrade.stop" {} };
    tokio::time::timeout(PATIENCE, upgraded)
        .await
        .expect("the stream tells");
    crate::keeper_rig::wait_until("the good handler saw the upgrade", || {
        seen.lock().unwrap().iter().any(|name| name == "upgrade.stop")
    })
    .await;
    crate::keeper_rig::wait_until("it is called again after a panic", || {
        panics.load(Ordering::SeqCst) > 1
    })
    .await;
    node.shutdown().await;
    let end = async { while stream.next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, end)
        .await
        .expect("the stream ends with the node");
}

struct Host;

impl Actor for Host {
    type Msg = ();
    type State = mpsc::UnboundedSender<ractor::ActorId>;
    type Arguments = Self::State;

    async fn pre_start(&self, _: ActorRef<()>, told: Self::State) -> Result<Self::State, ActorProcessingErr> {
        Ok(told)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        told: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorTerminated(actor, ..) | SupervisionEvent::ActorFailed(actor, _) = event
        {
            told.send(actor.get_id())?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_under_a_hosts_actor_tells_it_its_end_and_ends_with_it() {
    let specs = specs_with_ticker();
    let folder = tempfile::tempdir().unwrap();
    let (told, mut hears) = mpsc::unbounded_channel();
    let (host, _) = Actor::spawn(None, Host, told).await.unwrap();
    let mut nodes = Vec::new();
    for name in ["a", "b"] {
        let node = Node::builder(Git::new(specs.url())).name(name).embedded(ticker());
        let node = node
            .data_dir(folder.path().join(name))
            .spawn_under(host.get_cell());
        nodes.push(node.start().await.unwrap());
    }
    assert_eq!(host.get_children().len(), 2);
    let (b, a) = (nodes.pop().unwrap(), nodes.pop().unwrap());
    let root = a.supervisor().cell().get_id();
    a.shutdown().await;
    let heard = tokio::time::timeout(PATIENCE, hears.recv())
        .await
        .expect("the host hears");
    assert_eq!(heard, Some(root));

    host.stop(None);
    tokio::time::timeout(PATIENCE, b.ended())
        .await
        .expect("b ends with its supervisor");
    let again = Node::builder(Git::new(specs.url()))
        .data_dir(folder.path().join("b"))
        .name("b");
    drop(b);
    again
        .start()
        .await
        .expect("its data directory is free")
        .shutdown()
        .await;
}

/// Everything that the builder makes can be named by a host.
#[test]
fn the_types_that_a_host_keeps_can_be_sent_between_threads() {
    fn sent<T: Send + Sync + 'static>() {}
    sent::<NodeHandle>();
    sent::<NodeSettings>();
    sent::<NodeError>();
}
