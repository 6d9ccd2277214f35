//! How a host makes a node: repository, interval, runtimes of its own, embedded apps, handlers of events.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ractor::ActorCell;

use super::configuration::Configuration;
use super::{Git, NodeError, NodeHandle, NodeSettings, ProcessSettings, assembly, signals};
use crate::config::Config;
use crate::config::values::{AbsolutePath, Labels, RepoFolder};
use crate::names::{AppName, NodeName};
use crate::probe::custom::{HealthChecks, HealthContext};
use crate::runtime::embedded::{EmbeddedError, Factories};
use crate::runtime::leavings::KEPT_FOR;
use crate::runtime::{Runtime, Runtimes};
use crate::source::release::ReleaseSettings;
use crate::store::Retention;
use crate::telemetry::EventRecord;

/// Restarts that a node and its core allow by default before they give up: an actor that cannot live is a bug, and its
/// operator has to hear of it; a burst of kills is not.
pub const INTENSITY_DEFAULT: (u32, Duration) = (20, Duration::from_secs(60));
/// The default interval between two looks at the repository (bc_gitops' `reconcile_interval`).
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);
/// A shorter one would ask the server ever and again.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Called with each event of a node, on a thread of its own: a slow one delays nothing, and what it cannot take is
/// dropped and counted.
pub type EventHandler = Arc<dyn Fn(&EventRecord) + Send + Sync>;

/// Collects what a node is made from; [`NodeBuilder::start`] starts it. Mistakes are reported there.
#[must_use = "a node is only started by `start`"]
pub struct NodeBuilder {
    pub(super) repository: Git,
    pub(super) name: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) apps_dir: String,
    pub(super) interval: Duration,
    pub(super) prune_share_max: f64,
    pub(super) source_paths: Vec<PathBuf>,
    pub(super) releases: ReleaseSettings,
    pub(super) removed_data_kept: Duration,
    pub(super) processes: Option<ProcessSettings>,
    pub(super) runtimes: Runtimes,
    pub(super) factories: Option<Factories>,
    pub(super) health_checks: HealthChecks,
    pub(super) handlers: Vec<EventHandler>,
    pub(super) parent: Option<ActorCell>,
    pub(super) socket: Option<PathBuf>,
    pub(super) intensity: (u32, Duration),
    pub(super) retention: Retention,
    pub(super) configuration: Configuration,
    shuts_down_on_signal: bool,
}

impl NodeBuilder {
    pub(super) fn new(repository: Git) -> Self {
        Self {
            repository,
            name: None,
            labels: BTreeMap::new(),
            data_dir: None,
            apps_dir: "apps".to_owned(),
            interval: INTERVAL_DEFAULT,
            prune_share_max: 0.5,
            source_paths: Vec::new(),
            releases: ReleaseSettings::default(),
            removed_data_kept: KEPT_FOR,
            processes: None,
            runtimes: Runtimes::new(),
            factories: None,
            health_checks: HealthChecks::default(),
            handlers: Vec::new(),
            parent: None,
            socket: None,
            intensity: INTENSITY_DEFAULT,
            retention: Retention::default(),
            configuration: Configuration::default(),
            shuts_down_on_signal: false,
        }
    }

    /// What a configuration says.
    pub(super) fn of_config(config: &Config, ends_with_node: bool) -> Self {
        let path = |path: &AbsolutePath| path.as_path().to_owned();
        Self {
            repository: Git::of_config(config),
            name: Some(config.node.name.to_string()),
            labels: config
                .node
                .labels
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect(),
            data_dir: Some(path(&config.node.data_dir)),
            apps_dir: config.repo.apps_dir.to_string(),
            interval: config.repo.reconcile_interval.get(),
            prune_share_max: config.prune.max.get(),
            source_paths: config.sources.paths.iter().map(path).collect(),
            releases: ReleaseSettings::of_config(&config.sources),
            removed_data_kept: KEPT_FOR,
            processes: ProcessSettings::of_config(config, ends_with_node),
            runtimes: Runtimes::new(),
            factories: None,
            health_checks: HealthChecks::default(),
            handlers: Vec::new(),
            parent: None,
            socket: Some(path(&config.node.socket)),
            intensity: INTENSITY_DEFAULT,
            retention: Retention {
                age: config.telemetry.retention.get(),
                ..Retention::default()
            },
            configuration: Configuration::new(config, None),
            shuts_down_on_signal: false,
        }
    }

