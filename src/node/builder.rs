//! How a host makes a node: repository, interval, runtimes of its own, embedded apps, handlers of events.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ractor::ActorCell;

use super::settings::{NodeSettings, ProcessSettings};
use super::{NodeError, NodeHandle, assembly};
use crate::config::Config;
use crate::config::values::{AbsolutePath, Enforce};
use crate::git::GitSettings;
use crate::names::{BranchName, NodeName};
use crate::repo_url::RepoUrl;
use crate::rpc::procedures::ConfigValue;
use crate::runtime::embedded::Factories;
use crate::runtime::leavings::KEPT_FOR;
use crate::runtime::{Runtime, Runtimes};
use crate::store::Retention;
use crate::telemetry::EventRecord;

/// The default interval between two looks at the repository (bc_gitops' `reconcile_interval`).
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);

/// A specs repository: its URL, its branch, and how to log in.
#[derive(Debug, Clone)]
pub struct Git {
    /// Parsed at once; a mistake is reported by `start`, with all others.
    url: Result<RepoUrl, String>,
    branch: String,
    depth: Option<NonZeroU32>,
    ssh_key: Option<PathBuf>,
    known_hosts: Option<PathBuf>,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
}

impl Git {
    /// The repository at `url`: file, https, http, ssh, git, `user@host:path` or an absolute path.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into().parse().map_err(|error| format!("repository: {error}")),
            branch: "main".to_owned(),
            depth: None,
            ssh_key: None,
            known_hosts: None,
            token_file: None,
            ca_file: None,
            proxy: None,
        }
    }

    /// The branch to follow. Default `main`.
    #[must_use]
    pub fn branch(self, branch: impl Into<String>) -> Self {
        Self {
            branch: branch.into(),
            ..self
        }
    }

    /// How many commits of history are fetched. Default: all.
    #[must_use]
    pub fn depth(self, depth: NonZeroU32) -> Self {
        Self {
            depth: Some(depth),
            ..self
        }
    }

    /// The key and the file of known hosts for ssh.
    #[must_use]
    pub fn ssh(self, key: impl Into<PathBuf>, known_hosts: impl Into<PathBuf>) -> Self {
        Self {
            ssh_key: Some(key.into()),
            known_hosts: Some(known_hosts.into()),
            ..self
        }
    }

    /// A file with the token for http and https.
    #[must_use]
    pub fn token_file(self, file: impl Into<PathBuf>) -> Self {
        Self {
            token_file: Some(file.into()),
            ..self
        }
    }

    /// Certificates (PEM) that are trusted besides those of the system.
    #[must_use]
    pub fn ca_file(self, file: impl Into<PathBuf>) -> Self {
        Self {
            ca_file: Some(file.into()),
            ..self
        }
    }

    /// An HTTP proxy, `http://host:port`.
    #[must_use]
    pub fn proxy(self, proxy: impl Into<String>) -> Self {
        Self {
            proxy: Some(proxy.into()),
            ..self
        }
    }

    fn settings(self) -> Result<GitSettings, NodeError> {
        let url = self.url.map_err(NodeError::Setting)?;
        let branch: BranchName = self
            .branch
            .parse()
            .map_err(|error| NodeError::Setting(format!("{error}")))?;
        let mut settings = GitSettings::new(url, branch);
        settings.depth = self.depth;
        settings.auth.ssh_key = self.ssh_key;
        settings.auth.known_hosts = self.known_hosts;
        settings.auth.token_file = self.token_file;
        settings.ca_file = self.ca_file;
        let proxy = self.proxy.map(|proxy| proxy.parse()).transpose();
        settings.proxy = proxy.map_err(|error| NodeError::Setting(format!("proxy: {error}")))?;
        Ok(settings)
    }
}

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
    pub(super) removed_data_kept: Duration,
    pub(super) processes: Option<ProcessSettings>,
    pub(super) runtimes: Runtimes,
    pub(super) factories: Option<Factories>,
    pub(super) handlers: Vec<EventHandler>,
    pub(super) parent: Option<ActorCell>,
    pub(super) retention: Retention,
    pub(super) config_values: Vec<ConfigValue>,
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
            removed_data_kept: KEPT_FOR,
            processes: None,
            runtimes: Runtimes::new(),
            factories: None,
            handlers: Vec::new(),
            parent: None,
            retention: Retention::default(),
            config_values: Vec::new(),
        }
    }

    /// What a configuration says.
    pub(super) fn of_config(config: &Config, ends_with_node: bool) -> Self {
        let path = |path: &AbsolutePath| path.as_path().to_owned();
        let processes = ProcessSettings {
            keeper: None,
            ends_with_node,
            app_user: config.node.app_user.as_ref().map(ToString::to_string),
            is_strict: config.node.enforce == Enforce::Strict,
            log_bytes_max: config.logs.max_size.bytes(),
            logs_kept: config.logs.keep.get(),
        };
        Self {
            repository: Git {
                url: Ok(config.repo.url.clone()),
                branch: config.repo.branch.to_string(),
                depth: config.repo.depth.get(),
                ssh_key: config.repo.auth.ssh_key.as_ref().map(path),
                known_hosts: config.repo.auth.known_hosts.as_ref().map(path),
                token_file: config.repo.auth.token_file.as_ref().map(path),
                ca_file: config.sources.ca_file.as_ref().map(path),
                proxy: config.sources.proxy.as_ref().map(|url| url.reveal().to_owned()),
            },
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
            removed_data_kept: KEPT_FOR,
            processes: Some(processes),
            runtimes: Runtimes::new(),
            factories: None,
            handlers: Vec::new(),
            parent: None,
            retention: Retention {
                age: config.telemetry.retention.get(),
                ..Retention::default()
            },
            config_values: config.values(),
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
            prune_share_max: share.clamp(0.0, 1.0),
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

    /// Your own way to run an app, for specs that say `isolation: NAME`.
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

    /// Lets apps run as processes of their own. A keeper is started for them: say which program that is.
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

    /// Joins a ractor tree of the host: the node's root supervisor is linked to this actor.
    pub fn spawn_under(self, parent: ActorCell) -> Self {
        Self {
            parent: Some(parent),
            ..self
        }
    }

    /// Starts the node. Returns as soon as its tree runs; the first look at the repository goes on by itself.
    ///
    /// # Errors
    /// When a setting is wrong, the data directory cannot be used or is another node's, or an actor does not start.
    pub async fn start(self) -> Result<NodeHandle, NodeError> {
        assembly::start(self, None).await
    }

    pub(super) fn settings(&self) -> Result<NodeSettings, NodeError> {
        let name = self.name.clone().unwrap_or_else(machine_name);
        let name: NodeName = name
            .parse()
            .map_err(|error| NodeError::Setting(format!("{error}")))?;
        let data_dir = match &self.data_dir {
            Some(folder) => folder.clone(),
            None => default_data_dir()?,
        };
        Ok(NodeSettings {
            name,
            labels: self.labels.clone(),
            data_dir,
            repo: self.repository.clone().settings()?,
            apps_dir: self.apps_dir.clone(),
            interval: self.interval.max(Duration::from_millis(100)),
            prune_share_max: self.prune_share_max,
            source_paths: self.source_paths.clone(),
            removed_data_kept: self.removed_data_kept,
            processes: self.processes.clone(),
        })
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

fn default_data_dir() -> Result<PathBuf, NodeError> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    let state = state
        .ok_or_else(|| NodeError::Setting("no HOME to keep data in: set a data directory".to_owned()))?;
    Ok(state.join("osier"))
}
