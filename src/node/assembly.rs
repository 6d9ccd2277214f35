//! Puts a node together: the services that actors share, and the supervision tree over them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::builder::NodeBuilder;
use super::configuration::Configuration;
use super::{AtEnd, NodeError, NodeHandle, NodeSettings, processes};
use crate::actors::app::{AppServices, SteadyClock};
use crate::actors::apps::Apps;
use crate::actors::board::Board;
use crate::actors::directory::Directory;
use crate::actors::housekeeper::{Housekeeper, HousekeeperMsg, HousekeeperServices, LeavingsMemory};
use crate::actors::mailbox::{self, Mailbox};
use crate::actors::memory::{CloneArtefacts, CloneReader};
use crate::actors::node_board::NodeBoard;
use crate::actors::recollection::Recollection;
use crate::actors::reconciler::{Memory, Reconciler, ReconcilerMsg, ReconcilerServices};
use crate::actors::repo_watcher::{AcceptedMemory, RepoWatcher, SharedClone, WatcherServices};
use crate::actors::store_watch::{self, StoreWatchArguments};
use crate::actors::telemetry_router::Telemetry;
use crate::control::door::{ControlDoor, DoorArguments};
use crate::control::procedures::origin::Origins;
use crate::control::procedures::{NodeContext, stopping};
use crate::lifecycle::AppRecord;
use crate::names::AppName;
use crate::probe::custom::HealthChecks;
use crate::runtime::Runtimes;
use crate::runtime::embedded::EmbeddedRuntime;
use crate::runtime::leavings::folders::AppFolders;
use crate::source::release::Releases;
use crate::source::store::ArtefactStore;
use crate::specs::NodeFacts;
use crate::store::{DataDir, DataDirError, Store};
use crate::supervisor::{
    Blueprint, ChildSpec, Consequence, DynamicFlags, DynamicSupervisor, Flags, Notice, Observer, Strategy,
    SupervisorRef,
};
use crate::telemetry::{Event, EventRecord, EventSink};

/// Restarts of all app actors together that are allowed: each is one app's, and a node may have thousands.
const APPS_INTENSITY: (u32, Duration) = (1_000, Duration::from_secs(60));

/// What a node is made of, beside its settings.
pub(super) struct Parts {
    pub settings: NodeSettings,
    pub facts: NodeFacts,
    pub runtimes: Runtimes,
    pub health_checks: HealthChecks,
    pub events: Arc<dyn EventSink>,
    pub telemetry: Telemetry,
    pub records: Arc<dyn crate::actors::app::AppRecords>,
    pub known: BTreeMap<AppName, AppRecord>,
    pub memory: Arc<dyn Memory>,
    pub accepted: Arc<dyn AcceptedMemory>,
    pub leavings: Arc<dyn LeavingsMemory>,
    pub node_board: Arc<NodeBoard>,
    pub data_dir: DataDir,
    pub store: Store,
    pub configuration: Configuration,
    /// Where the control socket is; none: this node has none.
    pub socket: Option<PathBuf>,
    /// Restarts that the node and its core allow, and in which time.
    pub intensity: (u32, Duration),
    /// Children of the root beside the core: the store, the telemetry router, doors.
    pub before_core: Vec<ChildSpec>,
}

/// A node whose tree runs.
pub(super) struct Running {
    pub root: SupervisorRef,
    pub context: Arc<NodeContext>,
}

