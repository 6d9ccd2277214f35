//! Everything that an app actor works with, shared by all of them, and what outlives an incarnation of one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{AppMsg, SteadyClock};
use crate::actors::board::Board;
use crate::actors::mailbox::Mailbox;
use crate::lifecycle::{AppRecord, AppRecords, Target};
use crate::names::{AppName, ArtefactId, NodeName};
use crate::probe::custom::HealthChecks;
use crate::runtime::{DynRuntime, Runtimes, Usage};
use crate::source::Artefacts;
use crate::specs::DesiredApp;
use crate::specs::app_spec::Isolation;
use crate::status::AppState;
use crate::telemetry::EventSink;

/// What app actors work with.
pub struct AppServices {
    /// The node's name.
    pub node: NodeName,
    /// The node's data directory: `apps/NAME` below it is the app's own.
    pub data_dir: PathBuf,
    /// The ways to run an app.
    pub runtimes: Runtimes,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// What survives the daemon.
    pub records: Arc<dyn AppRecords>,
    /// What everybody may read.
    pub board: Arc<Board>,
    /// Told of each transition, and when an actor starts without a target. Must not block.
    pub report: Arc<dyn Fn(AppReport) + Send + Sync>,
    /// Where artefacts come from.
    pub artefacts: Arc<dyn Artefacts>,
    /// Health functions of the host.
    pub health_checks: HealthChecks,
    /// One clock for all.
    pub clock: SteadyClock,
    /// What outlives an incarnation of an actor. `Default`, and nobody else's business.
    pub turns: Turns,
}

impl AppServices {
    /// The runtime that runs an app of this isolation, if this node has it.
    #[must_use]
    pub fn runtime(&self, isolation: &Isolation) -> Option<&Arc<dyn DynRuntime>> {
        self.runtimes.get(isolation.as_str())
    }

    /// What an app's tree uses now, where its runtime can tell.
    pub async fn usage(&self, app: &AppName) -> Option<Usage> {
        let state = self.board.get(app)?;
        self.runtimes.get(&state.isolation)?.usage(app).await
    }
}

/// One app's transition, for the reconciler.
#[derive(Debug, Clone)]
pub struct AppReport {
    /// Which app.
    pub app: AppName,
    /// The target that this is about. None: the actor has just started and asks for its target.
    pub target: Option<Arc<Target>>,
    /// What runs, or ran last.
    pub applied: Option<Arc<DesiredApp>>,
    /// Artefacts that a rollback would need.
    pub kept: Vec<ArtefactId>,
    /// Its published state.
    pub state: Arc<AppState>,
    /// Nothing is left to do for this target: it runs as asked, or is stopped, failed or invalid for good.
    pub settled: bool,
    /// Dependants may start: it is healthy, or has ended with 0 and is done.
    pub satisfied: bool,
    /// It is off the node; the actor ends by itself. Final.
    pub gone: bool,
    /// It gave up.
    pub failed: bool,
}

/// What outlives an incarnation of an app actor: whose turn it is to touch the app's processes, the newest record, and
/// where the newest incarnation is. It holds every app that the node has to do with, from its first actor (or from what
/// the store remembers) until it is off the node.
#[derive(Debug, Default)]
pub struct Turns {
    apps: DashMap<AppName, Turn>,
}

/// One app's turn. Whoever holds the lock is the only one who starts, stops or looks for its instances.
#[derive(Debug, Clone, Default)]
pub(super) struct Turn {
    pub(super) lock: Arc<Mutex<()>>,
    pub(super) record: Option<Arc<AppRecord>>,
    actor: Option<Mailbox<AppMsg>>,
}

impl Turn {
    /// Or does somebody merely hold its lock?
    fn is_of_an_app(&self) -> bool {
        self.actor.is_some() || self.record.is_some()
    }
}

impl Turns {
    /// A new incarnation takes over. It enters itself before it tells anybody that it is there: whoever answers it finds it.
    pub(super) fn enter(&self, app: &AppName, actor: Mailbox<AppMsg>) -> Turn {
        let mut turn = self.apps.entry(app.clone()).or_default();
        turn.actor = Some(actor);
        turn.clone()
    }

    pub(in crate::actors) fn remember(&self, app: &AppName, record: Arc<AppRecord>) {
        self.apps.entry(app.clone()).or_default().record = Some(record);
    }

    pub(super) fn forget(&self, app: &AppName) {
        self.apps.remove(app);
    }

    /// Where the newest incarnation is, dead or alive.
    pub(in crate::actors) fn actor(&self, app: &AppName) -> Option<Mailbox<AppMsg>> {
        self.apps.get(app)?.actor.clone()
    }

    /// Every app and its newest record.
    pub(in crate::actors) fn records(&self) -> BTreeMap<AppName, Arc<AppRecord>> {
        let apps = self.apps.iter().filter(|turn| turn.is_of_an_app());
        apps.map(|turn| (turn.key().clone(), turn.record.clone().unwrap_or_default()))
            .collect()
    }

    /// Has the node to do with this app?
    pub(in crate::actors) fn knows(&self, app: &AppName) -> bool {
        self.apps.get(app).is_some_and(|turn| turn.is_of_an_app())
    }

    /// An app's turn, for somebody who is not its actor.
    pub(in crate::actors) async fn take(&self, app: &AppName) -> OwnedMutexGuard<()> {
        let lock = self.apps.entry(app.clone()).or_default().lock.clone();
        lock.lock_owned().await
    }

    /// Forgets a turn that nobody has or waits for.
    pub(in crate::actors) fn forget_unused(&self, app: &AppName) {
        let is_unused = |_: &AppName, turn: &Turn| !turn.is_of_an_app() && Arc::strong_count(&turn.lock) == 1;
        self.apps.remove_if(app, is_unused);
    }
}
