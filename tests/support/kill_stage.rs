//! A running node whose actors are killed: a repository, apps as real processes, the node in this process with its control
//! socket, everybody who listens to its events, and the kernel's opinion of what runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use osier::control::client::Client;
use osier::names::InstanceId;
use osier::node::{Git, Node, NodeHandle, ProcessSettings};
use osier::rpc::procedures::{Events, EventsRequest};
use osier::runtime::keeper::proc::all_processes;
use osier::runtime::keeper::protocol::Request;
use osier::supervisor::ExitReason;
use osier::telemetry::EventRecord;
use ractor::ActorCell;
use tokio::task::JoinHandle;

use crate::keeper_rig::{Caller, environment_of, kill};
use crate::kill_model::hold;
use crate::poll::{PATIENCE, until};
use crate::specs_repository::Specs;

/// What somebody heard, in the order in which he heard it.
pub type Heard = Arc<Mutex<Vec<EventRecord>>>;

/// The node and all around it.
pub struct Stage {
    pub specs: Specs,
    folder: tempfile::TempDir,
    /// Every app's environment holds it.
    mark: String,
    node: Option<NodeHandle>,
    /// What a handler of the host was called with.
    pub handled: Heard,
    /// What somebody in this process heard who follows.
    pub followed: Heard,
    /// What somebody heard who follows through the control socket.
    pub streamed: Heard,
    follower: Option<JoinHandle<()>>,
    streamer: Option<JoinHandle<()>>,
}

/// One process tree of an app, as the kernel sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Root {
    pub app: String,
    /// What `GEN` says in its environment.
    pub generation: u32,
    pub pid: u32,
    /// It and all below it.
    pub processes: usize,
}

impl Stage {
    /// A repository without apps, and nothing that runs.
    pub fn new() -> Self {
        Self {
            specs: Specs::new(),
            folder: tempfile::tempdir().unwrap(),
            mark: InstanceId::random().to_string(),
            node: None,
            handled: Heard::default(),
            followed: Heard::default(),
            streamed: Heard::default(),
            follower: None,
            streamer: None,
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("osier.sock")
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn node(&self) -> &NodeHandle {
        self.node.as_ref().expect("the node was started")
    }

    /// What `KILLS` says in the environment of this stage's apps: their processes are found by it.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// Starts the node.
    ///
    /// The intensity is widened, because here somebody kills a node's actors more often than twenty times a minute. What
    /// happens at the default is another test.
    pub async fn start(&mut self) {
        let node = self.builder().start().await.unwrap();
        self.follower = Some(self.follow(&node));
        if self.streamer.is_none() {
            self.streamer = Some(self.stream());
        }
        self.node = Some(node);
    }

    fn builder(&self) -> osier::node::NodeBuilder {
        let processes = ProcessSettings::installed(env!("CARGO_BIN_EXE_osier"));
        let handled = Heard::clone(&self.handled);
        Node::builder(Git::new(self.specs.url()))
            .name("n1")
            .data_dir(self.data_dir())
            .interval(Duration::from_millis(200))
            .control_socket(self.socket())
            .restart_intensity(100_000, Duration::from_secs(3_600))
            .on_event(move |event| handled.lock().unwrap().push(event.clone()))
            .processes(processes)
    }

    /// In this process: a stream that ends with the node.
    fn follow(&self, node: &NodeHandle) -> JoinHandle<()> {
        let followed = Heard::clone(&self.followed);
        let request = EventsRequest {
            follow: true,
            ..since(&followed)
        };
        let mut events = node.events(&request).unwrap();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                followed.lock().unwrap().push(EventRecord::clone(&event));
            }
        })
    }

    /// Through the socket: when the door is killed it is told so, connects anew and goes on behind what it heard last.
    fn stream(&self) -> JoinHandle<()> {
        let (socket, streamed) = (self.socket(), Heard::clone(&self.streamed));
        tokio::spawn(async move {
            loop {
                let request = EventsRequest {
                    follow: true,
                    ..since(&streamed)
                };
                let Ok(client) = Client::connect(&socket).await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let Ok(mut items) = client.stream::<Events>(&request).await else {
                    continue;
                };
                while let Ok(Some(event)) = items.next().await {
                    streamed.lock().unwrap().push(event);
                }
            }
        })
    }

    /// The actor at a path such as `core/apps/web`, once it runs; the root's own is at the empty one.
    pub async fn actor(&self, path: &str) -> ActorCell {
        let find = async {
            loop {
                if let Some(cell) = self.running(path).await {
                    return cell;
                }
                tokio::task::yield_now().await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, find).await;
        found.unwrap_or_else(|_| panic!("no actor comes back at `{path}`"))
    }

    async fn running(&self, path: &str) -> Option<ActorCell> {
        let root = self.node().supervisor();
        if path.is_empty() {
            return Some(root.cell());
        }
        let (mut children, mut found) = (root.tree(PATIENCE).await.ok()?.children, None);
        for part in path.split('/') {
            let (info, below) = children.into_iter().find(|(info, _)| info.id.as_str() == part)?;
            found = info.child;
            children = below.map(|tree| tree.children).unwrap_or_default();
        }
        found.map(|child| child.cell().clone())
    }

    /// Waits until the node as a whole has ended, and starts it again.
    pub async fn start_again(&mut self) -> ExitReason {
        let node = self.node.take().expect("the node was started");
        // Nothing is left of it then: the next one finds its data directory free.
        let ended = tokio::time::timeout(PATIENCE, node.ended()).await;
        if let Some(follower) = self.follower.take() {
            let followed = tokio::time::timeout(PATIENCE, follower).await;
            followed.expect("a stream of events ends with its node").unwrap();
        }
        self.start().await;
        ended.expect("a node whose root was killed ends")
    }

    /// Every tree of this stage's apps.
    pub fn roots(&self) -> Vec<Root> {
        let mark = format!("KILLS={}", self.mark);
        let mut apps: BTreeMap<i32, (String, u32)> = BTreeMap::new();
        let processes: Vec<_> = all_processes()
            .into_iter()
            .filter(|process| !process.is_zombie())
            .collect();
        for process in &processes {
            let environment = environment_of(process.pid);
            let of = |name: &str| environment.iter().find_map(|entry| entry.strip_prefix(name));
            if let (true, Some(app), Some(generation)) =
                (environment.contains(&mark), of("OSIER_APP="), of("GEN="))
            {
                apps.insert(process.pid, (app.to_owned(), generation.parse().unwrap()));
            }
        }
        let mut roots: BTreeMap<i32, Root> = BTreeMap::new();
        let parents: BTreeMap<i32, i32> = processes.iter().map(|p| (p.pid, p.parent)).collect();
        for (pid, (app, generation)) in &apps {
            let mut root = *pid;
            while let Some(parent) = parents.get(&root).filter(|parent| apps.contains_key(parent)) {
                root = *parent;
            }
            let entry = roots.entry(root).or_insert_with(|| Root {
                app: app.clone(),
                generation: *generation,
                pid: root.cast_unsigned(),
                processes: 0,
            });
            entry.processes += 1;
        }
        let mut roots: Vec<Root> = roots.into_values().collect();
        roots.sort();
        roots
    }
}