/// Builds the services, then the tree over them.
///
/// # Errors
/// When an actor of the tree does not start; those before it are stopped again.
pub(super) async fn assemble(parts: Parts, parent: Option<ractor::ActorCell>) -> Result<Running, NodeError> {
    let directory = Arc::new(Directory::default());
    let facts = Arc::new(parts.facts);
    let clone = SharedClone::new(
        parts.settings.repo.clone(),
        parts.settings.data_dir.join("repo"),
        parts.accepted,
    );
    let artefact_store = ArtefactStore::at(parts.settings.data_dir.join("artefacts"));
    let releases = Releases::new(artefact_store.clone(), parts.settings.releases.clone());
    let board = Arc::new(Board::default());
    let reported = directory.clone();
    let node_board = parts.node_board.clone();
    let app_services = Arc::new(AppServices {
        node: parts.settings.name.clone(),
        data_dir: parts.settings.data_dir.clone(),
        runtimes: parts.runtimes,
        events: parts.events.clone(),
        records: parts.records,
        board: board.clone(),
        report: Arc::new(move |report| {
            node_board.touch();
            // A reconciler that is being restarted asks every app anew.
            let _ = reported.reconciler.cast(ReconcilerMsg::AppChanged(report));
        }),
        artefacts: Arc::new(CloneArtefacts {
            clone: clone.clone(),
            releases: releases.clone(),
            artefact_store: artefact_store.clone(),
            allowed: parts.settings.source_paths.clone(),
        }),
        clock: SteadyClock::default(),
        health_checks: parts.health_checks,
        turns: crate::actors::app::Turns::default(),
    });
    let apps = Apps::new(app_services, parts.known);
    let reconciler = Arc::new(ReconcilerServices {
        apps: apps.clone(),
        specs: Arc::new(CloneReader {
            clone: clone.clone(),
            apps_dir: parts.settings.apps_dir.clone(),
            facts: facts.clone(),
        }),
        board: parts.node_board.clone(),
        events: parts.events.clone(),
        memory: parts.memory,
        prune_share_max: parts.settings.prune_share_max,
        artefact_store,
        has_left: {
            let directory = directory.clone();
            Arc::new(move || {
                let _ = directory.housekeeper.cast(HousekeeperMsg::Look);
            })
        },
    });
    let housekeeper = Arc::new(HousekeeperServices {
        apps: apps.clone(),
        board: parts.node_board.clone(),
        folders: AppFolders::of(&parts.settings.data_dir),
        memory: parts.leavings,
        kept_for: parts.settings.removed_data_kept,
    });
    let (handed_on, told) = (directory.clone(), directory.clone());
    let watcher = Arc::new(WatcherServices {
        clone: clone.clone(),
        interval: parts.settings.interval,
        board: parts.node_board.clone(),
        events: parts.events.clone(),
        commits: Arc::new(move |facts, is_manual| {
            let _ = handed_on
                .reconciler
                .cast(ReconcilerMsg::Commit { facts, is_manual });
        }),
        in_vain: Arc::new(move || {
            let _ = told.reconciler.cast(ReconcilerMsg::LookedInVain);
        }),
    });
    let tree = Tree {
        directory: directory.clone(),
        apps: apps.clone(),
        reconciler,
        watcher,
        housekeeper,
        events: parts.events.clone(),
        intensity: parts.intensity,
    };
    let context = Arc::new(NodeContext {
        settings: parts.settings,
        facts: facts.clone(),
        started: Instant::now(),
        board,
        node_board: parts.node_board,
        apps,
        directory,
        clone,
        releases,
        events: parts.events,
        configuration: parts.configuration,
        store: parts.store,
        telemetry: parts.telemetry,
        origins: Origins::default(),
        data_dir: std::sync::Mutex::new(Some(parts.data_dir)),
        root: std::sync::OnceLock::new(),
    });
    let root = tree.start(parts.before_core, parent).await?;
    let _ = context.root.set(root.clone());
    if let Some(socket) = parts.socket {
        let arguments = DoorArguments {
            socket,
            node: context.clone(),
        };
        let control = mailbox::child("control", move |depth| (ControlDoor(depth), arguments.clone()));
        if let Err(error) = root.start_child(control).await {
            root.shutdown().await;
            return Err(NodeError::Door(error.to_string()));
        }
    }
    Ok(Running { root, context })
}

/// What the supervision tree is made of, again and again.
#[derive(Clone)]
struct Tree {
    directory: Arc<Directory>,
    apps: Apps,
    reconciler: Arc<ReconcilerServices>,
    watcher: Arc<WatcherServices>,
    housekeeper: Arc<HousekeeperServices>,
    events: Arc<dyn EventSink>,
    intensity: (u32, Duration),
}

impl Tree {
    async fn start(
        self,
        before_core: Vec<ChildSpec>,
        parent: Option<ractor::ActorCell>,
    ) -> Result<SupervisorRef, NodeError> {
        let flags = Flags::new(Strategy::OneForOne).intensity(self.intensity.0, self.intensity.1);
        let root = Blueprint::new(flags)
            .children(before_core)
            .observer(self.observer(""))
            .child(self.clone().core())
            .child(self.housekeeper());
        Ok(root.start(parent).await?)
    }

    /// Whoever comes later knows those before it: when the apps' supervisor dies, the reconciler and the watcher begin
    /// anew as well, and hand every app its target again.
    fn core(self) -> ChildSpec {
        ChildSpec::supervisor("core", move || {
            let flags = Flags::new(Strategy::RestForOne).intensity(self.intensity.0, self.intensity.1);
            let core = Blueprint::new(flags).observer(self.observer("core/"));
            Ok(Some(
                core.child(self.apps())
                    .child(self.reconciler())
                    .child(self.repo_watcher()),
            ))
        })
    }

    fn apps(&self) -> ChildSpec {
        let flags = DynamicFlags {
            intensity: APPS_INTENSITY.0,
            period: APPS_INTENSITY.1,
            observer: Some(self.observer("core/apps/")),
        };
        let apps = self.apps.clone();
        ChildSpec::dynamic("apps", flags).on_start(move |child| {
            if let Some(supervisor) = child.info::<DynamicSupervisor>() {
                apps.supervised_by(supervisor);
            }
        })
    }

    fn reconciler(&self) -> ChildSpec {
        let (services, directory) = (self.reconciler.clone(), self.directory.clone());
        mailbox::child("reconciler", move |depth| (Reconciler(depth), services.clone()))
            .on_start(move |child| directory.reconciler.set(Mailbox::of(child)))
    }