    /// How what it was made from can be read again.
    pub(super) fn configuration(self, configuration: Configuration) -> Self {
        Self {
            configuration,
            ..self
        }
    }

    /// The node's name. Default: the machine's.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..self
        }
    }

    /// A label, for placement and overrides.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// Where everything of the node lies. Default: `$XDG_STATE_HOME/osier`, else `~/.local/state/osier`.
    pub fn data_dir(self, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: Some(data_dir.into()),
            ..self
        }
    }

    /// The folder of apps in the repository. Default `apps`.
    pub fn apps_dir(self, apps_dir: impl Into<String>) -> Self {
        Self {
            apps_dir: apps_dir.into(),
            ..self
        }
    }

    /// How often to look at the repository. Default [`INTERVAL_DEFAULT`].
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// The largest share of its apps (0.0 to 1.0) that a commit may remove without an operator's word. Default 0.5.
    pub fn prune_share_max(self, share: f64) -> Self {
        Self {
            prune_share_max: share,
            ..self
        }
    }

    /// How long the folders of a removed app are kept, in case it comes back. Default 7 days.
    pub fn removed_data_kept(self, time: Duration) -> Self {
        Self {
            removed_data_kept: time,
            ..self
        }
    }

    /// Your own way to run an app, in the place of processes: for specs that do not say `isolation`.
    pub fn runtime(self, runtime: impl Runtime) -> Self {
        self.runtime_named("process", runtime)
    }

    /// Your own way to run an app, for specs that say `isolation: NAME`. Names that Osier has a meaning for itself
    /// (`embedded`, `container`, `wasm`, `vm`) are not yours to give.
    pub fn runtime_named(mut self, name: impl Into<String>, runtime: impl Runtime) -> Self {
        self.runtimes.insert(name.into(), Arc::new(runtime));
        self
    }

    /// Apps that are part of this process (`isolation: embedded`), by their names.
    pub fn embedded(self, factories: Factories) -> Self {
        Self {
            factories: Some(factories),
            ..self
        }
    }

    /// A function that knows how apps fare, for specs that say `health: { type: custom, module: NAME }`. It is called once
    /// an interval and app, never beside itself for the same app, on a thread that may block; what it does not say within
    /// the check's timeout counts as a failure, and so does a panic. Another one of this name is replaced.
    pub fn health_check<Check, Checked, Error>(mut self, name: impl Into<String>, check: Check) -> Self
    where
        Check: Fn(HealthContext) -> Checked + Send + Sync + 'static,
        Checked: Future<Output = Result<(), Error>> + Send + 'static,
        Error: Into<EmbeddedError>,
    {
        self.health_checks.add(name, check);
        self
    }

    /// Lets apps run as processes of their own. They need a keeper: say which.
    pub fn processes(self, processes: ProcessSettings) -> Self {
        Self {
            processes: Some(processes),
            ..self
        }
    }

    /// Called with each event; see [`EventHandler`].
    pub fn on_event(mut self, handler: impl Fn(&EventRecord) + Send + Sync + 'static) -> Self {
        self.handlers.push(Arc::new(handler));
        self
    }

    /// Joins a ractor tree of the host: the node's root supervisor is linked to this actor, which is told of its end as of
    /// any child's and takes the node with it when it ends.
    pub fn spawn_under(self, parent: ActorCell) -> Self {
        Self {
            parent: Some(parent),
            ..self
        }
    }

    /// Serves the command line on this socket: `osier --socket PATH …`. Default: none.
    pub fn control_socket(self, socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: Some(socket.into()),
            ..self
        }
    }

    /// How many restarts of its own actors within `period` the node allows before it gives up. Apps have budgets of their
    /// own. Default [`INTENSITY_DEFAULT`].
    pub fn restart_intensity(self, restarts: u32, period: Duration) -> Self {
        Self {
            intensity: (restarts, period),
            ..self
        }
    }

    /// SIGTERM and SIGINT shut the node down. Without this no signal is touched: a host has its own ways.
    /// Wait for [`NodeHandle::ended`] then.
    pub fn shutdown_on_signal(self) -> Self {
        Self {
            shuts_down_on_signal: true,
            ..self
        }
    }

    /// Starts the node. Returns as soon as its tree runs; the first look at the repository goes on by itself.
    /// Must be called in a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// When settings are wrong (all mistakes together), the data directory cannot be used or is another node's, or an
    /// actor does not start.
    pub async fn start(self) -> Result<NodeHandle, NodeError> {
        let signals = self
            .shuts_down_on_signal
            .then(signals::Signals::listen)
            .transpose()?;
        let node = assembly::start(self).await?;
        if let Some(signals) = signals {
            tokio::spawn(signals::shut_down(node.clone(), signals));
        }
        Ok(node)
    }

    /// What the floors below want to know, or every mistake at once.
    pub(super) fn settings(&self) -> Result<NodeSettings, NodeError> {
        let mut mistakes = Vec::new();
        let mut noted =
            |about: &str, mistake: &dyn std::fmt::Display| mistakes.push(format!("{about}: {mistake}"));
        let name: Result<NodeName, _> = self.name.clone().unwrap_or_else(machine_name).parse();
        let name = name.map_err(|error| noted("name", &error)).ok();
        if let Err(error) = Labels::new(self.labels.clone()) {
            noted("label", &error);
        }
        let data_dir = self.data_dir.clone().map_or_else(default_data_dir, Ok);
        let data_dir = data_dir.map_err(|error| noted("data_dir", &error)).ok();
        if let Err(error) = self.apps_dir.parse::<RepoFolder>() {
            noted("apps_dir", &error);
        }
        if self.interval < INTERVAL_MIN {
            noted(
                "interval",
                &format!("{:?} is shorter than {INTERVAL_MIN:?}", self.interval),
            );
        }
        if !(0.0..=1.0).contains(&self.prune_share_max) {
            noted(
                "prune_share_max",
                &format!("{} is not from 0.0 to 1.0", self.prune_share_max),
            );
        }
        for path in &self.source_paths {
            if let Err(error) = AbsolutePath::new(path) {
                noted("source_path", &error);
            }
        }
        for name in self.runtimes.keys().filter(|name| !may_be_named(name)) {
            noted(
                "runtime_named",
                &format!("`{name}` is no name for a runtime of the host's own"),
            );
        }
        for mistake in self.factories.iter().flat_map(Factories::mistakes) {
            noted("embedded", mistake);
        }
        if let Some(mistake) = self.processes.as_ref().and_then(ProcessSettings::mistake) {
            noted("processes", &mistake);
        }
        let repo = self.repository.clone().settings(&mut mistakes);
        match (name, data_dir, repo) {
            (Some(name), Some(data_dir), Some(repo)) if mistakes.is_empty() => Ok(NodeSettings {
                name,
                labels: self.labels.clone(),
                data_dir,
                repo,
                apps_dir: self.apps_dir.clone(),
                interval: self.interval,
                prune_share_max: self.prune_share_max,
                source_paths: self.source_paths.clone(),
                releases: self.releases.clone(),
                removed_data_kept: self.removed_data_kept,
                processes: self.processes.clone(),
            }),
            _ => Err(NodeError::Settings(mistakes)),
        }
    }

    /// Words in `isolation` that this node runs beside those of Osier.
    pub(super) fn own_runtimes(&self) -> BTreeSet<String> {
        self.runtimes.keys().cloned().collect()
    }
}

/// The machine's name, cut to what a node may be called.
fn machine_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let kept: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c))
        .take(63)
        .collect();
    let kept = kept.trim_start_matches(['.', '_', '-']);
    if kept.is_empty() {
        "node".to_owned()
    } else {
        kept.to_owned()
    }
}

/// Whether a host may give a runtime this name: `process` replaces Osier's own.
fn may_be_named(name: &str) -> bool {
    // A spec's `isolation` takes the same letters as an app's name.
    const TAKEN: [&str; 4] = ["embedded", "container", "wasm", "vm"];
    name.parse::<AppName>().is_ok() && !TAKEN.contains(&name)
}

fn default_data_dir() -> Result<PathBuf, &'static str> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    let state = state.ok_or("there is no HOME to keep data in: set a data directory")?;
    Ok(state.join("osier"))
}
