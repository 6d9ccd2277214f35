//! What a spec is resolved against: the node that reads it, and what this release carries out.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::NodeName;

/// The node for which specs are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// The node; `None`: specs are checked for no node in particular (`osier validate`). Then placement and overrides
    /// match nothing but everything is checked, every `${node.…}` is known, and so is every runtime.
    pub name: Option<NodeName>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// `${node.target}`: the target triple.
    pub target: String,
    /// `${node.os}`.
    pub os: String,
    /// `${node.arch}`.
    pub arch: String,
    /// The node's data directory, of which `${app.data}` is made.
    pub data_dir: String,
    /// Runtimes that the host registered, by name.
    pub runtimes: BTreeSet<String>,
    /// Factories of `embedded` apps that the host registered, by app name.
    pub factories: BTreeSet<String>,
    /// Health functions that the host registered, by name.
    pub health_checks: BTreeSet<String>,
    /// What this release carries out.
    pub capabilities: Capabilities,
}

impl NodeFacts {
    /// The machine this runs on, as the node `name`.
    #[must_use]
    pub fn of_this_machine(name: NodeName, labels: BTreeMap<String, String>, data_dir: String) -> Self {
        Self {
            name: Some(name),
            labels,
            data_dir,
            ..Self::of_nobody()
        }
    }

    /// No node in particular: for checking a repository.
    #[must_use]
    pub fn of_nobody() -> Self {
        Self {
            name: None,
            labels: BTreeMap::new(),
            target: this_target(),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            data_dir: "/var/lib/osier".to_owned(),
            runtimes: BTreeSet::new(),
            factories: BTreeSet::new(),
            health_checks: BTreeSet::new(),
            capabilities: Capabilities::THIS_RELEASE,
        }
    }

    /// Is this a real node?
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.name.is_some()
    }

    /// `$data_dir/apps/NAME/data`.
    #[must_use]
    pub fn app_data(&self, app: &str) -> String {
        format!("{}/apps/{app}/data", self.data_dir.trim_end_matches('/'))
    }

    /// Do all of `wanted` hold for this node's labels? Never for nobody's.
    #[must_use]
    pub fn has_labels(&self, wanted: &BTreeMap<String, String>) -> bool {
        self.is_known()
            && wanted
                .iter()
                .all(|(key, value)| self.labels.get(key) == Some(value))
    }
}

/// What a release carries out of what SPEC_FORMAT names; the rest is "not supported yet".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a list of independent abilities, each switched on by the issue that brings it"
)]
pub struct Capabilities {
    /// The kinds of `source` that can be fetched.
    pub sources: &'static [&'static str],
    /// `health` is probed.
    pub health: bool,
    /// `secrets` are decrypted.
    pub secrets: bool,
    /// `config_files` are written.
    pub config_files: bool,
    /// `sockets` are held.
    pub sockets: bool,
    /// `upgrade.strategy: handover`.
    pub handover: bool,
    /// `rollout` orders the fleet.
    pub rollout: bool,
    /// `isolation: container`.
    pub container: bool,
    /// `isolation: wasm`.
    pub wasm: bool,
    /// `sandbox.read_only` and `sandbox.writable`.
    pub sandbox_files: bool,
}

impl Capabilities {
    /// What this release does.
    pub const THIS_RELEASE: Self = Self {
        sources: &["none", "path", "release"],
        health: true,
        secrets: false,
        config_files: false,
        sockets: false,
        handover: false,
        rollout: false,
        container: false,
        wasm: false,
        sandbox_files: true,
    };

    /// Everything: to look at a spec regardless of the release.
    pub const ALL: Self = Self {
        sources: &["none", "path", "release", "git", "crate", "oci", "mesh"],
        health: true,
        secrets: true,
        config_files: true,
        sockets: true,
        handover: true,
        rollout: true,
        container: true,
        wasm: true,
        sandbox_files: true,
    };
}

fn this_target() -> String {
    let arch = std::env::consts::ARCH;
    let environment = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    match std::env::consts::OS {
        "linux" => format!("{arch}-unknown-linux-{environment}"),
        "macos" => format!("{arch}-apple-darwin"),
        "windows" => format!("{arch}-pc-windows-msvc"),
        os => format!("{arch}-unknown-{os}"),
    }
}