    fn repo_watcher(&self) -> ChildSpec {
        let (services, directory) = (self.watcher.clone(), self.directory.clone());
        mailbox::child("repo_watcher", move |depth| {
            (RepoWatcher(depth), services.clone())
        })
        .on_start(move |child| directory.repo_watcher.set(Mailbox::of(child)))
    }

    fn housekeeper(&self) -> ChildSpec {
        let (services, directory) = (self.housekeeper.clone(), self.directory.clone());
        mailbox::child("housekeeper", move |depth| (Housekeeper(depth), services.clone()))
            .on_start(move |child| directory.housekeeper.set(Mailbox::of(child)))
    }

    /// Tells of actors that ended unasked.
    fn observer(&self, above: &'static str) -> Observer {
        let events = self.events.clone();
        Arc::new(move |notice| {
            if let Notice::Exited {
                child,
                reason,
                restarts,
                consequence: Consequence::Restart,
            } = notice
            {
                let path = format!("{above}{child}");
                events.emit(Event::ActorExited {
                    path,
                    reason: reason.to_string(),
                    restarts: *restarts,
                });
            }
        })
    }
}

/// Makes a node from what a builder collected and starts it.
pub(super) async fn start(mut builder: NodeBuilder) -> Result<NodeHandle, NodeError> {
    let settings = builder.settings()?;
    let data_dir = take_data_dir(&settings.data_dir).await?;
    let store = Store::open(&data_dir, builder.retention);
    let node_board = Arc::new(NodeBoard::default());
    let recollection = Recollection::new(store.clone());
    let telemetry = Telemetry::new(settings.name.clone(), store.clone());
    for handler in std::mem::take(&mut builder.handlers) {
        telemetry.add_handler(move |record: &EventRecord| handler(record));
    }
    let reported = node_board.clone();
    let watched = store_watch::child_spec(StoreWatchArguments {
        store: store.clone(),
        events: Arc::new(telemetry.clone()),
        report: Arc::new(move |problem| reported.set_store_error(problem)),
    });
    let own = builder.own_runtimes();
    let mut facts = NodeFacts::of_this_machine(
        settings.name.clone(),
        settings.labels.clone(),
        settings.data_dir.to_string_lossy().into_owned(),
    );
    facts.runtimes = own;
    if let Some(factories) = builder.factories.take() {
        facts.factories = factories.names().map(ToString::to_string).collect();
        builder
            .runtimes
            .insert("embedded".to_owned(), Arc::new(EmbeddedRuntime::new(factories)));
    }
    facts.health_checks = builder.health_checks.names().cloned().collect();
    let mut runtimes = builder.runtimes;
    let mut at_end = None;
    if let (Some(settings), false) = (&settings.processes, runtimes.contains_key("process")) {
        let (runtime, farewell) = processes::start(
            data_dir.path(),
            settings,
            node_board.clone(),
            Arc::new(telemetry.clone()),
        );
        runtimes.insert("process".to_owned(), runtime);
        at_end = farewell;
    }
    let parts = Parts {
        facts,
        runtimes,
        events: Arc::new(telemetry.clone()),
        known: recollection.apps(),
        records: Arc::new(recollection.clone()),
        memory: Arc::new(recollection.clone()),
        accepted: Arc::new(recollection.clone()),
        leavings: Arc::new(recollection),
        node_board,
        data_dir,
        store,
        configuration: builder.configuration,
        health_checks: builder.health_checks,
        socket: builder.socket,
        intensity: builder.intensity,
        before_core: vec![watched, telemetry.child_spec()],
        telemetry,
        settings,
    };
    let running = assemble(parts, builder.parent).await?;
    let farewell = farewell(running.root.clone(), running.context.clone(), at_end);
    Ok(NodeHandle {
        root: running.root,
        context: running.context,
        farewell,
    })
}

/// Sees to what ends with the node when it has ended, however that came. The channel is closed when all is done.
fn farewell(root: SupervisorRef, context: Arc<NodeContext>, at_end: Option<AtEnd>) -> watch::Receiver<()> {
    let (open, closed) = watch::channel(());
    tokio::spawn(async move {
        // A root that was killed waits for none of its actors, and what they write must not be lost.
        root.gone().await;
        if let Some(at_end) = at_end {
            stopping::with_the_node(&context).await;
            at_end.await;
        }
        context.release().await;
        drop(open);
    });
    closed
}

/// Takes the data directory. One that is held just now may be held by a node that is ending this very moment.
async fn take_data_dir(path: &Path) -> Result<DataDir, NodeError> {
    const TRIES: u32 = 10;
    const WAIT: Duration = Duration::from_millis(100);
    for _ in 1..TRIES {
        match DataDir::open(path) {
            Err(DataDirError::Held { .. }) => tokio::time::sleep(WAIT).await,
            taken => return taken.map_err(|error| NodeError::DataDir(error.to_string())),
        }
    }
    DataDir::open(path).map_err(|error| NodeError::DataDir(error.to_string()))
}