/// The last thing that happens: everybody has heard everything when he has heard this.
const LAST: &str = "nothing comes after this";

impl Stage {
    /// What each of the three who listen has heard, up to one and the same event: the handler, who follows, who follows
    /// through the socket. Routine events are left out: who was away at the time does not hear them.
    pub async fn heard_by_all(&self) -> [Vec<u64>; 3] {
        hold(self, None, false, LAST).await;
        let mut all = [Vec::new(), Vec::new(), Vec::new()];
        for (heard, counters) in [&self.handled, &self.followed, &self.streamed]
            .into_iter()
            .zip(&mut all)
        {
            until("everybody has heard it", || {
                heard.lock().unwrap().iter().any(is_last)
            })
            .await;
            let heard = heard.lock().unwrap();
            let end = heard.iter().position(is_last).unwrap();
            *counters = heard[..=end]
                .iter()
                .filter(|event| !is_routine(event))
                .map(counter)
                .collect();
        }
        all
    }

    /// Was there an event whose name begins so?
    pub fn has_heard(&self, name: &str) -> bool {
        let heard = self.handled.lock().unwrap();
        heard.iter().any(|event| event.name().starts_with(name))
    }

    /// What the ring has.
    pub async fn kept(&self) -> BTreeSet<u64> {
        let mut kept = BTreeSet::new();
        let mut events = self.node().events(&since(&Heard::default())).unwrap();
        while let Some(event) = events.next().await {
            kept.insert(counter(&event));
        }
        kept
    }
}

fn is_last(event: &EventRecord) -> bool {
    event.text("reason") == Some(LAST)
}

fn is_routine(event: &EventRecord) -> bool {
    let actions = event
        .measurements
        .get("actions")
        .and_then(serde_json::Value::as_u64);
    match event.name().as_str() {
        "reconcile.start" => true,
        "reconcile.stop" => actions == Some(0),
        _ => false,
    }
}

fn counter(event: &EventRecord) -> u64 {
    event.id.rsplit(':').next().unwrap().parse().unwrap()
}

/// Behind what was heard last; everything, where that is nothing.
fn since(heard: &Heard) -> EventsRequest {
    let after = heard.lock().unwrap().last().map(|event| event.id.clone());
    EventsRequest {
        since_ms: after.is_none().then_some(0),
        after,
        ..EventsRequest::default()
    }
}

impl Drop for Stage {
    /// Ends the keeper with all its apps, in whatever state the test left them; and what the keeper does not know.
    fn drop(&mut self) {
        for task in self.follower.iter().chain(&self.streamer) {
            task.abort();
        }
        if let Some(node) = &self.node {
            node.supervisor().cell().kill();
        }
        if let Ok(mut caller) = Caller::connect(&self.data_dir()) {
            caller.say_hello();
            caller.send(Request::Shutdown { stop_apps: true });
            caller.read_to_end();
        }
        for root in self.roots() {
            kill(root.pid, libc::SIGKILL);
        }
    }
}
