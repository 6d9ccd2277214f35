//! What a node is made from, however it is started: by a configuration file or by a host's builder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::ProcessSettings;
use crate::git::GitSettings;
use crate::names::NodeName;
use crate::source::release::ReleaseSettings;

/// What a node is made from.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// Its name.
    pub name: NodeName,
    /// Its labels, for placement and overrides.
    pub labels: BTreeMap<String, String>,
    /// Where everything of it lies; one node at a time.
    pub data_dir: PathBuf,
    /// The specs repository.
    pub repo: GitSettings,
    /// The folder of apps in it. Default `apps`.
    pub apps_dir: String,
    /// How often to look at it. Default 60 s.
    pub interval: Duration,
    /// The largest share of its apps that a commit may remove without an operator's word. Default 0.5.
    pub prune_share_max: f64,
    /// Absolute folders that source `path` may name.
    pub source_paths: Vec<PathBuf>,
    /// From where releases may come, and how large they may be.
    pub releases: ReleaseSettings,
    /// How long the folders of a removed app are kept. Default 7 days.
    pub removed_data_kept: Duration,
    /// How apps run as processes; none: this node runs no processes.
    pub processes: Option<ProcessSettings>,
}
