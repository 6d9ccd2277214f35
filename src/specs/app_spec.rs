//! What an app is: the one type that every format is read into.
//!
//! A field that nobody set is `None` (or empty) and is left out of the canonical form, so that a new release with a new
//! default restarts nothing. Defaults live in the methods that resolve a group ([`Restart::policy`], [`Stop::policy`], …).

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{ByteSize, Span};
use crate::names::{AppName, SpecDigest, Version};

mod artefact;
mod policies;
pub mod release;

pub(crate) use artefact::is_sha256;
pub use artefact::{ConfigFile, Reload, Secret, Sha256, Source};
pub use policies::{
    Backoff, Health, HealthKind, HealthPolicy, Restart, RestartPolicy, RestartType, Stop, StopPolicy,
    Upgrade, UpgradeFailure, UpgradePolicy, UpgradeStrategy,
};
pub use release::Packing;

/// One app, resolved for one node: defaults of `osier.yaml` and overrides merged, `${…}` expanded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppSpec {
    /// Unique on its node; default: the folder's name.
    pub name: AppName,
    /// Which version this is; any tag-like text.
    pub version: Version,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The picture beside the name; default an identicon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<Icon>,
    /// Where the artefact comes from; default none: an installed command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Program and arguments, never through a shell; default: the artefact's only executable, or `bin/<name>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Where it starts, relative to the artefact; for source none, to the app's data folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Environment. Numbers and booleans are written out; anything nested becomes JSON.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// age-encrypted files by the name of the variable that hands them over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Secret>,
    /// Files that are written into the app's data folder, by target path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config_files: BTreeMap<String, ConfigFile>,
    /// How to learn whether it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// First started after these are healthy, removed before them. In the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<AppName>,
    /// Which runtime runs it; default process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// What it may use.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// What it may touch.
    #[serde(default, skip_serializing_if = "Sandbox::is_empty")]
    pub sandbox: Sandbox,
    /// What happens when it ends.
    #[serde(default, skip_serializing_if = "Restart::is_empty")]
    pub restart: Restart,
    /// How it is stopped.
    #[serde(default, skip_serializing_if = "Stop::is_empty")]
    pub stop: Stop,
    /// How a new version takes over.
    #[serde(default, skip_serializing_if = "Upgrade::is_empty")]
    pub upgrade: Upgrade,
    /// Addresses that the keeper listens on for it (`LISTEN_FDS`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<String>,
    /// Which nodes run it; empty: all.
    #[serde(default, skip_serializing_if = "Placement::is_empty")]
    pub placement: Placement,
    /// The order across the fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// `true`: git is not applied to it; supervision goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

impl AppSpec {
    /// The least an app can be: for tests and for hosts that build specs in code.
    #[must_use]
    pub fn new(name: AppName, version: Version) -> Self {
        Self {
            name,
            version,
            description: None,
            icon: None,
            source: None,
            command: Vec::new(),
            working_dir: None,
            env: BTreeMap::new(),
            secrets: BTreeMap::new(),
            config_files: BTreeMap::new(),
            health: None,
            depends_on: Vec::new(),
            isolation: None,
            limits: Limits::default(),
            sandbox: Sandbox::default(),
            restart: Restart::default(),
            stop: Stop::default(),
            upgrade: Upgrade::default(),
            sockets: Vec::new(),
            placement: Placement::default(),
            rollout: None,
            suspend: None,
        }
    }

    /// Which runtime runs it.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.isolation.clone().unwrap_or(Isolation::Process)
    }

    /// Is git not to be applied to it?
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.suspend.unwrap_or(false)
    }

    /// The digest of this spec and of `parts` (the ids of what it names in the repository: config files, a path
    /// source's folder). Equal digests mean: nothing to do.
    #[must_use]
    pub fn digest(&self, parts: &[&str]) -> SpecDigest {
        // A struct of maps, strings and numbers always serialises; an empty text would still be a stable digest.
        let mut canonical = serde_json::to_vec(self).unwrap_or_default();
        for part in parts {
            canonical.push(0);
            canonical.extend_from_slice(part.as_bytes());
        }
        SpecDigest::of(&canonical)
    }
}

/// The picture beside an app's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", tag = "type", deny_unknown_fields)]
pub enum Icon {
    /// Drawn from the name.
    Identicon {},
    /// Loaded from a URL.
    Url {
        /// The address.
        value: String,
        /// What it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mime_type: Option<String>,
    },
    /// Held in the spec.
    Base64 {
        /// The picture.
        value: String,
        /// What it is; default `image/png`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mime_type: Option<String>,
    },
}

/// Which runtime runs an app.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// A process of its own. The original's `vm` is read as this.
    #[serde(alias = "vm")]
    Process,
    /// An actor in the host process, from a factory that the host registered.
    Embedded,
    /// Docker or Podman.
    Container,
    /// A WASI component.
    Wasm,
    /// A runtime that the host registered by this name.
    #[serde(untagged)]
    Custom(String),
}

impl Isolation {
    /// The word in the spec and in the state.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Process => "process",
            Self::Embedded => "embedded",
            Self::Container => "container",
            Self::Wasm => "wasm",
            Self::Custom(name) => name,
        }
    }
}

/// What an app may use. `None`: no limit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory of the whole tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Cores; fractions are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// Processes and threads of the whole tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
    /// Open files of each process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
}

/// What an app may touch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sandbox {
    /// The user it runs as; default `[node] app_user`, else the daemon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// No setuid program gives it more than it has; default: as `read_only`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_new_privileges: Option<bool>,
    /// It may write only below `writable` and in a `/tmp`, `/var/tmp` and `/dev/shm` of its own; default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// What it may write under `read_only`, relative to the data folder's parent; default `[data]`. At most 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writable: Option<Vec<String>>,
}

/// The most that `sandbox.writable` may list.
pub const WRITABLE_MAX: usize = 16;

/// Which nodes run an app: both conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// One of these names; empty: any.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub nodes: BTreeSet<String>,
    /// All of these labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The order across the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// A count or a share (`10%`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<String>,
    /// How many nodes go first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<u32>,
    /// The wait after a wave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Span>,
    /// `halt` or `rollback`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<UpgradeFailure>,
}

impl Limits {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Sandbox {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it may write its own files alone.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only == Some(true)
    }

    /// Whether setuid programs give it nothing. One that may not write is not to become somebody who may.
    #[must_use]
    pub fn gains_no_privileges(&self) -> bool {
        self.no_new_privileges.unwrap_or_else(|| self.is_read_only())
    }

    /// What it may write under `read_only`, relative to its folder.
    #[must_use]
    pub fn writable_folders(&self) -> Vec<String> {
        self.writable.clone().unwrap_or_else(|| vec!["data".to_owned()])
    }
}

impl Placement {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
